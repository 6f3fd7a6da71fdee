package pool

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/errlog"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// Loops: how ForEach, Map and MapUnordered work.
//
// The caller's goroutine (the driver) takes values from the sequence and puts them into a ring of the
// loop's own, and yields results. Up to as many runners as the pool has workers, which are tasks of
// the pool, claim values there, several at once while f is tiny, and end when there are none.
// So a value costs the pool nothing while runners are at work, each value is published before
// the driver goes back into the sequence, which may block, and a loop takes workers one runner at
// a time, as others do: a runner that has been at work for a while, with other tasks waiting,
// goes to the end of the queue.
//
// No value is left behind: the driver puts it into the ring and then looks at the number of
// runners; a runner takes itself off that number and then looks into the ring.
//
// The window bounds what was taken from the sequence and has not been yielded, or, for
// ForEach, has not ended: twice the number of workers, or the number of workers and
// WithResultBuffer. Where that is not given, f is tiny and the driver waits for the runners, they claim
// up to maxGrain values at a time, never more than a grainShare-th of what has ended, and the window is as many times larger. The driver
// waits for a runner through wake; want says for how much.
//
// Inside a task of the pool the driver is a runner itself while the window is full, and lends
// its place when there is nothing to claim. It also takes over runners that wait for room in the queue (stuck),
// since what the queue is full of may have to wait for this very task, with its key.
//
// At the end (closed), early or not, no runner claims anything more, and the driver waits for
// those that are at work: a runner counts itself in busy and then looks at closed.
type loop[T, R any] struct {
	e      *engine[Task]
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	f      func(context.Context, T) (R, error)
	sink   sink
	n      int // runners at most
	slack  int // values beyond those that runners have, at a grain of 1
	fixed  bool
	within context.Context // of the task that the driver is inside of, or nil

	in      queue.Queue[T]
	claims  sync.Mutex  // of runners that claim from in
	cells   []result[R] // for sinkOrdered, size of them
	size    int         // of the window, at most
	added   uint64
	yielded uint64
	grain   atomic.Int64 // values to claim at a time
	waits   atomic.Bool  // the driver has waited for runners

	_        [64]byte
	finished atomic.Uint64
	want     atomic.Uint64 // the driver waits until so many are finished
	_        [48]byte
	runners  atomic.Int64 // that are queued or at work
	busy     atomic.Int64 // that are at work
	closed   atomic.Bool
	wake     chan struct{}

	mu    sync.Mutex      // as Group.mu
	ready []result[R]     // for sinkUnordered
	first errlog.First    // for sinkNone
	stuck []*runner[T, R] // that wait for room in the queue
}

// sink says where results go.
type sink uint8

const (
	sinkNone      sink = iota // the first error ends the loop
	sinkOrdered               // to cells
	sinkUnordered             // to ready
)

// result is a result. In a ring of cells n is how many from this one on have ended together.
type result[R any] struct {
	n   atomic.Uint32
	out R
	err error
}

const (
	// maxWindow bounds the memory of a loop on a pool with very many workers.
	maxWindow  = 1 << 16
	maxGrain   = 64
	loopQueue  = 16                    // slots of the queue of values, at first
	grainShare = 16                    // of what has ended is the largest range: the next values may take longer
	grainWork  = 20 * time.Microsecond // in a range
	// runnerTurn is after how much work a runner lets other tasks go first.
	runnerTurn = time.Millisecond
	// grainCheck is after how many values a runner looks at the clock, while it claims one at a time.
	grainCheck = 16
	grainSlow  = 5 * time.Microsecond // from which on it does so after each
)

func newLoop[T, R any](ctx context.Context, p *Pool, sink sink, f func(context.Context, T) (R, error)) *loop[T, R] {
	e := p.made()
	e.mu.Lock()
	n := min(e.target, maxWindow/2)
	e.mu.Unlock()
	l := &loop[T, R]{e: e, parent: ctx, f: f, sink: sink, n: n, slack: n, wake: make(chan struct{}, 1)}
	l.within = e.seatOf(ctx)
	if e.hasResults {
		l.slack, l.fixed = min(e.results, maxWindow-n), true
	}
	l.ctx, l.cancel = e.until(ctx)
	l.grain.Store(1)
	l.in.Init(loopQueue)
	e.openSamples(&l.in)
	l.size = l.fullSize()
	if l.sink == sinkOrdered {
		l.makeRing(n + l.slack)
	}
	return l
}

func (l *loop[T, R]) makeRing(size int) {
	l.size = size
	l.cells = make([]result[R], size)
}

// window returns how many values may be on their way.
func (l *loop[T, R]) window() uint64 {
	w := uint64(l.n + l.slack)
	if !l.fixed {
		w = min(w*uint64(l.grain.Load()), uint64(l.size))
	}
	return w
}

// fullSize is the size of the ring while f is tiny.
func (l *loop[T, R]) fullSize() int { return min((l.n+l.slack)*maxGrain, maxWindow) }

// narrow reports whether the ring is too small for the grain.
func (l *loop[T, R]) narrow() bool {
	return !l.fixed && l.grain.Load() > 1 && l.size < l.fullSize()
}

// gone returns how many values have left the window.
func (l *loop[T, R]) gone() uint64 {
	if l.sink == sinkNone {
		return l.finished.Load()
	}
	return l.yielded
}

// add hands v over. There has to be room in the window.
func (l *loop[T, R]) add(v T) {
	for l.in.Push(v, nil, queue.Any) != queue.OK {
		l.in.Raise(queue.MaxPos, false)
	}
	l.added++
	seam.Yield()
	if l.runners.Load() < int64(l.n) {
		l.spawn()
	}
}

// spawn starts a runner.
func (l *loop[T, R]) spawn() {
	r := l.runner()
	switch {
	case l.runners.Add(1) == 1 || l.e.insideOf(l.within) != nil:
		r.submit(l.ctx, true)
	case !r.try(l.ctx):
		seam.Yield()
		if l.runners.Add(-1) == 0 && l.in.Ready() {
			l.spawn() // those that have ended meanwhile may have seen r
		}
	}
}

func (l *loop[T, R]) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// takeOver returns a runner that waits for room, begun, or nil.
func (l *loop[T, R]) takeOver() *runner[T, R] {
	l.mu.Lock()
	i := slices.IndexFunc(l.stuck, func(r *runner[T, R]) bool { return r.begin() })
	if i < 0 {
		l.mu.Unlock()
		return nil
	}
	r := l.stuck[i]
	l.mu.Unlock()
	r.unstick()
	l.runners.Add(-1)
	return r
}

// left is called by a runner that is no longer at work.
func (l *loop[T, R]) left() {
	if l.busy.Add(-1) == 0 && l.closed.Load() {
		l.signal()
	}
}

// fail ends the loop with the error of a value, unless there is one. Methods of err that panic do so in f's name: fail is called as
// part of f, unless err is a panic of f already.
func (l *loop[T, R]) fail(err error) {
	cancelled, late := cancellation(err), l.ctx.Err() != nil
	l.mu.Lock()
	l.first.Add(err, cancelled, late)
	l.mu.Unlock()
	l.stop(err)
}

// stop makes runners end.
func (l *loop[T, R]) stop(err error) {
	l.cancel(err)
	l.closed.Store(true)
	l.signal()
}

// over reports whether no more values are to be taken.
func (l *loop[T, R]) over() bool { return l.closed.Load() || l.ctx.Err() != nil }

// await waits until so many values are finished, or the loop is over.
func (l *loop[T, R]) await(want uint64) {
	e := l.e
	for l.finished.Load() < want && !l.over() {
		if l.within != nil {
			if r := l.takeOver(); r != nil {
				l.help(r)
				continue
			}
			if l.in.Ready() {
				r := l.runner()
				r.begin()
				l.help(r)
				continue
			}
		}
		l.want.Store(want)
		seam.Yield()
		if l.finished.Load() < want && !l.over() {
			l.waits.Store(true)
			if here, err := e.rest(l.ctx, l.within, l.wake); here != nil {
				l.within = here
			} else if err != nil {
				l.stop(err)
			}
		}
		l.want.Store(0)
	}
}

// help makes the driver the runner r, which was begun, until there is nothing to claim.
func (l *loop[T, R]) help(r *runner[T, R]) {
	r.helps = true
	defer func() {
		r.helps = false
		if r.i < r.size && !l.closed.Load() { // after a panic
			l.runners.Add(1)
			r.again()
		}
	}()
	r.call.help(l.within)
}

// end ends the loop: nothing of it runs when it returns.
func (l *loop[T, R]) end() {
	l.closed.Store(true)
	l.cancel(nil)
	for l.busy.Load() > 0 {
		if here, err := l.e.rest(context.Background(), l.within, l.wake); here != nil {
			l.within = here
		} else if err != nil && l.busy.Load() > 0 {
			<-l.wake
		}
	}
}

// endError returns why the loop ended early, or nil; all says that it has come to the end of its sequence, and the calls of all values have
// ended.
func (l *loop[T, R]) endError(all bool) error {
	l.mu.Lock()
	err := l.first.Err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := endOf(l.parent); err != nil || all {
		return err
	}
	return context.Cause(l.ctx)
}

// widen gives the loop its full ring, if nothing is on its way.
func (l *loop[T, R]) widen() {
	if l.added != l.gone() {
		return // it is over
	}
	for l.finished.Load() != l.added { // what was yielded is counted a moment later
		runtime.Gosched()
	}
	l.makeRing(l.fullSize())
}
