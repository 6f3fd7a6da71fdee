package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/headrace-go/pool"
)

const (
	hotKey     = 0
	hotPercent = 99
	hotNap     = time.Millisecond
	// hotRate is arrivals per second, of all keys. One after the other, at most a
	// tenth of the hot key's tasks can run in that time, so they pile up.
	hotRate = 10_000
	hotRun  = 4 * time.Second
	// hotBuffer holds all that piles up, so that no submission waits for room.
	hotBuffer = 65_536
	// hotRest is how long after the last arrival the tasks may start.
	hotRest = 100 * time.Millisecond
)

// An arrival is a task of the hotkey suite and when it is due.
type arrival struct {
	due int64
	key uint64
}

// hotkey measures how long tasks wait for one key that is offered more than can
// be done: how well other keys are isolated from it. The control has the same
// arrivals without those of the hot key.
func hotkey(h *harness) []row {
	const workers = 8
	cs := h.among([]contender{{name: "pool"}, {name: "pool-stealing"}, {name: "pool-perworker"}})
	strategy := map[string]pool.Strategy{"pool-stealing": pool.WorkStealing, "pool-perworker": pool.PerWorker}
	w := row{name: fmt.Sprintf("hot=%d%%/N=%d", hotPercent, workers), base: "pool", names: names(cs), each: 2 * h.dur(hotRun)}
	w.metrics = []metric{
		{"p50 us alone", "%.1f", noRatio}, {"p99 us alone", "%.1f", noRatio},
		{"p50 us beside", "%.1f", times}, {"p99 us beside", "%.1f", times},
		{"p50 beside/alone", "%.2f", noRatio}, {"p99 beside/alone", "%.2f", noRatio},
		{"not begun", "%.0f", noRatio}, {"hot queued", "%.0f", noRatio}, {"arrivals/s", "%.0f", noRatio},
	}
	w.measure = func(k, round int) []float64 {
		all := arrivals(int(hotRate*h.dur(hotRun).Seconds()), uint64(round)) // the same for all in a round
		others := slices.DeleteFunc(slices.Clone(all), func(a arrival) bool { return a.key == hotKey })
		alone := h.isolation(strategy[cs[k].name], workers, others)
		beside := h.isolation(strategy[cs[k].name], workers, all)
		p50, p99 := percentile(alone.waits, .5), percentile(alone.waits, .99)
		hot50, hot99 := percentile(beside.waits, .5), percentile(beside.waits, .99)
		return []float64{p50 / 1e3, p99 / 1e3, hot50 / 1e3, hot99 / 1e3, hot50 / p50, hot99 / p99,
			float64(beside.notBegun), float64(beside.queued - beside.notBegun), beside.rate}
	}
	return []row{w}
}

// arrivals returns n of them, at a constant rate.
func arrivals(n int, seed uint64) []arrival {
	r := rand.New(rand.NewPCG(4, seed))
	as := make([]arrival, n)
	for i := range as {
		as[i] = arrival{int64(i) * int64(time.Second) / hotRate, hotKey}
		if r.IntN(100) >= hotPercent {
			as[i].key = r.Uint64() | 1
		}
	}
	return as
}

// An isolated is what one open loop showed.
type isolated struct {
	waits    []int64 // of the other keys, sorted
	notBegun int     // how many of those had not begun at the end
	queued   int     // tasks of any key
	rate     float64 // arrivals per second; less than intended if a submission had to wait
}

// isolation submits each arrival when it is due and measures how long the other
// keys wait, from the call of SubmitKeyed. The generator sleeps, so that it takes
// no processor; what becomes due while it oversleeps comes at once.
//
// It does not wait until the hot key's tasks have run, which would take a minute.
// A task of another key that had not begun at the end counts as if it had begun
// then, so the wait of those that share the hot key's queue is a lower bound.
func (h *harness) isolation(s pool.Strategy, workers int, as []arrival) isolated {
	p, err := pool.New(pool.WithStrategy(s), pool.WithWorkers(workers), pool.WithBuffer(hotBuffer), pool.WithShutdown(pool.Abort))
	must(err)
	start, submitted := make([]int64, len(as)), make([]int64, len(as))
	tasks := make([]pool.Task, len(as))
	for i, a := range as {
		tasks[i] = func(context.Context) error { start[i] = now(); return nil }
		if a.key == hotKey {
			tasks[i] = func(context.Context) error { time.Sleep(hotNap); return nil }
		}
	}
	runtime.GC()
	begin := now()
	for i, a := range as {
		time.Sleep(time.Duration(begin + a.due - now()))
		submitted[i] = now()
		must(p.SubmitKeyed(background, a.key, tasks[i]))
	}
	rate := 1e9 * float64(len(as)) / float64(now()-begin)
	time.Sleep(hotRest)
	queued, end := int(p.Stats().Queued), now()
	must(p.Close())

	x := isolated{queued: queued, rate: rate}
	for i, a := range as {
		if a.key == hotKey {
			continue
		}
		if start[i] == 0 || start[i] > end {
			start[i] = end
			x.notBegun++
		}
		if i >= len(as)/10 { // the first tenth warms up
			x.waits = append(x.waits, start[i]-submitted[i])
		}
	}
	slices.Sort(x.waits)
	return x
}
