package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/headrace-go/pool"
)

// skewBuffer holds all tasks of a row: where a task waits is decided when it is
// submitted, not when there is room.
const skewBuffer = 4096

// A skewed row has tasks of two durations, in random order.
type skewed struct {
	workers, tasks int
	fast, slow     time.Duration
	percent        int  // of the tasks that are slow
	spins          bool // instead of sleeping
}

func (s skewed) name() string {
	kind := "sleep"
	if s.spins {
		kind = "work"
	}
	return fmt.Sprintf("%s=%v,%d%%:%v/N=%d", kind, s.fast, s.percent, s.slow, s.workers)
}

// task returns what takes that long.
func (s skewed) task(h *harness, d time.Duration) func() {
	if !s.spins {
		return func() { time.Sleep(d) }
	}
	iters := h.iters(d)
	return func() { _ = spin(iters) }
}

// skew measures how well the strategies balance tasks whose durations differ and
// are not known: whoever ties a task to a worker early lets it wait behind a slow
// one, while others have nothing to do.
func skew(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	cs := h.among([]contender{
		{name: "pool", open: openPool},
		{name: "pool-stealing", open: openWith(pool.WithStrategy(pool.WorkStealing))},
		{name: "pool-perworker", open: openWith(pool.WithStrategy(pool.PerWorker))},
		{name: "hashed", open: openScattered},
		{name: "channel", open: openChannel},
	})
	var rows []row
	for _, s := range []skewed{
		{workers: 8, tasks: 800, fast: time.Millisecond, slow: 10 * time.Millisecond, percent: 10},
		{workers: 64, tasks: 2000, fast: time.Millisecond, slow: 10 * time.Millisecond, percent: 10},
		{workers: 8, tasks: 800, fast: 500 * time.Microsecond, slow: 50 * time.Millisecond, percent: 2},
		{workers: 64, tasks: 2000, fast: 500 * time.Microsecond, slow: 50 * time.Millisecond, percent: 2},
		{workers: n, tasks: 4000, fast: 10 * time.Microsecond, slow: 100 * time.Microsecond, percent: 10, spins: true},
		{workers: n, tasks: 4000, fast: time.Microsecond, slow: 100 * time.Microsecond, percent: 10, spins: true},
	} {
		rows = append(rows, h.skewRow(s, cs))
	}
	const keys = 1000
	w := h.skewRow(skewed{workers: 16, tasks: 2000, fast: time.Millisecond, slow: 10 * time.Millisecond, percent: 10}, h.among([]contender{
		{name: "pool", open: openKeyed(keys, pool.Shared)},
		{name: "pool-stealing", open: openKeyed(keys, pool.WorkStealing)},
		{name: "pool-perworker", open: openKeyed(keys, pool.PerWorker)},
		{name: "hashed", open: openHashed(keys)},
	}))
	w.name = fmt.Sprintf("%d keys, %s", keys, w.name)
	return append(rows, w)
}

// openScattered is the channel of each worker's own, by a random key: the least
// that a strategy has to beat. Each channel could hold all tasks.
func openScattered(h *harness, workers int, l *load) instance {
	return newHashed(1<<30, workers, h.buffer, l)
}

// skewRow measures the time from the first submission to the last end.
func (h *harness) skewRow(s skewed, cs []contender) row {
	wide := *h
	wide.buffer = skewBuffer
	fast, slow := s.task(h, s.fast), s.task(h, s.slow)
	w := row{name: s.name(), base: "pool", names: names(cs), each: 150 * time.Millisecond,
		metrics: []metric{{"makespan ms", "%.2f", times}}}
	w.measure = func(k, round int) []float64 {
		n := h.num(s.tasks)
		late := shuffled(n, n*s.percent/100, uint64(round)) // the same for all in a round
		end := make([]int64, n)
		l := h.numberedLoad(n, 0)
		l.extra = func(i int) {
			if late[i] {
				slow()
			} else {
				fast()
			}
			end[i] = now()
		}
		x := cs[k].open(&wide, s.workers, l)
		runtime.GC()
		begin := now()
		x.submit(0, n)
		l.await(n)
		x.close()
		return []float64{float64(slices.Max(end)-begin) / 1e6}
	}
	return w
}

// shuffled returns n flags of which that many are set, in random places.
func shuffled(n, set int, seed uint64) []bool {
	flags := make([]bool, n)
	for _, i := range rand.New(rand.NewPCG(3, seed)).Perm(n)[:set] {
		flags[i] = true
	}
	return flags
}

// duel compares two strategies directly, neither of which is the baseline.
func duel(h *harness, all []*results) {
	rows := [][]string{{"makespan", "stealing / perworker (min..max)"}}
	for _, r := range all {
		a, b := slices.Index(r.names, "pool-stealing"), slices.Index(r.names, "pool-perworker")
		if a >= 0 && b >= 0 {
			rows = append(rows, []string{r.row, spread(r.against(a, b, 0))})
		}
	}
	if len(rows) > 1 {
		printTable(h.out, rows)
	}
}
