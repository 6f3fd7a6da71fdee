package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What went wrong with calls: groups, futures and loops.

// loopFor loops until ctx is done.
func loopFor(ctx context.Context, p *Pool, g *gauge, d time.Duration) {
	_ = ForEach(ctx, p, upTo(-1), func(context.Context, int) error {
		g.enter()
		defer g.leave()
		time.Sleep(d)
		return nil
	})
}

// Go that waited at the limit while Wait returned lost its task.
func TestGroupGoWhileWaitReturns(t *testing.T) {
	lost := 0
	for range rounds(300) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2))
			defer p.Close()
			g := NewGroup(bg, p)
			g.SetLimit(1)
			var ran atomic.Int64
			g.Go(func(context.Context) error { time.Sleep(time.Second); return nil })
			var wg sync.WaitGroup
			wg.Go(func() { g.Go(func(context.Context) error { ran.Add(1); return nil }) })
			wg.Go(func() { must(t, g.Wait()) })
			wg.Wait()
			if err := g.Wait(); err != nil || ran.Load() != 1 {
				lost++
				if lost == 1 {
					t.Logf("Wait: %v, ran %d", err, ran.Load())
				}
			}
		})
	}
	if lost > 0 {
		t.Errorf("lost %d", lost)
	}
}

// A context that is not cancelled with its parent was taken for one that is.
func TestCallWithoutCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		var ended, cancelled bool
		must(t, p.Submit(bg, func(ctx context.Context) error {
			Go(context.WithoutCancel(ctx), p, func(ctx context.Context) (int, error) {
				select {
				case <-ctx.Done():
					cancelled = true
				case <-time.After(time.Hour):
				}
				ended = true
				return 0, nil
			})
			return nil
		}))
		time.Sleep(time.Second)
		p.Abort()
		<-p.Done()
		if !cancelled || !ended {
			t.Errorf("not cancelled by Abort")
		}
	})
}

// A heavy task starved beside an endless loop.
func TestLoopBesideHeavyTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithCapacity(2))
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		var g gauge
		var wg sync.WaitGroup
		wg.Go(func() { loopFor(ctx, p, &g, time.Millisecond) })
		time.Sleep(10 * time.Millisecond)
		var at time.Duration
		start := time.Now()
		must(t, p.SubmitWeighted(bg, 2, func(context.Context) error { at = time.Since(start); return nil }))
		wg.Wait()
		must(t, p.Close())
		if at > time.Second {
			t.Errorf("the heavy task began after %v", at)
		}
	})
}

// Submissions starved beside an endless loop, without a queue.
func TestLoopWithoutQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(0))
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		var g gauge
		var wg sync.WaitGroup
		wg.Go(func() { loopFor(ctx, p, &g, time.Millisecond) })
		time.Sleep(10 * time.Millisecond)
		start := time.Now()
		var at time.Duration
		must(t, p.Submit(bg, func(context.Context) error { at = time.Since(start); return nil }))
		wg.Wait()
		must(t, p.Close())
		if at > time.Second {
			t.Errorf("the task began after %v", at)
		}
	})
}

// A loop's runners stayed after a shrink.
func TestLoopShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4))
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		var g gauge
		var wg sync.WaitGroup
		wg.Go(func() { loopFor(ctx, p, &g, time.Millisecond) })
		time.Sleep(10 * time.Millisecond)
		must(t, p.Resize(1))
		time.Sleep(10*time.Second + time.Microsecond)
		if n := g.now.Load(); n > 1 {
			t.Errorf("%d run 10 s after Resize(1)", n)
		}
		wg.Wait()
		must(t, p.Close())
	})
}

// A task on its submitter's goroutine waited for a child that waits for all tasks.
func TestCallOnCallerWaits(t *testing.T) {
	for kind := range 3 {
		t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns))
				defer p.Close()
				for range 2 {
					must(t, p.Submit(bg, sleep(time.Second)))
					synctest.Wait()
				}
				wctx, cancel := context.WithTimeout(bg, time.Hour)
				defer cancel()
				wait := func(ctx context.Context) error {
					c, stop := context.WithCancel(ctx)
					defer stop()
					defer context.AfterFunc(wctx, stop)()
					return p.Wait(c)
				}
				must(t, p.Submit(bg, func(ctx context.Context) error {
					time.Sleep(10 * time.Second)
					switch kind {
					case 0:
						g := NewGroup(ctx, p)
						g.Go(wait)
						return g.Wait()
					case 1:
						_, err := Do(ctx, p, func(ctx context.Context) (int, error) { return 0, wait(ctx) })
						return err
					}
					return ForEach(ctx, p, upTo(1), func(ctx context.Context, _ int) error { return wait(ctx) })
				}))
				if wctx.Err() != nil {
					t.Errorf("kind %d: the child's Wait did not return within an hour", kind)
				}
			})
		})
	}
}

// What a group's task submitted ran with the context of the task that had made the group.
func TestGroupGoFromAnotherTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(1))
		ctx0, cancel := context.WithTimeout(bg, time.Hour)
		defer cancel()
		var g gauge
		must(t, p.Submit(bg, func(ctx context.Context) error { // A
			in := NewGroup(ctx, p)
			in.Go(func(tctx context.Context) error { // T
				must(t, p.Submit(tctx, func(context.Context) error { g.enter(); defer g.leave(); return nil }))
				in.Go(func(fctx context.Context) error { // f, inside of T
					if a, b := p.insideOf(fctx), p.insideOf(tctx); a != b {
						t.Errorf("f, on the goroutine of T, has another worker's context than T: %v", a == p.insideOf(ctx))
					}
					c, stop := context.WithCancel(fctx)
					defer stop()
					defer context.AfterFunc(ctx0, stop)()
					return p.Wait(c)
				})
				return nil
			})
			g.enter()
			time.Sleep(10 * time.Second)
			g.leave()
			return in.Wait()
		}))
		must(t, p.Wait(bg))
		must(t, p.Close())
		if ctx0.Err() != nil {
			t.Error("f's Pool.Wait waited for T, that it is part of, for an hour")
		}
	})
}
