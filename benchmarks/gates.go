package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// A target is what the project set itself before it began, on a prototype: a gate, and more than that.
type target struct {
	number        int
	what          string
	gate, stretch string
	// measured returns what it came to, and whether the gate is reached.
	measured func(f *figures) (string, bool)
}

// figures looks up what was measured.
type figures struct {
	rows    []*results
	missing string // the first that was not found
}

// find returns the row, the contender and the metric, or nil.
func (f *figures) find(row, contender, name string) (r *results, k, m int) {
	row = here(row)
	for _, r := range f.rows {
		k := slices.Index(r.names, contender)
		m := slices.IndexFunc(r.metrics, func(m metric) bool { return m.name == name })
		if r.row == row && k >= 0 && m >= 0 {
			return r, k, m
		}
	}
	if f.missing == "" {
		f.missing = fmt.Sprintf("%s of %s in row %q", name, contender, row)
	}
	return nil, 0, 0
}

// here puts the number of processors in the name of a row.
func here(row string) string {
	return strings.ReplaceAll(row, "{n}", strconv.Itoa(runtime.GOMAXPROCS(0)))
}

// value returns the median of a metric.
func (f *figures) value(row, contender, name string) float64 {
	r, k, m := f.find(row, contender, name)
	if r == nil {
		return math.NaN()
	}
	return median(r.series(k, m))
}

// ratio returns the median over the rounds of the metric's ratio to another contender's: how many times
// faster, or for a metric of kind times, how many times as much.
func (f *figures) ratio(row, contender, other, name string) float64 {
	r, k, m := f.find(row, contender, name)
	if r == nil {
		return math.NaN()
	}
	j := slices.Index(r.names, other)
	if j < 0 {
		f.find(row, other, name)
		return math.NaN()
	}
	return median(r.against(k, j, m))
}

// reach prints several figures, each with what it has to reach.
func reach(figures, gates []float64, less bool) (string, bool) {
	ok := true
	var parts []string
	for i, v := range figures {
		parts = append(parts, short(v)+"x")
		if less {
			ok = ok && v <= gates[i]
		} else {
			ok = ok && v >= gates[i]
		}
	}
	return strings.Join(parts, " / "), ok
}

func targets() []target {
	empty := func(p int) string { return fmt.Sprintf("procs={n}/N={n}/P=%d", p) }
	producers := []int{1, 2, 16, 1000}
	peers := []string{"ants", "pond-go", "conc", "gammazero", "gopool", "errgroup"}
	return []target{
		{1, "empty Submit, against a channel of 1024; 1, 2, 16, 1000 producers", "2.5 / 2.5 / 3.5 / 4x", "3.5 / 4 / 4.5 / 6x", func(f *figures) (string, bool) {
			var vs []float64
			for _, p := range producers {
				vs = append(vs, f.ratio(empty(p), "pool", "channel", "ns/task"))
			}
			return reach(vs, []float64{2.5, 2.5, 3.5, 4}, false)
		}},
		{2, "the slowest of these divided by the fastest", "1.6", "1.25", func(f *figures) (string, bool) {
			var vs []float64
			for _, p := range producers {
				vs = append(vs, f.value(empty(p), "pool", "ns/task"))
			}
			v := slices.Max(vs) / slices.Min(vs)
			return short(v), v <= 1.6
		}},
		{3, "SubmitBatch of 64, a Batcher, against a channel", "7 / 9x", "12 / 15x", func(f *figures) (string, bool) {
			const row = "batch/work=0s/N={n}/P=1"
			return reach([]float64{f.ratio(row, "batch-64", "channel", "ns/task"), f.ratio(row, "batcher", "channel", "ns/task")}, []float64{7, 9}, false)
		}},
		{4, "against go f(), the least of 1 to 1000 producers", "30x", "100x", func(f *figures) (string, bool) {
			least := math.Inf(1)
			for _, p := range producers {
				least = min(least, f.ratio(empty(p), "pool", "go", "ns/task"))
			}
			return short(least) + "x", least >= 30
		}},
		{5, "against ants, pond, conc, gammazero, gopool, errgroup; 1 producer", "30 / 6 / 14 / 30 / 14 / 22x", "42 / 8 / 18 / 39 / 19 / 32x", peerTarget(peers, empty(1))},
		{5, "the same, 16 producers", "30 / 6 / 14 / 30 / 14 / 22x", "42 / 8 / 18 / 39 / 19 / 32x", peerTarget(peers, empty(16))},
		{6, "METG(50 %), METG(80 %), against a channel", "1/8 (.13x), 1/10 (.1x)", "1/12, 1/20", func(f *figures) (string, bool) {
			return reach([]float64{f.ratio("metg", "pool", "channel", "METG(50%) ns"), f.ratio("metg", "pool", "channel", "METG(80%) ns")}, []float64{1. / 8, .1}, true)
		}},
		{7, "efficiency at 1 µs", ".90", ".95", func(f *figures) (string, bool) {
			v := f.value("work=1µs/N={n}/P=1", "pool", "efficiency")
			return short(v), v >= .9
		}},
		{8, "half load, 2 µs tasks, 8 workers: p50, p90, p99 against a channel", "1/15 (.067x), 1/12 (.083x), 1/3 (.33x)", "1/30, 1/20, 1/5", func(f *figures) (string, bool) {
			var vs []float64
			for _, m := range []string{"p50 us", "p90 us", "p99 us"} {
				vs = append(vs, f.ratio("load=50%/N=8", "pool", "channel", m))
			}
			return reach(vs, []float64{1. / 15, 1. / 12, 1. / 3}, true)
		}},
		{9, "the same, p50 against ants", "1/5 (.2x)", "1/8", func(f *figures) (string, bool) {
			return reach([]float64{f.ratio("load=50%/N=8", "pool", "ants", "p50 us")}, []float64{.2}, true)
		}},
		{10, "a task each ms: delay, CPU time, against a channel", "1.1x, 1.1x", "1.0x", func(f *figures) (string, bool) {
			return reach([]float64{f.ratio("cpu1k/N=8", "pool", "channel", "p50 us"), f.ratio("cpu1k/N=8", "pool", "channel", "CPU ms/s")}, []float64{1.1, 1.1}, true)
		}},
		{11, "beside 4 busy goroutines: p99 against a channel", "2.5x", "1.3x", func(f *figures) (string, bool) {
			return reach([]float64{f.ratio("hogs=4/N=8", "pool", "channel", "p99 us")}, []float64{2.5}, true)
		}},
		{12, "submit one and wait; 64 tasks of 1 µs and wait; against a channel", "1.5x; .65x", "1.1x; .55x", func(f *figures) (string, bool) {
			return reach([]float64{f.ratio("M=1/work=0s/N={n}", "pool", "channel", "us/round"), f.ratio("M=64/work=1µs/N={n}", "pool", "channel", "us/round")}, []float64{1.5, .65}, true)
		}},
		{13, "allocations: Submit to a typed pool; Go and Wait", "0; 1", "", func(f *figures) (string, bool) {
			typed, future := f.value(empty(1), "pool-typed", "allocs/task"), f.value("future/N={n}/P=1", "go-wait", "allocs/task")
			return fmt.Sprintf("%.2f; %.2f", typed, future), typed < .005 && future < 1.005
		}},
		{14, "New with 100,000 workers", "100 µs, 64 KB", "20 µs", func(f *figures) (string, bool) {
			us, kb := f.value("new/N=100000", "pool", "open us"), f.value("new/N=100000", "pool", "KB")
			return fmt.Sprintf("%.0f µs, %.0f KB", us, kb), us <= 100 && kb <= 64
		}},
		{15, "one task in 1000 sleeps 20 ms: p99.9, longest delay, against a channel", "1.5x, 1.5x", "1.0x", func(f *figures) (string, bool) {
			return reach([]float64{f.ratio("blocking/N=64", "pool", "channel", "p99.9 ms"), f.ratio("blocking/N=64", "pool", "channel", "max ms")}, []float64{1.5, 1.5}, true)
		}},
		{16, "64 keys, against a channel for each worker: empty tasks; makespan of 1 and 10 ms, 16 workers", "1.6x; .85x", "2.2x; .78x", func(f *figures) (string, bool) {
			fast := f.ratio("keys=64/N={n}/P=1", "pool", "hashed", "ns/task")
			span := f.ratio("1000 keys, sleep=1ms,10%:10ms/N=16", "pool", "hashed", "makespan ms")
			return short(fast) + "x; " + short(span) + "x", fast >= 1.6 && span <= .85
		}},
		{17, "stealing, 64 workers, 1 and 10 ms: makespan against Shared; against a channel for each worker", "1.02x; .75x", "", func(f *figures) (string, bool) {
			const row = "sleep=1ms,10%:10ms/N=64"
			return reach([]float64{f.ratio(row, "pool-stealing", "pool", "makespan ms"), f.ratio(row, "pool-stealing", "hashed", "makespan ms")}, []float64{1.02, .75}, true)
		}},
	}
}

func peerTarget(peers []string, row string) func(*figures) (string, bool) {
	return func(f *figures) (string, bool) {
		var vs []float64
		for _, p := range peers {
			vs = append(vs, f.ratio(row, "pool", p, "ns/task"))
		}
		return reach(vs, []float64{30, 6, 14, 30, 14, 22}, false)
	}
}

// writeGates writes the table of all targets. It is an error if something that it needs was not measured.
func writeGates(h *harness, file string) error {
	f := &figures{rows: h.measured}
	table := [][]string{{"", "what", "gate", "stretch", "measured", "reached"}}
	for _, t := range targets() {
		text, ok := t.measured(f)
		if f.missing != "" {
			return fmt.Errorf("-gates: %s was not measured", f.missing)
		}
		reached := "yes"
		if !ok {
			reached = "**no**"
		}
		table = append(table, []string{fmt.Sprint(t.number), t.what, t.gate, t.stretch, text, reached})
	}
	table = append(table, []string{"18", "ns per task on 16 processors against 2", "1x", ".5x", "not measured: two processors", ""})
	return writePage(h, file, gatesHead, table, gatesWhy)
}

const gatesHead = `# Gates: the project's own targets

The project set itself these targets after prototypes that had no contexts,
errors, panics, keys, weights, resizing or statistics. A gate is the target, and
a stretch is a more ambitious one. All are ratios within one run, unless they
have a unit. This page is written by

    cd benchmarks
    go run . -rounds 5 -divide 3 -gates ../docs/gates.md -plots ../docs \
        -suite throughput,grain,latency,startup,batch,rounds,keyed,skew,structured \
        -rows '^procs=2/N=2/P|^(batch/)?work=.*/N=2/P=1$|^metg|^load=.0|^hogs|^cpu1k|^blocking|^new|^future/N=2/P=1$|^M=1/work=0s|^M=64/work=1µs|^keys=64/N=2/P=1$|^1000 keys|^sleep=1ms,.*N=64'

or with ` + "`" + `-suite all` + "`" + ` and without ` + "`" + `-rows` + "`" + `. The machine, and the run:

`

const gatesWhy = `
## Why some are not reached

The prototypes ran on another machine, whose cores are farther apart. That is
harder on channels and goroutines. Here the virtual processors share a cache on
some days and not on others. The time of everything that two cores do together
changes with that. [Figures](measured.md#empty-tasks) has the first row as
measured on another day.

- **1, 2, 4, 5**: A task gets a context, may fail, panic or wait, and until it
  begins another worker can take it over. The tasks of the prototypes could not.
  A counter in each task, of about 6 ns, is part of everybody's time. No other
  contender is ahead of the pool in any of these rows.
- **3**: One core runs the tasks while the other waits for room (` + "`" + `perf record` + "`" + `
  of ` + "`" + `-suite batch -contenders batch-256` + "`" + `: a quarter of the samples are that
  wait). Three things were tried and gained nothing on these rows: larger
  chunks, slots that are published together, and letting other goroutines run
  during the wait.
- **11**: In three runs of one day it was 1.9, 5.0 and 6.5x. It depends on which
  goroutine the scheduler lets run when five want two processors.
- **6, 8, 12**: A worker has to be woken. A worker that spins for longer would
  start sooner, at the price of rows 10 and 11. How long it spins was not
  changed for these figures. A caller that waits for one task at a time is
  served on the same core by a channel, and on another core by the pool's
  spinning worker.
- **13**: The second allocation of ` + "`" + `Go` + "`" + ` is the function value that goes through
  the queue: the tasks in the queue are functions.
- **16**: For each task a table of keys is looked up. In return a slow key holds
  up no other key. The makespan shows that.
`
