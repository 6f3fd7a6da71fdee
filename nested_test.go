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

// A task would wait for itself in Pool.Wait, which refuses that at once (D2): in each kind of task, with the task's context, and one
// that is derived from it. On its goroutine without it the watch finds the task.
func TestWaitInsideATask(t *testing.T) {
	kinds := map[string]func(p *Pool, body Task) error{
		"plain":    func(p *Pool, body Task) error { return p.Submit(bg, body) },
		"keyed":    func(p *Pool, body Task) error { return p.SubmitKeyed(bg, 1, body) },
		"weighted": func(p *Pool, body Task) error { return p.SubmitWeighted(bg, 2, body) },
		"batch":    func(p *Pool, body Task) error { _, err := p.SubmitBatch(bg, []Task{body, body}); return err },
		"child": func(p *Pool, body Task) error {
			return p.Submit(bg, func(ctx context.Context) error { return p.Submit(ctx, body) })
		},
		"child that runs inside": func(p *Pool, body Task) error {
			return p.Submit(bg, func(ctx context.Context) error {
				_, err := Do(ctx, p, func(ctx context.Context) (int, error) { return 0, body(ctx) })
				return err
			})
		},
		"group": func(p *Pool, body Task) error { g := NewGroup(bg, p); g.Go(body); return g.Wait() },
		"loop": func(p *Pool, body Task) error {
			return ForEach(bg, p, upTo(3), func(ctx context.Context, _ int) error { return body(ctx) })
		},
		"on its submitter's goroutine": func(p *Pool, body Task) error {
			hold := make(gate)
			for p.TrySubmit(hold.task) == nil {
			}
			defer close(hold)
			return p.Submit(bg, func(ctx context.Context) error {
				if err := body(ctx); err != nil {
					return err
				}
				return p.Submit(ctx, body) // inside that one
			})
		},
	}
	for kind, submit := range kinds {
		t.Run(kind, func(t *testing.T) {
			bubbles(t, func(t *testing.T, workers, buffer int) {
				if kind == "weighted" && workers == 1 {
					return
				}
				p := mustNew(t, WithWorkers(workers), WithBuffer(buffer), WithOverflow(CallerRuns))
				start := time.Now()
				var ran atomic.Bool
				must(t, submit(p, func(ctx context.Context) error {
					ran.Store(true)
					for what, c := range map[string]context.Context{"own": ctx, "derived": context.WithValue(ctx, testKey{}, 1), "no": bg} {
						if err := p.Wait(c); err != ErrInTask {
							t.Errorf("with %s context: %v", what, err)
						}
					}
					elsewhere := make(chan error)
					go func() { elsewhere <- p.Wait(ctx) }()
					if err := <-elsewhere; err != ErrInTask {
						t.Errorf("with its context on another goroutine: %v", err)
					}
					return nil
				}))
				must(t, p.Wait(bg))
				must(t, p.Close())
				if d := time.Since(start); !ran.Load() || d > 2*firstLook {
					t.Errorf("ran: %v, took %v", ran.Load(), d)
				}
			})
		})
	}
}

// C6: a chain of a hundred tasks, each of which waits for the next, completes with one worker too: with its own context, one derived from
// it, and by its goroutine alone.
func TestNestedWaitChain(t *testing.T) {
	contexts := map[string]func(context.Context) context.Context{
		"own":        func(ctx context.Context) context.Context { return ctx },
		"derived":    func(ctx context.Context) context.Context { return context.WithValue(ctx, testKey{}, 1) },
		"background": func(context.Context) context.Context { return bg },
	}
	for cn, derive := range contexts {
		t.Run(cn, func(t *testing.T) {
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
						if left%2 == 0 {
							_, err := Do(derive(ctx), p, func(ctx context.Context) (int, error) { return 0, task(left - 1)(ctx) })
							return err
						}
						g := NewGroup(derive(ctx), p)
						g.Go(task(left - 1))
						return g.Wait()
					}
				}
				must(t, p.Submit(bg, task(100)))
				must(t, p.Wait(bg))
				if n.Load() != 101 {
					t.Fatalf("%d ran", n.Load())
				}
				must(t, p.Close())
				checkRest(t, p.Stats())
			})
		})
	}
}

// A long task that submits and waits again and again.
func TestRepeatedNestedWait(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		start := time.Now()
		must(t, p.Submit(bg, func(ctx context.Context) error {
			g := NewGroup(ctx, p)
			for round := range int64(50) {
				var done atomic.Int64
				for range 5 {
					g.Go(func(context.Context) error { time.Sleep(time.Second); done.Add(1); return nil })
				}
				if err := g.Wait(); err != nil || done.Load() != 5 {
					t.Errorf("round %d: got %v, %d of 5 are done", round, err, done.Load())
				}
			}
			return nil
		}))
		must(t, p.Wait(bg))
		if d := time.Since(start); d > 250*time.Second {
			t.Errorf("took %v", d)
		}
		must(t, p.Close())
	})
}

// A place that is lent comes back: never more tasks run than there are workers,
// not counting those inside a wait for others.
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
						_, err := Do(ctx, p, func(context.Context) (int, error) {
							g.enter()
							time.Sleep(time.Millisecond)
							g.leave()
							return 0, nil
						})
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
		lent, back := p.lent, len(p.back)
		p.mu.Unlock()
		if lent != 0 || back != 0 {
			t.Fatalf("lent %d, back %d", lent, back)
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
		must(t, p.Wait(bg)) // which covers what the tasks submit
		if n.Load() != 1<<(depth+1)-1 {
			t.Fatalf("%d ran", n.Load())
		}
		if g := most.Load(); g > 3 {
			t.Fatalf("%d goroutines", g)
		}
		must(t, p.Close())
	}
}

// A context that outlives its task is still safe to use: what is submitted with it runs, and a later Wait covers it, also
// one that began after other Waits.
func TestContextAfterItsTask(t *testing.T) {
	for kind, submit := range submissions {
		for _, waits := range []int{0, 1, 2} {
			t.Run(name("submission", kind, "waits", waits), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := mustNew(t, WithWorkers(2), WithBuffer(2))
					var late context.Context
					must(t, p.Submit(bg, func(ctx context.Context) error { late = ctx; return nil }))
					synctest.Wait()
					for range waits {
						must(t, p.Wait(bg))
					}
					wantIs(t, p.Wait(late), ErrInTask) // it still says so
					start := time.Now()
					must(t, submit(late, p, sleep(time.Second)))
					synctest.Wait()
					must(t, submit(late, p, sleep(time.Second)))
					must(t, p.Wait(bg))
					if d, min := time.Since(start), time.Second; d < min || d > 2*min {
						t.Errorf("Wait returned after %v", d)
					}
					if s := p.Stats(); s.Completed != 3 {
						t.Errorf("Wait returned too early: %+v", s)
					}
					must(t, p.Close())
					if late.Err() == nil {
						t.Fatal("the context is not done after the pool's end")
					}
				})
			})
		}
	}
}

// submissions are the ways in which a task can be submitted with a context.
var submissions = map[string]func(context.Context, *Pool, Task) error{
	"plain":    func(ctx context.Context, p *Pool, task Task) error { return p.Submit(ctx, task) },
	"keyed":    func(ctx context.Context, p *Pool, task Task) error { return p.SubmitKeyed(ctx, 1, task) },
	"weighted": func(ctx context.Context, p *Pool, task Task) error { return p.SubmitWeighted(ctx, 2, task) },
	"batch": func(ctx context.Context, p *Pool, task Task) error {
		_, err := p.SubmitBatch(ctx, []Task{task})
		return err
	},
	"group": func(ctx context.Context, p *Pool, task Task) error { NewGroup(ctx, p).Go(task); return nil },
	"future": func(ctx context.Context, p *Pool, task Task) error {
		Go(ctx, p, func(ctx context.Context) (int, error) { return 0, task(ctx) })
		return nil
	},
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
				for range 2 { // one runs, and no other one with the key is accepted in its worker's queue
					must(t, p.SubmitKeyed(bg, 1, hold.task))
					synctest.Wait()
				}
				for p.TrySubmit(hold.task) == nil {
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
