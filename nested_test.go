package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type testKey struct{}

// C5: a task that submits to its own full pool never blocks.
func TestNestedSubmit(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		var n atomic.Int64
		for range workers {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				for range 100 {
					if err := p.Submit(ctx, func(context.Context) error { n.Add(1); return nil }); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		must(t, p.Wait(bg))
		must(t, p.Close())
		if n.Load() != int64(100*workers) {
			t.Fatalf("%d ran", n.Load())
		}
		checkRest(t, p.Stats())
	})
}

// C6: a task that submits and waits completes, at any depth and with one worker,
// with its own context, one derived from it, and by its goroutine alone.
func TestNestedWait(t *testing.T) {
	contexts := map[string]func(context.Context) context.Context{
		"own":        func(ctx context.Context) context.Context { return ctx },
		"derived":    func(ctx context.Context) context.Context { return context.WithValue(ctx, testKey{}, 1) },
		"background": func(context.Context) context.Context { return bg },
	}
	for cn, derive := range contexts {
		t.Run(cn, func(t *testing.T) {
			bubbles(t, func(t *testing.T, workers, buffer int) {
				p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
				var deepest atomic.Int64
				var task func(depth int) Task
				task = func(depth int) Task {
					return func(ctx context.Context) error {
						if depth == 0 {
							deepest.Add(1)
							return nil
						}
						for range 2 {
							if err := p.Submit(ctx, task(depth-1)); err != nil {
								return err
							}
						}
						return p.Wait(derive(ctx))
					}
				}
				const depth = 5
				must(t, p.Submit(bg, task(depth)))
				must(t, p.Wait(bg))
				must(t, p.Close())
				if n := deepest.Load(); n != 1<<depth {
					t.Fatalf("%d leaves ran", n)
				}
				checkRest(t, p.Stats())
			})
		})
	}
}

// A chain of a hundred tasks, each of which waits for the next, with one worker.
func TestNestedWaitChain(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		var n atomic.Int64
		var task func(left int) Task
		task = func(left int) Task {
			return func(ctx context.Context) error {
				n.Add(1)
				if left == 0 {
					return nil
				}
				if err := p.Submit(ctx, task(left-1)); err != nil {
					return err
				}
				return p.Wait(ctx)
			}
		}
		must(t, p.Submit(bg, task(100)))
		must(t, p.Wait(bg))
		if n.Load() != 101 {
			t.Fatalf("%d ran", n.Load())
		}
		must(t, p.Close())
	})
}

// A long task that submits and waits again and again.
func TestRepeatedNestedWait(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		must(t, p.Submit(bg, func(ctx context.Context) error {
			for range 50 {
				var done atomic.Bool
				if err := p.Submit(ctx, func(context.Context) error { time.Sleep(time.Second); done.Store(true); return nil }); err != nil {
					return err
				}
				if err := p.Wait(ctx); err != nil || !done.Load() {
					t.Errorf("got %v, %v", err, done.Load())
				}
			}
			return nil
		}))
		must(t, p.Wait(bg))
		must(t, p.Close())
	})
}

// A place that is lent comes back: never more tasks run than there are workers,
// not counting those inside Wait.
func TestLentPlacesComeBack(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		var g gauge
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					must(t, p.Submit(bg, func(ctx context.Context) error {
						g.enter()
						time.Sleep(time.Millisecond)
						g.leave()
						err := p.Wait(ctx)
						g.enter()
						time.Sleep(time.Millisecond)
						g.leave()
						return err
					}))
				}
			})
		}
		wg.Wait()
		must(t, p.Wait(bg))
		if m := g.max.Load(); m > int64(workers) {
			t.Fatalf("%d ran at a time with %d workers", m, workers)
		}
		if s := p.Stats(); s.Goroutines > workers {
			t.Fatalf("got %+v", s)
		}
		p.mu.Lock()
		lent, back, inside := p.lent, len(p.back), p.insideWait.Load()
		p.mu.Unlock()
		if lent != 0 || back != 0 || inside != 0 {
			t.Fatalf("lent %d, back %d, inside %d", lent, back, inside)
		}
		must(t, p.Close())
	})
}

// C9: each task submits two more, 2^16 in all, with few goroutines.
func TestForkBomb(t *testing.T) {
	depth := 16
	if testing.Short() {
		depth = 12
	}
	for _, buffer := range buffers {
		p := mustNew(t, WithWorkers(3), WithBuffer(buffer))
		var n, most atomic.Int64
		var task func(left int) Task
		task = func(left int) Task {
			return func(ctx context.Context) error {
				n.Add(1)
				if n.Load()%64 == 0 {
					most.Store(max(most.Load(), int64(p.Stats().Goroutines)))
				}
				for range 2 {
					if left > 0 {
						if err := p.Submit(ctx, task(left-1)); err != nil {
							return err
						}
					}
				}
				return nil
			}
		}
		must(t, p.Submit(bg, task(depth)))
		for accepted := uint64(0); p.Stats().Accepted != accepted; { // Wait does not cover what comes later
			accepted = p.Stats().Accepted
			must(t, p.Wait(bg))
		}
		if n.Load() != 1<<(depth+1)-1 {
			t.Fatalf("%d ran", n.Load())
		}
		if g := most.Load(); g > 3 {
			t.Fatalf("%d goroutines", g)
		}
		must(t, p.Close())
	}
}

// A context that outlives its task is still safe to use.
func TestContextAfterItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1))
		var late context.Context
		must(t, p.Submit(bg, func(ctx context.Context) error { late = ctx; return nil }))
		must(t, p.Wait(bg))
		must(t, p.Submit(late, sleep(time.Second)))
		must(t, p.Wait(late))
		must(t, p.Close())
		if late.Err() == nil {
			t.Fatal("the context is not done after the pool's end")
		}
	})
}

// A task that CallerRuns runs on its submitter's goroutine is a task too: a submission
// with a key or a weight inside of it does not wait for room.
func TestKeyedAndWeightedInsideOfCallerRuns(t *testing.T) {
	for name, submit := range map[string]func(*Pool, context.Context, Task) error{
		"keyed":    func(p *Pool, ctx context.Context, t Task) error { return p.SubmitKeyed(ctx, 1, t) },
		"weighted": func(p *Pool, ctx context.Context, t Task) error { return p.SubmitWeighted(ctx, 2, t) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(2), WithBuffer(1), WithOverflow(CallerRuns))
				hold := make(gate)
				for range 3 { // two run, and the queue is full
					must(t, p.Submit(bg, hold.task))
					synctest.Wait()
				}
				var err error
				go func() {
					_ = p.Submit(bg, func(ctx context.Context) error { // runs here
						err = submit(p, ctx, hold.task)
						return nil
					})
					close(hold)
				}()
				synctest.Wait()
				select {
				case <-hold:
				default:
					t.Error("it waits for room")
					close(hold)
					synctest.Wait()
				}
				wantIs(t, err, ErrFull)
				must(t, p.Close())
			})
		})
	}
}

// The same as a deadlock: the task with a key waits for the one on its submitter's goroutine, which
// waits for room, which is taken up by another one with the key.
func TestKeyedInsideOfCallerRunsDeadlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(1), WithOverflow(CallerRuns))
		hold := make(gate)
		must(t, p.SubmitKeyed(bg, 1, func(ctx context.Context) error { <-hold; return p.Wait(ctx) }))
		synctest.Wait()
		must(t, p.SubmitKeyed(bg, 1, func(context.Context) error { return nil })) // behind it: the queue is full
		_ = p.Submit(bg, func(ctx context.Context) error {                        // runs here
			close(hold)
			synctest.Wait()
			_ = p.SubmitKeyed(ctx, 1, func(context.Context) error { return nil })
			return nil
		})
		must(t, p.Close())
	})
}
