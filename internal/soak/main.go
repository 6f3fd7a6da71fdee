// Soak puts pools under random load for a given time, and checks that nothing is lost:
//
//	go run ./internal/soak -for 10m
//
// It makes one pool after the other, each with random options. A pool lives for about 50 ms to 1.5
// s, under several producers that use every way of submitting. Their tasks fail, panic, call
// runtime.Goexit, wait, and submit others, while the pool is resized, GOMAXPROCS changes, and
// contexts end. Then the pool is ended, in one of the possible ways. After each life Soak checks
// what the pool promises:
//
//   - each accepted task ran, was handed back or was dropped, once; others never ran;
//   - no more tasks ran at a time, and no more weight, than the limit at that time;
//   - tasks with equal keys did not overlap, and started in the order of acceptance;
//   - after Close nothing ran, no goroutine is left, and submissions are rejected;
//   - the counters never went down, and add up;
//   - what tasks referred to is garbage when they have ended.
//
// Life n has the given seed plus n. Its options follow from that and, as far as the scheduler lets
// them, its load. A failure prints the seed, with which the life can be repeated as the first one.
//
// The exit status is 0 if nothing was lost, 1 if a check failed, 2 if nothing moved for the time of
// -stall, and 3 for bad flags.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusStuck  = 2
	statusUsage  = 3
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

var strategies = []pool.Strategy{pool.Shared, pool.PerWorker, pool.WorkStealing, pool.Elastic}

// settings is what the command line says.
type settings struct {
	length     time.Duration
	strategies []pool.Strategy
	seed       uint64
	gogc       int
	procs      bool
	stall      time.Duration
}

// parse reads the command line.
func parse(args []string, errOut io.Writer) (settings, error) {
	var s settings
	var name string
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.DurationVar(&s.length, "for", time.Minute, "how long to run")
	flags.StringVar(&name, "strategy", "all", "Shared, PerWorker, WorkStealing, Elastic, or all, which share the time")
	flags.Uint64Var(&s.seed, "seed", 1, "seed of the first life; the next one has the next number")
	flags.IntVar(&s.gogc, "gogc", 1, "GOGC while it runs")
	flags.BoolVar(&s.procs, "procs", true, "change GOMAXPROCS between 1, 2, 4 and 8 while it runs")
	flags.DurationVar(&s.stall, "stall", 20*time.Second, "give up when nothing has moved for so long")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	for _, st := range strategies {
		if name == "all" || strings.EqualFold(name, st.String()) {
			s.strategies = append(s.strategies, st)
		}
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("takes no arguments, got %q", flags.Args())
	case len(s.strategies) == 0:
		err = fmt.Errorf("-strategy: unknown strategy, got %q", name)
	case s.length <= 0:
		err = fmt.Errorf("-for must be positive, got %v", s.length)
	case s.stall <= 0:
		err = fmt.Errorf("-stall must be positive, got %v", s.stall)
	}
	if err != nil {
		fmt.Fprintln(errOut, "soak:", err)
	}
	return s, err
}

// run is main without the process around it. A failure ends the process all the same.
func run(args []string, out, errOut io.Writer) int {
	s, err := parse(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage
	}
	defer debug.SetGCPercent(debug.SetGCPercent(s.gogc))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	k := &soak{settings: s, errOut: errOut, exit: os.Exit}
	end := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { k.watch(end) })
	if s.procs {
		helpers.Go(func() { changeProcs(end, s.seed) })
	}
	fmt.Fprintf(out, "soak: %v, seed %d, GOGC %d, %s\n", s.length, s.seed, s.gogc, runtime.Version())
	for _, st := range s.strategies {
		k.lives(st, s.length/time.Duration(len(s.strategies)), out)
	}
	close(end)
	helpers.Wait()
	fmt.Fprintf(out, "heap after a forced collection: %d KiB at first, %d KiB at the end\n", k.heapFirst>>10, k.heapLast>>10)
	fmt.Fprintln(out, "nothing lost")
	return statusOK
}

// soak is one run of the program.
type soak struct {
	settings
	errOut io.Writer
	exit   func(int)

	moved   atomic.Uint64 // changes with everything that happens
	current atomic.Pointer[life]
	failing sync.Mutex

	heapFirst, heapLast uint64
}

// lives runs one pool after the other for the time d, and at least one.
func (k *soak) lives(st pool.Strategy, d time.Duration, out io.Writer) {
	t := new(tally)
	for begin := time.Now(); t.lives.Load() == 0 || time.Since(begin) < d; k.seed++ {
		newLife(k, t, st, k.seed).run()
		if n := t.lives.Add(1); n == 1 || n%heapEvery == 0 {
			k.weighHeap()
		}
	}
	k.weighHeap()
	t.print(out, st)
}

// heapEvery is after how many lives the heap is looked at.
const heapEvery = 10

// heapFloor is what the heap may be in any case, apart from doubling.
const heapFloor = 4 << 20

// weighHeap checks that the heap does not grow from life to life.
func (k *soak) weighHeap() {
	runtime.GC()
	runtime.GC() // what was in a sync.Pool too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if k.heapLast = m.HeapAlloc; k.heapFirst == 0 {
		k.heapFirst = m.HeapAlloc
	}
	if k.heapLast > 2*max(k.heapFirst, heapFloor) {
		k.failed(fmt.Sprintf("the heap grows: %d KiB after a forced collection, %d KiB at first", k.heapLast>>10, k.heapFirst>>10))
	}
}

// failed reports what is wrong with the current life, and ends the process.
func (k *soak) failed(what string) {
	k.failing.Lock() // for ever: the first failure counts
	fmt.Fprintf(k.errOut, "soak: FAILED: %s\n%s\n", what, k.describe())
	k.exit(statusFailed)
}

// describe says what the current life is.
func (k *soak) describe() string {
	l := k.current.Load()
	if l == nil {
		return "before the first life"
	}
	stats := make(chan string, 1)
	go func() { stats <- fmt.Sprintf("%+v", l.p.Stats()) }()
	counters := "Stats does not return"
	select {
	case counters = <-stats:
	case <-time.After(time.Second):
	}
	return fmt.Sprintf("repeat with: -strategy %v -seed %d\nlife: %v\nstage: %v\nstats: %s", l.strategy, l.seed, l.plan, l.stage.Load(), counters)
}

// watch ends the process when nothing has moved for too long.
func (k *soak) watch(end <-chan struct{}) {
	const looks = 20
	tick := time.NewTicker(k.stall / looks)
	defer tick.Stop()
	var last uint64
	for still := 0; ; {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		if now := k.moved.Load(); now != last {
			last, still = now, 0
			continue
		}
		if still++; still == looks {
			stacks := make([]byte, 16<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			k.failing.Lock()
			fmt.Fprintf(k.errOut, "%s\nsoak: STUCK: nothing has moved for %v\n%s\n", stacks, k.stall, k.describe())
			k.exit(statusStuck)
		}
	}
}

// changeProcs changes GOMAXPROCS now and then.
func changeProcs(end <-chan struct{}, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	for {
		select {
		case <-end:
			return
		case <-time.After(time.Duration(5+r.IntN(100)) * time.Millisecond):
			runtime.GOMAXPROCS(1 << r.IntN(4))
		}
	}
}
