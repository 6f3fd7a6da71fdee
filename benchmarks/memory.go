package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// memory measures what a task costs while it waits, and a worker while it has nothing to do.
func memory(h *harness) []row {
	const workers, queued = 1000, 100_000
	cs := h.among(slices.DeleteFunc(slices.Concat(contenders, strategies), func(c contender) bool { return c.bulk }))
	// These have no queue: a task that finds no worker waits in its submitter.
	queues := h.selected(func(c contender) bool {
		return oneByOne(c) && c.name != "errgroup" && c.name != "semaphore" && c.name != "ants" && c.name != "conc"
	})
	return []row{h.workerRow(fmt.Sprintf("idle worker/N=%d", workers), cs, workers), h.queueRow(fmt.Sprintf("queued=%d/N=1", queued), queues, queued)}
}

// workerRow measures what is left of a pool all of whose workers have worked, by worker. The load of
// the measurement is part of it, some 100 bytes for each.
func (h *harness) workerRow(name string, cs []contender, workers int) row {
	w := row{name: name, base: baseline, names: names(cs), each: 50 * time.Millisecond}
	w.metrics = []metric{{"B/worker", "%.0f", times}, {"goroutines", "%.0f", noRatio}}
	w.measure = func(k, _ int) []float64 {
		others := runtime.NumGoroutine()
		x, before := occupied(h, cs[k], workers)
		var after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&after)
		left := runtime.NumGoroutine() - others
		x.close()
		return []float64{float64(inUse(&after)-before) / float64(workers), float64(max(0, left))}
	}
	return w
}

// queueRow measures a queue of that many equal tasks behind one that runs, each of which is the same
// function, so that it is the queue's memory alone. The bound is as large, for those who have one.
func (h *harness) queueRow(name string, cs []contender, n int) row {
	wide := *h
	wide.buffer = n
	w := row{name: name, base: baseline, names: names(cs), each: 100 * time.Millisecond}
	w.metrics = []metric{{"B/task", "%.1f", times}}
	w.measure = func(k, _ int) []float64 {
		release := make(chan struct{})
		l := &load{done: new(counter), block: release}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := cs[k].open(&wide, 1, l)
		x.submit(0, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		close(release)
		l.await(n)
		x.close()
		return []float64{float64(inUse(&after)-inUse(&before)) / float64(n)}
	}
	return w
}
