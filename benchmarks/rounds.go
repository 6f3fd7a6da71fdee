package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// rounds measures submissions that are waited for: one producer submits so many tasks, waits until all
// have completed, and begins again. Everybody counts with a WaitGroup.
func rounds(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	cs := h.selected(oneByOne)
	var rows []row
	for _, work := range []time.Duration{0, time.Microsecond} {
		for _, tasks := range []int{1, 8, 64, 1024} {
			iters := 0
			if work > 0 {
				iters = h.iters(work)
			}
			rows = append(rows, h.roundRow(fmt.Sprintf("M=%d/work=%v/N=%d", tasks, work, n), cs, shape{workers: n, iters: iters}, tasks))
		}
	}
	return rows
}

func (h *harness) roundRow(name string, cs []contender, s shape, tasks int) row {
	return row{
		name: name, base: baseline, names: names(cs), each: h.dur(volleyTime),
		metrics: []metric{{"us/round", "%.2f", times}},
		measure: func(k, _ int) []float64 {
			var wg sync.WaitGroup
			l := h.numberedLoad(tasks, 0)
			l.extra = func(int) {
				if s.iters > 0 {
					_ = spin(s.iters)
				}
				wg.Done()
			}
			x := cs[k].open(h, s.workers, l)
			runtime.GC()
			did := 0
			begin := now()
			for did == 0 || now()-begin < int64(h.dur(volleyTime)) {
				for range 16 { // so that the clock is no part of it
					wg.Add(tasks)
					x.submit(0, tasks)
					wg.Wait()
				}
				did += 16
			}
			took := now() - begin
			x.close()
			return []float64{float64(took) / 1e3 / float64(did)}
		},
	}
}
