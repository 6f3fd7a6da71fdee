package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/headrace-go/pool"
)

// claims returns all claims with the situations that measure them.
func claims(h *harness) []claim {
	n := runtime.GOMAXPROCS(0)
	byHand := contender{name: "by hand", counts: true, open: openChannel}
	short := h.dur(volleyTime) * 3
	return slices.Concat(sizingClaims(h), []claim{
		{2, "sleeps of 1 and 10 ms, 64 workers, against one queue", "one channel", "WorkStealing", "ms", "%.1f", false,
			"30-50 % faster", gain(1.05, 1.4), "A shared queue gives every task to whoever is free: nothing is left to balance.",
			time.Second, h.skewed(openChannel)},
		{2, "the same, against a queue for each worker", "a channel for each, by hash", "WorkStealing", "ms", "%.1f", false,
			"30-50 % faster", gain(1.05, 1.4), "Here tasks do wait behind slow ones while others have nothing to do.",
			time.Second, h.skewed(openScattered)},
		{3, "empty tasks", "one send each", "SubmitBatch of 64", "ns/task", "%.1f", false,
			"5-20 times", gain(1.5, 5), "A striped counter in each task, some 6 ns, is part of both; the rest of the gap is what running a task costs in itself.",
			short, h.volleys(shape{workers: n, producers: 1}, byHand, contender{counts: true, open: openBatch})},
		{3, "tasks of 1 µs", "one send each", "SubmitBatch of 64", "ns/task", "%.1f", false,
			"5-20 times", gain(1.05, 5), "Two processors do 1 µs of work in 500 ns, whatever hands it over: no more than the rest can be gained.",
			short, h.volleys(shape{workers: n, producers: 1, iters: h.iters(time.Microsecond)}, byHand, contender{counts: true, open: openBatch})},
		{3, "tasks of 1 ms", "one send each", "SubmitBatch of 64", "ns/task", "%.0f", false,
			"nothing", equal(.03), "",
			short, h.volleys(shape{workers: n, producers: 1, iters: h.iters(time.Millisecond)}, byHand, contender{counts: true, open: openBatch})},
		{4, "tasks of 1 µs, two places for each worker", "WithBuffer(16384)", "WithBuffer(2N)", "ns/task", "%.1f", false,
			"95 % of a larger queue's speed", gain(.8, .95), "A submitter that fills four places sleeps and is woken again for every few microseconds of work.",
			short, h.volleys(shape{workers: n, producers: 1, iters: h.iters(time.Microsecond)},
				contender{counts: true, open: openWith(pool.WithBuffer(16384))}, contender{counts: true, open: openWith(pool.WithBuffer(2 * n))})},
		{4, "tasks of 100 µs, two places for each worker", "WithBuffer(16384)", "WithBuffer(2N)", "ns/task", "%.0f", false,
			"95 % of a larger queue's speed", gain(.8, .95), "",
			short, h.volleys(shape{workers: n, producers: 1, iters: h.iters(100 * time.Microsecond)},
				contender{counts: true, open: openWith(pool.WithBuffer(16384))}, contender{counts: true, open: openWith(pool.WithBuffer(2 * n))})},
		{4, "bursts of 500 tasks of 20 µs", "a channel of 2N", "WithBuffer(1024)", "ms blocked a burst", "%.3f", false,
			"removes 80 % of head-of-line blocking", gain(1.25, 5), "", 5 * burstEvery, h.burst},
		{5, "memory of 1000 workers at rest", "a channel and goroutines", "Elastic", "B/worker", "%.0f", false,
			"less by N stacks", gain(1.5, 4), "", 100 * time.Millisecond,
			h.first(h.workerRow("", []contender{byHand, {open: openWith(pool.WithStrategy(pool.Elastic))}}, 1000))},
		{5, "what it costs to acquire and release a unit", "x/sync semaphore, one goroutine", "SubmitWeighted less Submit", "ns", "%.0f", false,
			"50-100 ns", func(_, after float64) verdict {
				if after <= 100 {
					return reproduced
				}
				return refuted
			}, "The pool's own admission does more than the semaphore: it keeps the order, and wakes whoever fits.", 2 * short, h.admission},
		{5, "tasks of 1 ms", "a channel and goroutines", "Elastic", "ns/task", "%.0f", false,
			"no measurable overhead", noOverhead(.03), "",
			short, h.volleys(shape{workers: n, producers: 1, iters: h.iters(time.Millisecond)}, byHand,
				contender{counts: true, open: openWith(pool.WithStrategy(pool.Elastic))})},
	}, reuseClaims(h), []claim{
		{7, "empty tasks", "a results channel with a reader", "Submit", "ns/task", "%.1f", false,
			"one channel, one closer, one consumer fewer", gain(1.1, 1.5), "",
			short, h.volleys(shape{workers: n, producers: 1}, contender{open: openResults}, contender{open: openPool})},
		{8, "10,000 jobs, job 50 fails", "a channel, the error is kept", "Group", "jobs after it", "%.0f", false,
			"from 10,000 to about N", gain(10, 100), "", 50 * time.Millisecond, h.wasted},
		{9, "threads that one of four workers runs on", "a channel and goroutines", "WithLockedThread", "threads", "%.0f", false,
			"one for every job of a worker", func(_, after float64) verdict {
				if after == 1 {
					return reproduced
				}
				return refuted
			}, "", 100 * time.Millisecond, h.threads},
		{10, "workers that end when idle", "select with time.After", "WithLazy", "allocs/task", "%.2f", false,
			"50,000 live timers become one or none", gain(10, 100),
			"Since Go 1.23 a timer that nobody waits for is collected, so what is left of them is garbage, not a leak.",
			short, h.allocations(openAfter, openWith(pool.WithLazy(time.Second)))},
		{11, "goroutines of 1000 workers after 50 ms of rest", "a channel and goroutines", "WithLazy(10ms)", "goroutines", "%.0f", false,
			"about none", gain(10, 100), "", 200 * time.Millisecond, h.lazily},
		{12, "the first 100 requests, workers that need 2 ms to prepare", "made by the first task", "WithState, WithWarmup", "p99 µs", "%.0f", false,
			"2-5 times less", gain(1.3, 2), "", 200 * time.Millisecond, h.warmth},
		{13, "empty tasks of 16 producers", "one channel", "PerWorker", "ns/task", "%.1f", false,
			"ahead above a million jobs a second", gain(1, 1.05), "One shared queue whose workers claim several tasks at a time is faster still, at any number of producers that was tried.",
			short, h.volleys(shape{workers: n, producers: 16}, byHand,
				contender{counts: true, open: openWith(pool.WithStrategy(pool.PerWorker))})},
		{13, "64 keys, each with 16 KB that its tasks change", "one channel, a mutex for each key", "PerWorker, SubmitKeyed", "ns/task", "%.0f", false,
			"cache-friendly per key", gain(1, 1.1), "", short, h.affinity},
		{14, "500 tasks queued when the pool is told to stop", "a quit channel in the select", "Close", "tasks lost", "%.0f", false,
			"drain loses nothing", func(_, after float64) verdict {
				if after == 0 {
					return reproduced
				}
				return refuted
			}, "", 50 * time.Millisecond, h.lost},
		{14, "200 tasks of 10 ms queued, 8 workers", "close the channel and wait", "Abort and Close", "ms", "%.2f", false,
			"milliseconds", func(_, after float64) verdict {
				if after < 20 {
					return reproduced
				}
				return refuted
			}, "", 200 * time.Millisecond, h.stopping},
	})
}

// pick returns one of two by whether the option is on.
func pick[V any](after bool, off, on V) V {
	if after {
		return on
	}
	return off
}

// first is the first metric of a row of two contenders.
func (h *harness) first(w row) func(bool, int) float64 {
	return func(after bool, round int) float64 { return w.measure(pick(after, 0, 1), round)[0] }
}

// volleys compares two contenders by their time for each task.
func (h *harness) volleys(s shape, before, after contender) func(bool, int) float64 {
	return h.first(h.throughputRow("", "", []contender{before, after}, s))
}

// allocations compares two contenders by what they allocate for each empty task.
func (h *harness) allocations(before, after func(*harness, int, *load) instance) func(bool, int) float64 {
	w := h.throughputRow("", "", []contender{{open: before}, {open: after}}, shape{workers: runtime.GOMAXPROCS(0), producers: 1})
	return func(after bool, round int) float64 { return w.measure(pick(after, 0, 1), round)[2] }
}

// skewed compares a queue with stealing on tasks of which one in ten takes ten times as long.
func (h *harness) skewed(before func(*harness, int, *load) instance) func(bool, int) float64 {
	s := skewed{workers: 64, tasks: 2000, fast: time.Millisecond, slow: 10 * time.Millisecond, percent: 10}
	return h.first(h.skewRow(s, []contender{{open: before}, {open: openWith(pool.WithStrategy(pool.WorkStealing))}}))
}

// resultsInstance is a pool by hand with a channel for the results, and a reader, since without one its
// workers would stall.
type resultsInstance struct {
	ch      chan func() error
	results chan error
	workers sync.WaitGroup
	reader  sync.WaitGroup
	finish  func()
	fns     []func() error
	mask    int
}

func openResults(h *harness, workers int, l *load) instance {
	x := &resultsInstance{ch: make(chan func() error, h.buffer), results: make(chan error, h.buffer)}
	x.fns, x.mask = l.errFuncs()
	for range workers {
		x.workers.Go(func() {
			for f := range x.ch {
				x.results <- f()
			}
		})
	}
	x.reader.Go(func() {
		for err := range x.results {
			must(err)
		}
	})
	x.finish = sync.OnceFunc(func() {
		close(x.ch)
		x.workers.Wait()
		close(x.results)
		x.reader.Wait()
	})
	return x
}

func (x *resultsInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.ch <- x.fns[i&x.mask]
	}
}
func (x *resultsInstance) wait()  { x.finish() }
func (x *resultsInstance) close() { x.finish() }

// openAfter is a pool by hand whose workers end when they have had nothing to do for a second.
func openAfter(h *harness, workers int, l *load) instance {
	x := &channelInstance{ch: make(chan func(), h.buffer)}
	x.finish = sync.OnceFunc(func() { close(x.ch); x.wg.Wait() })
	x.fns, x.mask = l.funcs()
	for range workers {
		x.wg.Go(func() {
			for {
				select {
				case f, ok := <-x.ch:
					if !ok {
						return
					}
					f()
				case <-time.After(time.Second):
					return
				}
			}
		})
	}
	return x
}

// admission returns the cost of a unit of weight: of the semaphore alone, and of a weighted task more than of
// another.
func (h *harness) admission(after bool, _ int) float64 {
	n := runtime.GOMAXPROCS(0)
	if after {
		s := shape{workers: n, producers: 1}
		plain, weighted := contender{open: openPool}, contender{open: openUnits}
		count := h.calibrate(weighted, s, h.dur(volleyTime))
		return h.volley(weighted, s, count).ns() - h.volley(plain, s, count).ns()
	}
	return pairs(h)
}

// openUnits is the shared queue with a weight of 1 for each task.
func openUnits(h *harness, workers int, l *load) instance {
	return weightedInstance{newPool(h, workers, l, pool.WithCapacity(int64(workers)))}
}

// wasted returns how many of 10,000 jobs start after job 50 has failed.
func (h *harness) wasted(after bool, _ int) float64 {
	const jobs, bad = 10_000, 50
	n := runtime.GOMAXPROCS(0)
	iters := h.iters(10 * time.Microsecond)
	var mu sync.Mutex
	failed, late := false, 0
	job := func(i int) error {
		mu.Lock()
		if failed {
			late++
		}
		failed = failed || i == bad
		mu.Unlock()
		if i == bad {
			return context.DeadlineExceeded
		}
		_ = spin(iters)
		return nil
	}
	if after {
		p, err := pool.New(pool.WithWorkers(n))
		must(err)
		defer p.Close()
		g := pool.NewGroup(background, p)
		for i := range jobs {
			g.Go(func(context.Context) error { return job(i) })
		}
		if g.Wait() == nil {
			panic("benchmarks: no error")
		}
		return float64(late)
	}
	ch := make(chan int, h.buffer)
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for range n {
		wg.Go(func() {
			for i := range ch {
				if err := job(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	for i := range jobs {
		ch <- i
	}
	close(ch)
	wg.Wait()
	if first == nil {
		panic("benchmarks: no error")
	}
	return float64(late)
}
