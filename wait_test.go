package pool

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Wait waits for what was accepted before the call, and for nothing else: not for
// tasks accepted later, also when they share a batch with earlier ones.
func TestWaitIsExact(t *testing.T) {
	only(t, Shared, Elastic) // a task of the next hour may be in another worker's queue
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		start := time.Now()
		for range workers {
			must(t, p.Submit(bg, sleep(time.Second)))
			synctest.Wait()
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				must(t, p.Wait(bg))
				rounds := (i*(buffer/4) + workers - 1) / workers
				if d, want := time.Since(start), time.Second+time.Duration(rounds)*time.Hour; d != want {
					t.Errorf("call %d returned after %v, want %v", i, d, want)
				}
			})
			synctest.Wait()
			for range buffer / 4 {
				must(t, p.Submit(bg, sleep(time.Hour)))
			}
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

// More Waits than there are tags end as well.
func TestManyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(30))
		var returned atomic.Int64
		var wg sync.WaitGroup
		for i := range 30 {
			must(t, p.Submit(bg, sleep(time.Duration(i+1)*time.Second)))
			wg.Go(func() { must(t, p.Wait(bg)); returned.Add(1) })
			synctest.Wait()
		}
		time.Sleep(7*time.Second + time.Millisecond)
		synctest.Wait()
		if n := returned.Load(); n != 7 {
			t.Fatalf("%d returned after 7 s", n)
		}
		wg.Wait()
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
								return p.Wait(ctx)
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
			if n := len(p.epochs); n != 1 {
				t.Errorf("%d epochs at rest", n)
			}
			p.mu.Unlock()
			must(t, p.Close())
		})
	}
}
