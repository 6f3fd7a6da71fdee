package poolnats

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace-go/pool"
)

// Job is a job that this process has taken: the pool for [Serve] is a pool of Jobs, whose handler
// [Handler] makes.
type Job[T any] struct {
	s        *Server[T]
	value    T
	data     []byte
	reply    string // where to acknowledge it
	source   int
	delivery int    // 1 for the first
	seq      uint64 // its number in the stream
	begun    time.Time

	// The server's mu guards these.
	running bool
	over    bool      // it was handed back, or its lease was lost:
	lost    bool      // that
	lease   time.Time // until when this process has it for sure
	cancel  context.CancelCauseFunc
}

// Handler returns the handler of a pool for [Serve], which calls handle with each job. When handle
// returns nil, the job is acknowledged. After an error or a panic the job comes again, see
// [Backoff], and after [MaxDeliver] deliveries it is dead. The pool sees the error too: its error
// mode and its error handler get it, and a panic as a [pool.PanicError].
//
// When the lease of a job is lost, its context ends with the cause [ErrLeaseLost]. The handler
// should return soon then.
func Handler[T any](handle func(ctx context.Context, job T) error) func(context.Context, *Job[T]) error {
	return func(ctx context.Context, j *Job[T]) error { return j.run(ctx, handle) }
}

// jobOf returns the job of a message, without its value.
func (s *Server[T]) jobOf(m *nats.Msg) (*Job[T], error) {
	i, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	j := &Job[T]{
		s: s, data: m.Data, reply: m.Reply, delivery: int(i.NumDelivered), seq: i.Sequence.Stream, begun: i.Timestamp,
		lease: time.Now().Add(s.q.lease),
	}
	if n, ok := strings.CutPrefix(i.Consumer, "key-"); ok {
		j.source, _ = strconv.Atoi(n)
		j.source++
	}
	return j, nil
}

// run runs the job, if it is still this process's.
func (j *Job[T]) run(ctx context.Context, handle func(context.Context, T) error) error {
	s := j.s
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	switch {
	case j.lost:
		s.mu.Unlock()
		return ErrLeaseLost
	case j.over:
		s.mu.Unlock()
		return nil
	case time.Now().After(j.lease.Add(-s.q.margin())):
		s.loseLocked(j)
		s.mu.Unlock()
		return ErrLeaseLost
	}
	j.running, j.cancel = true, cancel
	s.mu.Unlock()

	err := error(pool.ErrGoexit)
	defer func() { s.settle(ctx, j, err) }()
	if j.delivery > s.q.most { // each time its process has died
		err = fmt.Errorf("delivered %d times, and each time its process died before it ended", j.delivery-1)
		return err
	}
	err = call(own, handle, j.value)
	return err
}

// call calls handle. A panic is an error.
func call[T any](ctx context.Context, handle func(context.Context, T) error, v T) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &pool.PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return handle(ctx, v)
}

// settle tells the server what became of a job. ctx is the pool's.
func (s *Server[T]) settle(ctx context.Context, j *Job[T], err error) {
	owned := s.forget(j)
	switch {
	case err == nil && (owned || j.source == 0): // a partition must not go on beside another process that may have the job now
		s.ack(j)
	case !owned:
	case err == nil:
	case ctx.Err() != nil: // the pool has stopped it
		s.handBack(j)
	case j.delivery >= s.q.most:
		s.q.counts.failed.Add(1)
		s.bury(j, err)
	default:
		s.q.counts.failed.Add(1)
		s.nak(j, s.q.backoff(j.delivery))
	}
}

// forget removes a job from those in hand, and reports whether it still belonged to this process.
func (s *Server[T]) forget(j *Job[T]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inHand, j)
	return !j.over
}

// ack acknowledges a job.
func (s *Server[T]) ack(j *Job[T]) {
	if s.q.double {
		if _, err := s.q.nc.Request(j.reply, []byte("+ACK"), s.q.lease); err == nil {
			return
		}
	}
	_ = s.q.nc.Publish(j.reply, []byte("+ACK"))
	s.mu.Lock()
	s.acks = append(s.acks, j.reply)
	many := len(s.acks)%confirmEvery == 0
	s.mu.Unlock()
	if many {
		select {
		case s.full <- struct{}{}:
		default:
		}
	}
}

func (s *Server[T]) nak(j *Job[T], d time.Duration) {
	_ = s.q.nc.Publish(j.reply, fmt.Appendf(nil, `-NAK {"delay":%d}`, max(0, d)))
}

// handBack gives a job to the next process that asks for one.
func (s *Server[T]) handBack(j *Job[T]) {
	s.q.counts.handedBack.Add(1)
	_ = s.q.nc.Publish(j.reply, []byte("-NAK"))
}

// Headers of a dead job.
const (
	HeaderError      = "Pool-Error"      // the last error
	HeaderStack      = "Pool-Stack"      // the stack of a panic, or of the goroutine that buries the job
	HeaderDeliveries = "Pool-Deliveries" // how many times it was delivered
	HeaderSubject    = "Pool-Subject"    // what it was published to: publish it there again, and it is alive
	HeaderSequence   = "Pool-Sequence"   // its number in the stream of the queue
)

// bury moves a job to the stream of the dead. If that fails, the job comes again later.
func (s *Server[T]) bury(j *Job[T], cause error) {
	q := s.q
	stack := debug.Stack()
	if p, ok := cause.(*pool.PanicError); ok {
		stack = p.Stack
		cause = fmt.Errorf("panic: %v", p.Value)
	}
	m := &nats.Msg{Subject: q.dead, Data: j.data, Header: nats.Header{
		HeaderError:      []string{line(cause.Error())},
		HeaderStack:      []string{line(string(stack))},
		HeaderDeliveries: []string{strconv.Itoa(j.delivery)},
		HeaderSubject:    []string{q.subject(j.source)},
		HeaderSequence:   []string{strconv.FormatUint(j.seq, 10)},
	}}
	ctx, cancel := context.WithTimeout(context.Background(), q.lease/2)
	defer cancel()
	id := fmt.Sprintf("%s-%d-%d", q.name, j.begun.UnixNano(), j.seq) // if it is buried twice, it is there once
	if _, err := q.js.PublishMsg(ctx, m, jetstream.WithMsgID(id)); err != nil {
		s.nak(j, q.backoff(j.delivery))
		return
	}
	q.counts.dead.Add(1)
	_ = q.nc.Publish(j.reply, []byte("+TERM"))
}

// line returns text as one line, for a header.
func line(text string) string {
	return strings.NewReplacer("\r", "", "\n", " | ").Replace(text[:min(len(text), 4096)])
}
