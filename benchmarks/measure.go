package main

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// A shape is how a contender is used: by how many producers, with how many
// workers, for tasks that spin and sleep for how long.
type shape struct {
	workers, producers, iters int
	nap                       time.Duration
}

// A timing is the cost of n tasks.
type timing struct {
	n       int
	wall    time.Duration // from the first submission to the last completion
	cpu     time.Duration // of the whole process in that time
	mallocs uint64
}

func (t timing) ns() float64     { return float64(t.wall) / float64(t.n) }
func (t timing) cpuNs() float64  { return float64(t.cpu) / float64(t.n) }
func (t timing) allocs() float64 { return float64(t.mallocs) / float64(t.n) }

// volley submits n equal tasks as fast as the contender takes them, and waits for
// the last to complete. The number is rounded up to a multiple of the producers.
func (h *harness) volley(c contender, s shape, n int) timing {
	l := &load{iters: s.iters, nap: s.nap}
	if !h.ownCount || !c.counts {
		l.done = new(counter)
	}
	each := (n + s.producers - 1) / s.producers
	t := timing{n: each * s.producers}
	x := c.open(h, s.workers, l)

	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := cpuTime(), now()
	if s.producers == 1 {
		x.submit(0, each)
	} else {
		var producers sync.WaitGroup
		for range s.producers {
			producers.Go(func() { x.submit(0, each) })
		}
		producers.Wait()
	}
	if l.done != nil {
		l.await(t.n)
	} else {
		x.wait()
	}
	t.wall, t.cpu = time.Duration(now()-begin), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	t.mallocs = after.Mallocs - before.Mallocs

	x.close()
	if l.done != nil && l.done.sum() != t.n {
		panic(fmt.Sprintf("benchmarks: %s ran %d tasks of %d", c.name, l.done.sum(), t.n))
	}
	return t
}

// calibrate finds how many tasks take the contender about d. It also warms up.
func (h *harness) calibrate(c contender, s shape, d time.Duration) int {
	limit := c.limit
	if limit == 0 {
		limit = 10_000_000
	}
	n := 500
	if work := float64(s.nap) + float64(s.iters)*h.nsPerIter; work > 0 {
		n = min(n, int(float64(d)/8/work)*s.workers)
	}
	n = max(n, 2*s.producers, 2*s.workers)
	for {
		t := h.volley(c, s, n)
		if t.wall >= d/8 || n >= limit {
			return min(limit, max(s.producers, int(float64(n)*float64(d)/float64(t.wall))))
		}
		n = min(limit, n*4)
	}
}

// byHand runs n tasks of that shape without any queue, in equal chunks on as many
// goroutines as can run at once: the ideal that no pool can beat.
func byHand(s shape, n int) timing {
	workers := s.workers
	if s.nap == 0 {
		workers = min(workers, runtime.GOMAXPROCS(0))
	}
	l := &load{iters: s.iters, nap: s.nap, done: new(counter)}
	each := (n + workers - 1) / workers
	begin := now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				l.unit()
			}
		})
	}
	wg.Wait()
	return timing{n: each * workers, wall: time.Duration(now() - begin)}
}

// A gate keeps measurements apart from other load on the machine: it looks at how
// much CPU time others took meanwhile, and repeats a measurement that was
// disturbed. It works on Linux only, and lets everything pass elsewhere.
type gate struct {
	off             bool
	attempts        int // at a measurement, the first included
	total, repeated int
	disturbed       int // kept, although disturbed
}

// othersAllowed is how many CPUs other programs may use during a measurement.
const othersAllowed = 0.15

// measure returns what f measures. An f that uses the gate itself, for each of its
// parts, is not repeated as a whole.
func (g *gate) measure(f func() []float64) []float64 {
	inner := g.total
	defer func() { g.total++ }()
	for try := 1; ; try++ {
		busy, ok := machineBusy()
		own, begin := cpuTime(), now()
		v := f()
		busyAfter, _ := machineBusy()
		elapsed := time.Duration(now() - begin)
		// The kernel counts in ticks of 10 ms.
		others := busyAfter - busy - (cpuTime() - own) - 20*time.Millisecond
		if !ok || g.off || g.total != inner || others.Seconds() <= othersAllowed*elapsed.Seconds() {
			return v
		}
		if try >= g.attempts {
			g.disturbed++
			return v
		}
		g.repeated++
		time.Sleep(time.Duration(try) * 300 * time.Millisecond)
	}
}

func (g *gate) report(out io.Writer) {
	fmt.Fprintf(out, "\n%d measurements; %d repeated because other programs used more than %.2f CPUs; %d kept although disturbed\n",
		g.total, g.repeated, othersAllowed, g.disturbed)
}
