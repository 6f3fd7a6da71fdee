package pool

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
	"github.com/headrace-go/pool/internal/span"
)

// engine is the whole pool, generic over what a queue slot holds: Task for Pool,
// T for Typed. A job's way is one line, and the files are read in that order:
//
//	submit (here) -> room.go (if full) -> ring.Push -> park.go (wake one)
//	-> worker.go (claim several, run) -> account (worker.flush) -> wait.go
//
// Tasks with keys or weights take a longer way from the ring to a worker (keyed.go, weight.go), tasks
// that are submitted together a shorter one (chunk.go), and the jobs of a typed batch run at
// once (collect.go). shutdown.go ends it, stats.go looks at it from outside. Groups,
// futures and loops (call.go) are made of it.
//
// Three words are shared by everybody and stand on lines of their own: the
// ring's tail (producers), the ring's head (workers), and gate, which is read by
// every submission and written only when a worker parks, is woken, or begins or
// ends a search. ctl is read by workers at every task and written when
// submitters block, on a shrink, and on a stop.
type engine[T any] struct {
	config
	handle    func(context.Context, T) error
	handleAll func(context.Context, []T) error // nil, or see collect.go
	collects  bool                             // tasks linger
	plain     bool                             // see observe.go
	queue     atomic.Pointer[ring.Ring[T]]
	lanes     *span.Set
	locals    []local[T] // see steal.go
	start     time.Time  // of the monotonic clock that batches are measured with
	base      context.Context
	cancel    context.CancelCauseFunc

	_        [128]byte
	gate     atomic.Uint64 // see park.go
	_        [120]byte
	ctl      atomic.Uint32 // bits below
	follows  atomic.Bool   // the size follows GOMAXPROCS
	parallel atomic.Bool   // GOMAXPROCS was above 1 when last looked at
	_        [112]byte
	spin     spinState
	_        [96]byte

	listed atomic.Int64 // local queues that may hold something, see steal.go
	_      [120]byte

	bank     atomic.Int64  // see credit.go
	moves    atomic.Uint64 // of credit: those on their way, and above them how many have arrived
	patience patience
	_        [96]byte
	counted  atomic.Uint64 // see paid
	_        [56]byte

	sorter      sorter[T]   // see keyed.go and weight.go
	batching    batching[T] // see batch.go
	collecting  collecting  // see collect.go
	chunking    chunking[T] // see chunk.go
	futures     patience    // of those who wait for a Future
	legacy      int         // tasks without credit that wait, guarded by mu
	rejected    atomic.Uint64
	inlines     atomic.Uint64    // see runInline
	insideWait  atomic.Int64     // tasks that are inside Wait
	left        [ring.Tags]tally // see wait.go
	room        room[T]          // blocked submitters
	errs        errorLog         // what Close returns
	stopped     chan struct{}    // closed when nothing more may start
	done        chan struct{}    // closed when the last worker has gone
	whenDone    []func() bool    // stops what watches contexts and deadlines
	mu          sync.Mutex       // guards the rest; no user code runs under it
	target      int              // how many workers there should be at most
	live        int              // workers
	leaving     int              // workers no more, whose goroutine has not ended
	seatsTaken  int              // see perworker.go
	grown       bool             // there are new seats
	lent        int              // of those, inside a Wait with their place given away
	debt        int              // see places.go
	parked      []*worker[T]     // last in, first out
	workers     []*worker[T]     // all live ones
	back        []chan struct{}  // tasks that want their place back
	expiry      *time.Timer      // see life.go
	expirySet   bool             //
	watchTimer  *time.Timer      // see watch
	watchDelay  time.Duration    //
	watchSeen   uint64           //
	callers     [ring.Tags]int   // tasks that run on their submitter's goroutine
	epochs      []epoch          // see wait.go
	keyedWaits  []*sitting       // tasks with a key that are inside Wait
	boundary    uint64           // accepted when the current epoch began
	waiters     []*waiter        //
	leftover    []T              // accepted, never started, not yet returned
	unrun       uint64           // how many were ever put into leftover
	missed      *DeadlineError   // the first missed deadline
	stopCause   error            // why nothing more may start
	closeErr    error            // what submissions get once the ring is closed
	finished    bool             // done is closed
	reported    bool             // a Close has returned the kept errors
	gone        totals           // of workers that are gone and jobs without one
	deadlineEnd chan struct{}    // of DrainFor, nil before Close: see setDeadline
	dropCount   uint64           // discarded by DropOldest
	dropping    int              // drop handlers that run
	last        Stats            // keeps Stats monotone
}

// Bits of ctl.
const (
	ctlStop    = 1 << iota // start nothing more
	ctlShed                // there are more workers than places
	ctlRoom                // a submitter waits for room and nobody is waking it
	ctlCounted             // what waits is counted, see credit.go
	ctlSorted              // claims go through the sorter
	ctlKeyed               // there may be keyed tasks
	ctlChunked             // there may be chunks, see chunk.go
	ctlWeighs              // tasks are weighed
	ctlClosed              // the intake has ended
)

func (e *engine[T]) init(handle func(context.Context, T) error, opts []Option) error {
	c, err := configure(opts)
	if err != nil {
		return err
	}
	if c.dropped != nil {
		if _, ok := c.dropped.(func(T)); !ok {
			return fmt.Errorf("pool: WithDropHandler: handler must be a %T, got %T", (func(T))(nil), c.dropped)
		}
	}
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("pool: WithContext: context is already done: %w", context.Cause(c.ctx))
	}
	e.config, e.handle = c, handle
	e.plain = c.name == "" && c.onPanic == nil
	e.queue.Store(ring.NewRetired[T](c.buffer))
	if !e.expires() {
		e.renewLocked()
	}
	e.lanes = span.NewSet(max(8, 4*runtime.GOMAXPROCS(0)))
	e.openLocals()
	e.openCollecting()
	e.start = time.Now()
	e.stopped = make(chan struct{})
	e.done = make(chan struct{})
	e.target = c.sizing.workers()
	// The tasks' contexts end through stop, after which nothing starts, and not
	// by themselves before it.
	e.base, e.cancel = context.WithCancelCause(c.labelled(context.WithoutCancel(c.ctx)))
	e.follows.Store(c.sizing.perProc > 0)
	e.parallel.Store(runtime.GOMAXPROCS(0) > 1)
	e.gate.Store(uint64(e.target)*gateIdle | gateLook)
	if e.seated() {
		e.openSeatsLocked(e.target)
		e.countLocked()
	}
	if e.sorter.capacity = e.capacity; e.capacity == 0 {
		e.sorter.capacity = int64(e.target)
	} else {
		e.weighLocked()
	}
	e.errs.limit = c.maxErrors
	e.epochs = append(make([]epoch, 0, ring.Tags), epoch{})
	if c.ctx.Done() != nil {
		e.onDone(context.AfterFunc(c.ctx, func() {
			cause := context.Cause(c.ctx)
			e.stop(cause, &stopError{ErrClosed, cause})
		}))
	}
	if e.warm != nil {
		return e.warmUp()
	}
	return nil
}

// renew gives the ring its slots.
func (e *engine[T]) renew() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.renewLocked()
}

func (e *engine[T]) renewLocked() {
	if r := e.ring(); r.IsRetired() {
		e.queue.Store(r.Renew())
	}
}

// ring is the queue. It is replaced, under e.mu, only while it is at rest.
func (e *engine[T]) ring() *ring.Ring[T] { return e.queue.Load() }

// direct reports whether jobs are handed to a free worker, without a queue.
func (e *engine[T]) direct() bool { return e.buffer == 0 }

// submit accepts v, or waits for room as the overflow policy says.
//
// The job synchronizes before its start: Push publishes the slot with an atomic
// store that the claiming worker loads.
func (e *engine[T]) submit(ctx context.Context, v T) error {
	if ctx == nil {
		return e.reject(errNilContext)
	}
	if err := ctx.Err(); err != nil {
		return e.reject(err)
	}
	if w := e.parent(ctx); w != nil {
		switch n, full := w.pushLocal([]T{v}); {
		case n == 1:
			return nil
		case full && e.overflow == Block:
			return e.reject(e.runInside(w, v, nil))
		}
	}
	if !e.direct() && e.ring().Push(v, nil, false) == ring.OK {
		seam.Yield()
		if e.needsLook(e.gate.Load()) {
			e.pushed()
		}
		return nil
	}
	return e.reject(e.submitSlow(ctx, v, nil))
}

func (e *engine[T]) trySubmit(v T) error {
	switch e.push(v, nil, false) {
	case ring.OK:
		return nil
	case ring.Closed:
		return e.reject(e.errClosed())
	default:
		return e.reject(ErrFull)
	}
}

// push puts v into the queue, or into the hands of a free worker, and sees to it
// that somebody will take it. n is nil for a job without key and weight. first
// says that the caller waits for room and is the first to get it.
func (e *engine[T]) push(v T, n *ring.Record, first bool) ring.Status {
	if e.direct() {
		return e.handOver(v, n, first)
	}
	for {
		switch s := e.ring().Push(v, n, first); s {
		case ring.OK:
			seam.Yield()
			if e.needsLook(e.gate.Load()) {
				e.pushed()
			}
			return ring.OK
		case ring.Broke:
			if !e.refill() {
				return ring.Full
			}
		case ring.Retired:
			e.renew()
		default:
			return s
		}
	}
}

func (e *engine[T]) submitBatch(ctx context.Context, vs []T) (int, error) {
	if ctx == nil {
		return 0, e.rejectAll(len(vs), errNilContext)
	}
	if err := ctx.Err(); err != nil {
		return 0, e.rejectAll(len(vs), err)
	}
	n := 0
	if w := e.parent(ctx); w != nil {
		n, _ = w.pushLocal(vs)
	}
	for n < len(vs) {
		if n += e.pushAll(vs[n:], false); n == len(vs) {
			break
		}
		if err := ctx.Err(); err != nil {
			return n, e.rejectAll(len(vs)-n, err)
		}
		if err := e.submitSlow(ctx, vs[n], nil); err != nil {
			return n, e.rejectAll(len(vs)-n, err)
		}
		n++
	}
	return n, nil
}

// submitSlow submits a job for which there was no room, or which has to be handed
// over, or which has a key or a weight. It leaves it to the caller to count a refusal.
func (e *engine[T]) submitSlow(ctx context.Context, v T, n *ring.Record) error {
	switch e.push(v, n, false) {
	case ring.OK:
		return nil
	case ring.Closed:
		return e.errClosed()
	}
	seat := ctx.Value(e)
	w, inside := seat.(*worker[T])
	_, onCaller := seat.(*callerRun)
	switch {
	case e.overflow == Reject:
		return ErrFull
	case e.overflow == DropOldest:
		if e.dropUntil(v, n) {
			return nil
		}
		return e.errClosed()
	case inside:
		// All places may be waiting for this very task: run its child here.
		return e.runInside(w, v, n)
	case e.overflow == CallerRuns && n == nil:
		return e.runOnCaller(ctx, v)
	case onCaller:
		return ErrFull // as runInside
	}
	return e.await(ctx, v, n)
}

// dropUntil pushes v and drops the oldest jobs until there is room for it. It
// reports whether v was accepted.
func (e *engine[T]) dropUntil(v T, n *ring.Record) bool {
	for {
		switch e.push(v, n, false) {
		case ring.OK:
			return true
		case ring.Closed:
			return false
		}
		if !e.dropOne() {
			runtime.Gosched() // all that waits is about to be started
		}
	}
}

// dropOne discards the oldest job that nobody has claimed or, if there is none, the
// newest of a claimed batch. It reports false if there is none either.
func (e *engine[T]) dropOne() bool {
	e.mu.Lock()
	old, ok := e.oldestLocked()
	if !ok || e.stopCause != nil {
		if ok {
			e.giveBackLocked(old.pos, old.job)
		}
		e.mu.Unlock()
		return ok
	}
	v, tag := old.job, old.tag
	if e.paid(old.pos) {
		e.bank.Add(1)
	}
	e.dropCount++
	e.dropping++
	e.accountLocked(tag, 1)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.dropping--
		e.settle()
		if e.ctl.Load()&ctlWeighs != 0 {
			e.wakeMore() // the next one may fit
		}
	}()
	if task, ok := any(v).(Task); ok {
		tellDropped(task)
	}
	if f, ok := e.dropped.(func(T)); ok {
		f(v)
	}
	return true
}

// removed is a job that was taken out of where it waited.
type removed[T any] struct {
	job      T
	pos, tag uint64
}

// oldestLocked takes out the oldest job that waits.
func (e *engine[T]) oldestLocked() (old removed[T], ok bool) {
	e.sorter.mu.Lock()
	it, ok := e.sorter.dropSeatedLocked()
	e.sorter.mu.Unlock()
	if ok {
		return it.removed(), true
	}
	if old, ok := e.oldestChild(); ok {
		return old, true
	}
	pos, ok := e.unclaimLocked()
	if !ok {
		return e.claimedItem()
	}
	v, tag, _ := e.ring().Take(pos)
	return removed[T]{v, pos, tag}, true
}

// unclaimLocked claims the oldest task that nobody has, or one that was claimed and
// not begun.
func (e *engine[T]) unclaimLocked() (pos uint64, ok bool) {
	e.sorter.mu.Lock()
	pos, ok = e.sorter.popAgainLocked()
	e.sorter.mu.Unlock()
	if ok {
		return pos, true
	}
	pos, n := e.claimForOthersLocked(1)
	if n == 0 {
		pos, n = e.lanes.Steal(0, 1, e.ring().Claimed())
	}
	return pos, n > 0
}

// claimForOthersLocked claims tasks that the caller does not run.
func (e *engine[T]) claimForOthersLocked(limit int) (pos uint64, n int) {
	e.sorter.mu.Lock()
	defer e.sorter.mu.Unlock()
	e.sorter.blocked.Store(false)
	return e.ring().ClaimAny(limit)
}

// reject counts a refusal, if err is one, and returns err.
func (e *engine[T]) reject(err error) error {
	if err != nil {
		e.rejected.Add(1)
	}
	return err
}

func (e *engine[T]) rejectAll(n int, err error) error {
	e.rejected.Add(uint64(n))
	return err
}

// errClosed is what a submission to a closed pool returns.
func (e *engine[T]) errClosed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closeErr
}
