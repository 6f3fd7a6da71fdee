package pool

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Wait waits for what was accepted before the call, and for nothing else: not for
// tasks accepted later, also when they share a batch with earlier ones.
func TestWaitIsExact(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		start := time.Now()
		for range workers {
			must(t, p.Submit(bg, sleep(time.Second)))
			synctest.Wait()
		}
		for range buffer / 2 {
			must(t, p.Submit(bg, sleep(time.Second)))
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			must(t, p.Wait(bg))
			rounds := 1 + (buffer/2+workers-1)/workers
			if d, want := time.Since(start), time.Duration(rounds)*time.Second; d != want {
				t.Errorf("returned after %v, want %v", d, want)
			}
		})
		synctest.Wait()
		for range buffer - buffer/2 {
			must(t, p.Submit(bg, sleep(time.Hour)))
		}
		wg.Wait()
		must(t, p.Close())
	})
}

// A7: Wait can be used again and again and never returns for an earlier zero.
func TestWaitAgain(t *testing.T) {
	for _, buffer := range buffers {
		p := mustNew(t, WithWorkers(2), WithBuffer(buffer))
		var n atomic.Int64
		for round := range int64(1000) {
			for range 5 {
				must(t, p.Submit(bg, func(context.Context) error { n.Add(1); return nil }))
			}
			must(t, p.Wait(bg))
			if got := n.Load(); got != 5*(round+1) {
				t.Fatalf("round %d: %d ran", round, got)
			}
		}
		must(t, p.Close())
	}
}

func TestWaitObeysContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		must(t, p.Wait(bg)) // nothing was accepted
		must(t, p.Submit(bg, sleep(time.Hour)))
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		start := time.Now()
		wantIs(t, p.Wait(ctx), context.DeadlineExceeded)
		if d := time.Since(start); d != time.Second {
			t.Fatalf("returned after %v", d)
		}
		wantIs(t, p.Wait(ctx), context.DeadlineExceeded)
		if n := len(p.waiters); n != 0 {
			t.Fatalf("%d waiters were left", n)
		}
		must(t, p.Close())
		must(t, p.Wait(bg))
	})
}

// Who calls Wait while an earlier call is still waiting waits for all that is accepted until that one is over, and
// not for what comes later. All of them end.
func TestManyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(100))
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 30 {
			must(t, p.Submit(bg, sleep(time.Duration(i+1)*time.Second)))
			wg.Go(func() {
				must(t, p.Wait(bg))
				want := 40 * time.Second
				if i == 0 {
					want = time.Second
				}
				if d := time.Since(start); d != want {
					t.Errorf("call %d returned after %v, want %v", i, d, want)
				}
			})
			synctest.Wait()
		}
		must(t, p.Submit(bg, sleep(40*time.Second)))
		time.Sleep(2 * time.Second)
		must(t, p.Submit(bg, sleep(time.Hour)))
		wg.Wait()
		must(t, p.Close())
	})
}

// Wait covers every task that a task it waits for submits, at any depth, and nobody else's. It returns when the
// last one ends.
func TestWaitCoversWhatTasksSubmit(t *testing.T) {
	const depth = 6
	for kind, submit := range submissions {
		for _, buffer := range []int{0, 1, 1024} {
			for _, resizes := range []bool{false, true} {
				t.Run(name("submission", kind, "buffer", buffer, "resizes", resizes), func(t *testing.T) {
					for begins := time.Duration(0); begins < (depth+1)*time.Second; begins += 3 * time.Second / 2 {
						synctest.Test(t, func(t *testing.T) {
							p := mustNew(t, WithWorkers(4), WithBuffer(buffer))
							start := time.Now()
							ran := 0
							var task func(left int) Task
							task = func(left int) Task {
								return func(ctx context.Context) error {
									time.Sleep(time.Second)
									if ran++; left == 0 {
										return nil
									}
									if resizes {
										must(t, p.Resize(3+left%3))
									}
									return submit(ctx, p, task(left-1))
								}
							}
							must(t, submit(bg, p, task(depth)))
							time.Sleep(begins)
							waited := make(chan error)
							go func() { waited <- p.Wait(bg) }()
							synctest.Wait()
							must(t, p.Submit(bg, sleep(time.Hour))) // accepted after the call
							must(t, <-waited)
							if d := time.Since(start); d != (depth+1)*time.Second || ran != depth+1 {
								t.Errorf("Wait returned after %v, %d of %d tasks ran", d, ran, depth+1)
							}
							must(t, p.Close())
							checkRest(t, p.Stats())
						})
					}
				})
			}
		}
	}
}

// A task that submits itself again and again is waited for until it ceases, or Wait's context ends.
func TestWaitForATaskThatGoesOn(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		start := time.Now()
		var again Task
		again = func(ctx context.Context) error {
			if time.Sleep(time.Second); time.Since(start) >= time.Hour {
				return nil
			}
			return p.Submit(ctx, again)
		}
		must(t, p.Submit(bg, again))
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		wantIs(t, p.Wait(ctx), context.DeadlineExceeded)
		must(t, p.Wait(bg))
		if d := time.Since(start); d != time.Hour {
			t.Errorf("returned after %v", d)
		}
		must(t, p.Close())
	})
}

// Wait returns though others submit for ever, also a call that has joined others.
func TestWaitUnderContinuousLoad(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		var stop atomic.Bool
		var producer, waiters sync.WaitGroup
		producer.Go(func() {
			for !stop.Load() {
				must(t, p.Submit(bg, sleep(time.Second)))
			}
		})
		time.Sleep(10*time.Second + time.Second/2) // the queue is full
		start := time.Now()
		rounds := (workers + buffer + workers - 1) / workers // until all that is accepted has ended
		for call := range 4 {
			waiters.Go(func() {
				must(t, p.Wait(bg))
				most := time.Duration(rounds) * time.Second
				if call > 0 {
					most *= 2 // it begins when the first call is over
				}
				if d := time.Since(start); d > most {
					t.Errorf("call %d returned after %v, want at most %v", call, d, most)
				}
			})
			synctest.Wait()
		}
		waiters.Wait()
		stop.Store(true)
		producer.Wait()
		must(t, p.Close())
	})
}

// Waits, resizes, failures and submissions at once: every Wait sees what its own
// goroutine submitted before.
func TestStressWait(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 40
	}
	for _, buffer := range buffers {
		p := mustNew(t, WithWorkers(4), WithBuffer(buffer), WithPanicHandler(func(*PanicError) {}))
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for n := 1; ; n = n%7 + 1 {
				select {
				case <-stop:
					return
				default:
					must(t, p.Resize(n))
					runtime.Gosched()
				}
			}
		})
		var users sync.WaitGroup
		for u := range 6 {
			users.Go(func() {
				for r := range rounds {
					var n atomic.Int64
					for i := range 10 {
						must(t, p.Submit(bg, func(ctx context.Context) error {
							n.Add(1)
							switch (u + r + i) % 17 {
							case 0:
								runtime.Goexit()
							case 1:
								panic("bad")
							case 2:
								return p.Submit(ctx, func(context.Context) error { return nil })
							case 3:
								if err := p.Wait(ctx); err != ErrInTask {
									t.Errorf("Wait inside a task: %v", err)
								}
							case 4:
								g := NewGroup(ctx, p)
								g.Go(func(context.Context) error { return nil })
								return g.Wait()
							}
							return nil
						}))
					}
					must(t, p.Wait(bg))
					if n.Load() != 10 {
						t.Errorf("Wait returned with %d of 10 done", n.Load())
					}
				}
			})
		}
		users.Wait()
		close(stop)
		wg.Wait()
		_ = p.Close()
		checkRest(t, p.Stats())
	}
}

// Wait covers every task of those that were submitted together, and its epochs come to an end: more
// of them than there are tags.
func TestWaitCoversBatches(t *testing.T) {
	for _, size := range []int{3, 4, 20, 150} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2))
			var ran atomic.Int64
			ts := make([]Task, size)
			for i := range ts {
				ts[i] = func(context.Context) error { time.Sleep(time.Second); ran.Add(1); return nil }
			}
			for round := range 20 {
				n, err := p.SubmitBatch(bg, ts)
				if must(t, err); n != size {
					t.Fatalf("%d of %d accepted", n, size)
				}
				must(t, p.Wait(bg))
				if got := int(ran.Load()); got != (round+1)*size {
					t.Fatalf("Wait returned after %d of %d tasks", got, (round+1)*size)
				}
			}
			p.mu.Lock()
			if p.split || len(p.next) > 0 || p.main.queue.IsSplit() {
				t.Error("somebody still waits at rest")
			}
			p.mu.Unlock()
			must(t, p.Close())
		})
	}
}

// The end of a task that ends its goroutine is not lost when its worker gives the rest of the batch away.
func TestWaitAfterGoexitInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		nothing := func(context.Context) error { return nil }
		for range 100 { // until batches are large
			_, err := p.SubmitBatch(bg, slices.Repeat([]Task{nothing}, 100))
			must(t, err)
			must(t, p.Wait(bg))
		}
		first, second := make(gate), make(gate)
		must(t, p.Submit(bg, first.task))
		synctest.Wait()
		must(t, p.Submit(bg, second.task))
		synctest.Wait()
		batch := slices.Repeat([]Task{nothing}, 8)
		batch[1] = func(context.Context) error {
			must(t, p.Resize(1))
			runtime.Goexit()
			return nil
		}
		_, err := p.SubmitBatch(bg, batch)
		must(t, err)
		close(first)
		synctest.Wait() // its worker has ended
		close(second)
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		must(t, p.Wait(ctx))
		_ = p.Close()
		checkRest(t, p.Stats())
	})
}

// While nothing ends the watch looks twice as late each time, also beside tasks that the sleeping worker has claimed.
func TestWatchBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sleeps = 30
		p := mustNew(t, WithWorkers(1))
		for range 800 { // so many that the worker claims several at a time
			must(t, p.Submit(bg, sleep(0)))
		}
		for range sleeps {
			must(t, p.Submit(bg, sleep(30*24*time.Hour)))
			must(t, p.Submit(bg, sleep(0)))
		}
		must(t, p.Wait(bg))
		if n := p.watch.looks; n > 40*sleeps {
			t.Errorf("%d looks in %d sleeps", n, sleeps)
		}
		must(t, p.Close())
	})
}
