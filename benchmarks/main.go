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
	"strings"
	"time"
)

// A harness is one run: its flags, and what was learnt about the machine.
type harness struct {
	rounds     int
	rows       *regexp.Regexp
	contenders *regexp.Regexp
	quick      bool
	ownCount   bool
	hogs       int
	buffer     int

	out, progress io.Writer

	nsPerIter float64 // of spin
	gate      gate
}

// A suite is one kind of measurement.
type suite struct {
	name, about string
	run         func(*harness) error
}

var suites = []suite{
	{"throughput", "ns per empty task, by producers, workers and GOMAXPROCS", throughput},
	{"grain", "parallel efficiency by task size, and METG", grain},
	{"latency", "delay from arrival to start: Poisson load, CPU hogs, trickle, blocking tasks", latency},
	{"startup", "time and bytes of a pool of 100,000 workers, and idle CPU", startup},
	{"buffer", "throughput of the pool by WithBuffer, next to the bytes", buffer},
	{"batch", "ns per task that is handed over with others, by producers and task size", batches},
	{"nested", "ns per empty task that is submitted from inside a task", nested},
	{"keyed", "ns per empty task with a key, by producers and number of keys", keyed},
	{"skew", "makespan of tasks of which a few take 10 or 100 times as long", skew},
	{"hotkey", "wait of other keys beside one whose queue never empties", hotkey},
	{"structured", "ns per unit of futures and loops, against pond, conc, and loops by hand", structured},
	{"forkjoin", "recursive programs: a tree, Fibonacci numbers, merge sort, a walk over directories", forkJoin},
	{"elastic", "parallel efficiency of goroutines on demand, with and without weights", elastic},
	{"idle", "CPU time of idle pools by strategy, and 100,000 lazy pools", idle},
	{"panics", "cost of the pool with and without a panic handler", panics},
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	h := &harness{out: out, progress: progress}
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	var name, rows, contenders, count string
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&name, "suite", "throughput", "what to measure: "+strings.Join(names, ", ")+", or all")
	flags.IntVar(&h.rounds, "rounds", 7, "rounds; every contender is measured once in each")
	flags.StringVar(&rows, "rows", "", "measure only the rows that match this regular expression")
	flags.StringVar(&contenders, "contenders", "", "measure only the contenders that match; ratios need the suite's baseline among them")
	flags.BoolVar(&h.quick, "quick", false, "tiny sizes, to see that everything works; the figures mean nothing")
	flags.StringVar(&count, "count", "task", "how completion is seen: task (a counter in every task, the same for all) or own (each contender's own wait)")
	flags.IntVar(&h.hogs, "hogs", 4, "busy goroutines in the latency suite's hogs row")
	flags.IntVar(&h.buffer, "buffer", 1024, "queue bound of the contenders that have one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if h.rows, err = regexp.Compile(rows); err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	if h.contenders, err = regexp.Compile(contenders); err != nil {
		return fmt.Errorf("-contenders: %w", err)
	}
	if h.rounds < 1 || h.buffer < 1 || h.hogs < 0 || flags.NArg() > 0 || count != "task" && count != "own" {
		return fmt.Errorf("bad arguments %q; see -help", args)
	}
	h.ownCount = count == "own"
	h.gate.off = h.quick

	matched := false
	for _, s := range suites {
		if name != "all" && name != s.name {
			continue
		}
		if !matched {
			matched = true
			h.nsPerIter = calibrateSpin()
			header(h)
		}
		fmt.Fprintf(out, "\n# %s: %s\n", s.name, s.about)
		if err := s.run(h); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if !matched {
		return fmt.Errorf("no suite %q; there are %s", name, strings.Join(names, ", "))
	}
	h.gate.report(out)
	return nil
}

// wants reports whether the row was asked for.
func (h *harness) wants(row string) bool { return h.rows.MatchString(row) }

// dur is d, or a sliver of it under -quick.
func (h *harness) dur(d time.Duration) time.Duration {
	if h.quick {
		return max(d/100, time.Millisecond)
	}
	return d
}

// num is n, or a sliver of it under -quick.
func (h *harness) num(n int) int {
	if h.quick {
		return max(n/100, 1)
	}
	return n
}
