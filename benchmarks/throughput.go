package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// throughput measures the cost of an empty task. Submission until all have
// completed counts, including the start of the workers.
func throughput(h *harness) error {
	cores := runtime.GOMAXPROCS(0)
	var all []*results
	cs := h.among(slices.Insert(slices.Clone(contenders), 1, strategies...))
	for _, row := range []struct{ procs, workers, producers int }{
		{cores, cores, 1},
		{cores, cores, 2},
		{cores, cores, 16},
		{cores, cores, 1000},
		{cores, 1000, 1},
		{cores, 1000, 16},
		{cores, 1, 1},
		{1, 1, 1},
		{1, 1, 16},
	} {
		name := fmt.Sprintf("procs=%d/N=%d/P=%d", row.procs, row.workers, row.producers)
		if !h.wants(name) {
			continue
		}
		s := shape{workers: row.workers, producers: row.producers}
		runtime.GOMAXPROCS(row.procs)
		all = append(all, h.throughputRow(name, baseline, cs, s))
		runtime.GOMAXPROCS(cores)
	}
	if len(all) > 1 {
		printTable(h.out, summary("ns per task (speed-up)", all, 0))
	}
	return nil
}

// throughputRow measures one row of empty or spinning tasks.
func (h *harness) throughputRow(name, base string, cs []contender, s shape) *results {
	counts := make([]int, len(cs))
	for k, c := range cs {
		fmt.Fprintf(h.progress, "\r\033[K%s  calibrating %s", name, c.name)
		counts[k] = h.calibrate(c, s, h.dur(150*time.Millisecond))
	}
	metrics := []metric{
		{"ns/task", "%.1f", speedUp},
		{"CPU ns/task", "%.1f", noRatio},
		{"allocs/task", "%.3f", noRatio},
	}
	return h.interleave(name, base, names(cs), metrics, func(k, _ int) []float64 {
		t := h.volley(cs[k], s, counts[k])
		return []float64{t.ns(), t.cpuNs(), t.allocs()}
	})
}
