package pool

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// D9: after a shrink nothing starts until fewer than the new number run, and the
// other workers go.
func TestShrinkUnderLoad(t *testing.T) {
	for _, buffer := range buffers {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(64), WithBuffer(buffer))
			start := time.Now()
			var g gauge
			for i := range 64 {
				must(t, p.Submit(bg, sleep(time.Duration(i+1)*time.Second)))
				synctest.Wait()
			}
			var blocked sync.WaitGroup
			for range 10 {
				blocked.Go(func() {
					must(t, p.Submit(bg, func(context.Context) error {
						if d := time.Since(start); d < 64*time.Second {
							t.Errorf("started after %v", d)
						}
						g.enter()
						defer g.leave()
						time.Sleep(time.Second)
						return nil
					}))
				})
			}
			synctest.Wait()
			must(t, p.Resize(1))
			if s := p.Stats(); s.Workers != 1 || s.Running != 64 {
				t.Fatalf("got %+v", s)
			}
			blocked.Wait()
			must(t, p.Wait(bg))
			synctest.Wait()
			if s := p.Stats(); s.Goroutines > 1 || g.max.Load() != 1 {
				t.Fatalf("%d ran at a time, %+v", g.max.Load(), s)
			}
			if d := time.Since(start); d != 74*time.Second {
				t.Fatalf("took %v", d)
			}
			must(t, p.Close())
		})
	}
}

// P7: after a grow everybody who fits starts at once.
func TestGrow(t *testing.T) {
	for _, buffer := range buffers {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithBuffer(buffer))
			g := make(gate)
			for range 20 {
				go p.Submit(bg, g.task)
			}
			synctest.Wait()
			for _, n := range []int{5, 12, 20} {
				must(t, p.Resize(n))
				synctest.Wait()
				if s := p.Stats(); s.Running != uint64(n) {
					t.Fatalf("buffer %d: %d run after Resize(%d)", buffer, s.Running, n)
				}
			}
			close(g)
			must(t, p.Wait(bg))
			must(t, p.Resize(2)) // parked workers leave at once
			synctest.Wait()
			if s := p.Stats(); s.Goroutines > 2 {
				t.Fatalf("got %+v", s)
			}
			must(t, p.Close())
		})
	}
}

// D11: the same size is no change; a bad one is an error that changes nothing.
func TestResizeArguments(t *testing.T) {
	p := mustNew(t, WithWorkers(3))
	must(t, p.Resize(3))
	for _, n := range []int{0, -1, maxWorkers + 1} {
		if p.Resize(n) == nil {
			t.Errorf("Resize(%d): no error", n)
		}
	}
	if n := p.Stats().Workers; n != 3 {
		t.Fatalf("%d workers", n)
	}
	must(t, p.Close())
}

// D12: a task may resize its own pool, and wait for children then.
func TestResizeInside(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		for _, n := range []int{1, 8, 2} {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				if err := p.Resize(n); err != nil {
					return err
				}
				g := NewGroup(ctx, p)
				for range 10 {
					g.Go(sleep(time.Second))
				}
				return g.Wait()
			}))
			must(t, p.Wait(bg))
			if got := p.Stats().Workers; got != n {
				t.Fatalf("%d workers, want %d", got, n)
			}
		}
		must(t, p.Close())
	})
}

// D10: random resizing under load loses nothing and ends with the right number.
func TestStressResize(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(4), WithBuffer(buffers[round%len(buffers)]))
			var r record
			var g gauge
			var wg sync.WaitGroup
			for s := range 3 {
				wg.Go(func() {
					for i := range 50 {
						must(t, p.Submit(bg, func(context.Context) error {
							g.enter()
							defer g.leave()
							r.add(i)
							time.Sleep(time.Duration((i*7+s*3+round)%5) * time.Millisecond)
							return nil
						}))
					}
				})
			}
			for i := range 30 {
				must(t, p.Resize(1+(i*5+round)%9))
				time.Sleep(time.Millisecond)
			}
			wg.Wait()
			must(t, p.Resize(2))
			must(t, p.Wait(bg))
			synctest.Wait()
			if n := len(r.get()); n != 150 || g.max.Load() > 9 {
				t.Fatalf("%d ran, %d at a time", n, g.max.Load())
			}
			if s := p.Stats(); s.Goroutines > 2 {
				t.Fatalf("got %+v", s)
			}
			checkGate(t, p)
			must(t, p.Close())
		})
	}
}

// checkGate checks, at rest, that there is a token for each idle place.
func checkGate(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.idle.Load(); g.Idle() < p.target || g.Searching() > 0 || p.parked.Len != p.live {
		t.Fatalf("%d idle, %d searching, with %d places, %d parked of %d",
			g.Idle(), g.Searching(), p.target, p.parked.Len, p.live)
	}
}
