// Package poolnats feeds pools of many processes from one queue on NATS JetStream.
//
// A [Queue] is a stream of the server. Any number of processes put jobs into it with
// [Queue.Enqueue], and any number of them run jobs from it with [Serve], each in a pool of its own.
// A process reserves slots in its pool ([pool.Typed.Reserve]), asks the server for that many jobs,
// and for no more. So a job waits in the server, where a free process takes it, and not behind
// others in a busy one.
//
// # At least once
//
// A process has a lease of a job that it has taken ([AckWait]). It extends the lease while the job
// waits and while it runs, however long. When the job has ended without an error, the process
// acknowledges it, and the server deletes it.
//
// If a process is killed, or cut off from the server, its leases expire, and other processes run
// its jobs again. A process that is cut off ends the context of a job, with the cause
// [ErrLeaseLost], before another process can have the job. So a job runs at least once, and a
// handler has to bear that it runs twice: see docs/outgrowing.md.
//
// # Order
//
// Jobs with a [Key] are in partitions ([Keys]), and a key is always in the same one. The server
// gives out one job of a partition at a time, the oldest, to the first process that asks for it. It
// gives out the next one when that job was acknowledged or its lease has expired. So equal keys run
// one at a time and in the order in which the server has stored them, over all processes. No
// process owns a partition: nothing has to be moved when processes come, go, or are killed. A
// killed one holds up the partitions of the jobs that it ran until their leases expire.
//
// This is exact, with one exception: a handler that continues after its context has ended with
// ErrLeaseLost can run beside the next one. Nothing can stop it.
package poolnats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace-go/pool"
)

// ErrLeaseLost is the cause with which the context of a job ends when its lease could not be
// extended: another process may run the job soon.
var ErrLeaseLost = errors.New("poolnats: the lease is lost: another process may run the job")

// Queue is a queue on a server. [Open] makes it. Any number of goroutines may use it.
type Queue struct {
	js     jetstream.JetStream
	nc     *nats.Conn
	stream jetstream.Stream
	name   string
	dead   string // the stream of dead jobs, and its subject
	config
	counts counts
}

// counts is what this process has counted.
type counts struct {
	leaseLost, dead, handedBack, unstarted, requests, taken, failed atomic.Uint64
}

type config struct {
	lease    time.Duration
	most     int
	backoff  func(delivery int) time.Duration
	keys     int
	limit    int64
	replicas int
	memory   bool
	window   time.Duration
	expiry   time.Duration
	codec    Codec
	double   bool
}

// Option is an option of [Open]. Processes that share a queue should open it with the same options.
type Option func(*config)

// AckWait sets how long a lease lasts, at least 100 ms; the default is 30 s. A job of a process
// that was killed runs again after that time. A longer lease survives longer pauses of the server
// and of the network.
func AckWait(d time.Duration) Option { return func(c *config) { c.lease = d } }

// MaxDeliver sets how many times a job that fails is delivered; the default is 5. After that it is
// dead. It also counts deliveries whose job was handed back without having run, or whose process
// was killed.
func MaxDeliver(n int) Option { return func(c *config) { c.most = n } }

// Backoff sets how long a job waits that has failed in its n-th delivery, 1 for the first. The
// default is a second, doubled for each further delivery up to a minute, less a random part of up
// to half. A job with a key holds up its partition meanwhile.
func Backoff(f func(delivery int) time.Duration) Option { return func(c *config) { c.backoff = f } }

// Keys makes n partitions for jobs with keys. At most n of these jobs run at a time, over all
// processes. The number is fixed when the queue is made. By default there are none, and a job with
// a key is an error.
//
// It backfires with few partitions, since keys of one partition wait for each other. It backfires
// with many, since each costs the server a consumer, and each process a request. Choose about four
// times the number of jobs that are to run at a time.
func Keys(n int) Option { return func(c *config) { c.keys = n } }

// Limit bounds how many jobs the queue holds. Beyond that [Queue.Enqueue] returns [pool.ErrFull].
// 0, the default, is no bound.
func Limit(n int64) Option { return func(c *config) { c.limit = n } }

// Replicas sets on how many servers the queue is stored; the default is 1.
func Replicas(n int) Option { return func(c *config) { c.replicas = n } }

// Memory stores the queue in the memory of the servers instead of files.
func Memory() Option { return func(c *config) { c.memory = true } }

// Window sets how long the server remembers the [ID] of a job; the default is 2 minutes.
func Window(d time.Duration) Option { return func(c *config) { c.window = d } }

// Expiry sets how long a request for jobs waits at the server, at least 100 ms; the default is 5 s.
// A process without work makes one request in that time, and with [Keys] one for each partition.
func Expiry(d time.Duration) Option { return func(c *config) { c.expiry = d } }

// DoubleAck makes a process wait until the server has confirmed that a job has ended. Without it
// the confirmation comes later, and if a process is killed right after the end of a job, the job
// may run again. It costs a round trip for each job, during which the job keeps its slot.
func DoubleAck() Option { return func(c *config) { c.double = true } }

// WithCodec makes c translate jobs to and from bytes. The default is JSON.
func WithCodec(c Codec) Option { return func(o *config) { o.codec = c } }

// Codec translates jobs. Any number of goroutines call it at once.
type Codec interface {
	Encode(job any) ([]byte, error)
	// Decode decodes into the pointer job. After an error the message is dead at once.
	Decode(data []byte, job any) error
}

type jsonCodec struct{}

func (jsonCodec) Encode(job any) ([]byte, error)    { return json.Marshal(job) }
func (jsonCodec) Decode(data []byte, job any) error { return json.Unmarshal(data, job) }

func defaultBackoff(delivery int) time.Duration {
	d := min(time.Second<<min(delivery-1, 6), time.Minute)
	return d - time.Duration(rand.Int64N(int64(d/2)))
}

func (c *config) check() error {
	switch {
	case c.lease < 100*time.Millisecond:
		return fmt.Errorf("poolnats: AckWait must be at least 100ms, got %v", c.lease)
	case c.most < 1:
		return fmt.Errorf("poolnats: MaxDeliver must be at least 1, got %d", c.most)
	case c.backoff == nil:
		return errors.New("poolnats: Backoff is nil")
	case c.keys < 0 || c.keys > 1<<14:
		return fmt.Errorf("poolnats: Keys must be between 0 and %d, got %d", 1<<14, c.keys)
	case c.limit < 0:
		return fmt.Errorf("poolnats: Limit must be at least 0, got %d", c.limit)
	case c.expiry < 100*time.Millisecond:
		return fmt.Errorf("poolnats: Expiry must be at least 100ms, got %v", c.expiry)
	case c.codec == nil:
		return errors.New("poolnats: WithCodec is nil")
	}
	return nil
}

// Open opens the queue with that name, and makes it if there is none: the streams name and
// name-dead, one consumer for jobs without a key, and one for each partition. The name has no
// spaces, dots or wildcards. The connection of js should reconnect for ever
// (nats.MaxReconnects(-1)); otherwise a process stops taking jobs when the server was away for
// long.
func Open(ctx context.Context, js jetstream.JetStream, name string, opts ...Option) (*Queue, error) {
	q := &Queue{js: js, nc: js.Conn(), name: name, dead: name + "-dead", config: config{
		lease: 30 * time.Second, most: 5, backoff: defaultBackoff, replicas: 1, window: 2 * time.Minute, expiry: 5 * time.Second, codec: jsonCodec{},
	}}
	for _, o := range opts {
		o(&q.config)
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	if err := q.open(ctx); err != nil {
		return nil, fmt.Errorf("poolnats: Open(%q): %w", name, err)
	}
	return q, nil
}

const partitions = "poolnats-keys" // in the stream's metadata

func (q *Queue) open(ctx context.Context) (err error) {
	c := jetstream.StreamConfig{
		Name: q.name, Subjects: []string{q.name + ".>"}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
		MaxMsgs: q.limit, Replicas: q.replicas, Duplicates: q.window, Metadata: map[string]string{partitions: strconv.Itoa(q.keys)},
	}
	if q.limit == 0 {
		c.MaxMsgs = -1
	}
	if q.memory {
		c.Storage = jetstream.MemoryStorage
	}
	q.stream, err = q.js.Stream(ctx, q.name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		q.stream, err = q.js.CreateOrUpdateStream(ctx, c)
	case err == nil:
		old := q.stream.CachedInfo().Config
		if n := old.Metadata[partitions]; n != strconv.Itoa(q.keys) {
			return fmt.Errorf("the queue was made with Keys(%s), and is opened with Keys(%d)", n, q.keys)
		}
		if old.MaxMsgs != c.MaxMsgs || old.Replicas != c.Replicas || old.Duplicates != c.Duplicates {
			q.stream, err = q.js.UpdateStream(ctx, c)
		}
	}
	if err != nil {
		return err
	}
	if _, err = q.js.Stream(ctx, q.dead); errors.Is(err, jetstream.ErrStreamNotFound) {
		c.Name, c.Subjects, c.Retention, c.MaxMsgs, c.Metadata = q.dead, []string{q.dead}, jetstream.LimitsPolicy, -1, nil
		_, err = q.js.CreateOrUpdateStream(ctx, c)
	}
	if err != nil {
		return err
	}
	return q.openConsumers(ctx)
}

// openConsumers makes the consumers that are missing, or have another lease.
func (q *Queue) openConsumers(ctx context.Context) error {
	leases := make(map[string]time.Duration)
	all := q.stream.ListConsumers(ctx)
	for i := range all.Info() {
		leases[i.Name] = i.Config.AckWait
	}
	if err := all.Err(); err != nil {
		return err
	}
	for i := range q.sources() {
		if leases[q.consumer(i)] == q.lease {
			continue
		}
		c := jetstream.ConsumerConfig{
			Durable: q.consumer(i), FilterSubject: q.subject(i), AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.lease,
			MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: 1 << 14,
		}
		if i > 0 {
			c.MaxAckPending = 1 // the order of keys
		}
		if _, err := q.stream.CreateOrUpdateConsumer(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// api returns the prefix of the subjects of the server's functions.
func (q *Queue) api() string {
	o := q.js.Options()
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// sources returns how many consumers there are. The first one is for jobs without a key.
func (q *Queue) sources() int { return 1 + q.keys }

func (q *Queue) consumer(i int) string {
	if i == 0 {
		return "plain"
	}
	return "key-" + strconv.Itoa(i-1)
}

func (q *Queue) subject(i int) string { return q.name + "." + q.consumer(i) }

// partition returns the source of a key. It must never change.
func (q *Queue) partition(key string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return 1 + int(h.Sum64()%uint64(q.keys))
}

// EnqueueOption is an option of [Queue.Enqueue].
type EnqueueOption func(*enqueued)

type enqueued struct {
	key, id string
	keyed   bool
}

// Key gives a job a key, see the package comment.
func Key(key string) EnqueueOption { return func(e *enqueued) { e.key, e.keyed = key, true } }

// ID makes the server drop a job if it has stored one with the same id within the [Window]. Enqueue
// returns nil then.
func ID(id string) EnqueueOption { return func(e *enqueued) { e.id = id } }

// Enqueue puts a job into the queue, and returns when the server has stored it. It returns
// [pool.ErrFull] when the queue has as many jobs as [Limit] says. After another error the job may
// or may not be in the queue: call Enqueue again with the same [ID], and it is there once.
//
// Several goroutines enqueue faster than one, since each waits for the server.
func (q *Queue) Enqueue(ctx context.Context, job any, opts ...EnqueueOption) error {
	m, err := q.message(job, opts)
	if err != nil {
		return err
	}
	_, err = q.js.PublishMsg(ctx, m)
	return asFull(err)
}

// EnqueueAll is Enqueue for many jobs, and faster, since it does not wait for each. opts returns
// the options of the i-th job, or is nil. After an error some of the jobs may be in the queue.
func (q *Queue) EnqueueAll(ctx context.Context, jobs []any, opts func(i int) []EnqueueOption) error {
	acks := make([]jetstream.PubAckFuture, 0, len(jobs))
	for i, job := range jobs {
		var o []EnqueueOption
		if opts != nil {
			o = opts(i)
		}
		m, err := q.message(job, o)
		if err != nil {
			return err
		}
		a, err := q.js.PublishMsgAsync(m, jetstream.WithStallWait(30*time.Second))
		if err != nil {
			return err
		}
		acks = append(acks, a)
	}
	for _, a := range acks {
		select {
		case <-a.Ok():
		case err := <-a.Err():
			return asFull(err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (q *Queue) message(job any, opts []EnqueueOption) (*nats.Msg, error) {
	var e enqueued
	for _, o := range opts {
		o(&e)
	}
	source := 0
	if e.keyed {
		if q.keys == 0 {
			return nil, fmt.Errorf("poolnats: Key(%q): the queue %s was opened without Keys", e.key, q.name)
		}
		source = q.partition(e.key)
	}
	data, err := q.codec.Encode(job)
	if err != nil {
		return nil, fmt.Errorf("poolnats: Enqueue: %w", err)
	}
	m := &nats.Msg{Subject: q.subject(source), Data: data}
	if e.id != "" {
		m.Header = nats.Header{nats.MsgIdHdr: []string{e.id}}
	}
	return m, nil
}

const maximumMessages = 10077 // of the server: the stream has MaxMsgs

func asFull(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == maximumMessages {
		return fmt.Errorf("poolnats: the queue has as many jobs as Limit says: %w", pool.ErrFull)
	}
	return err
}
