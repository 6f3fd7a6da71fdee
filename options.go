package pool

import (
	"context"
	"fmt"
	"time"
)

// Option configures a pool. If an option is given twice, the last one wins.
// Options that contradict each other, and values out of bounds, are errors of
// New that name the option and the value; New returns all of them, joined.
type Option func(*config)

// DefaultBuffer is how many tasks may wait unless [WithBuffer] sets it.
// docs/buffer.md has the curve of throughput against memory that it was chosen from.
const DefaultBuffer = 1024

// maxResults bounds WithResultBuffer.
const maxResults = 1 << 26

// Strategy says where a task waits and who takes it next.
type Strategy uint8

// Shared is one bounded first-in-first-out queue for all workers, the default.
// A worker claims several short tasks at a time, and one that finds the queue empty
// takes over what another has claimed and not begun. So with several workers tasks
// start nearly in order, and with one worker exactly.
const Shared Strategy = 0

// PerWorker is Shared with a queue of its own for each worker, for tasks with keys
// ([Pool.SubmitKeyed]). A key belongs to one of these queues, by its hash, so its tasks run on
// one worker, one after the other, and its caches and state ([WithState]) stay warm.
// Tasks without a key wait in one queue for all workers, as under Shared, and never
// wait while a worker rests.
//
// [New] fixes the number of queues: one for each worker, up to 4096. So a key never
// moves. [Pool.Resize] and [WithLazy] change only who serves a queue: one whose worker has
// ended is served by the others, one at a time. Each of these queues has a share of the buffer as a
// bound of its own, see [WithBuffer].
//
// It backfires when durations differ: a task with a key waits behind its worker's
// other tasks while other workers are idle. Shared isolates keys from each other.
const PerWorker Strategy = 1

// WorkStealing is Shared with a local queue for each worker that is at work. The children of
// a task, those that it submits with the context it was given, go to the local queue of
// its worker. The worker takes the youngest first, while its data is warm. A worker
// with nothing to do takes the older half of another one's local queue.
//
// A local queue holds up to 256 children, and the buffer does not count them. When it is full, children go to the
// shared queue, and when that is full too, a child runs inside its Submit. Children with a key
// or a weight go to the shared queue. What is submitted from outside waits
// there as under Shared; workers look at it now and then, so children do not starve it.
//
// It is for tasks that divide their work among tasks. It backfires when children should
// start in the order of submission: they start nearly in the opposite order.
const WorkStealing Strategy = 2

// Elastic is Shared without idle workers: a worker is started when there is work for it, and
// ends as soon as it finds none. The limit is [WithWorkers], [WithSizing], or
// [WithCapacity] alone, and changes with [Pool.Resize].
//
// It backfires for tasks that come one by one and are short: each starts a worker. From Submit to
// the task's end that is 1.7 µs, where a go statement takes .4 and Shared 1.4, and some 750 bytes
// (go test -bench RoundTrip; two virtual processors of an AMD EPYC, 2026-12-01).
const Elastic Strategy = 3

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

// MarshalText returns the name, so that [Stats] as JSON can be read. It never fails.
func (s Strategy) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets s to the strategy of that name.
func (s *Strategy) UnmarshalText(name []byte) error {
	for _, known := range []Strategy{Shared, PerWorker, WorkStealing, Elastic} {
		if known.String() == string(name) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("pool: there is no strategy %q", name)
}

// WithLazy makes workers end that have had nothing to do for the time idle > 0,
// until the floor is reached ([WithFloor], by default 0). Workers are started on
// demand with or without it.
//
// It contradicts [Elastic], whose workers end at once, and [WithLockedThread], whose
// workers hold something that must not go away by itself.
//
// It backfires when work comes in bursts that are just further apart than idle:
// each burst starts its workers anew, and makes their state.
func WithLazy(idle time.Duration) Option {
	return func(c *config) { c.idleTime, c.lazy = idle, true }
}

// WithFloor is how many workers [WithLazy] leaves alive, once they have been
// started: 0 <= n <= the number of workers. The default is 0.
//
// It backfires as a way of having warm workers at the start: see [WithWarmup].
func WithFloor(n int) Option {
	return func(c *config) { c.floor, c.hasFloor = n, true }
}

// WithWarmup makes New start all workers and return when each has run f n >= 1
// times: caches are filled and connections made before the first task. f gets the
// context of the worker's tasks, so it can prepare the worker's state with
// [StateOf]. When f fails, or the context of [WithContext] ends, New returns that
// error, after everything that was started has ended. f runs on all workers at
// once and is not counted as a task. Workers that are started later do not run it.
//
// It contradicts [Elastic], which keeps no workers. It backfires for a pool that is
// made at start-up and may never be used: all its workers are started.
func WithWarmup(f func(context.Context) error, n int) Option {
	return func(c *config) { c.warm, c.warmRuns, c.hasWarm = f, n, true }
}

// WithLockedThread runs every task of a worker on one thread of the operating
// system, which runs nothing else ([runtime.LockOSThread]): for libraries that
// keep state in the thread, and for tasks that change it. The thread ends with its
// worker. A thread on which a task panicked or called Goexit ends too, and the
// worker goes on with a new one: no task, and nothing else in the program, sees what was left
// behind.
//
// It contradicts [Elastic], [WithLazy] and [CallerRuns]. It backfires for short
// tasks: every wake-up is a switch of threads, which costs several microseconds.
func WithLockedThread() Option { return func(c *config) { c.locked = true } }

// WithStrategy selects the queue strategy. The default is [Shared].
func WithStrategy(s Strategy) Option { return func(c *config) { c.strategy = s } }

// WithWorkers sets the number of workers: at most n tasks run at a time,
// 1 <= n <= 1<<24. It is [WithSizing] of [Fixed], and contradicts WithSizing.
// Workers are started when there is work for them, so a large n costs nothing
// until it is used.
//
// It backfires for computing tasks when n exceeds the number of cores.
func WithWorkers(n int) Option {
	return func(c *config) { c.fixed, c.hasN = n, true }
}

// WithSizing sets the number of workers by what the tasks are bound by. The
// default is [CPU]. It contradicts [WithWorkers].
func WithSizing(s Sizing) Option {
	if s == (Sizing{}) {
		s = CPU()
	}
	return func(c *config) { c.sizing, c.hasSizing = s, true }
}

// WithBuffer sets how many accepted tasks may wait for a worker, n >= 0. A submission is
// refused, or blocks, only when every worker is busy and n tasks wait. There is no maximum:
// the queue's memory follows what waits, so [math.MaxInt] costs nothing until it is
// used. The default is [DefaultBuffer].
//
// The bound counts every task that has not started: in the queue, behind its
// key, or waiting for its units. With 0 a task is accepted only while a worker is free to run it.
//
// Under [PerWorker] n bounds the tasks without a key, and the queue of each worker for
// tasks with keys has a bound of its own, n divided by the number of queues and at least 1. For each worker
// that is busy with a task with a key, one more task without a key may wait. Under
// [WorkStealing] the local queues hold up to 256 children each, beyond n.
//
// A large buffer backfires by hiding overload: n waiting tasks of time t add
// up to n*t/workers to the latency of each. A small one (below about 64) backfires for tasks
// shorter than about 10 µs: producers and workers then wait for each other.
func WithBuffer(n int) Option { return func(c *config) { c.buffer = n } }

// WithCapacity bounds the sum of the weights of the tasks that run,
// 1 <= n <= 1<<62; see [Pool.SubmitWeighted]. Submit's tasks weigh 1. The unit is
// yours: bytes, connections, cores. Without it the capacity is the number of
// workers, and follows Resize. The number of workers limits how many tasks run in
// any case; under [Elastic] the worker limit defaults to n.
//
// A capacity below the number of workers bounds the plain tasks too. It backfires where
// the unit is bytes and plain tasks take many of them: each counts as 1.
func WithCapacity(n int64) Option {
	return func(c *config) { c.capacity, c.hasCapacity = n, true }
}

// DefaultBatch is how many tasks make a batch unless [WithBatch] says otherwise.
const DefaultBatch = 64

// maxBatch is the largest batch.
const maxBatch = 1 << 14

// WithBatch sets the largest batch, 1 <= n <= 1<<14: how many tasks a worker claims at a
// time, how many a [Batcher] collects, and how many the handler of [NewTypedBatch] gets.
// The default is [DefaultBatch].
//
// A worker claims as many as it runs in about 5 µs, by measurement, and one at a time
// when they take longer than 20 µs. Idle workers take over what it has claimed but not
// started, so no task waits behind another one while a worker is free. WithBatch(1) makes
// workers claim tasks one by one, in exactly the order of the queue. The handler of
// [NewTypedBatch] gets up to n, however long they take.
//
// A large n backfires in a Batcher, where that many tasks wait while all workers are
// busy.
func WithBatch(n int) Option { return func(c *config) { c.batch = n } }

// WithLinger bounds how long a task waits in a [Batcher] that does not become full,
// while all workers are busy, d > 0. In any case a Batcher submits what it holds as soon as a
// worker is free. Without WithLinger it keeps tasks until it is full or a worker is
// free. WithLinger contradicts WithBuffer(0).
//
// With [NewTypedBatch] it also bounds how long a job waits in the queue for others to make up a
// batch, whether workers are busy or not.
//
// A small d backfires: each flush by the timer starts a goroutine, and its batch is
// small.
func WithLinger(d time.Duration) Option {
	return func(c *config) { c.lingerFor, c.hasLinger = d, true }
}

// Overflow says what Submit does when the pool is full: every worker is busy, and as
// many tasks wait as [WithBuffer] allows. TrySubmit always returns ErrFull then.
type Overflow uint8

const (
	// Block waits for room, in the order of arrival, until the submission's
	// context is done. It is the default.
	Block Overflow = iota
	// Reject returns ErrFull. It backfires when callers retry at once.
	Reject
	// CallerRuns runs the task on the submitter's goroutine, with the
	// submitter's context, before Submit returns; its error goes where task
	// errors go. It slows producers to the pool's pace. It backfires when the
	// submitter must not be held up, as an accept loop, and lets more than N
	// tasks run: one on each of N workers, and one on each submitter.
	CallerRuns
	// DropOldest makes room by discarding the oldest task in the queue. The pool
	// counts it and gives it to the handler of WithDropHandler. It backfires
	// for every task somebody waits for.
	DropOldest
)

// WithResultBuffer sets how far [ForEach], [Map] and [MapUnordered] read ahead: at most
// workers + n values, n >= 0, were taken from the sequence and not yielded, and one that waits for
// room. By default n is the number of workers, and up to 64 times as many values are
// on their way while the function is tiny. It is independent of [WithBuffer]: this one fills
// when the consumer is slow, that one when tasks are.
//
// A large n lets a consumer that is slow now and then keep up. It backfires in memory: up to
// that many results wait. With 0 workers wait for the consumer.
func WithResultBuffer(n int) Option {
	return func(c *config) { c.results, c.hasResults = n, true }
}

// WithOverflow selects what Submit does when the pool is full. The default is
// [Block]. A task that submits to its own pool with the context it was given does
// not block under Block, which could be for ever: the new
// task runs inside the Submit instead.
func WithOverflow(o Overflow) Option { return func(c *config) { c.overflow = o } }

// WithDropHandler makes f receive the tasks that [DropOldest] discards, each
// once, on the goroutine of the submitter that needed the room, outside of all
// locks. T is the pool's job type: [Task] for a [Pool]. Without a handler dropped
// tasks are only counted. It needs WithOverflow(DropOldest).
//
// The submitter's own task has been accepted when f is called, except in a [Batcher], which calls f first. So a Submit in which f panics has
// accepted its task. With [WithPanicHandler] the panic goes there, and Submit returns.
//
// It backfires when f submits to its own pool, which is full: that drops another task, for which f is called in turn. When 16
// calls of f are at work, such a submission returns [ErrFull].
func WithDropHandler[T any](f func(T)) Option {
	return func(c *config) { c.dropped, c.nilDrop = f, f == nil }
}

// ShutdownMode says what Close does with the tasks that have not started. The zero value is [Drain].
type ShutdownMode struct {
	abort   bool
	bounded bool
	after   time.Duration
}

var (
	// Drain runs every accepted task. It is the default. It backfires when
	// tasks may take for ever: use DrainFor, or Shutdown with a context.
	Drain = ShutdownMode{}
	// Abort starts nothing more, cancels the contexts of running tasks with
	// the cause ErrAborted and hands the queued ones back through Leftover. It
	// backfires for tasks that ignore their context: Close waits for them.
	Abort = ShutdownMode{abort: true}
)

// DrainFor is Drain for the duration d > 0 and Abort after that.
//
// It backfires when d is longer than the grace period of whoever stops the
// process: then nothing is handed back, because nobody is left to do it.
func DrainFor(d time.Duration) ShutdownMode { return ShutdownMode{bounded: true, after: d} }

// WithShutdown selects what Close does. The default is [Drain].
func WithShutdown(m ShutdownMode) Option { return func(c *config) { c.shutdown = m } }

// ErrorMode says what an error of a task does to the pool.
type ErrorMode uint8

const (
	// KeepGoing goes on and keeps the first error, and a count, for Close. It
	// is the default.
	KeepGoing ErrorMode = iota
	// FailFast stops the pool at the first error: the contexts of running tasks
	// are cancelled with that error as the cause, nothing more is started,
	// blocked submitters and waiters get the error, and Close returns it.
	// It backfires in a pool that is shared: one caller's failure stops all.
	FailFast
)

// WithErrorMode selects what an error does. The default is [KeepGoing].
func WithErrorMode(m ErrorMode) Option { return func(c *config) { c.errorMode = m } }

// WithErrorLimit makes Close return up to k errors, in the order in which they
// happened, joined with [errors.Join], and the number of the others. k >= 1, the
// default is 1.
//
// It backfires with large errors and a large k: they are held until Close.
func WithErrorLimit(k int) Option { return func(c *config) { c.maxErrors = k } }

// WithErrorHandler makes f receive every error that a task returns, and
// [*PanicError] and [ErrGoexit], on the worker's goroutine right after the task,
// which counts as running until f returns. f may be called by several workers at
// once and may use the pool. The error mode applies all the same. A panic in f is
// treated as a panic of a task.
//
// A slow f backfires: it takes the worker's time.
func WithErrorHandler(f func(error)) Option {
	return func(c *config) { c.onError, c.hasOnError = f, true }
}

// WithPanicHandler makes the pool recover panics of tasks: f receives each, on the
// worker's goroutine, and then it flows like an error that the task returned.
// Without it a panic ends the program, as in any goroutine. A panic in f itself
// ends the program too.
//
// It costs nothing measurable: one deferred call for each batch of tasks (go run .
// -suite panics in benchmarks: 17.7 ns per empty task with it and 17.8 without).
//
// It backfires when the panic left a lock held or data half changed: the program
// goes on with that.
func WithPanicHandler(f func(*PanicError)) Option {
	return func(c *config) { c.onPanic, c.hasOnPanic = f, true }
}

// WithContext makes the contexts of tasks children of ctx. They see its values, and end at the
// moment at which ctx ends. From then on the pool starts no task, and it aborts with
// ctx's cause: submissions fail, and [Pool.Leftover] returns what waits. The default is
// [context.Background].
//
// It backfires with the context of a request: the pool ends with it.
func WithContext(ctx context.Context) Option { return func(c *config) { c.ctx = ctx } }
