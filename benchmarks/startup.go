package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// startup measures what a pool costs before its first task, and while it has
// nothing to do.
func startup(h *harness) []row {
	cs := h.selected(oneByOne)
	workers := h.num(100_000)
	return []row{
		h.newRow(fmt.Sprintf("new/N=%d", workers), cs, workers),
		h.closeRow("close/N=1000", cs, 1000),
		h.idleRow("idle/N=8", cs),
	}
}

// newRow measures a pool of very many workers that has not had a task yet. Ants,
// conc and the like start no worker before they need one, nor does this pool; a
// hand-made channel pool starts all.
func (h *harness) newRow(name string, cs []contender, workers int) row {
	most := make([]float64, len(cs))
	w := row{name: name, base: baseline, names: names(cs), each: 100 * time.Millisecond}
	w.metrics = []metric{
		{"open us", "%.0f", times},
		{"KB", "%.0f", noRatio},
	}
	w.measure = func(k, _ int) []float64 {
		l := &load{done: new(counter)}
		runtime.GC()
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := now()
		x := cs[k].open(h, workers, l)
		took := now() - begin
		runtime.ReadMemStats(&after)
		x.submit(0, 1) // not all can be closed unused
		l.await(1)
		x.close()
		// Later rounds reuse the runtime's dead goroutines; the first shows their cost.
		kb := float64(inUse(&after)-inUse(&before)) / 1024
		most[k] = max(most[k], kb)
		return []float64{float64(took) / 1e3, most[k]}
	}
	return w
}

// closeRow measures how long it takes to close a pool all of whose workers have worked and wait.
// What has no close returns at once, and leaves its workers to themselves.
func (h *harness) closeRow(name string, cs []contender, workers int) row {
	w := row{name: name, base: baseline, names: names(cs), each: 50 * time.Millisecond}
	w.metrics = []metric{{"close us", "%.0f", times}}
	w.measure = func(k, _ int) []float64 {
		x, _ := occupied(h, cs[k], workers)
		begin := now()
		x.close()
		return []float64{float64(now()-begin) / 1e3}
	}
	return w
}

// occupied opens the contender, has every worker run a task at the same time, and returns when
// all of them have nothing to do. It returns also what was in use before.
func occupied(h *harness, c contender, workers int) (x instance, before int64) {
	var m runtime.MemStats
	release := make(chan struct{})
	var running sync.WaitGroup
	running.Add(workers)
	l := h.numberedLoad(workers, 0)
	l.extra = func(int) { running.Done(); <-release }
	runtime.GC()
	runtime.ReadMemStats(&m)
	x = c.open(h, workers, l)
	x.submit(0, workers)
	running.Wait()
	close(release)
	l.await(workers)
	time.Sleep(5 * time.Millisecond) // until they wait
	return x, inUse(&m)
}

func inUse(m *runtime.MemStats) int64 { return int64(m.HeapAlloc + m.StackInuse) }

// idleRow measures the CPU time of a pool that has worked and now has nothing to do.
func (h *harness) idleRow(name string, cs []contender) row {
	const rest = 2 * time.Second
	w := row{name: name, base: baseline, names: names(cs), each: h.dur(rest)}
	w.metrics = []metric{{"CPU ms/s", "%.3f", noRatio}}
	w.measure = func(k, _ int) []float64 {
		const n = 10_000
		l := &load{done: new(counter)}
		x := cs[k].open(h, 8, l)
		x.submit(0, n)
		l.await(n)
		runtime.GC()
		time.Sleep(h.dur(200 * time.Millisecond))
		cpu, begin := cpuTime(), now()
		time.Sleep(h.dur(rest))
		used := 1000 * float64(cpuTime()-cpu) / float64(now()-begin)
		x.close()
		return []float64{used}
	}
	return w
}
