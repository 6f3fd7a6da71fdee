package pool

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/errlog"
	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/idle"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// engine is the whole pool, generic over what a queue slot holds: Task for Pool, T for Typed. A job
// takes this way; read the files in that order:
//
//	submit (here) -> room.go (if full) -> cell.queue -> park.go (wake one)
//	-> cell.go (claim several) -> worker.go (run, account) -> wait.go
//
// Jobs wait in cells (cell.go). The main cell has what any worker may take; under PerWorker there
// is one more for each worker, for jobs with keys (home.go). A pool counts and keeps no lists: the
// jobs that wait are those accepted less those started, the unfinished jobs are those accepted less
// those ended, and so on for room, Stats and the end.
//
// The lock order is
//
//	mu -> cell.mu -> kids.mu, two of these in the order of their index
//
// and no goroutine holds one of them while user code runs. These locks are taken last, and no other
// is taken under them: room.mu, the queue's, that of internal/errlog, state.mu. Those of groups,
// loops and batchers are taken first: under them the pool's may be.
//
// Words that all goroutines share stand on cache lines of their own: the queue's tail (producers)
// and head (workers), and the idle word. Every submission reads the idle word, and it is written
// only when a worker parks, is woken, or begins or ends a search. Workers read flags at every job.
type engine[T any] struct {
	config
	handle    func(context.Context, T) error
	handleAll func(context.Context, []T) error // nil, or see collect.go
	plain     bool                             // see observe.go
	routes    bool                             // no job is plain, see fair.go
	batched   atomic.Pointer[fair.Attr]        // what the jobs of a Batcher are
	inherits  bool                             // children are not plain submissions: routes, or kids
	start     time.Time                        // of the pool, on the monotonic clock
	outer     context.Context                  // WithContext's, if it can end
	base      context.Context
	cancel    context.CancelCauseFunc

	_    [128]byte
	idle idle.State // see park.go
	_    [120]byte
	flags
	spin spinState
	_    [96]byte

	main     cell[T]
	homes    homes[T]    // see home.go
	kids     []kids[T]   // see steal.go
	batchers batchers[T] // see batch.go
	linger   lingering   // see collect.go
	weights  weights     // see weight.go
	futures  patience    // of waits for a Future
	counts   counts
	samples  samples    // see sample.go
	errs     errlog.Log // what Close returns

	mu sync.Mutex // guards the rest
	places[T]
	waits
	endState[T]
	watch watch
}

// flags is what workers look at before each job.
type flags struct {
	word     atomic.Uint32
	long     atomic.Bool // tasks are long, see pace.go
	follows  atomic.Bool // the size follows GOMAXPROCS
	parallel atomic.Bool // GOMAXPROCS was above 1 when last looked at
}

// Bits of flags.word.
const (
	flagStop  = 1 << iota // start nothing more
	flagShed              // there are more workers than places
	flagSplit             // somebody waits for jobs with the old tag, see wait.go
	flagRoom              // above it: in how many cells submitters wait to be woken
)

// counts counts jobs in the ways that cells and batches do not.
type counts struct {
	rejected [reasons]atomic.Uint64
	failed   atomic.Uint64
	panicked atomic.Uint64
	goexited atomic.Uint64
	skipped  atomic.Uint64 // calls whose function was not called
	inside   atomic.Uint64 // that ran inside another one's submission, see inline.go
	_        [56]byte
}

// reason is why a job was rejected.
type reason int

const (
	rejectedFull reason = iota
	rejectedClosed
	rejectedContext
	rejectedInvalid
	reasons
)

// reasonOf returns why a submission returns err. It runs no method of the user's.
func reasonOf(err error) reason {
	s, stopped := err.(*stopError)
	switch {
	case err == ErrFull:
		return rejectedFull
	case err == ErrClosed, stopped && s.sentinel == ErrClosed:
		return rejectedClosed
	case stopped, err == context.Canceled, err == context.DeadlineExceeded:
		return rejectedContext
	}
	return rejectedInvalid
}

func (e *engine[T]) init(handle func(context.Context, T) error, opts []Option) error {
	c, err := configure(opts)
	if err != nil {
		return err
	}
	e.config, e.handle = c, handle
	e.plain = c.name == "" && c.onPanic == nil
	e.start = time.Now()
	e.openClock()
	e.target = c.sizing.workers()
	e.main.init(e, max(8, 4*runtime.GOMAXPROCS(0)), e.buffer)
	e.openFair()
	e.openHomes()
	e.openKids()
	e.openLinger()
	if err := e.checkTyped(); err != nil {
		return err
	}
	e.stopped = make(chan struct{})
	e.done = make(chan struct{})
	e.base, e.cancel = context.WithCancelCause(c.labelled(c.ctx))
	e.follows.Store(c.sizing.perProc > 0)
	e.parallel.Store(runtime.GOMAXPROCS(0) > 1)
	e.widenLocked()
	e.idle.Add(e.target)
	e.idle.Relax()
	if e.capacity == 0 {
		e.weights.Init(e.base, int64(e.target))
	} else {
		e.weights.Init(e.base, e.capacity)
		e.weights.Activate(0)
	}
	e.errs.Limit = c.maxErrors
	if c.ctx.Done() != nil {
		e.outer = c.ctx
		e.onDone(context.AfterFunc(c.ctx, e.contextEnded))
	}
	if e.warm != nil {
		return e.warmUp()
	}
	return nil
}

// mustBeMade panics for a zero pool.
func (e *engine[T]) mustBeMade() {
	if e.handle == nil {
		panic(notMade)
	}
}

// contextEnded stops a pool whose context, that of WithContext, has ended.
func (e *engine[T]) contextEnded() {
	cause := context.Cause(e.base) // it has ended with that
	if cause == nil {
		cause = context.Cause(e.ctx)
	}
	e.mu.Lock()
	e.byContext = e.byContext || e.stopCause == nil
	e.mu.Unlock()
	e.stop(cause, &stopError{ErrClosed, cause})
}

// obey stops the pool if the context of WithContext has ended. Every submission calls it before it
// puts anything anywhere.
func (e *engine[T]) obey() {
	if e.outer != nil && e.outer.Err() != nil {
		e.contextEnded()
	}
}

// submit accepts v, or waits for room as the overflow policy says.
//
// The job synchronizes before its start: Push publishes the slot with an atomic
// store that the claiming worker loads.
func (e *engine[T]) submit(ctx context.Context, v T) error {
	if ctx == nil {
		return e.reject(errNilContext)
	}
	if ctx.Err() != nil {
		return e.reject(endOf(ctx))
	}
	e.obey()
	if e.inherits {
		if e.routes {
			return e.submitAs(ctx, Attrs{}, v)
		}
		if w := e.insideOf(ctx); w != nil && w.pushKids([]T{v}) == 1 {
			return nil
		}
	}
	if e.main.queue.Push(v, nil, queue.Any) == queue.OK {
		seam.Yield()
		if e.idle.Load().Concerns() || e.collects() {
			e.pushed()
		}
		return nil
	}
	return e.submitSlow(ctx, &e.main, v, nil)
}

func (e *engine[T]) trySubmit(v T) error {
	if e.routes {
		return e.trySubmitAs(Attrs{}, v)
	}
	return e.tried(e.push(&e.main, v, nil, nil))
}

// tried returns what a submission returns that does not wait.
func (e *engine[T]) tried(s queue.Status) error {
	switch s {
	case queue.OK:
		return nil
	case queue.Closed:
		return e.reject(e.errClosed())
	default:
		return e.reject(ErrFull)
	}
}

// push puts v into the queue of c, if there is room, and makes sure that a worker will take it. a
// is nil for a plain job. seat is what the submitter's context has for this pool: a worker, a
// callerRun, or nil.
func (e *engine[T]) push(c *cell[T], v T, a *fair.Attr, seat any) queue.Status {
	e.obey()
	if e.routes && !e.quick(a) {
		return e.accept(c, v, a, seat, nil)
	}
	var attr queue.Attr
	beside := c.beside(a, &attr)
	for {
		s := c.queue.Push(v, beside, queue.Any)
		if s == queue.Untold {
			e.withTag(seat, func(tag int) (others int) {
				s, others = c.queue.Push(v, beside, tag).Others()
				return others
			})
		}
		switch {
		case s == queue.Full && c.raise():
			continue
		case s == queue.Full && e.routes:
			return e.accept(c, v, a, seat, nil)
		case s == queue.OK:
			seam.Yield()
			e.published()
			c.pushed()
		}
		return s
	}
}

// pushBlocked is push for a submitter that is blocked, see room.go.
func (e *engine[T]) pushBlocked(c *cell[T], v T, a *fair.Attr, b *blocked) (s queue.Status) {
	switch {
	case e.routes:
		return e.accept(c, v, a, nil, b)
	case !b.held:
		return e.push(c, v, a, nil)
	}
	var attr queue.Attr
	e.withTag(nil, func(tag int) (others int) {
		s, others = c.queue.PushHeld(v, c.beside(a, &attr), tag, c.bound()).Others()
		return others
	})
	if s == queue.OK {
		c.pushed()
	}
	return s
}

// submitSlow submits a job that is not plain, or that did not fit. It counts the job if it is
// rejected.
func (e *engine[T]) submitSlow(ctx context.Context, c *cell[T], v T, a *fair.Attr) error {
	if err := e.offer(ctx, c, v, a); err != errMustWait {
		return e.reject(err)
	}
	return e.submitBlocked(ctx, c, v, a)
}

var errMustWait = errors.New("pool: there is no room")

// offer is submitSlow, or returns errMustWait.
func (e *engine[T]) offer(ctx context.Context, c *cell[T], v T, a *fair.Attr) error {
	seat := ctx.Value(e)
	switch e.push(c, v, a, seat) {
	case queue.OK:
		return nil
	case queue.Closed:
		return e.errClosed()
	}
	switch {
	case e.overflow == Reject:
		return ErrFull
	case e.overflow == DropOldest:
		return e.dropUntil(v, a, seat)
	case seat != nil && (a.Ordered() || e.beyondLimit(e.insideOf(ctx), a)):
		return ErrFull // its turn may come only after this very task
	case seat != nil, e.overflow == CallerRuns && !a.Ordered():
		// In a task all places may be waiting for this very one: its child runs here.
		return e.runHere(ctx, v)
	}
	return errMustWait
}

// submitBlocked submits a job when there is room, and counts it if it is rejected.
func (e *engine[T]) submitBlocked(ctx context.Context, c *cell[T], v T, a *fair.Attr) error {
	here, err := c.waitForRoom(ctx, func(b *blocked) queue.Status { return e.pushBlocked(c, v, a, b) })
	switch {
	case here != nil && (a.Ordered() || e.beyondLimit(e.insideOf(here), a)):
		err = ErrFull
	case here != nil:
		err = e.runHere(here, v)
	}
	return e.reject(err)
}

// insideOf returns the worker whose task calls with ctx, or nil.
func (e *engine[T]) insideOf(ctx context.Context) *worker[T] {
	if ctx == nil {
		return nil
	}
	if c, ok := ctx.(*taskContext[T]); ok && c.e == e {
		return c.w
	}
	w, _ := ctx.Value(e).(*worker[T])
	return w
}

// dropUntil pushes v and drops the oldest jobs until there is room for it. It calls the handler for
// them when it has pushed v, so v is accepted even if the handler panics.
func (e *engine[T]) dropUntil(v T, a *fair.Attr, seat any) (err error) {
	var dropped []T
	defer func() { e.tellAll(dropped) }()
	for {
		switch e.push(&e.main, v, a, seat) {
		case queue.OK:
			return nil
		case queue.Closed:
			return e.errClosed()
		}
		switch old, ok, dropping := e.dropOldest(); {
		case ok:
			if dropped = append(dropped, old); e.routes {
				e.wakeMore() // what was in the queue is in the table now
			}
			if dropping > maxDropping && e.here() != nil {
				return ErrFull // a handler submits what was dropped, and so on
			}
		case e.allReserved():
			return ErrFull
		default:
			runtime.Gosched() // all that waits is about to be started
		}
	}
}

// maxDropping is how many drop handlers may run before submissions look whether one of these has
// made them.
const maxDropping = 16

// dropOldest takes out the oldest job that is not claimed or, if there is none, one of a claimed
// batch: the caller has to call tellAll. It returns false if there is none either, and how many
// dropped jobs the handler was not yet told of.
func (e *engine[T]) dropOldest() (v T, ok bool, dropping int) {
	e.mu.Lock()
	if e.stopCause != nil {
		e.mu.Unlock()
		e.discard()
		return v, false, 0
	}
	defer e.mu.Unlock()
	v, tag, ok := e.main.oldest()
	if ok {
		e.dropCount++
		e.dropping++
		e.main.disposed(tag, 1)
		e.evaluateLocked()
	}
	return v, ok, e.dropping
}

// tellAll tells the handler of the jobs, of each even if the handler panics.
func (e *engine[T]) tellAll(dropped []T) {
	if len(dropped) == 0 {
		return
	}
	defer func() {
		e.mu.Lock()
		e.dropping--
		e.mu.Unlock()
		e.tellAll(dropped[1:])
		e.settle()
	}()
	onSubmitter(func() {
		tellDropped(dropped[0], ErrDropped)
		if f, ok := e.dropped.(func(T)); ok {
			e.shield(func() { f(dropped[0]) })
		}
	})
}

// reject counts a rejection, if err is one, and returns err.
func (e *engine[T]) reject(err error) error {
	if err != nil {
		e.counts.rejected[reasonOf(err)].Add(1)
	}
	return err
}

func (e *engine[T]) rejectAll(n int, err error) error {
	e.counts.rejected[reasonOf(err)].Add(uint64(n))
	return err
}

// errClosed is what a submission to a closed pool returns.
func (e *engine[T]) errClosed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closeErr
}
