package main

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// published measures the workloads that two libraries publish, written anew from their description. Those of
// pond-benchmarks: as many users submit as many tasks each, a million altogether, that sleep for 10 ms or
// do nothing. That of ants: a million tasks of 10 ms on 50,000 workers.
//
// Everybody gets the same limits: 50,000 workers for tasks that sleep, as in the latter, and one for each
// processor for those that do nothing, and the same bound of the queue, if there is one. A run that is to be
// short has a tenth of the tasks, and of the workers.
func published(h *harness) []row {
	total, sleepers := 1_000_000, 50_000
	switch {
	case h.divide > 10:
		total, sleepers = 2_000, 1_000
	case h.divide > 1:
		total, sleepers = total/10, sleepers/10
	}
	cs := h.selected(func(c contender) bool { return oneByOne(c) && c.name != "go" })
	var rows []row
	for _, users := range []int{1, 100, 1000, 10_000, 1_000_000} {
		users = min(users, total)
		each := total / users
		name := fmt.Sprintf("%d x %d", users, each)
		rows = append(rows,
			h.publishedRow("nothing/"+name, cs, shape{workers: runtime.GOMAXPROCS(0), producers: users}, total),
			h.publishedRow("sleep=10ms/"+name, cs, shape{workers: sleepers, producers: users, nap: 10 * time.Millisecond}, total))
	}
	return rows
}

func (h *harness) publishedRow(name string, cs []contender, s shape, total int) row {
	each := time.Duration(total) * 500
	if s.nap > 0 {
		each = time.Duration(total) * 1500
	}
	return row{
		name: name, base: baseline, names: names(cs), each: each,
		metrics: []metric{{"ns/task", "%.1f", speedUp}, {"ms", "%.0f", noRatio}, {"peak MB", "%.1f", times}},
		measure: func(k, _ int) []float64 {
			peak := watchMemory()
			t := h.volley(cs[k], s, total)
			return []float64{t.ns(), float64(t.wall) / 1e6, peak() / 1e6}
		},
	}
}

// watchMemory returns a function that ends the watch and returns by how many bytes the heap and the stacks grew
// at most.
func watchMemory() (peak func() float64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	read := func() int64 {
		metrics.Read(samples)
		return int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
	}
	runtime.GC()
	base := read()
	most := base
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !stop.Load() {
			most = max(most, read())
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() float64 {
		stop.Store(true)
		<-stopped
		return float64(max(most, read()) - base)
	}
}
