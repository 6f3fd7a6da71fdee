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

// What went wrong with calls: groups, futures and loops.

// besideLoop calls f, in a bubble, beside a loop of five seconds of tasks of 1 ms.
func besideLoop(t *testing.T, opts []Option, f func(p *Pool, running *gauge)) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, opts...)
		ctx, cancel := context.WithTimeout(bg, 5*time.Second)
		defer cancel()
		var running gauge
		var wg sync.WaitGroup
		wg.Go(func() {
			wantIs(t, ForEach(ctx, p, upTo(-1), func(context.Context, int) error {
				running.enter()
				defer running.leave()
				time.Sleep(time.Millisecond)
				return nil
			}), context.DeadlineExceeded)
		})
		time.Sleep(10 * time.Millisecond)
		f(p, &running)
		wg.Wait()
		must(t, p.Close())
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

// Heavy tasks, and submissions without a queue, starved beside an endless loop.
func TestLoopGivesWay(t *testing.T) {
	for _, c := range []struct {
		opts   []Option
		weight int64
	}{
		{[]Option{WithWorkers(2), WithCapacity(2)}, 2},
		{[]Option{WithWorkers(1), WithBuffer(0)}, 1},
	} {
		besideLoop(t, c.opts, func(p *Pool, _ *gauge) {
			var began atomic.Bool
			must(t, p.SubmitWeighted(bg, c.weight, func(context.Context) error { began.Store(true); return nil }))
			time.Sleep(time.Second)
			if !began.Load() {
				t.Errorf("a task of weight %d has not begun after a second", c.weight)
			}
		})
	}
}

// A loop's runners stayed after a shrink.
func TestLoopShrinks(t *testing.T) {
	besideLoop(t, []Option{WithWorkers(4)}, func(p *Pool, running *gauge) {
		must(t, p.Resize(1))
		time.Sleep(time.Second + time.Microsecond)
		if n := running.now.Load(); n > 1 {
			t.Errorf("%d run a second after Resize(1)", n)
		}
	})
}

// What a group's task submitted ran with the context of the task that had made the group.
func TestGroupGoFromAnotherTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(1))
		inside := false
		must(t, p.Submit(bg, func(ctx context.Context) error { // A
			in := NewGroup(ctx, p)
			in.Go(func(tctx context.Context) error { // T
				must(t, p.Submit(tctx, sleep(time.Second))) // the queue is full
				me := goroutineID()
				in.Go(func(fctx context.Context) error { // f
					if goroutineID() != me {
						return nil
					}
					inside = true
					if a, b := p.insideOf(fctx), p.insideOf(tctx); a != b {
						t.Errorf("f, on the goroutine of T, has another worker's context than T: %v", a == p.insideOf(ctx))
					}
					return nil
				})
				return nil
			})
			time.Sleep(10 * time.Second)
			return in.Wait()
		}))
		must(t, p.Wait(bg))
		must(t, p.Close())
		if !inside && strategy != WorkStealing { // which queues children apart
			t.Error("f did not run inside of T")
		}
	})
}

// A child that calls Goexit inside the waiting task ends that too, which is its own failure.
func TestGoexitInsideWait(t *testing.T) {
	var failed atomic.Int64
	p := mustNew(t, WithWorkers(1), WithErrorHandler(func(err error) { wantIs(t, err, ErrGoexit); failed.Add(1) }))
	var u *Future[int]
	must(t, p.Submit(bg, func(ctx context.Context) error {
		u = Go(ctx, p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
		_, err := u.Wait(ctx)
		t.Errorf("the task went on, with %v", err)
		return nil
	}))
	must(t, p.Wait(bg))
	_, err := u.Wait(bg)
	wantIs(t, err, ErrGoexit)
	wantIs(t, p.Close(), ErrGoexit)
	if failed.Load() != 1 {
		t.Errorf("the handler got %d failures", failed.Load())
	}
}

// The first error cancels the calls at work with that cause, also while the sequence blocks.
func TestForEachCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		start := time.Now()
		seq := func(yield func(int) bool) {
			if yield(0) && yield(1) {
				time.Sleep(time.Hour)
			}
		}
		wantIs(t, ForEach(bg, p, seq, func(ctx context.Context, v int) error {
			if v == 0 {
				time.Sleep(time.Second)
				return errTest
			}
			<-ctx.Done()
			if cause, at := context.Cause(ctx), time.Since(start); cause != errTest || at != time.Second {
				t.Errorf("cancelled after %v by %v", at, cause)
			}
			return ctx.Err()
		}), errTest)
		must(t, p.Close())
	})
}

// What ran inside the waiting task is not kept by the queue, which still has its place.
func TestHelpedIsNotRetained(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	g := make(gate)
	var freed atomic.Int64
	done := make(chan struct{})
	must(t, p.Submit(bg, func(ctx context.Context) error {
		in := NewGroup(ctx, p)
		b := new([1 << 16]byte)
		runtime.AddCleanup(b, func(n *atomic.Int64) { n.Add(1) }, &freed)
		in.Go(func(context.Context) error { b[0]++; return nil })
		err := in.Wait()
		close(done)
		<-g
		return err
	}))
	<-done
	collect(t, &freed, 1)
	close(g)
	must(t, p.Close())
}
