// Command benchmarks compares the pool package with what a Go program would
// otherwise use: a buffered channel with worker goroutines, bare goroutines,
// x/sync, and the well-known pool libraries.
//
// Why not testing.B: a shared machine drifts by tens of percent within minutes,
// so two benchmarks that run one after the other compare two moments, not two
// programs. Here all contenders take turns in every round; a ratio is computed
// between the measurements of one round, and the median over rounds is reported
// with its spread. See README.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A harness is one run: its flags, and what was learnt about the machine.
type harness struct {
	rounds     int
	divide     int
	rows       *regexp.Regexp
	contenders *regexp.Regexp
	ownCount   bool
	full       bool
	hogs       int
	buffer     int

	out      io.Writer
	progress *progress
	measured []*results

	nsPerIter float64 // of spin
	gate      gate
}

// A suite is one kind of measurement.
type suite struct {
	name, about string
	rows        func(*harness) []row
	after       func(*harness, []*results) // once the rows are measured; may be nil
}

var suites = []suite{
	{"throughput", "ns per empty task, by producers, workers and GOMAXPROCS", throughput, nil},
	{"grain", "parallel efficiency by task size, and METG", grain, nil},
	{"published", "the workloads that pond and ants publish, with the same limits for all", published, nil},
	{"latency", "delay from arrival to start: Poisson load, CPU hogs, trickle, blocking tasks", latency, nil},
	{"startup", "time and bytes of a pool of 100,000 workers, time to close, and idle CPU", startup, nil},
	{"memory", "bytes per queued task, and per idle worker", memory, nil},
	{"buffer", "throughput of the pool by WithBuffer, next to the bytes", buffer, bufferBytes},
	{"batch", "ns per task that is handed over with others, by producers and task size", batches, nil},
	{"nested", "ns per empty task that is submitted from inside a task", nested, nil},
	{"rounds", "time to submit some tasks and to wait for them", rounds, nil},
	{"keyed", "ns per empty task with a key, by producers and number of keys", keyed, nil},
	{"skew", "makespan of tasks of which a few take 10 or 100 times as long", skew, duel},
	{"hotkey", "wait of other keys beside one whose queue never empties", hotkey, nil},
	{"fairness", "tenants: a light one beside an elephant, unequal run times, one alone, a limit for each", fairness, nil},
	{"structured", "ns per unit of futures and loops, against pond, conc, and loops by hand", structured, nil},
	{"forkjoin", "recursive programs: a tree, Fibonacci numbers, merge sort, a walk over directories", forkJoin, nil},
	{"elastic", "parallel efficiency of goroutines on demand, with and without weights", elastic, nil},
	{"idle", "CPU time of idle pools by strategy, and 100,000 lazy pools", idle, nil},
	{"panics", "cost of the pool with and without a panic handler", panics, nil},
	{"claims", "what each optimisation gains where it is said to", claimRows, nil},
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	h := &harness{out: out}
	var chosen string
	for _, s := range suites {
		chosen += s.name + ", "
	}
	var name, rows, contenders, count, plots, gates, claims string
	var quick bool
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&name, "suite", "throughput", "what to measure: "+chosen+"several with commas between them, or all")
	flags.IntVar(&h.rounds, "rounds", 0, "rounds; every contender is measured once in each (7; 3 with -suite all)")
	flags.IntVar(&h.divide, "divide", 0, "divide the time of a measurement by this (1; 4 with -suite all)")
	flags.BoolVar(&quick, "quick", false, "rough figures in a tenth of the time: -rounds 1 -divide 20")
	flags.StringVar(&rows, "rows", "", "measure only the rows that match this regular expression")
	flags.StringVar(&contenders, "contenders", "", "measure only the contenders that match; ratios need the suite's baseline among them")
	flags.StringVar(&count, "count", "task", "how completion is seen: task (a counter in every task, the same for all) or own (each contender's own wait)")
	flags.IntVar(&h.hogs, "hogs", 4, "busy goroutines in the latency suite's hogs row")
	flags.BoolVar(&h.full, "full", false, "the fairness suite with 20,000 tasks of the elephant, shares over 2 s, and 100,000 tenants with a limit")
	flags.IntVar(&h.gate.attempts, "attempts", 6, "how often a measurement is made at most when other programs disturb it")
	flags.IntVar(&h.buffer, "buffer", 1024, "queue bound of the contenders that have one")
	flags.StringVar(&plots, "plots", "", "draw what was measured by throughput, grain and latency into this directory, as SVG")
	flags.StringVar(&gates, "gates", "", "write how what was measured compares with the project's gates to this file, as Markdown")
	flags.StringVar(&claims, "claims", "", "write what the claims suite has measured to this file, as Markdown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	h.defaults(name == "all", quick, given)
	var err error
	if h.rows, err = regexp.Compile(rows); err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	if h.contenders, err = regexp.Compile(contenders); err != nil {
		return fmt.Errorf("-contenders: %w", err)
	}
	if h.rounds < 1 || h.divide < 1 || h.gate.attempts < 1 || h.buffer < 1 || h.hogs < 0 || flags.NArg() > 0 || count != "task" && count != "own" {
		return fmt.Errorf("bad arguments %q; see -help", args)
	}
	h.ownCount = count == "own"
	h.gate.off = h.divide > 10

	asked := strings.Split(name, ",")
	for _, a := range asked {
		if a != "all" && !slices.ContainsFunc(suites, func(s suite) bool { return s.name == a }) {
			return fmt.Errorf("no suite %q; there are %sand all", a, chosen)
		}
	}
	h.nsPerIter = calibrateSpin()
	header(h)
	h.runSuites(asked, progress)
	h.gate.report(out)
	if plots != "" {
		if err := drawCharts(plots, h.measured); err != nil {
			return err
		}
	}
	if gates != "" {
		if err := writeGates(h, gates); err != nil {
			return err
		}
	}
	if claims != "" {
		return writeClaims(h, claims)
	}
	return nil
}

// defaults fills in what the flags left open.
func (h *harness) defaults(all, quick bool, given map[string]bool) {
	rounds, divide := 7, 1
	switch {
	case quick:
		rounds, divide = 1, 20
	case all:
		rounds, divide = 3, 4
	}
	if !given["rounds"] {
		h.rounds = rounds
	}
	if !given["divide"] {
		h.divide = divide
	}
}

// runSuites measures the rows that were asked for.
func (h *harness) runSuites(asked []string, progress io.Writer) {
	type chosen struct {
		suite
		rows []row
	}
	var picked []chosen
	var all []row
	for _, s := range suites {
		if !slices.Contains(asked, "all") && !slices.Contains(asked, s.name) {
			continue
		}
		rows := slices.DeleteFunc(s.rows(h), func(w row) bool { return !h.rows.MatchString(w.name) })
		picked = append(picked, chosen{s, rows})
		all = append(all, rows...)
	}
	h.progress = newProgress(progress, all, h.rounds)
	for _, c := range picked {
		fmt.Fprintf(h.out, "\n# %s: %s\n", c.name, c.about)
		var done, group []*results
		for i, w := range c.rows {
			h.progress.row(w.name)
			r := h.interleave(w)
			r.print(h.out)
			done, group = append(done, r), append(group, r)
			if i+1 == len(c.rows) || c.rows[i+1].group != w.group {
				if w.group != "" && len(group) > 1 {
					printTable(h.out, summary(w.group, group, 0))
				}
				group = nil
			}
		}
		if c.after != nil {
			c.after(h, done)
		}
		h.measured = append(h.measured, done...)
	}
}

// dur is d, or the part of it that was asked for.
func (h *harness) dur(d time.Duration) time.Duration {
	return max(d/time.Duration(h.divide), min(d, time.Millisecond))
}

// num is n, or a part of it where the run is far too short for so many.
func (h *harness) num(n int) int {
	if h.divide <= 10 {
		return n
	}
	return max(n/h.divide, 1)
}
