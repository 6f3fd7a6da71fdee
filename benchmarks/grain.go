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
func grain(h *harness) error {
	n := runtime.GOMAXPROCS(0)
	cs := h.selected(everyone)
	for _, size := range []time.Duration{100, time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
		if name := fmt.Sprintf("work=%v/N=%d/P=1", size, n); h.wants(name) {
			h.grainRow(name, cs, shape{workers: n, producers: 1, iters: h.iters(size)})
		}
	}
	if h.wants("metg") {
		h.metgRow("metg", cs, n)
	}
	return nil
}

// grainRow measures the efficiency at one task size.
func (h *harness) grainRow(name string, cs []contender, s shape) {
	counts := make([]int, len(cs))
	for k, c := range cs {
		fmt.Fprintf(h.progress, "\r\033[K%s  calibrating %s", name, c.name)
		counts[k] = h.calibrate(c, s, h.dur(150*time.Millisecond))
	}
	metrics := []metric{
		{"ns/task", "%.1f", speedUp},
		{"efficiency", "%.3f", noRatio},
	}
	h.interleave(name, baseline, names(cs), metrics, func(k, _ int) []float64 {
		// The ideal is measured beside each contender, not once: the clock rate drifts.
		ideal := byHand(s, counts[k]).ns()
		t := h.volley(cs[k], s, counts[k])
		return []float64{t.ns(), ideal / t.ns()}
	})
}

// metgRow finds the minimum effective task granularity (Task Bench, SC'20): the
// smallest work per task, in nanoseconds, at which the contender has that
// efficiency.
func (h *harness) metgRow(name string, cs []contender, workers int) {
	targets := []float64{0.5, 0.8, 0.9}
	var metrics []metric
	for _, e := range targets {
		metrics = append(metrics, metric{fmt.Sprintf("METG(%.0f%%) ns", 100*e), "%.0f", times})
	}
	h.interleave(name, baseline, names(cs), metrics, func(k, _ int) []float64 {
		var found []float64
		from := 1 // a higher efficiency needs larger tasks
		for _, e := range targets {
			iters, work := h.metg(cs[k], workers, from, e)
			found = append(found, work)
			from = iters
		}
		return found
	})
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
	for range max(1, h.num(900)/100) { // each halves the range of the logarithm
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
