package pool

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"
)

// G1, G2, P12: nothing of a task is kept after its end, whatever that is, while
// the pool lives on.
func TestNothingIsRetained(t *testing.T) {
	type big [1 << 16]byte
	// closure returns a task that holds memory and counts when that is freed.
	closure := func(freed *atomic.Int64, body func(context.Context) error) Task {
		b := new(big)
		runtime.AddCleanup(b, func(n *atomic.Int64) { n.Add(1) }, freed)
		return func(ctx context.Context) error { b[0]++; return body(ctx) }
	}
	ok := func(context.Context) error { return nil }
	cases := map[string]func(p *Pool, freed *atomic.Int64) int{
		"ran": func(p *Pool, freed *atomic.Int64) int {
			for range 100 {
				_ = p.Submit(bg, closure(freed, ok))
			}
			return 100
		},
		"panicked": func(p *Pool, freed *atomic.Int64) int {
			_ = p.Submit(bg, closure(freed, func(context.Context) error { panic("bad") }))
			return 1
		},
		"goexited": func(p *Pool, freed *atomic.Int64) int {
			_ = p.Submit(bg, closure(freed, func(context.Context) error { runtime.Goexit(); return nil }))
			return 1
		},
		"batch": func(p *Pool, freed *atomic.Int64) int {
			_, _ = p.SubmitBatch(bg, []Task{closure(freed, ok), closure(freed, ok), closure(freed, ok)})
			return 3
		},
		"group": func(p *Pool, freed *atomic.Int64) int {
			g := NewGroup(bg, p)
			g.SetErrorMode(KeepGoing)
			for i := range 10 {
				g.Go(closure(freed, func(ctx context.Context) error {
					in := NewGroup(ctx, p)
					in.Go(func(context.Context) error { return nil })
					if i == 5 {
						panic("bad")
					}
					return in.Wait()
				}))
			}
			_ = g.Wait()
			return 10
		},
		"future": func(p *Pool, freed *atomic.Int64) int {
			task := closure(freed, ok)
			u := Go(bg, p, func(ctx context.Context) (int, error) { return 0, task(ctx) })
			_, _ = u.Wait(bg)
			runtime.KeepAlive(u)
			return 1
		},
		"loop": func(p *Pool, freed *atomic.Int64) int {
			for range Map(bg, p, upTo(100), func(ctx context.Context, i int) (*big, error) {
				return nil, closure(freed, ok)(ctx)
			}) {
			}
			return 100
		},
		"refused": func(p *Pool, freed *atomic.Int64) int {
			g := make(gate)
			for p.TrySubmit(g.task) == nil {
			}
			_ = p.TrySubmit(closure(freed, ok))
			ctx, cancel := context.WithTimeout(bg, time.Millisecond)
			defer cancel()
			_ = p.Submit(ctx, closure(freed, ok))
			close(g)
			return 2
		},
	}
	for what, f := range cases {
		for _, buffer := range buffers {
			t.Run(name("task", what, "buffer", buffer), func(t *testing.T) {
				p := mustNew(t, WithWorkers(2), WithBuffer(buffer), WithPanicHandler(func(*PanicError) {}))
				var freed atomic.Int64
				want := f(p, &freed)
				must(t, p.Wait(bg))
				collect(t, &freed, want)
				_ = p.Close()
				runtime.KeepAlive(p)
			})
		}
	}
	t.Run("typed batch", func(t *testing.T) {
		var freed atomic.Int64
		p, err := NewTypedBatch(func(context.Context, []*big) error { return nil }, WithStrategy(strategy), WithWorkers(2))
		must(t, err)
		for range 50 {
			b := new(big)
			runtime.AddCleanup(b, func(n *atomic.Int64) { n.Add(1) }, &freed)
			must(t, p.Submit(bg, b))
		}
		must(t, p.Wait(bg))
		collect(t, &freed, 50)
		must(t, p.Close())
		runtime.KeepAlive(p)
	})
	t.Run("handed back", func(t *testing.T) {
		var freed atomic.Int64
		p := mustNew(t, WithWorkers(1))
		g := make(gate)
		_ = p.Submit(bg, g.task)
		for range 50 {
			_ = p.Submit(bg, closure(&freed, ok))
		}
		p.Abort()
		close(g)
		<-p.Done()
		p.Leftover()
		collect(t, &freed, 50)
		runtime.KeepAlive(p)
	})
	t.Run("dropped", func(t *testing.T) {
		var freed atomic.Int64
		p := mustNew(t, WithWorkers(1), WithBuffer(2), WithOverflow(DropOldest))
		g := make(gate)
		_ = p.Submit(bg, g.task)
		for range 50 {
			_ = p.Submit(bg, closure(&freed, ok))
		}
		collect(t, &freed, 47) // up to two wait and one may have been taken early
		close(g)
		must(t, p.Close())
	})
}

// collect runs the garbage collector until at least want cleanups have run, and
// fails when that many cycles were not enough.
func collect(t *testing.T, freed *atomic.Int64, want int) {
	t.Helper()
	for range 200 {
		if freed.Load() >= int64(want) {
			return
		}
		runtime.GC()
		runtime.Gosched()
	}
	t.Fatalf("%d of %d were freed", freed.Load(), want)
}

// G6: the heap is the same after a million tasks and after ten.
func TestHeapDoesNotGrow(t *testing.T) {
	n := 1_000_000
	switch {
	case testing.Short() && raceBuild:
		n = 15_000
	case testing.Short():
		n = 50_000
	}
	p := mustNew(t, WithWorkers(2))
	task := Task(func(context.Context) error { return nil })
	heap := func() uint64 {
		for range n {
			_ = p.Submit(bg, task)
		}
		must(t, p.Wait(bg))
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, after := heap(), uint64(0)
	for range 9 {
		after = heap()
	}
	if after > before+64<<10 {
		t.Fatalf("heap grew from %d to %d bytes", before, after)
	}
	must(t, p.Close())
}

// New of 100,000 workers costs a queue, not workers.
func TestLargePoolIsCheap(t *testing.T) {
	if raceBuild {
		t.Skip("the race build allocates on its own account")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := mustNew(t, WithWorkers(100_000))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Fatalf("%d bytes", n)
	}
	must(t, p.Close())
}

// A group whose Wait is never called, since its maker was ended by Goexit, keeps its parent context
// until the pool ends, though that has ended.
func TestNothingKeptOfAGroupThatNobodyWaitsFor(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	defer p.Close()
	type key struct{}
	made := make(chan weak.Pointer[[64]byte], 1)
	must(t, p.Submit(bg, func(ctx context.Context) error {
		v := new([64]byte)
		made <- weak.Make(v)
		ctx, cancel := context.WithCancel(context.WithValue(ctx, key{}, v))
		defer cancel()
		g := NewGroup(ctx, p)
		_ = g.Context()
		runtime.Goexit()
		return nil
	}))
	must(t, p.Wait(bg))
	wantCollected(t, <-made)
}

// Wait that ends by the Goexit of a task which it runs leaves the group's context registered with
// the pool, and so keeps its parent until the pool ends.
func TestNothingKeptOfAGroupWhoseWaitEndsByGoexit(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	defer p.Close()
	type key struct{}
	made := make(chan weak.Pointer[[64]byte], 1)
	must(t, p.Submit(bg, func(ctx context.Context) error {
		v := new([64]byte)
		made <- weak.Make(v)
		ctx, cancel := context.WithCancel(context.WithValue(ctx, key{}, v))
		defer cancel()
		g := NewGroup(ctx, p)
		g.SetErrorMode(KeepGoing)
		g.Go(func(ctx context.Context) error { _ = ctx.Done(); runtime.Goexit(); return nil })
		return g.Wait() // runs it here
	}))
	must(t, p.Wait(bg))
	wantCollected(t, <-made)
}

// wantCollected fails if what w points to is not garbage soon.
func wantCollected[V any](t *testing.T, w weak.Pointer[V]) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); w.Value() != nil; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it is still alive")
		}
		runtime.GC()
	}
}
