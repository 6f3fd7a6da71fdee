package main

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/alitto/pond/v2"
	conciter "github.com/sourcegraph/conc/iter"

	"github.com/headrace-go/pool"
)

// structured measures what is made of tasks: futures and loops.
func structured(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	var rows []row
	for _, producers := range []int{1, 16} {
		rows = append(rows, h.throughputRow(fmt.Sprintf("future/N=%d/P=%d", n, producers), "pond", h.among([]contender{
			{name: "go-wait", open: openProgram(goWait)},
			{name: "do", open: openProgram(do)},
			{name: "pond", open: openPondWait},
		}), shape{workers: n, producers: producers}))
	}
	for _, work := range []time.Duration{5 * time.Nanosecond, 100 * time.Nanosecond, time.Microsecond} {
		rows = append(rows, h.throughputRow(fmt.Sprintf("foreach/work=%v/N=%d", work, n), "hand", h.among([]contender{
			{name: "foreach", open: openProgram(forEach)},
			{name: "foreach-chunk", open: openProgram(forEachChunk)},
			{name: "hand", open: openProgram(chunkedByHand)},
			{name: "conc-iter", open: openProgram(concForEach)},
		}), shape{workers: n, producers: 1, iters: h.iters(work)}))
	}
	for _, work := range []time.Duration{time.Microsecond, 10 * time.Microsecond} {
		rows = append(rows, h.throughputRow(fmt.Sprintf("map/work=%v/N=%d", work, n), "hand", h.among([]contender{
			{name: "map", open: openProgram(mapOrdered)},
			{name: "map-unordered", open: openProgram(mapUnordered)},
			{name: "hand", open: openProgram(chunkedByHand)},
			{name: "conc-iter", open: openProgram(concMap)},
		}), shape{workers: n, producers: 1, iters: h.iters(work)}))
	}
	return rows
}

// program is an instance that does all units of a load itself.
type program struct {
	p   *pool.Pool
	l   *load
	run func(x *program, n int)
}

func openProgram(run func(*program, int), opts ...pool.Option) func(*harness, int, *load) instance {
	return func(_ *harness, workers int, l *load) instance {
		p, err := pool.New(append([]pool.Option{pool.WithWorkers(workers)}, opts...)...)
		must(err)
		return &program{p, l, run}
	}
}

func (x *program) submit(from, to int) { x.run(x, to-from) }
func (x *program) wait()               {}
func (x *program) close()              { must(x.p.Close()) }

func (x *program) value(context.Context) (int, error) { x.l.unit(); return 0, nil }

func goWait(x *program, n int) {
	f := x.value
	for range n {
		_, err := pool.Go(background, x.p, f).Wait(background)
		must(err)
	}
}

func do(x *program, n int) {
	f := x.value
	for range n {
		_, err := pool.Do(background, x.p, f)
		must(err)
	}
}

// pondWait is pond's future.
type pondWait struct {
	p pond.Pool
	f func()
}

func openPondWait(_ *harness, workers int, l *load) instance {
	return pondWait{pond.NewPool(workers), l.unit}
}

func (x pondWait) submit(from, to int) {
	for range to - from {
		must(x.p.Submit(x.f).Wait())
	}
}
func (x pondWait) wait()  {}
func (x pondWait) close() { x.p.StopAndWait() }

func ints(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func forEach(x *program, n int) {
	must(pool.ForEach(background, x.p, ints(n), func(context.Context, int) error { x.l.unit(); return nil }))
}

const handChunk = 1024

func forEachChunk(x *program, n int) {
	must(pool.ForEach(background, x.p, slices.Chunk(make([]int, n), handChunk), func(_ context.Context, vs []int) error {
		for range vs {
			x.l.unit()
		}
		return nil
	}))
}

// chunkedByHand is the loop that needs no pool.
func chunkedByHand(x *program, n int) {
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range n*(w+1)/workers - n*w/workers {
				x.l.unit()
			}
		})
	}
	wg.Wait()
}

func concForEach(x *program, n int) {
	conciter.ForEach(make([]int, n), func(*int) { x.l.unit() })
}

func concMap(x *program, n int) {
	conciter.Map(make([]int, n), func(*int) int { x.l.unit(); return 0 })
}

func mapOrdered(x *program, n int) { drain(pool.Map(background, x.p, ints(n), x.square)) }

func mapUnordered(x *program, n int) { drain(pool.MapUnordered(background, x.p, ints(n), x.square)) }

func (x *program) square(_ context.Context, v int) (int, error) { x.l.unit(); return v * v, nil }

func drain(results iter.Seq2[int, error]) {
	for _, err := range results {
		must(err)
	}
}
