package main

import (
	"fmt"
	"math"
	"runtime"
	"time"
)

// metgTop is the largest task, in nanoseconds, that the search for METG tries.
const metgTop = 100_000

// grain measures how small tasks may be. One submitter feeds as many workers as
// there are processors. It is not counted as a worker, although it needs a
// processor too: the ideal is all the work divided by all processors, as a loop
// split by hand achieves it, so what submission costs counts as loss.
func grain(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	cs := h.selected(everyone)
	var rows []row
	for _, size := range []time.Duration{0, 100, time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
		s := shape{workers: n, producers: 1}
		if size > 0 {
			s.iters = h.iters(size)
		}
		rows = append(rows, h.grainRow(fmt.Sprintf("work=%v/N=%d/P=1", size, n), cs, s))
	}
	for _, nap := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		rows = append(rows, h.grainRow(fmt.Sprintf("sleep=%v/N=8/P=1", nap), cs, shape{workers: 8, producers: 1, nap: nap}))
	}
	return append(rows, h.metgRow("metg", cs, n))
}

// grainRow measures the efficiency at one task size.
func (h *harness) grainRow(name string, cs []contender, s shape) row {
	counts := make([]int, len(cs))
	return row{
		name: name, base: baseline, names: names(cs), each: h.dur(volleyTime) * 3,
		metrics: []metric{
			{"ns/task", "%.1f", speedUp},
			{"efficiency", "%.3f", noRatio},
		},
		measure: func(k, _ int) []float64 {
			if counts[k] == 0 {
				counts[k] = h.calibrate(cs[k], s, h.dur(volleyTime))
			}
			// The ideal is measured beside each contender, not once: the clock rate drifts.
			ideal := byHand(s, counts[k]).ns()
			t := h.volley(cs[k], s, counts[k])
			return []float64{t.ns(), ideal / t.ns()}
		},
	}
}

// metgRow finds the minimum effective task granularity (Task Bench, SC'20): the
// smallest work per task, in nanoseconds, at which the contender has that
// efficiency.
func (h *harness) metgRow(name string, cs []contender, workers int) row {
	targets := []float64{0.5, 0.8, 0.9}
	w := row{name: name, base: baseline, names: names(cs), each: h.dur(8 * time.Second)}
	for _, e := range targets {
		w.metrics = append(w.metrics, metric{fmt.Sprintf("METG(%.0f%%) ns", 100*e), "%.0f", times})
	}
	w.measure = func(k, _ int) []float64 {
		var found []float64
		from := 1 // a higher efficiency needs larger tasks
		for _, e := range targets {
			iters, work := h.metg(cs[k], workers, from, e)
			found = append(found, work)
			from = iters
		}
		return found
	}
	return w
}

// metg searches by bisection on a logarithmic scale, from tasks of lo spins to
// metgTop. It returns the spins and the measured work of the task it found.
func (h *harness) metg(c contender, workers, lo int, target float64) (iters int, work float64) {
	hi := h.iters(metgTop)
	if lo >= hi {
		return hi, math.Inf(1)
	}
	e, found := h.efficiency(c, workers, hi)
	if e < target {
		return hi, math.Inf(1)
	}
	steps := 9 // each halves the range of the logarithm
	switch {
	case h.divide > 10:
		steps = 4
	case h.divide > 1:
		steps = 6
	}
	for range steps {
		mid := int(math.Sqrt(float64(lo) * float64(hi)))
		if mid <= lo {
			break
		}
		if e, w := h.efficiency(c, workers, mid); e < target {
			lo = mid
		} else {
			hi, found = mid, w
		}
	}
	return hi, found
}

// efficiency measures one task size, and returns with it the work of one task.
func (h *harness) efficiency(c contender, workers, iters int) (eff, work float64) {
	s := shape{workers: workers, producers: 1, iters: iters}
	n := h.calibrate(c, s, h.dur(100*time.Millisecond))
	cores := min(workers, runtime.GOMAXPROCS(0))
	// The ideal gets no fewer tasks than fill 20 ms, whatever the contender's overhead.
	most := max(n, h.num(40_000_000/(iters+6)))
	v := h.gate.measure(func() []float64 {
		ideal := byHand(s, most).ns()
		return []float64{ideal / h.volley(c, s, n).ns(), ideal * float64(cores)}
	})
	return v[0], v[1]
}
