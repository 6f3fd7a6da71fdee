package pool

import (
	"context"
	"fmt"
	"time"
)

// Option configures a pool. If an option is given twice, the last one wins. [New] returns an error
// for each option that is out of bounds or contradicts another one, all joined. Each error names
// the option and the value.
type Option func(*config)

// DefaultBuffer is how many tasks may be queued without [WithBuffer]. docs/buffer.md has the curve
// of throughput against memory from which it was chosen.
const DefaultBuffer = 1024

// maxResults bounds WithResultBuffer.
const maxResults = 1 << 26

// Strategy says where a task waits and which worker takes it next.
type Strategy uint8

// Shared is one bounded first-in-first-out queue for all workers. It is the default. A worker
// claims several short tasks at a time. A worker that finds the queue empty takes over tasks that
// another has claimed and not started. So tasks start nearly in the order of acceptance, and
// exactly in that order with one worker.
const Shared Strategy = 0

// PerWorker is Shared with a second queue for each worker, for tasks with keys
// ([Pool.SubmitKeyed]). Each key belongs to one of these queues, by its hash. So the tasks of a key
// run on one worker, one after the other, and its caches and state ([WithState]) stay warm. Tasks
// without a key wait in one queue for all workers, as under Shared, and never wait while a worker
// is idle.
//
// [New] fixes the number of queues: one for each worker, up to 4096. So a key never moves.
// [Pool.Resize] and [WithLazy] change only which worker serves a queue: if its own worker has
// ended, others serve it, one at a time. Each of these queues has a bound of its own, a share of
// the buffer: see [WithBuffer].
//
// It backfires when durations differ: a task with a key waits behind its worker's other tasks while
// other workers are idle. Shared isolates keys from each other.
const PerWorker Strategy = 1

// WorkStealing is Shared with a local queue for each worker at work. The children of a task, which
// it submits with its context, go to the local queue of its worker. The worker takes the youngest
// first, while its data is warm. A worker with nothing to do takes the older half of another
// worker's local queue.
//
// A local queue holds up to 256 children, which the buffer does not count. Further children go to
// the shared queue. When that is full too, a child runs inside its Submit. Children with a key or a
// weight go to the shared queue, and so do tasks that are submitted from outside. Workers look at
// the shared queue now and then, so children do not starve it.
//
// It is for tasks that divide their work among further tasks. It backfires when children should
// start in the order of submission: they start nearly in the opposite order.
const WorkStealing Strategy = 2

// Elastic is Shared without idle workers. The pool starts a worker when there is work for it, and
// the worker ends as soon as it finds none. [WithWorkers], [WithSizing], or [WithCapacity] alone,
// set the limit, and [Pool.Resize] changes it.
//
// It backfires for short tasks that come one by one: each starts a worker. From Submit to the end
// of the task that takes 1.7 µs and about 750 bytes, where a go statement takes 0.4 µs and Shared
// 1.4 µs (go test -bench RoundTrip; two virtual processors of an AMD EPYC, 2026-12-01).
const Elastic Strategy = 3

// String returns the name.
func (s Strategy) String() string {
	switch s {
	case Shared:
		return "Shared"
	case PerWorker:
		return "PerWorker"
	case WorkStealing:
		return "WorkStealing"
	case Elastic:
		return "Elastic"
	}
	return fmt.Sprintf("Strategy(%d)", uint8(s))
}

// MarshalText returns the name, which makes [Stats] readable as JSON. It never fails.
func (s Strategy) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets s to the strategy with that name.
func (s *Strategy) UnmarshalText(name []byte) error {
	for _, known := range []Strategy{Shared, PerWorker, WorkStealing, Elastic} {
		if known.String() == string(name) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("pool: there is no strategy %q", name)
}

// WithLazy ends workers that have been idle for the duration idle > 0, except for the last few that
// [WithFloor] keeps (by default none). The pool starts workers on demand with or without it.
//
// It contradicts [Elastic], whose workers end at once, and [WithLockedThread], whose workers hold
// something that must not go away by itself.
//
// It backfires when bursts of work are just further apart than idle: each burst starts its workers
// anew, and makes their state.
func WithLazy(idle time.Duration) Option {
	return func(c *config) { c.idleTime, c.lazy = idle, true }
}

// WithFloor sets how many workers [WithLazy] keeps, once they have been started: 0 <= n <= the
// number of workers. The default is 0. It backfires as a way to have warm workers at the start: use
// [WithWarmup].
func WithFloor(n int) Option {
	return func(c *config) { c.floor, c.hasFloor = n, true }
}

// WithWarmup makes [New] start all workers and return when each has run f n >= 1 times: f fills
// caches and makes connections before the first task. f gets the context of the worker's tasks, so
// it can prepare the worker's state with [StateOf]. If f fails, or the context of [WithContext]
// ends, New waits for the end of all that it has started and returns that error. f runs on all
// workers at once and does not count as a task. Workers that are started later do not run it.
//
// It contradicts [Elastic], which keeps no workers. It backfires for a pool that is made at
// start-up and may never be used: New starts all its workers.
func WithWarmup(f func(context.Context) error, n int) Option {
	return func(c *config) { c.warm, c.warmRuns, c.hasWarm = f, n, true }
}

// WithLockedThread runs all tasks of a worker on one thread of the operating system, which runs
// nothing else ([runtime.LockOSThread]). It is for libraries that keep state in the thread, and for
// tasks that change the thread. The thread ends with its worker. If a task panics or calls Goexit
// its thread ends too, and the worker continues on a new one: no task, and nothing else in the
// program, sees what was left behind.
//
// It contradicts [Elastic], [WithLazy] and [CallerRuns]. It backfires for short tasks: every
// wake-up switches threads, which costs several microseconds.
func WithLockedThread() Option { return func(c *config) { c.locked = true } }

// WithStrategy sets the strategy. The default is [Shared].
func WithStrategy(s Strategy) Option { return func(c *config) { c.strategy = s } }

// WithWorkers sets the number of workers: at most n tasks run at a time, 1 <= n <= 1<<24. It is
// [WithSizing] of [Fixed], and contradicts WithSizing. The pool starts workers when there is work
// for them, so a large n costs nothing until it is used.
//
// It backfires for tasks that compute when n exceeds the number of cores.
func WithWorkers(n int) Option {
	return func(c *config) { c.fixed, c.hasN = n, true }
}

// WithSizing sets the number of workers by what limits the tasks. The default is [CPU]. It
// contradicts [WithWorkers].
func WithSizing(s Sizing) Option {
	if s == (Sizing{}) {
		s = CPU()
	}
	return func(c *config) { c.sizing, c.hasSizing = s, true }
}

// WithBuffer sets how many accepted tasks may be queued, n >= 0. A submission blocks, or is
// rejected, only when every worker is busy and n tasks are queued. There is no maximum: the queue's
// memory follows what waits, so [math.MaxInt] costs nothing until it is used. The default is
// [DefaultBuffer].
//
// The bound counts every task that has not started: in the queue, behind its key, or waiting for
// units of the capacity. With 0 the pool accepts a task only while a worker is free to run it.
//
// Under [PerWorker] n bounds the tasks without a key. The queue of each worker for tasks with keys
// has a bound of its own: n divided by the number of queues, and at least 1. For each worker that
// is busy with a task with a key, one more task without a key may be queued. Under [WorkStealing]
// the local queues hold up to 256 children each, in addition to n.
//
// A large buffer backfires because it hides overload: n queued tasks of duration t add up to
// n*t/workers to the latency of each. A small one (below about 64) backfires for tasks shorter than
// about 10 µs: producers and workers then wait for each other.
func WithBuffer(n int) Option { return func(c *config) { c.buffer = n } }

// WithCapacity bounds the sum of the weights of running tasks, 1 <= n <= 1<<62; see
// [Pool.SubmitWeighted]. Tasks of Submit weigh 1. You choose the unit: bytes, connections, cores.
// Without WithCapacity the capacity is the number of workers, and follows [Pool.Resize]. The number
// of workers limits how many tasks run in any case. Under [Elastic] that number defaults to n.
//
// A capacity below the number of workers limits tasks without a weight too. It backfires when the
// unit is bytes and tasks without a weight use many: each counts as 1.
func WithCapacity(n int64) Option {
	return func(c *config) { c.capacity, c.hasCapacity = n, true }
}

// DefaultBatch is the largest batch without [WithBatch].
const DefaultBatch = 64

// maxBatch is the largest batch.
const maxBatch = 1 << 14

// WithBatch sets the largest batch, 1 <= n <= 1<<14: how many tasks a worker claims at a time, how
// many a [Batcher] collects, and how many the handler of [NewTypedBatch] gets. The default is
// [DefaultBatch].
//
// A worker claims as many tasks as it runs in about 5 µs, by measurement, and one at a time if they
// take longer than 20 µs. Idle workers take over tasks that it has claimed and not started, so no
// task waits behind another while a worker is free. WithBatch(1) makes workers claim tasks one by
// one, in exactly the order of the queue. The handler of [NewTypedBatch] gets up to n jobs, however
// long they take.
//
// A large n backfires in a Batcher, where up to n tasks wait while all workers are busy.
func WithBatch(n int) Option { return func(c *config) { c.batch = n } }

// WithLinger bounds how long a task waits in a [Batcher] that is not full, while all workers are
// busy, d > 0. A Batcher submits what it holds as soon as a worker is free, in any case. Without
// WithLinger it keeps tasks until it is full or a worker is free. WithLinger contradicts
// WithBuffer(0).
//
// With [NewTypedBatch] it bounds how long a job waits in the queue for others to fill a batch,
// whether workers are busy or not.
//
// A small d backfires: each flush by the timer starts a goroutine, and its batch is small.
func WithLinger(d time.Duration) Option {
	return func(c *config) { c.lingerFor, c.hasLinger = d, true }
}

// Overflow says what Submit does when the pool is full: every worker is busy, and as many tasks are
// queued as [WithBuffer] allows. [Pool.TrySubmit] always returns [ErrFull] then.
type Overflow uint8

const (
	// Block waits for room, in the order of arrival, until the submission's context is done. It is
	// the default.
	Block Overflow = iota
	// Reject returns [ErrFull]. It backfires when callers retry at once.
	Reject
	// CallerRuns runs the task on the submitter's goroutine, with the submitter's context, before
	// Submit returns. Its error goes where task errors go. This slows producers to the pool's pace.
	// It backfires when the submitter must not be held up, such as an accept loop. More tasks than
	// workers may run: one on each worker, and one on each submitter.
	CallerRuns
	// DropOldest makes room by dropping the oldest queued task. The pool counts it and gives it to
	// the handler of [WithDropHandler]. It backfires for every task that somebody waits for.
	DropOldest
)

// WithResultBuffer sets how far [ForEach], [Map] and [MapUnordered] read ahead, n >= 0: at most
// workers + n values are in flight, taken from the sequence and not yet yielded, and one more that
// waits for room. The default is the number of workers, or up to 64 times as many values while the
// function is tiny. It is independent of [WithBuffer]: this one fills when the consumer is slow,
// that one when tasks are.
//
// A large n lets a consumer that is slow now and then catch up. It backfires in memory: up to n
// results wait. With 0 workers wait for the consumer.
func WithResultBuffer(n int) Option {
	return func(c *config) { c.results, c.hasResults = n, true }
}

// WithOverflow sets what Submit does when the pool is full. The default is [Block]. Block never
// blocks a task that submits to its own pool with its context, since it could wait for ever: the
// new task runs inside the Submit instead.
func WithOverflow(o Overflow) Option { return func(c *config) { c.overflow = o } }

// WithDropHandler makes f receive each task that [DropOldest] drops, once, on the goroutine of the
// submitter that needed the room, outside of all locks. T is the pool's job type: [Task] for a
// [Pool]. Without a handler the pool only counts dropped tasks. WithDropHandler needs
// WithOverflow(DropOldest).
//
// The pool has accepted the submitter's own task before it calls f. So a Submit in which f panics
// has accepted its task. With [WithPanicHandler] the panic goes there, and Submit returns. A
// [Batcher] calls f before its task is accepted.
//
// It backfires when f submits to its own pool, which is full: that drops another task, for which f
// is called in turn. While 16 calls of f are running, such a submission returns [ErrFull].
func WithDropHandler[T any](f func(T)) Option {
	return func(c *config) { c.dropped, c.nilDrop = f, f == nil }
}

// ShutdownMode says what [Pool.Close] does with tasks that have not started. The zero value is
// [Drain].
type ShutdownMode struct {
	abort   bool
	bounded bool
	after   time.Duration
}

var (
	// Drain runs every accepted task. It is the default. It backfires when tasks may take for ever:
	// use [DrainFor], or [Pool.Shutdown] with a context.
	Drain = ShutdownMode{}
	// Abort starts no more tasks, cancels the contexts of running tasks with the cause
	// [ErrAborted], and hands back the queued ones through [Pool.Leftover]. It backfires for tasks
	// that ignore their context: Close waits for them.
	Abort = ShutdownMode{abort: true}
)

// DrainFor is Drain for the duration d > 0, and then Abort.
//
// It backfires when d is longer than the grace period before the process is killed: then nothing is
// handed back.
func DrainFor(d time.Duration) ShutdownMode { return ShutdownMode{bounded: true, after: d} }

// WithShutdown sets what [Pool.Close] does. The default is [Drain].
func WithShutdown(m ShutdownMode) Option { return func(c *config) { c.shutdown = m } }

// ErrorMode says what the error of a task does to the pool, or to a [Group].
type ErrorMode uint8

const (
	// KeepGoing continues, and keeps the first error and the number of errors for Close. It is the
	// default of a pool.
	KeepGoing ErrorMode = iota
	// FailFast stops the pool at the first error. The contexts of running tasks are cancelled with
	// that error as the cause, no more tasks start, blocked submitters and waiters get the error,
	// and Close returns it. It backfires in a pool that is shared: one caller's failure stops all.
	// It is the default of a [Group], where it stops the group alone.
	FailFast
)

// WithErrorMode sets what the error of a task does. The default is [KeepGoing].
func WithErrorMode(m ErrorMode) Option { return func(c *config) { c.errorMode = m } }

// WithErrorLimit makes Close return up to k >= 1 errors, in the order in which they happened,
// joined with [errors.Join], and the number of the others. The default is 1. After a stop it does not
// keep errors that wrap the cause of the stop.
//
// It backfires with large errors and a large k: the pool keeps them until Close.
func WithErrorLimit(k int) Option { return func(c *config) { c.maxErrors = k } }

// WithErrorHandler makes f receive every error that a task returns, and [*PanicError] and
// [ErrGoexit]. f runs on the worker's goroutine right after the task, which counts as running until
// f returns. Several workers may call f at once, and f may use the pool. The error mode applies as
// well. The pool treats a panic in f as a panic in a task.
//
// A slow f backfires: it takes the worker's time.
func WithErrorHandler(f func(error)) Option {
	return func(c *config) { c.onError, c.hasOnError = f, true }
}

// WithPanicHandler makes the pool recover panics of tasks: f receives each on the worker's
// goroutine, and then the pool treats it as an error that the task returned. Without
// WithPanicHandler a panic ends the program, as in any goroutine. A panic in f itself ends the
// program too. A caller of [Do] or [Group.Wait] may have the error before f is called.
//
// It costs nothing measurable, one deferred call for each batch of tasks (in benchmarks, go run .
// -suite panics: 17.7 ns per empty task with it and 17.8 without).
//
// It backfires when the panic left a lock held or data half changed: the program continues with
// that.
func WithPanicHandler(f func(*PanicError)) Option {
	return func(c *config) { c.onPanic, c.hasOnPanic = f, true }
}

// WithContext makes the contexts of tasks children of ctx: they have its values, and end when ctx
// ends. From then on the pool starts no task, and it aborts with ctx's cause: submissions fail, and
// [Pool.Leftover] returns what is queued. The default is [context.Background].
//
// It backfires with the context of a request: the pool ends with it.
func WithContext(ctx context.Context) Option { return func(c *config) { c.ctx = ctx } }
