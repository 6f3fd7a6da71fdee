package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// startup measures what a pool costs before its first task, and while it has
// nothing to do.
func startup(h *harness) error {
	cs := h.selected(oneByOne)
	workers := h.num(100_000)
	if row := fmt.Sprintf("new/N=%d", workers); h.wants(row) {
		h.newRow(row, cs, workers)
	}
	if h.wants("idle/N=8") {
		h.idleRow("idle/N=8", cs)
	}
	return nil
}

// newRow measures a pool of very many workers that has not had a task yet. Ants,
// conc and the like start no worker before they need one, nor does this pool; a
// hand-made channel pool starts all.
func (h *harness) newRow(row string, cs []contender, workers int) {
	most := make([]float64, len(cs))
	metrics := []metric{
		{"open us", "%.0f", times},
		{"KB", "%.0f", noRatio},
	}
	h.interleave(row, baseline, names(cs), metrics, func(k, _ int) []float64 {
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
	})
}

func inUse(m *runtime.MemStats) int64 { return int64(m.HeapAlloc + m.StackInuse) }

// idleRow measures the CPU time of a pool that has worked and now has nothing to do.
func (h *harness) idleRow(row string, cs []contender) {
	metrics := []metric{{"CPU ms/s", "%.3f", noRatio}}
	h.interleave(row, baseline, names(cs), metrics, func(k, _ int) []float64 {
		const n = 10_000
		l := &load{done: new(counter)}
		x := cs[k].open(h, 8, l)
		x.submit(0, n)
		l.await(n)
		runtime.GC()
		time.Sleep(h.dur(200 * time.Millisecond))
		cpu, begin := cpuTime(), now()
		time.Sleep(h.dur(2 * time.Second))
		used := 1000 * float64(cpuTime()-cpu) / float64(now()-begin)
		x.close()
		return []float64{used}
	})
}
