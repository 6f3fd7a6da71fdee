package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// throughput measures the cost of an empty task. Submission until all have
// completed counts, including the start of the workers.
func throughput(h *harness) []row {
	cores := runtime.GOMAXPROCS(0)
	var rows []row
	cs := h.among(slices.Insert(slices.Clone(contenders), 1, strategies...))
	for _, r := range []struct{ procs, workers, producers int }{
		{cores, cores, 1},
		{cores, cores, 2},
		{cores, cores, 16},
		{cores, cores, 1000},
		{cores, 8, 1},
		{cores, 8, 16},
		{cores, 1000, 1},
		{cores, 1000, 16},
		{cores, 1, 1},
		{1, 1, 1},
		{1, 1, 16},
	} {
		name := fmt.Sprintf("procs=%d/N=%d/P=%d", r.procs, r.workers, r.producers)
		w := h.throughputRow(name, baseline, cs, shape{workers: r.workers, producers: r.producers})
		w.group = "ns per task (speed-up)"
		measure := w.measure
		w.measure = func(k, round int) []float64 {
			runtime.GOMAXPROCS(r.procs)
			defer runtime.GOMAXPROCS(cores)
			return measure(k, round)
		}
		rows = append(rows, w)
	}
	return rows
}

const volleyTime = 150 * time.Millisecond // of a measurement of throughput

// throughputRow measures one row of empty or spinning tasks.
func (h *harness) throughputRow(name, base string, cs []contender, s shape) row {
	counts := make([]int, len(cs))
	return row{
		name: name, base: base, names: names(cs), each: h.dur(volleyTime) * 2,
		metrics: []metric{
			{"ns/task", "%.1f", speedUp},
			{"CPU ns/task", "%.1f", noRatio},
			{"allocs/task", "%.3f", noRatio},
		},
		measure: func(k, _ int) []float64 {
			if counts[k] == 0 {
				counts[k] = h.calibrate(cs[k], s, h.dur(volleyTime))
			}
			t := h.volley(cs[k], s, counts[k])
			return []float64{t.ns(), t.cpuNs(), t.allocs()}
		},
	}
}
