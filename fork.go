package pool

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Forks is a recursive function whose calls may run in parallel, see [NewFork].
type Forks[A, R any] struct {
	p    *Pool
	f    func(*Fork[A, R], A) R
	free sync.Pool // of *Fork[A, R] without a part
	runs sync.Pool // of *forkRun[A, R] that no other goroutine knows
}

// Fork is the argument with which the function of [NewFork] calls [Fork.Join]. It must not be used
// after that function has returned, nor by another goroutine.
type Fork[A, R any] struct {
	s      splitter
	wait   int // joins until the clock is read, counted while a worker is idle
	credit int // what wait was last set to
	gaveUp bool
	f      func(*Fork[A, R], A) R
	frames []A // the right sides of the joins that this part is inside of
	top    int // how many there are
	given  int // how many of these, the oldest, were offered
	parts  []*forkPart[A, R]
	forks  *Forks[A, R]
}

// forkPart is a call of the function that is a task.
type forkPart[A, R any] struct {
	part
	forks *Forks[A, R]
	arg   A
	out   R
}

// forkRun is a call of Run, with its first part.
type forkRun[A, R any] struct {
	forkPart[A, R]
	h whole
}

const (
	forkFrames = 64                   // at first
	keptFrames = 1 << 15              // at most, of a Fork that is used again
	forkCredit = 2                    // joins between the first two looks at the clock
	maxCredit  = 256                  // between two looks, at most
	forkTick   = 4 * time.Microsecond // between two looks, about
)

// NewFork makes a function for [Forks.Run] from the recursive function f, which either divides its
// argument in two with [Fork.Join], or computes the result itself:
//
//	sum := pool.NewFork(p, func(k *pool.Fork[*Node, int], n *Node) int {
//		if n == nil {
//			return 0
//		}
//		l, r := k.Join(n.Left, n.Right)
//		return l + r + n.Value
//	})
//	total, err := sum.Run(ctx, root)
//
// Join creates no task while all workers are busy, so f needs no size below which it goes on alone.
//
// It backfires for an f that works for more than about 100 µs between two joins: only a Join notices
// that a worker is idle. For a few long parts use a [Group].
//
// NewFork panics if f is nil. It starts nothing; what it returns may be used by any number of goroutines.
func NewFork[A, R any](p *Pool, f func(*Fork[A, R], A) R) *Forks[A, R] {
	p.made()
	if f == nil {
		panic("pool: NewFork: the function is nil")
	}
	return &Forks[A, R]{p: p, f: f}
}

// Run returns f(root). It runs on p's workers and within their limits. Inside a task of the pool, called
// with that task's context, the first part runs in the calling task; Run itself then costs about
// 0.2 µs. Elsewhere the first part is submitted, as by [Pool.Submit], and Run waits for it. Parts that
// are given to other workers have the values and attributes ([Attrs]) of ctx. All parts have ended when
// Run returns, and the end of each synchronizes before that.
//
// Run returns ctx's error when ctx is done, the cause of the stop when the pool stops, and the error of
// the submission. A panic in f ends the program or, under [WithPanicHandler], is a *[PanicError];
// [runtime.Goexit] is [ErrGoexit]. After any of these no further part starts, and those that run end at
// their next Join. If the pool is closed meanwhile, Run goes on without giving parts away.
//
// A run of less than about 50 µs stays on one core. After that it spreads to workers that are idle: a
// parked worker arrives 75 to 130 µs after it was woken.
func (f *Forks[A, R]) Run(ctx context.Context, root A) (R, error) {
	var zero R
	x, _ := f.runs.Get().(*forkRun[A, R])
	if x == nil {
		x = new(forkRun[A, R])
	}
	if err := x.h.init(ctx, f.p); err != nil {
		return zero, err
	}
	x.forks, x.arg = f, root
	err := x.h.run(&x.part, &x.forkPart)
	out := x.forget()
	if err != nil {
		return zero, err
	}
	if !x.h.shared.Load() {
		x.h.ctx = nil
		x.renew()
		f.runs.Put(x)
	}
	return out, nil
}

// do runs the part.
func (x *forkPart[A, R]) do(context.Context) (err error) {
	if x.of.over.Load() {
		return errSkipped
	}
	k, _ := x.forks.free.Get().(*Fork[A, R])
	if k == nil {
		k = &Fork[A, R]{forks: x.forks, f: x.forks.f, frames: make([]A, forkFrames)}
	}
	k.wait, k.credit, k.gaveUp = 0, forkCredit, false
	k.s.enter(&x.part)
	returned := false
	defer func() {
		if k.end(returned) {
			err = errSkipped
			if r := recover(); r != nil && r != any(gaveUp{}) {
				panic(r)
			}
		}
	}()
	x.out = k.f(k, x.arg)
	returned = true
	return nil
}

// forget returns the result, and keeps neither it nor the argument: the pool may still hold x.
func (x *forkPart[A, R]) forget() R {
	var arg A
	var none R
	out := x.out
	x.arg, x.out = arg, none
	return out
}

// gaveUp is what Join panics with when the job is over.
type gaveUp struct{}

// end waits for the parts that k has offered and that have not ended, and reports whether k has given up.
func (k *Fork[A, R]) end(returned bool) (gaveUp bool) {
	if !returned && !k.gaveUp {
		k.s.of.stop() // a panic, or Goexit
	}
	for _, x := range k.parts {
		x.reclaim(k.s.seat)
		x.forget()
	}
	gaveUp = k.gaveUp
	clear(k.parts)
	k.parts, k.top, k.given = k.parts[:0], 0, 0
	clear(k.frames)
	k.frames = k.frames[:forkFrames]
	k.s.leave()
	if cap(k.frames) <= keptFrames {
		k.forks.free.Put(k)
	}
	return gaveUp
}

// Join returns f(left) and f(right). It calls f(left), and then f(right), unless another worker has
// taken the right side. Then Join waits for that worker, and meanwhile runs other parts of the same
// run, so do not hold a lock when you call Join. If the run has failed, Join does not return: it panics
// with a value that Run recovers, so the deferred functions of f run.
//
// A Join that gives nothing away costs 1 to 4 ns more than two plain calls, and does not allocate.
func (k *Fork[A, R]) Join(left, right A) (R, R) {
	i := k.top
	if uint(i) < uint(len(k.frames)) {
		k.frames[i] = right
	} else {
		k.grow(right)
	}
	k.top = i + 1
	if g := k.s.look.Load().Load(); g.Hungry() {
		if k.wait--; k.wait < 0 || g.Stopped() {
			k.attend()
		}
	}
	l := k.f(k, left)
	k.top = i
	if i < k.given {
		return l, k.collect()
	}
	return l, k.f(k, right)
}

// grow makes room for more frames.
//
//go:noinline
func (k *Fork[A, R]) grow(right A) {
	n := len(k.frames)
	k.frames = slices.Grow(k.frames, n)[:2*n]
	k.frames[n] = right
}

// attend is called when a worker may be idle, or the job over.
func (k *Fork[A, R]) attend() {
	h := k.s.of
	now := max(1, h.e.now())
	if k.s.since == 0 {
		k.s.since, k.s.clock = now, now
	}
	offers := k.s.due(now)
	if h.over.Load() {
		k.giveUp()
	}
	switch {
	case offers && k.given < k.top:
		x := &forkPart[A, R]{forks: k.forks, arg: k.frames[k.given]}
		if k.s.offer(&x.part, x) {
			k.parts = append(k.parts, x)
			k.given++
		}
		k.credit = 1
	case now-k.s.clock < forkTick:
		k.credit = min(2*k.credit, maxCredit)
	default:
		k.credit = max(1, k.credit/2)
	}
	k.s.clock, k.wait = now, k.credit-1
}

func (k *Fork[A, R]) giveUp() {
	k.gaveUp = true
	panic(gaveUp{})
}

// collect returns the result of the youngest part: it waits for the part, or runs it.
func (k *Fork[A, R]) collect() R {
	var x *forkPart[A, R]
	ran := false
	for k.given > k.top { // more than one if f has recovered a panic: the joins of the others have ended
		k.given--
		x = k.parts[k.given]
		k.parts[k.given] = nil
		k.parts = k.parts[:k.given]
		ran = x.reclaim(k.s.seat)
	}
	if k.s.of.over.Load() {
		k.giveUp()
	}
	arg := x.arg
	out := x.forget()
	if ran {
		return out
	}
	return k.f(k, arg)
}
