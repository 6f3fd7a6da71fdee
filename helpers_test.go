package pool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var bg = context.Background()

// mustNew makes a pool and, in a bubble, checks at the end that it leaves nothing.
func mustNew(t testing.TB, opts ...Option) *Pool {
	t.Helper()
	p, err := New(append([]Option{WithStrategy(strategy)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

// gate holds tasks until it is opened.
type gate chan struct{}

func (g gate) task(context.Context) error { <-g; return nil }

// sleep is a task that takes d of virtual time and ignores its context.
func sleep(d time.Duration) Task {
	return func(context.Context) error { time.Sleep(d); return nil }
}

// gauge measures how many are inside at a time.
type gauge struct{ now, max atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for {
		m := g.max.Load()
		if n <= m || g.max.CompareAndSwap(m, n) {
			return
		}
	}
}
func (g *gauge) leave() { g.now.Add(-1) }

// record collects values in the order in which tasks add them.
type record struct {
	mu   sync.Mutex
	vals []int
}

func (r *record) task(v int) Task {
	return func(context.Context) error { r.add(v); return nil }
}

func (r *record) add(v int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vals = append(r.vals, v)
}

func (r *record) get() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]int(nil), r.vals...)
}

// checkRest checks the identity of the counters at rest (H2).
func checkRest(t testing.TB, s Stats) {
	t.Helper()
	if s.Queued != 0 || s.Running != 0 {
		t.Fatalf("not at rest: %+v", s)
	}
	if sum := s.Completed + s.Failed + s.Panicked + s.Goexited + s.Skipped + s.Dropped + s.Unrun; sum != s.Accepted {
		t.Fatalf("counters do not add up: %+v", s)
	}
}

// counters returns s without what was measured.
func counters(s Stats) Stats {
	s.Closed, s.Started, s.Uptime = false, time.Time{}, 0
	s.Room, s.Wait, s.Run = Histogram{}, Histogram{}, Histogram{}
	s.Reject = RejectStats{}
	s.Busy, s.Longest, s.LongestKey = 0, 0, 0
	s.Strategy, s.Starts, s.First, s.Linger = 0, 0, Histogram{}, 0
	s.Capacity, s.Units, s.Heavy = 0, 0, false
	return s
}

// buffers are the queue sizes that tests run with: hand-over, one, odd, and more.
var buffers = []int{0, 1, 3, 64}

// bubbles runs f in a bubble for each number of workers and queue size.
func bubbles(t *testing.T, f func(t *testing.T, workers, buffer int)) {
	for _, workers := range []int{1, 2, 5} {
		for _, buffer := range buffers {
			t.Run(name("workers", workers, "buffer", buffer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { f(t, workers, buffer) })
			})
		}
	}
}

// strategy is what mustNew makes pools with. All tests run once for each, so that a
// strategy inherits every test; those that look at what only some strategies do
// say so with only.
var strategy = Shared

var strategies = []Strategy{Shared, PerWorker, WorkStealing, Elastic}

func TestMain(m *testing.M) {
	only := flag.String("strategy", "", "run the tests under this strategy alone")
	flag.Parse()
	if *only != "" {
		i := slices.IndexFunc(strategies, func(s Strategy) bool { return s.String() == *only })
		if i < 0 {
			fmt.Printf("-strategy %s: there are %v\n", *only, strategies)
			os.Exit(2)
		}
		strategy = strategies[i]
		os.Exit(m.Run())
	}
	code := again(m).Run()
	for _, once := range []string{"bench", "fuzz", "list"} {
		if flag.Lookup("test."+once).Value.String() != "" {
			os.Exit(code)
		}
	}
	for _, strategy = range strategies[1:] {
		fmt.Printf("strategy %v\n", strategy)
		code = max(code, again(m).Run())
	}
	os.Exit(code)
}

// again returns a copy of m: each writes the coverage profile once, of all that ran
// until then, so the last strategy's is that of all.
func again(m *testing.M) *testing.M {
	c := reflect.New(reflect.TypeFor[testing.M]())
	c.Elem().Set(reflect.ValueOf(m).Elem())
	return c.Interface().(*testing.M)
}

// only skips the test under other strategies.
func only(t testing.TB, ss ...Strategy) {
	if !slices.Contains(ss, strategy) {
		t.Skipf("not for strategy %v", strategy)
	}
}

// noContext is nil.
var noContext context.Context

// watchdog ends the test binary with all stacks if what has not ended after 20 s of real time. It is
// for programs that may go round in circles, which a bubble takes for being alive. The caller calls
// what it returns at the end. It has to be called outside of a bubble.
func watchdog(what string) (end func()) {
	t := time.AfterFunc(20*time.Second, func() {
		debug.SetTraceback("all")
		panic(what + " has not ended after 20 s")
	})
	return func() { t.Stop() }
}

// goroutineID returns what tells the calling goroutine from others.
func goroutineID() string {
	buf := make([]byte, 64)
	id, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), " [")
	return id
}
