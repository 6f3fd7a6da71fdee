package main

import (
	"context"
	"fmt"
	"math/bits"
	"runtime"

	"github.com/alitto/pond/v2"

	"github.com/headrace-go/pool"
)

// nested measures empty tasks that are submitted from inside of other tasks, with
// the context those were given. The baseline is a go statement for each.
func nested(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	var rows []row
	for _, roots := range []int{1, 4, everyTask} {
		name := fmt.Sprintf("roots=%d/N=%d", roots, n)
		if roots == everyTask {
			name = fmt.Sprintf("tree/N=%d", n)
		}
		rows = append(rows, h.throughputRow(name, "go", h.nestable(n, roots), shape{workers: n, producers: 1}))
	}
	return rows
}

// everyTask instead of a number of roots means a binary tree: each task submits
// two, down to the leaves.
const everyTask = 0

// A nester is a contender whose tasks submit to it.
type nester struct {
	name  string
	limit int // as in contender
	// blocks says that its submission waits for a free worker. Then it deadlocks
	// when all workers are inside of tasks that submit.
	blocks bool
	open   func(h *harness, workers int, l *load, roots int) instance
}

// Channel, errgroup and semaphore are left out, and pond gets its default queue,
// which is unbounded: what bounds its queue, or has none, and blocks, deadlocks
// here as soon as every worker is inside of a task that submits. Only this pool
// has a bound and does not.
var nesters = []nester{
	{name: "pool", open: nestPool(pool.Shared)},
	{name: "pool-stealing", open: nestPool(pool.WorkStealing)},
	{name: "go", limit: 200_000, open: nestGo},
	{name: "ants", blocks: true, open: nestAnts},
	{name: "pond-go", limit: 500_000, open: nestPond},
	{name: "conc", blocks: true, open: nestConc},
	{name: "gammazero", limit: 500_000, open: nestGammazero},
	{name: "gopool", limit: 500_000, open: nestGopool},
}

// nestable returns the contenders that can do it without a deadlock.
func (h *harness) nestable(workers, roots int) []contender {
	var cs []contender
	for _, c := range nesters {
		if c.blocks && (roots == everyTask || roots >= workers) {
			continue
		}
		cs = append(cs, contender{name: c.name, limit: c.limit,
			open: func(h *harness, workers int, l *load) instance { return c.open(h, workers, l, roots) }})
	}
	return h.among(cs)
}

// nestedInstance submits from outside only the tasks that submit all others. The
// children are counted, under -count own too, not the roots above them; in a tree
// every task counts.
type nestedInstance[F any] struct {
	// fork submits f n times. The loop is inside, so that a child costs no
	// indirect call.
	fork  func(ctx context.Context, n int, f F)
	task  func(body func(context.Context)) F
	child F
	roots int
	trees []F // trees[d] is a task with all those below it, 1<<(d+1) - 1 in number
	end   func()
}

// nest completes an instance; child is a task that has none of its own.
func nest[F any](x *nestedInstance[F], l *load, child F, roots int) instance {
	x.child, x.roots = child, roots
	x.trees = []F{child}
	for roots == everyTask && len(x.trees) < 30 {
		below := x.trees[len(x.trees)-1]
		x.trees = append(x.trees, x.task(func(ctx context.Context) {
			x.fork(ctx, 2, below)
			l.unit()
		}))
	}
	return x
}

func (x *nestedInstance[F]) submit(from, to int) {
	n := to - from
	for r := range x.roots {
		share := n*(r+1)/x.roots - n*r/x.roots
		x.fork(background, 1, x.task(func(ctx context.Context) { x.fork(ctx, share, x.child) }))
	}
	// Or full trees: the largest that has no more than n tasks, and so on.
	for x.roots == everyTask && n > 0 {
		levels := bits.Len(uint(n+1)) - 1
		x.fork(background, 1, x.trees[levels-1])
		n -= 1<<levels - 1
	}
}
func (x *nestedInstance[F]) wait()  {}
func (x *nestedInstance[F]) close() { x.end() }

func nestPool(s pool.Strategy) func(*harness, int, *load, int) instance {
	return func(h *harness, workers int, l *load, roots int) instance {
		p := newPool(h, workers, l, pool.WithStrategy(s))
		x := &nestedInstance[pool.Task]{end: p.close}
		x.fork = func(ctx context.Context, n int, f pool.Task) {
			for range n {
				if err := p.p.Submit(ctx, f); err != nil {
					must(err)
				}
			}
		}
		x.task = func(body func(context.Context)) pool.Task {
			return func(ctx context.Context) error { body(ctx); return nil }
		}
		return nest(x, l, p.fns[0], roots)
	}
}

// nestFuncs is nest for contenders whose tasks get no context.
func nestFuncs(l *load, roots int, fork func(n int, f func()), end func()) instance {
	x := &nestedInstance[func()]{end: end}
	x.fork = func(_ context.Context, n int, f func()) { fork(n, f) }
	x.task = func(body func(context.Context)) func() {
		return func() { body(background) }
	}
	fns, _ := l.funcs()
	return nest(x, l, fns[0], roots)
}

func nestGo(_ *harness, _ int, l *load, roots int) instance {
	return nestFuncs(l, roots, func(n int, f func()) {
		for range n {
			go f()
		}
	}, func() {})
}

func nestAnts(h *harness, workers int, l *load, roots int) instance {
	x := openAnts(h, workers, l).(*antsInstance)
	return nestFuncs(l, roots, func(n int, f func()) {
		for range n {
			must(x.p.Submit(f))
		}
	}, x.close)
}

func nestPond(h *harness, workers int, l *load, roots int) instance {
	x := newPond(h, workers, l, pond.WithQueueSize(pond.Unbounded))
	return nestFuncs(l, roots, func(n int, f func()) {
		for range n {
			must(x.p.Go(f))
		}
	}, x.close)
}

func nestConc(h *harness, workers int, l *load, roots int) instance {
	x := openConc(h, workers, l).(*concInstance)
	return nestFuncs(l, roots, func(n int, f func()) {
		for range n {
			x.p.Go(f)
		}
	}, x.close)
}

func nestGammazero(h *harness, workers int, l *load, roots int) instance {
	x := openGammazero(h, workers, l).(*gammazeroInstance)
	return nestFuncs(l, roots, func(n int, f func()) {
		for range n {
			x.p.Submit(f)
		}
	}, x.close)
}

func nestGopool(h *harness, workers int, l *load, roots int) instance {
	x := openGopool(h, workers, l).(*gopoolInstance)
	return nestFuncs(l, roots, func(n int, f func()) {
		for range n {
			x.p.Go(f)
		}
	}, x.close)
}
