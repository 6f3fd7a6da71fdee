package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/headrace-go/pool"
)

// elastic measures what it costs to have a goroutine for a task only while there
// is one: efficiency as in grain, against the same tasks divided by hand.
func elastic(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	cs := h.selected(func(c contender) bool {
		return c.name == "pool" || c.name == baseline || c.name == "errgroup" || c.name == "semaphore"
	})
	cs = append(cs, h.among([]contender{
		{name: "pool-elastic", counts: true, open: openWith(pool.WithStrategy(pool.Elastic))},
		{name: "pool-weighted", counts: true, open: openWeighted},
	})...)
	var rows []row
	for _, work := range []time.Duration{10 * time.Microsecond, time.Millisecond} {
		s := shape{workers: n, producers: 1, iters: h.iters(work)}
		rows = append(rows, h.grainRow(fmt.Sprintf("work=%v/N=%d", work, n), cs, s))
	}
	s := shape{workers: n, producers: 1, nap: time.Millisecond}
	return append(rows, h.grainRow(fmt.Sprintf("sleep=%v/N=%d", time.Millisecond, n), cs, s))
}

// weightedInstance is the elastic pool with a weight of 1 for each task, and as
// much capacity as there are workers: the limit is the same, found by weighing.
type weightedInstance struct{ *poolInstance }

func openWeighted(h *harness, workers int, l *load) instance {
	return weightedInstance{newPool(h, workers, l,
		pool.WithStrategy(pool.Elastic), pool.WithCapacity(int64(workers)))}
}

func (x weightedInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		if err := x.p.SubmitWeighted(background, 1, x.fns[i&x.mask]); err != nil {
			must(err)
		}
	}
}
