package pool

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// runner is a task that works for a loop. Its range are values that it has claimed.
type runner[T, R any] struct {
	call
	l       *loop[T, R]
	pos     uint64
	i, size int
	in      []T
	out     []result[R]
	atWork  bool
	helps   bool            // the driver, not a task
	unstick func()          // ends the wait for room
	stamps  []queue.Stamped // of values in the range, but for those that were called
	clock   time.Duration
	since   int // values since clock was read
	check   int // after how many to read it
}

// runner returns a new runner. They are not used again: f may have kept the context.
func (l *loop[T, R]) runner() *runner[T, R] {
	r := &runner[T, R]{l: l}
	r.owner, r.parts = r, true
	r.e, r.user, r.covered = l.e, l.ctx, true
	return r
}

// do is what a runner does.
func (r *runner[T, R]) do(ctx context.Context) error {
	l, e := r.l, r.e
	l.busy.Add(1)
	r.atWork = true
	seam.Yield()
	r.clock, r.since, r.check = e.now(), 0, 1
	begun := r.clock
	for r.i < r.size || r.claim() {
		for r.i < r.size {
			if l.closed.Load() {
				return nil
			}
			i := r.i
			r.i++
			var out R
			var err error
			if len(r.stamps) > 0 && r.stamps[0].Index == i {
				out, err = r.timed(ctx, i)
			} else {
				out, err = l.f(ctx, r.in[i])
			}
			r.result(i, out, err)
		}
		r.finish()
		if r.since >= r.check || l.grain.Load() > 1 {
			r.measure()
		}
		if !r.helps && (e.flags.word.Load()&flagShed != 0 || r.clock-begun > runnerTurn && e.othersWait()) {
			if begun = r.clock; !e.main.queue.IsClosed() {
				return errLater // others go first
			}
		}
	}
	return nil
}

// othersWait reports whether there is something else to do for a worker.
func (e *engine[T]) othersWait() bool {
	return e.main.queue.Ready() || e.hasWork(nil) || e.weights.waiting.Load() || e.main.somebodyWaits()
}

// claim takes values out of the ring.
func (r *runner[T, R]) claim() bool {
	l := r.l
	if l.closed.Load() {
		return false
	}
	g := int(l.grain.Load())
	if len(r.in) < g {
		r.in = make([]T, g)
	}
	l.claims.Lock()
	defer l.claims.Unlock()
	r.pos = l.in.Popped()
	n, _ := l.in.Pop(r.in[:g], nil)
	r.i, r.size = 0, n
	r.stamps = append(r.stamps[:0], l.in.Stamps()...)
	return n > 0
}

// timed calls f for the value with that index in the range, which has a stamp.
func (r *runner[T, R]) timed(ctx context.Context, i int) (R, error) {
	e := r.e
	begun := e.now()
	e.samples.wait.Add(begun - r.stamps[0].At)
	r.stamps = r.stamps[1:]
	defer e.ran(begun)
	return r.l.f(ctx, r.in[i])
}

// result keeps the outcome of the value with that index in the range.
func (r *runner[T, R]) result(i int, out R, err error) {
	l := r.l
	switch {
	case l.sink == sinkNone:
		if err != nil {
			l.fail(err)
		}
	case l.sink == sinkOrdered:
		c := &l.cells[(r.pos+uint64(i))%uint64(len(l.cells))]
		c.out, c.err = out, err
	default:
		if len(r.out) < len(r.in) {
			r.out = append(r.out, make([]result[R], len(r.in)-len(r.out))...)
		}
		r.out[i].out, r.out[i].err = out, err
	}
}

// finish gives the results of the range to the driver.
func (r *runner[T, R]) finish() {
	l, n := r.l, r.size
	clear(r.in[:n])
	switch l.sink {
	case sinkOrdered:
		l.cells[r.pos%uint64(len(l.cells))].n.Store(uint32(n))
	case sinkUnordered:
		l.mu.Lock()
		for i := range r.out[:n] {
			c := &r.out[i]
			l.ready = append(l.ready, result[R]{out: c.out, err: c.err})
			*c = result[R]{}
		}
		l.mu.Unlock()
	}
	r.i, r.size = 0, 0
	r.since += n
	seam.Yield()
	done := l.finished.Add(uint64(n))
	if want := l.want.Load(); want != 0 && done >= want && l.want.CompareAndSwap(want, 0) {
		l.signal()
		if !r.helps {
			runtime.Gosched() // so the driver hands over more before runners have nothing
		}
	}
}

// measure chooses the grain by the time that values took.
func (r *runner[T, R]) measure() {
	l := r.l
	now := r.e.now()
	took := max(now-r.clock, 1)
	g := min(int64(grainWork)*int64(r.since)/int64(took), maxGrain)
	if r.check = grainCheck; took >= grainSlow*time.Duration(r.since) {
		r.check = 1
	}
	r.clock, r.since = now, 0
	if l.fixed {
		g = min(g, int64(l.slack)/int64(l.n))
	}
	g = min(g, int64(l.finished.Load()/grainShare))
	old := l.grain.Load()
	l.e.thin(&l.in, old > 1)
	switch {
	case g < old:
		l.grain.Store(max(1, g))
	case l.waits.Load():
		l.grain.Store(min(g, 2*old))
	}
}

// ended is called when the runner has, also by a panic or Goexit in f: then err is that of a value.
func (r *runner[T, R]) ended(err error) {
	l := r.l
	if !r.atWork { // it was refused
		l.stop(err)
		l.runners.Add(-1)
		return
	}
	r.atWork = false
	turn := err == errLater
	if err != nil && !turn {
		var zero R
		r.result(r.i-1, zero, err)
		if r.i == r.size {
			r.finish()
		}
		turn = true
	}
	if r.helps {
		l.left()
		return
	}
	if !turn {
		seam.Yield() // after the last claim
		l.runners.Add(-1)
		if turn = !l.closed.Load() && l.in.Ready() && l.runners.Load() < int64(l.n); turn {
			l.runners.Add(1)
		}
	}
	if turn && !l.closed.Load() {
		r.again()
	} else if turn {
		l.runners.Add(-1)
	}
	l.left()
}

// again puts the runner, or another one if values are left to r, back into the queue.
func (r *runner[T, R]) again() {
	s := r.l.runner()
	s.pos, s.i, s.size = r.pos, r.i, r.size
	s.in, r.in = r.in, s.in
	s.out, r.out = r.out, s.out
	s.stamps, r.stamps = r.stamps, s.stamps
	r.i, r.size = 0, 0
	if s.try(r.l.ctx) {
		return
	}
	l := r.l
	l.busy.Add(1) // the loop's context is not used after its end
	ctx, cancel := context.WithCancel(l.ctx)
	s.unstick = cancel
	l.mu.Lock()
	l.stuck = append(l.stuck, s)
	l.mu.Unlock()
	seam.Yield()
	l.signal()  // the driver may take it over
	go func() { // which is no task, so it must not run one: it waits under any policy
		defer l.left()
		defer cancel()
		c := &l.e.main
		a, err := l.e.inherited(ctx)
		if err == nil {
			_, err = c.waitForRoom(ctx, func(b *blocked) queue.Status { return l.e.pushBlocked(c, s.run, &a, b) })
		}
		l.mu.Lock()
		l.stuck = slices.DeleteFunc(l.stuck, func(o *runner[T, R]) bool { return o == s })
		l.mu.Unlock()
		if err != nil && s.refuse(err) { // else it was taken over
			_ = l.e.reject(err)
		}
	}()
}
