package pool

import (
	"context"
	"time"
)

// ForRange calls body for ranges lo <= i < hi that together cover 0 <= i < n, each i in exactly one of
// them. It chooses the ranges: one worker takes blocks of about 15 µs from the near end, and while
// another worker is idle it gives the far half of the rest to that worker, which does the same. So a
// loop of less than about 50 µs stays on one core, and a loop with all the cost at its end is divided
// too.
//
// It returns nil, or the first error, after which no range starts. Where it runs, and what else ends it
// early, is as for [Forks.Run]. A goroutine that waits in ForRange may run other ranges meanwhile, so
// hold no lock while you call it.
//
// It backfires for a few values of more than a millisecond each: use a [Group] or [ForEach].
func ForRange(ctx context.Context, p *Pool, n int, body func(lo, hi int) error) error {
	if body == nil {
		p.made()
		return ErrNilTask
	}
	_, err := reduce(ctx, p, n, func(lo, hi int, _ struct{}) (struct{}, error) {
		return struct{}{}, body(lo, hi)
	}, nil)
	return err
}

// Reduce combines the values with the indexes 0 <= i < n into one. body adds the values from lo to hi-1
// to acc and returns the result; the first acc of each part is the zero R. merge combines the results of
// two ranges, where the second range begins at the end of the first. merge must be associative, and the
// zero R neutral. Reduce keeps the order of the values.
//
// Which ranges there are, and what ends it early, is as for [ForRange].
func Reduce[R any](ctx context.Context, p *Pool, n int, body func(lo, hi int, acc R) R, merge func(R, R) R) (R, error) {
	if body == nil || merge == nil {
		p.made()
		var zero R
		return zero, ErrNilTask
	}
	return reduce(ctx, p, n, func(lo, hi int, acc R) (R, error) { return body(lo, hi, acc), nil }, merge)
}

// ranges is a job over a range of integers.
type ranges[R any] struct {
	whole
	body  func(lo, hi int, acc R) (R, error)
	merge func(R, R) R // nil: there is nothing to merge
}

// rangePart is a part of it. Its splitter takes blocks off the near end, each as long as blockWork by the
// measure of the block before it, and offers the far half of the rest.
type rangePart[R any] struct {
	part
	splitter
	all    *ranges[R]
	lo, hi int
	acc    R
	given  []*rangePart[R] // the nearest is the last
	block  int
}

const (
	blockWork = 15 * time.Microsecond
	// A block is at most one of so many shares of the rest, since the next values may take longer.
	blockShare = 32
)

func reduce[R any](ctx context.Context, p *Pool, n int, body func(lo, hi int, acc R) (R, error), merge func(R, R) R) (R, error) {
	var zero R
	x := &struct {
		rangePart[R]
		all ranges[R]
	}{}
	if err := x.all.init(ctx, p); err != nil || n <= 0 {
		return zero, err
	}
	x.all.body, x.all.merge = body, merge
	x.rangePart.all, x.hi = &x.all, n
	err := x.all.run(&x.part, &x.rangePart)
	acc := x.acc
	x.acc, x.all.body, x.all.merge = zero, nil, nil // the pool may still hold x
	if err != nil {
		return zero, err
	}
	return acc, nil
}

// do runs the part.
func (x *rangePart[R]) do(context.Context) error {
	h := &x.all.whole
	if h.over.Load() {
		return errSkipped
	}
	x.enter(&x.part)
	returned := false
	defer func() {
		if !returned {
			h.stop() // a panic, or Goexit
		}
		for _, y := range x.given {
			y.reclaim(x.seat)
		}
		x.given = nil
		x.leave()
	}()
	x.clock = h.e.now()
	x.since, x.block = x.clock, 1
	err := x.walk()
	returned = err == nil
	return err
}

// walk goes through the range, and then through the offers that have not started.
func (x *rangePart[R]) walk() error {
	for {
		if err := x.near(); err != nil {
			return err
		}
		n := len(x.given)
		if n == 0 {
			return nil
		}
		y := x.given[n-1]
		x.given = x.given[:n-1]
		switch ran := y.reclaim(x.seat); {
		case x.all.over.Load():
			return errSkipped
		case !ran:
			x.lo, x.hi, x.offered = y.lo, y.hi, nil
		case x.all.merge != nil:
			acc := y.acc
			var zero R
			y.acc = zero // as in reduce
			x.acc = x.all.merge(x.acc, acc)
		}
	}
}

// near goes through the range except for what it offers.
func (x *rangePart[R]) near() error {
	h := &x.all.whole
	for x.lo < x.hi {
		n := max(1, min(x.block, (x.hi-x.lo)/blockShare))
		acc, err := x.all.body(x.lo, x.lo+n, x.acc)
		if err != nil {
			return err
		}
		x.acc = acc
		x.lo += n
		now := h.e.now()
		took := max(1, now-x.clock)
		x.clock = now
		x.block = int(min(int64(n)*int64(blockWork)/int64(took)+1, 2*int64(n)))
		if (x.look.Load().Hungry() || x.taken()) && x.due(now) && x.hi-x.lo > 1 {
			x.split()
		}
		if h.over.Load() {
			return errSkipped
		}
	}
	return nil
}

// split offers the far half of the rest.
func (x *rangePart[R]) split() {
	mid := x.lo + (x.hi-x.lo)/2
	y := &rangePart[R]{all: x.all, lo: mid, hi: x.hi}
	if x.offer(&y.part, y) {
		x.given = append(x.given, y)
		x.hi = mid
	}
}
