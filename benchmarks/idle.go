package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/headrace-go/pool"
)

// idle measures what pools cost that have worked and have nothing to do.
func idle(h *harness) []row {
	n := h.num(100_000)
	return []row{h.restRow("strategies/N=64", 64), h.lazyRow(fmt.Sprintf("pools=%d", n), n)}
}

const (
	noPool   = "no pool" // what the process uses by itself
	restTime = 10 * time.Second
)

// restRow measures the CPU time of one idle pool by strategy.
func (h *harness) restRow(name string, workers int) row {
	cs := h.among(append([]contender{{name: noPool}, {name: "pool", open: openPool}}, strategies...))
	w := row{name: name, base: noPool, names: names(cs), each: h.dur(restTime)}
	w.metrics = []metric{{"CPU ms/s", "%.3f", noRatio}, {"goroutines", "%.0f", noRatio}}
	w.measure = func(k, _ int) []float64 {
		if cs[k].open == nil {
			return []float64{h.idleCPU(restTime), 0}
		}
		// Many more tasks than workers, of which each takes long enough for all workers
		// to get some.
		n := 20 * workers
		l := &load{done: new(counter), nap: time.Millisecond}
		x := cs[k].open(h, workers, l).(*poolInstance)
		x.submit(0, n)
		l.await(n)
		used := h.idleCPU(restTime)
		left := x.p.Stats().Goroutines
		x.close()
		return []float64{used, float64(left)}
	}
	return w
}

// idleCPU returns the CPU time of the process over that time, in ms per second.
func (h *harness) idleCPU(d time.Duration) float64 {
	// Neither the collector nor the return of its memory shall fall into that time.
	debug.FreeOSMemory()
	time.Sleep(h.dur(200 * time.Millisecond))
	cpu, begin := cpuTime(), now()
	time.Sleep(h.dur(d))
	return 1000 * float64(cpuTime()-cpu) / float64(now()-begin)
}

// lazyRow measures very many pools that have each run one task, with and without
// WithLazy: what is left of them, in goroutines, bytes and CPU time. The bytes do
// not include the runtime's descriptors of goroutines, some 400 each, except in the
// first round: those of dead goroutines are kept and used again.
func (h *harness) lazyRow(name string, n int) row {
	const limit = 10 * time.Millisecond // of idleness
	cs := h.among([]contender{{name: "pool"}, {name: "pool-lazy"}})
	w := row{name: name, base: "pool", names: names(cs), each: h.dur(5*time.Second) + 2*time.Second}
	w.metrics = []metric{
		{"goroutines", "%.0f", noRatio}, {"heap B/pool", "%.0f", times}, {"stack B/pool", "%.0f", noRatio},
		{"CPU ms/s", "%.3f", noRatio},
	}
	w.measure = func(k, _ int) []float64 {
		opts := []pool.Option{pool.WithBuffer(16)}
		if cs[k].name == "pool-lazy" {
			opts = append(opts, pool.WithLazy(limit))
		}
		pools := make([]*pool.Pool, n)
		done := new(counter)
		task := func(context.Context) error { done.add(); return nil }
		before := inUseNow()
		for i := range pools {
			p, err := pool.New(opts...)
			must(err)
			must(p.Submit(background, task))
			pools[i] = p
		}
		for done.sum() < n {
			time.Sleep(limit)
		}
		time.Sleep(50 * limit)
		after := inUseNow()
		used := h.idleCPU(5 * time.Second)
		left := 0
		for _, p := range pools {
			left += p.Stats().Goroutines
		}
		for _, p := range pools {
			must(p.Close())
		}
		per := func(before, after uint64) float64 { return float64(int64(after-before)) / float64(n) }
		return []float64{float64(left), per(before.HeapAlloc, after.HeapAlloc), per(before.StackInuse, after.StackInuse), used}
	}
	return w
}

// inUseNow returns what is in use, without garbage.
func inUseNow() (m runtime.MemStats) {
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return m
}
