package migration

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	"github.com/sourcegraph/conc/iter"
	concpool "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// TestLimits runs eight tasks of an hour. How many hours they take tells how many run at a time.
func TestLimits(t *testing.T) {
	// groups are two in one pool, which get the tasks in turn.
	groups := func(t *testing.T, workers, limit int) (func(i int), func()) {
		p := newPool(t, pool.WithWorkers(workers))
		g := []*pool.Group{pool.NewGroup(bg, p), pool.NewGroup(bg, p)}
		g[0].SetLimit(limit)
		g[1].SetLimit(limit)
		return func(i int) { g[i%2].Go(hour) }, func() {
			wantIs(t, "first Group", g[0].Wait(), nil)
			wantIs(t, "second Group", g[1].Wait(), nil)
		}
	}
	none := func(int) {}
	for name, c := range map[string]struct {
		hours int
		start func(t *testing.T) (submit func(i int), wait func())
	}{
		"two errgroups of 4": {1, func(t *testing.T) (func(int), func()) {
			var g [2]errgroup.Group
			g[0].SetLimit(4)
			g[1].SetLimit(4)
			return func(i int) { g[i%2].Go(func() error { return hour(bg) }) }, func() {
				wantIs(t, "first errgroup", g[0].Wait(), nil)
				wantIs(t, "second errgroup", g[1].Wait(), nil)
			}
		}},
		"two Groups in a pool of 4":      {2, func(t *testing.T) (func(int), func()) { return groups(t, 4, -1) }},
		"two Groups of 2 in a pool of 4": {2, func(t *testing.T) (func(int), func()) { return groups(t, 4, 2) }},
		"two Groups of 1 in a pool of 4": {4, func(t *testing.T) (func(int), func()) { return groups(t, 4, 1) }},
		"pond, subpool of 2 in a pool of 4": {4, func(*testing.T) (func(int), func()) {
			g := pond.NewPool(4).NewSubpool(2).NewGroup()
			return func(int) { g.SubmitErr(func() error { return hour(bg) }) }, func() { _ = g.Wait() }
		}},
		"conc": {1, func(*testing.T) (func(int), func()) {
			p := concpool.New()
			return func(int) { p.Go(func() { _ = hour(bg) }) }, p.Wait
		}},
		"iter, three times GOMAXPROCS": {3, func(*testing.T) (func(int), func()) {
			return none, func() { iter.ForEach(make([]int, 3*runtime.GOMAXPROCS(0)), func(*int) { _ = hour(bg) }) }
		}},
		"ForEach in a pool of 4": {2, func(t *testing.T) (func(int), func()) {
			p := newPool(t)
			return none, func() {
				err := pool.ForEach(bg, p, slices.Values(make([]int, 8)), func(ctx context.Context, _ int) error { return hour(ctx) })
				wantIs(t, "ForEach", err, nil)
			}
		}},
		"ants, Tune(4)": {2, func(t *testing.T) (func(int), func()) {
			a := newAnts(t, 1)
			a.Tune(0) // is not reported
			a.Tune(4)
			var done sync.WaitGroup
			return func(int) {
				done.Add(1)
				wantIs(t, "ants", a.Submit(func() { _ = hour(bg); done.Done() }), nil)
			}, done.Wait
		}},
		"Resize(4)": {2, func(t *testing.T) (func(int), func()) {
			p := newPool(t, pool.WithWorkers(1))
			if p.Resize(0) == nil {
				t.Error("Resize(0): no error")
			}
			wantIs(t, "Resize", p.Resize(4), nil)
			return func(int) { wantIs(t, "pool", p.Submit(bg, hour), nil) }, func() { wantIs(t, "Close", p.Close(), nil) }
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			begun := time.Now()
			submit, wait := c.start(t)
			for i := range 8 {
				submit(i)
			}
			wait()
			if d := time.Since(begun); d != time.Duration(c.hours)*time.Hour {
				t.Errorf("took %v, want %d h", d, c.hours)
			}
		})
	}
}

// TestIdleWorkers is of when a worker ends that has nothing to do.
func TestIdleWorkers(t *testing.T) {
	const never = 1000 * time.Hour
	theirs := func(opts ...ants.Option) func(t *testing.T) (func(), func() int) {
		return func(t *testing.T) (func(), func() int) {
			a := newAnts(t, 1, opts...)
			return func() { wantIs(t, "ants", a.Submit(func() {}), nil) }, a.Running
		}
	}
	ours := func(opts ...pool.Option) func(t *testing.T) (func(), func() int) {
		return func(t *testing.T) (func(), func() int) {
			p := newPool(t, opts...)
			return func() { wantIs(t, "pool", p.Submit(bg, func(context.Context) error { return nil }), nil) },
				func() int { return p.Stats().Goroutines }
		}
	}
	for name, c := range map[string]struct {
		idle time.Duration
		make func(t *testing.T) (submit func(), workers func() int)
	}{
		"ants":                     {time.Second, theirs()},
		"ants, WithExpiryDuration": {time.Minute, theirs(ants.WithExpiryDuration(time.Minute))},
		"pond": {0, func(t *testing.T) (func(), func() int) {
			p := pond.NewPool(1)
			return func() { wantIs(t, "pond", p.Go(func() {}), nil) }, func() int { return int(p.RunningWorkers()) }
		}},
		"pool":     {never, ours()},
		"WithLazy": {time.Minute, ours(pool.WithLazy(time.Minute))},
		"Elastic":  {0, ours(pool.WithStrategy(pool.Elastic))},
	} {
		bubble(t, name, func(t *testing.T) {
			submit, workers := c.make(t)
			submit()
			if c.idle > 0 {
				time.Sleep(c.idle - 1)
				if n := workers(); n != 1 {
					t.Errorf("%d workers before %v, want 1", n, c.idle)
				}
			}
			time.Sleep(c.idle + 1)
			synctest.Wait()
			if n := workers(); n != 0 && c.idle != never {
				t.Errorf("%d workers after %v, want none", n, c.idle)
			}
		})
	}
}

// TestGoroutinesAtRest counts the goroutines that pools have started from this one, and on import.
func TestGoroutinesAtRest(t *testing.T) {
	created := func(name, by string) int {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		re := regexp.MustCompile(`created by github\.com/` + name + `\.\S+ in goroutine ` + by + `\n`)
		return len(re.FindAll(stacks, -1))
	}
	stack := make([]byte, 64)
	runtime.Stack(stack, false)
	var me string
	if _, err := fmt.Sscanf(string(stack), "goroutine %s ", &me); err != nil {
		t.Fatal(err)
	}

	newAnts(t, 1)
	if n, other := created("panjf2000/ants/v2", me), created("panjf2000/ants/v2", "1"); n != 2 || other != 2 {
		t.Errorf("ants: %d goroutines, and %d on import, want 2 and 2", n, other)
	}
	p := newPool(t)
	before := created("headrace-go/pool", me)
	wantIs(t, "Submit", p.Submit(bg, func(context.Context) error { return nil }), nil)
	wantIs(t, "Wait", p.Wait(bg), nil)
	if after := created("headrace-go/pool", me); before != 0 || after != 1 {
		t.Errorf("pool: %d goroutines, and %d with a worker, want 0 and 1", before, after)
	}
}
