package pool

import (
	"context"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/errlog"
)

// Join calls a and b, and returns the first error. It calls a, and then b, unless an idle worker takes b
// first; then it waits for that worker. So a must not wait for b. Both may call Join in turn, with the
// context that they get; a worker takes the oldest b that has not started. Outside a task of p, Join
// runs as a task.
//
// The context of a and b is cancelled at the first error, when ctx is, when the pool stops, and when Join
// returns. After that b does not start. A panic in a, or in b if the caller runs it, is a panic of the
// calling task. If another worker runs b, its panic ends the program or, under [WithPanicHandler], is
// the error of Join.
//
// Join takes two allocations and about 0.3 µs. It backfires where a and b take less than a few
// microseconds: [Fork.Join] costs a hundredth of that.
func Join(ctx context.Context, p *Pool, a, b func(context.Context) error) error {
	e := p.made()
	switch {
	case ctx == nil:
		return errNilContext
	case a == nil || b == nil:
		return ErrNilTask
	}
	if err := endOf(ctx); err != nil {
		return err
	}
	seat := e.seatOf(ctx)
	if seat == nil { // the whole becomes a task
		g := NewGroup(ctx, p)
		g.Go(func(ctx context.Context) error { return Join(ctx, p, a, b) })
		return g.Wait()
	}
	j := &joint{b: b}
	j.one.j, j.one.e, j.one.parent = j, e, ctx
	j.owner, j.e, j.user, j.covered = j, e, &j.one, true
	if up, _ := ctx.Value(jointKey{}).(*joint); up != nil && up.e == e {
		j.of, j.above, j.up = up.of, &up.part, up
	} else {
		j.of = &whole{e: e}
	}
	if e.idle.Load().Hungry() {
		j.split()
	}
	return j.both(seat, a)
}

// joint is a call of Join. Its part is b. Joints that are inside of each other, on any goroutines, share
// one whole.
type joint struct {
	part
	b       Task
	one     jointContext
	first   errlog.First
	up      *joint // that it is inside of
	offered atomic.Bool
}

// jointContext is the context of both functions. It leads inner calls to their joint.
type jointContext struct {
	groupContext
	j *joint
}

type jointKey struct{}

// Value implements context.Context.
func (c *jointContext) Value(key any) any {
	if key == (jointKey{}) {
		return c.j
	}
	return c.groupContext.Value(key)
}

// split offers a b that has not started, of j or a joint that j is inside of: the oldest, which is the largest.
func (j *joint) split() {
	h, now := j.of, int64(j.e.now())
	beat, since := forkBeat, h.since.Load()
	if j.e.idle.Load().Searching() == 0 {
		beat = forkWake
	}
	if h.open.Load() > 0 || since != 0 && now-since < int64(beat) || !h.since.CompareAndSwap(since, now) {
		return
	}
	var oldest *joint
	for x := j; x != nil; x = x.up {
		if x.state.Load() == 0 && !x.offered.Load() {
			oldest = x
		}
	}
	if oldest != nil && oldest.offered.CompareAndSwap(false, true) {
		h.offer(&j.one, &oldest.part)
	}
}

// both calls a, and b unless another goroutine does, and returns the first error.
func (j *joint) both(seat context.Context, a Task) error {
	returned := false
	defer func() {
		j.one.cancel(nil)
		defer func() { j.b = nil }() // the queue may still hold j
		if !returned {               // a panic, or Goexit
			j.reclaim(seat)
		}
	}()
	if err := a(&j.one); err != nil {
		j.fail(err)
	}
	ran := j.reclaim(seat)
	returned = true
	if !ran && j.one.Err() == nil {
		if err := j.b(&j.one); err != nil {
			return err
		}
		ran = true
	}
	j.of.mu.Lock()
	err := j.first.Err
	j.of.mu.Unlock()
	if err == nil && !ran {
		if err = endOf(j.one.parent); err == nil {
			err = j.e.errBlocked()
		}
	}
	return err
}

// fail keeps the error of a or b, if it is the first, and cancels the context of both.
func (j *joint) fail(err error) {
	cancelled, late := cancellation(err), j.one.Err() != nil
	j.of.mu.Lock()
	j.first.Add(err, cancelled, late)
	j.of.mu.Unlock()
	j.one.cancel(err)
}

// do runs b as a task.
func (j *joint) do(ctx context.Context) error {
	if j.one.Err() != nil {
		return errSkipped
	}
	return j.b(ctx)
}

// ended is told the outcome of b.
func (j *joint) ended(err error) {
	if err != nil && j.state.Load()&callUnrun == 0 {
		j.fail(err)
	}
	j.end()
}
