package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	latencyWork = 2 * time.Microsecond // the work of a task in most rows
	hogsTime    = 2 * time.Second
	trickleTime = 2 * time.Second
)

// latency measures how long tasks wait before they start.
func latency(h *harness) []row {
	cs := h.selected(oneByOne)
	var rows []row
	for _, percent := range []int{10, 50, 90} {
		rows = append(rows, h.poissonRow(fmt.Sprintf("load=%d%%/N=8", percent), cs, percent))
	}
	return append(rows, h.hogsRow(fmt.Sprintf("hogs=%d/N=8", h.hogs), cs),
		h.trickleRow("cpu1k/N=8", cs), h.blockingRow("blocking/N=64", cs))
}

// poissonRow is an open loop: tasks arrive at random, whether or not those before
// them have started. The generator spins on the clock and never sleeps, because a
// sleep is late by more than what is measured; it takes one processor for itself.
// A load of 100 % is what the other processors could do if they did nothing but
// the tasks' work: (GOMAXPROCS-1) / 2 us, on two processors 500,000 a second.
//
// The delay counts from the intended arrival, not from the call of Submit:
// otherwise a Submit that blocks would hide the arrivals it holds up (coordinated
// omission).
func (h *harness) poissonRow(name string, cs []contender, percent int) row {
	capacity := float64(max(1, runtime.GOMAXPROCS(0)-1)) / float64(latencyWork)
	gap := 100 / (float64(percent) * capacity) // nanoseconds
	n := int(float64(h.dur(500*time.Millisecond)) / gap)
	w := row{name: name, base: baseline, names: names(cs), each: h.dur(600 * time.Millisecond)}
	w.metrics = []metric{
		{"p50 us", "%.2f", times}, {"p90 us", "%.2f", times},
		{"p99 us", "%.1f", times}, {"p99.9 us", "%.0f", times},
		{"CPUs", "%.2f", noRatio},
	}
	w.measure = func(k, round int) []float64 {
		l := h.numberedLoad(n, h.iters(latencyWork))
		x := cs[k].open(h, 8, l)
		arrive := poisson(n, gap, uint64(round)) // the same for all in a round
		runtime.GC()
		cpu, begin := cpuTime(), now()
		for i := range arrive {
			arrive[i] += begin
			for now() < arrive[i] {
			}
			x.submit(i, i+1)
		}
		cpu = cpuTime() - cpu
		wall := now() - begin
		l.await(n)
		x.close()
		// The first tenth warms up: workers start, spins adapt.
		d := delays(l.start, arrive)[n/10:]
		slices.Sort(d)
		return []float64{percentile(d, .5) / 1e3, percentile(d, .9) / 1e3, percentile(d, .99) / 1e3,
			percentile(d, .999) / 1e3, float64(cpu) / float64(wall)}
	}
	return w
}

// poisson returns n arrival times with exponential gaps of that mean.
func poisson(n int, gap float64, seed uint64) []int64 {
	r := rand.New(rand.NewPCG(1, seed))
	at := make([]int64, n)
	t := 0.0
	for i := range at {
		t += gap * r.ExpFloat64()
		at[i] = int64(t)
	}
	return at
}

// hogsRow measures one task at a time, about every millisecond, beside goroutines
// that never yield. Its generator sleeps, and the delay counts from the call of
// Submit: a generator that spun would be one hog more, descheduled for tens of
// milliseconds by the others.
func (h *harness) hogsRow(name string, cs []contender) row {
	w := row{name: name, base: baseline, names: names(cs), each: h.dur(hogsTime)}
	w.metrics = []metric{
		{"p50 us", "%.2f", times}, {"p90 us", "%.2f", times}, {"p99 us", "%.1f", times},
		{"samples", "%.0f", noRatio},
	}
	w.measure = func(k, _ int) []float64 {
		const most = 10_000
		l := h.numberedLoad(most, h.iters(latencyWork))
		x := cs[k].open(h, 8, l)
		runtime.GC()
		var stop atomic.Bool
		var hogs sync.WaitGroup
		for range h.hogs {
			hogs.Go(func() {
				for !stop.Load() {
					_ = spin(1000)
				}
			})
		}
		submitted := make([]int64, 0, most)
		for end := now() + int64(h.dur(hogsTime)); now() < end && len(submitted) < most; {
			time.Sleep(time.Millisecond)
			submitted = append(submitted, now())
			x.submit(len(submitted)-1, len(submitted))
		}
		stop.Store(true)
		hogs.Wait()
		l.await(len(submitted))
		x.close()
		d := delays(l.start, submitted)
		slices.Sort(d)
		return []float64{percentile(d, .5) / 1e3, percentile(d, .9) / 1e3, percentile(d, .99) / 1e3, float64(len(d))}
	}
	return w
}

// trickleRow measures the CPU time of a thousand tasks a second, the load at which
// a pool that spins could burn far more than the work needs.
func (h *harness) trickleRow(name string, cs []contender) row {
	w := row{name: name, base: baseline, names: names(cs), each: h.dur(trickleTime)}
	w.metrics = []metric{
		{"CPU ms/s", "%.2f", times},
		{"p50 us", "%.1f", times},
	}
	w.measure = func(k, _ int) []float64 {
		n := int(h.dur(trickleTime) / time.Millisecond)
		l := h.numberedLoad(n, h.iters(latencyWork))
		x := cs[k].open(h, 8, l)
		submitted := make([]int64, n)
		runtime.GC()
		cpu, begin := cpuTime(), now()
		for i := range submitted {
			// Due times are absolute: the rate holds although every sleep is late.
			time.Sleep(time.Duration(begin + int64(i)*int64(time.Millisecond) - now()))
			submitted[i] = now()
			x.submit(i, i+1)
		}
		l.await(n)
		cpu = cpuTime() - cpu
		wall := now() - begin
		x.close()
		d := delays(l.start, submitted)
		slices.Sort(d)
		return []float64{1000 * float64(cpu) / float64(wall), percentile(d, .5) / 1e3}
	}
	return w
}

// blockingRow floods the pool with tasks of 200 ns of which one in a thousand
// sleeps for 20 ms: whoever takes several tasks at once may let the others wait
// behind a sleeper. The delay counts from the call of Submit, so it includes the
// wait for room.
func (h *harness) blockingRow(name string, cs []contender) row {
	w := row{name: name, base: baseline, names: names(cs), each: 500 * time.Millisecond}
	w.metrics = []metric{
		{"p50 ms", "%.3f", noRatio}, {"p99.9 ms", "%.2f", times}, {"max ms", "%.2f", times},
		{"wall ms", "%.0f", times},
	}
	w.measure = func(k, round int) []float64 {
		n := h.num(400_000)
		l := h.numberedLoad(n, h.iters(200*time.Nanosecond))
		sleeper := make([]bool, n) // the same tasks for all in a round
		r := rand.New(rand.NewPCG(2, uint64(round)))
		for range n / 1000 {
			sleeper[r.IntN(n)] = true
		}
		l.extra = func(i int) {
			if sleeper[i] {
				time.Sleep(20 * time.Millisecond)
			}
		}
		x := cs[k].open(h, 64, l)
		submitted := make([]int64, n)
		runtime.GC()
		begin := now()
		for i := range submitted {
			submitted[i] = now()
			x.submit(i, i+1)
		}
		l.await(n)
		wall := now() - begin
		x.close()
		d := delays(l.start, submitted)
		slices.Sort(d)
		return []float64{percentile(d, .5) / 1e6, percentile(d, .999) / 1e6, percentile(d, 1) / 1e6, float64(wall) / 1e6}
	}
	return w
}

// numberedLoad returns a load of n tasks that note when they started.
func (h *harness) numberedLoad(n, iters int) *load {
	return &load{iters: iters, done: new(counter), start: make([]int64, n)}
}

// delays returns how long after its reference time each task started.
func delays(start, reference []int64) []int64 {
	d := make([]int64, len(reference))
	for i := range d {
		d[i] = start[i] - reference[i]
	}
	return d
}
