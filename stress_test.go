package pool

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Stress of windows of a few instructions, best with the build tag seams. They run in
// bubbles, in which a wake-up that is lost is a deadlock, and found at once.

// A value is left behind when the last runner leaves while it is handed over, a loop
// returns while something of it is still on its way, or a result is counted late.
func TestStressLoops(t *testing.T) {
	for round := range rounds(1000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1+round%3), WithBuffer([]int{1, 64, 0, 2}[round%4]))
			done := make(chan struct{})
			stop := sync.OnceFunc(func() { close(done) })
			defer stop() // also if the test fails
			var others sync.WaitGroup
			others.Go(func() { // so that runners find no room, and give way
				for round%2 == 0 {
					select {
					case <-done:
						return
					default:
						must(t, p.Submit(bg, func(context.Context) error { runtime.Gosched(); return nil }))
					}
				}
			})
			var at gauge
			f := func(_ context.Context, v int) (int, error) {
				at.enter()
				for range v % 3 {
					runtime.Gosched()
				}
				at.leave()
				return v, nil
			}
			slowly := func(yield func(int) bool) {
				for i := range 40 {
					for range i % 4 {
						runtime.Gosched()
					}
					if !yield(i) {
						return
					}
				}
			}
			var sum atomic.Int64
			must(t, ForEach(bg, p, slowly, func(ctx context.Context, v int) error {
				_, _ = f(ctx, v)
				sum.Add(int64(v))
				return nil
			}))
			next := 0
			for v, err := range Map(bg, p, slowly, f) {
				if must(t, err); v != next {
					t.Fatalf("result %d is %d", next, v)
				}
				next++
			}
			for v, err := range MapUnordered(bg, p, slowly, f) {
				must(t, err)
				sum.Add(int64(v))
			}
			err := ForEach(bg, p, slowly, func(_ context.Context, v int) error {
				if v == 20 {
					return errTest
				}
				return nil
			})
			if wantIs(t, err, errTest); waitsForTurn() {
				t.Fatal("a runner of a loop waits for room after its end")
			}
			if next != 40 || sum.Load() != 2*40*39/2 || at.now.Load() != 0 {
				t.Fatalf("%d results, sum %d, %d run", next, sum.Load(), at.now.Load())
			}
			stop()
			others.Wait()
			must(t, p.Close())
		})
	}
}

// A loop gets its larger ring while a result that was yielded is not counted yet, which its runner may still
// be putting into the old one.
func TestStressLoopWidens(t *testing.T) {
	widened := 0
	for range rounds(800) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2))
			l := newLoop(bg, p, sinkOrdered, func(_ context.Context, v int) (int, error) { return v, nil })
			must(t, l.results(upTo(300), func(int, error) bool { return true }))
			if l.size == l.fullSize() {
				widened++
			}
			if l.finished.Load() != l.added {
				t.Fatalf("%d of %d values are finished", l.finished.Load(), l.added)
			}
			must(t, p.Close())
		})
	}
	if widened == 0 {
		t.Error("no loop got its larger ring")
	}
}

// waitsForTurn reports whether a goroutine waits to put a runner back into a queue.
func waitsForTurn() bool {
	buf := make([]byte, 1<<16)
	for _, stack := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n")) { // one that has waited may be about to end
		if bytes.Contains(stack, []byte(".again.func")) && bytes.Contains(stack, []byte(".waitForRoom(")) {
			return true
		}
	}
	return false
}

// A task stays in a batcher, or in a queue with room, while a worker is idle and nobody moves it.
func TestStressBatchers(t *testing.T) {
	for round := range rounds(4000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1+round%2), WithBuffer(1+round%5), WithBatch(1+round%4))
			var ran atomic.Int64
			task := func(context.Context) error { ran.Add(1); return nil }
			var producers sync.WaitGroup
			for range 2 {
				b := p.Batcher()
				producers.Go(func() {
					for i := range 30 {
						must(t, b.Add(bg, task))
						if i%7 == 0 {
							must(t, p.Submit(bg, task))
						}
					}
				})
			}
			producers.Wait()
			synctest.Wait()
			if n := ran.Load(); n != 2*(30+5) {
				t.Fatalf("round %d: %d ran at rest: %+v", round, n, p.Stats())
			}
			must(t, p.Close())
		})
	}
}

// A future ends while somebody begins to wait for it, in a task and outside, or is begun twice.
func TestStressFutures(t *testing.T) {
	for round := range rounds(4000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1+round%3), WithBuffer(1+round%3))
			var ran atomic.Int64
			one := func(context.Context) (int, error) { ran.Add(1); return 1, nil }
			parent := func(ctx context.Context) (int, error) {
				a, b := Go(ctx, p, one), Go(ctx, p, one)
				var x int
				var wg sync.WaitGroup
				wg.Go(func() { x, _ = a.Wait(ctx) })
				y, err := b.Wait(ctx)
				wg.Wait()
				return x + y, err
			}
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					if n, err := Do(bg, p, parent); n != 2 || err != nil {
						t.Errorf("got %d, %v", n, err)
					}
				})
			}
			wg.Wait()
			if ran.Load() != 12 {
				t.Errorf("%d of 12 ran", ran.Load())
			}
			must(t, p.Close())
		})
	}
}

// The pool is aborted while keyed tasks, children and chunks change hands: each runs or is handed
// back, and nothing that was claimed starts afterwards.
func TestStressAbort(t *testing.T) {
	for round := range rounds(4000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(3), WithBuffer(200))
			var ran, accepted, late atomic.Int64
			var stopped atomic.Bool
			var grow func(depth int) Task
			count := func(err error) {
				if err == nil {
					accepted.Add(1)
				}
			}
			grow = func(depth int) Task {
				return func(ctx context.Context) error {
					if ran.Add(1); stopped.Load() {
						late.Add(1)
					}
					for i := range 3 {
						if depth > 0 && i < 2 {
							count(p.Submit(ctx, grow(depth-1)))
						} else if depth > 0 {
							count(p.SubmitKeyed(ctx, uint64(depth), grow(depth-1)))
						}
					}
					return nil
				}
			}
			var wg sync.WaitGroup
			for k := range 2 {
				wg.Go(func() {
					for i := range 12 {
						count(p.SubmitKeyed(bg, uint64(i%(k+2)), grow(2)))
					}
					n, _ := p.SubmitBatch(bg, []Task{grow(1), grow(1), grow(1), grow(1), grow(1)})
					accepted.Add(int64(n))
				})
			}
			for range round % 200 {
				runtime.Gosched()
			}
			p.Abort()
			stopped.Store(true)
			wg.Wait()
			must(t, p.Close())
			if back := int64(len(p.Leftover())); ran.Load()+back != accepted.Load() {
				t.Fatalf("round %d: %d accepted, %d ran, %d back", round, accepted.Load(), ran.Load(), back)
			}
			if late.Load() > 3 {
				t.Fatalf("round %d: %d tasks began after Abort, on 3 workers", round, late.Load())
			}
		})
	}
}

// A task with the key of one that is just ending waits behind a long one with another key.
func TestStressKeyBesideALongTask(t *testing.T) {
	only(t, Shared, WorkStealing, Elastic) // under PerWorker it does wait
	for round := range rounds(4000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2))
			for range 100 { // make batches long
				must(t, p.Submit(bg, func(context.Context) error { return nil }))
			}
			must(t, p.Wait(bg))
			start := time.Now()
			var most atomic.Int64
			short := func(context.Context) error {
				for range round % 5 {
					runtime.Gosched()
				}
				most.Store(max(most.Load(), int64(time.Since(start))))
				return nil
			}
			for range 3 {
				for key := range uint64(3) {
					must(t, p.SubmitKeyed(bg, key, short))
				}
			}
			must(t, p.SubmitKeyed(bg, 3, sleep(time.Hour)))
			for range 3 {
				for key := range uint64(3) {
					must(t, p.SubmitKeyed(bg, key, short))
				}
			}
			must(t, p.Close())
			if d := time.Duration(most.Load()); d > time.Minute {
				t.Fatalf("round %d: a task with a free key ran after %v, beside a free worker", round, d)
			}
		})
	}
}

// After Done everything that did not run is in Leftover.
func TestStressLeftoverAfterDone(t *testing.T) {
	for round := range rounds(3000) {
		p := mustNew(t, WithWorkers(2), WithBuffer(64))
		var ran, acc atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 30 {
					if p.Submit(bg, func(context.Context) error { ran.Add(1); return nil }) == nil {
						acc.Add(1)
					} else {
						return
					}
				}
			})
		}
		wg.Go(func() {
			for range round % 50 {
				runtime.Gosched()
			}
			p.Abort()
		})
		<-p.Done()
		n := len(p.Leftover())
		r := ran.Load()
		wg.Wait()
		m := len(p.Leftover())
		if int64(n)+r != acc.Load() || m != 0 {
			t.Fatalf("round %d: accepted %d ran %d leftover %d, later %d", round, acc.Load(), r, n, m)
		}
	}
}

// At rest there is a token for each idle place, whatever happened before.
func TestStressTokens(t *testing.T) {
	for round := range rounds(200) {
		p := mustNew(t, WithWorkers(1+round%3), WithBuffer([]int{0, 1, 3, 64}[round%4]))
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 200 {
					if g == 0 {
						p.Resize(1 + i%4)
						continue
					}
					p.Submit(bg, func(ctx context.Context) error {
						if i%10 == 0 {
							p.Submit(ctx, func(context.Context) error { return nil })
							_, _ = Do(ctx, p, func(context.Context) (int, error) { return 0, nil })
						}
						return nil
					})
				}
			})
		}
		wg.Wait()
		p.Resize(2)
		must(t, p.Wait(bg))
		for {
			p.mu.Lock()
			if p.parked.Len == p.live && p.idle.Load().Searching() == 0 {
				break
			}
			p.mu.Unlock()
			runtime.Gosched()
		}
		if n := p.idle.Load().Idle(); n < p.parked.Len+p.unborn() || p.live > p.target || p.lent != 0 {
			t.Fatalf("round %d tokens %d parked %d unborn %d live %d target %d", round, n, p.parked.Len, p.unborn(), p.live, p.target)
		}
		p.mu.Unlock()
		p.Close()
	}
}

// The limit holds for tasks that do not wait for others.
func TestStressLimitWithNestedWaits(t *testing.T) {
	for round := range rounds(100) {
		n := 1 + round%3
		p := mustNew(t, WithWorkers(n), WithBuffer(64))
		var ga gauge
		step := func(context.Context) (int, error) { ga.enter(); runtime.Gosched(); ga.leave(); return 0, nil }
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 200 {
					must(t, p.Submit(bg, func(ctx context.Context) error {
						_, _ = step(ctx)
						u := Go(ctx, p, step)
						runtime.Gosched() // somebody may begin it
						_, err := u.Wait(ctx)
						_, _ = step(ctx)
						return err
					}))
				}
			})
		}
		wg.Wait()
		must(t, p.Wait(bg)) // Close would refuse children
		must(t, p.Close())
		if ga.max.Load() > int64(n) {
			t.Fatalf("round %d: %d run", round, ga.max.Load())
		}
	}
}

// After Resize has returned nothing starts over the limit, except a task whose
// start had already been decided: at most one for each worker that was running.
func TestStressShrinkIsStrict(t *testing.T) {
	bad, tries := 0, 300
	if testing.Short() && raceBuild {
		tries = 60
	}
	for range tries {
		p := mustNew(t, WithWorkers(4), WithBuffer(64))
		var running atomic.Int64
		var shrunk atomic.Bool
		var over atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 400 {
				p.Submit(bg, func(ctx context.Context) error {
					s := shrunk.Load()
					n := running.Add(1)
					if s && n > 1 {
						over.Add(1)
					}
					for range 100 {
						runtime.Gosched()
					}
					running.Add(-1)
					return nil
				})
			}
		})
		for range 50 {
			runtime.Gosched()
		}
		p.Resize(1)
		shrunk.Store(true)
		wg.Wait()
		p.Close()
		if over.Load() > 0 {
			bad++
		}
	}
	// The window is a few instructions wide; a worker that searched through a
	// shrink and then started a task would fill it in most rounds.
	if bad > tries/20 {
		t.Errorf("starts over the limit after Resize returned in %d of %d rounds", bad, tries)
	}
}
