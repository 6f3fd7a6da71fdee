package pool

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// B2, P3: every submission to a closed pool returns ErrClosed.
func checkClosed(t *testing.T, p *Pool) {
	t.Helper()
	task := func(context.Context) error { t.Error("ran after the end"); return nil }
	wantIs(t, p.Submit(bg, task), ErrClosed)
	wantIs(t, p.TrySubmit(task), ErrClosed)
	n, err := p.SubmitBatch(bg, []Task{task, task})
	wantIs(t, err, ErrClosed)
	if n != 0 {
		t.Fatalf("accepted %d", n)
	}
	wantIs(t, p.Resize(3), ErrClosed)
	checkRest(t, p.Stats())
	if g := p.Stats().Goroutines; g != 0 {
		t.Fatalf("%d workers after the end", g)
	}
	select {
	case <-p.Done():
	default:
		t.Fatal("Done is not closed")
	}
}

// A missed deadline is an error of Close also when the tasks end at once, and the pool
// with them.
func TestMissedDeadlineIsReported(t *testing.T) {
	for range rounds(3000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithShutdown(DrainFor(time.Second)))
			must(t, p.Submit(bg, func(ctx context.Context) error { <-ctx.Done(); return nil }))
			wantIs(t, p.Close(), context.DeadlineExceeded)
		})
	}
}

// B3, B4: concurrent calls of Close return together, later ones at once.
func TestConcurrentClose(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		bad := errors.New("bad")
		must(t, p.Submit(bg, func(context.Context) error { time.Sleep(time.Minute); return bad }))
		start := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				wantIs(t, p.Close(), bad)
				if d := time.Since(start); d != time.Minute {
					t.Errorf("returned after %v", d)
				}
			})
		}
		wg.Wait()
		must(t, p.Close())
		must(t, p.Shutdown(bg))
		checkClosed(t, p)
	})
}

// B5, B6, P5: closing inside a task, a handler or a hook begins and does not wait.
func TestCloseInside(t *testing.T) {
	stops := map[string]func(context.Context, *Pool) error{
		"Close":       func(_ context.Context, p *Pool) error { return p.Close() },
		"Shutdown":    func(ctx context.Context, p *Pool) error { return p.Shutdown(ctx) },
		"Shutdown/bg": func(_ context.Context, p *Pool) error { return p.Shutdown(bg) },
		"Abort":       func(_ context.Context, p *Pool) error { p.Abort(); return ErrInTask },
		"Close+Abort": func(_ context.Context, p *Pool) error { p.Abort(); return p.Close() },
		"Close+Close": func(_ context.Context, p *Pool) error { _ = p.Close(); return p.Close() },
		"Wait+Shutdown": func(ctx context.Context, p *Pool) error {
			if err := p.Wait(ctx); !errors.Is(err, ErrInTask) {
				return err
			}
			return p.Shutdown(ctx)
		},
	}
	places := map[string]func(p **Pool, stop func(context.Context) error) ([]Option, Task){
		"task": func(_ **Pool, stop func(context.Context) error) ([]Option, Task) {
			return nil, stop
		},
		"error handler": func(_ **Pool, stop func(context.Context) error) ([]Option, Task) {
			return []Option{WithErrorHandler(func(error) { _ = stop(bg) })},
				func(context.Context) error { return errors.New("bad") }
		},
		"panic handler": func(_ **Pool, stop func(context.Context) error) ([]Option, Task) {
			return []Option{WithPanicHandler(func(*PanicError) { _ = stop(bg) })},
				func(context.Context) error { panic("bad") }
		},
		"fail-fast handler": func(_ **Pool, stop func(context.Context) error) ([]Option, Task) {
			return []Option{WithErrorMode(FailFast), WithErrorHandler(func(error) { _ = stop(bg) })},
				func(context.Context) error { return errors.New("bad") }
		},
	}
	for sn, stop := range stops {
		for pn, place := range places {
			for _, mode := range []ShutdownMode{Drain, Abort, DrainFor(time.Second)} {
				t.Run(name("stop", sn, "in", pn, "mode", mode), func(t *testing.T) {
					bubblesShort(t, func(t *testing.T, workers, buffer int) {
						var p *Pool
						var called atomic.Bool
						opts, task := place(&p, func(ctx context.Context) error {
							called.Store(true)
							if err := stop(ctx, p); !errors.Is(err, ErrInTask) {
								t.Errorf("got %v, want ErrInTask", err)
							}
							return nil
						})
						p = mustNew(t, append(opts, WithWorkers(workers), WithBuffer(buffer), WithShutdown(mode))...)
						must(t, p.Submit(bg, task))
						<-p.Done()
						if !called.Load() {
							t.Fatal("was not called")
						}
						_ = p.Close()
						checkClosed(t, p)
					})
				})
			}
		}
	}
}

func bubblesShort(t *testing.T, f func(t *testing.T, workers, buffer int)) {
	for _, workers := range []int{1, 2} {
		for _, buffer := range []int{0, 3} {
			synctest.Test(t, func(t *testing.T) { f(t, workers, buffer) })
		}
	}
}

// A task that closes another pool waits for it, as outside.
func TestCloseOfAnotherPoolInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mustNew(t, WithWorkers(1)), mustNew(t, WithWorkers(1))
		must(t, b.Submit(bg, sleep(time.Minute)))
		start := time.Now()
		must(t, a.Submit(bg, func(ctx context.Context) error {
			if err := b.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if err := b.Close(); err != nil || time.Since(start) != time.Minute {
				t.Errorf("got %v after %v", err, time.Since(start))
			}
			return nil
		}))
		must(t, a.Close())
	})
}

// A drain inside a task is still bounded by its deadline.
func TestDeadlineOfAShutdownInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		must(t, p.Submit(bg, sleep(time.Hour)))
		must(t, p.Submit(bg, func(context.Context) error {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			context.AfterFunc(ctx, cancel)
			wantIs(t, p.Shutdown(ctx), ErrInTask)
			return nil
		}))
		synctest.Wait()
		wantIs(t, p.Submit(bg, sleep(0)), ErrClosed)
		<-p.Done()
	})
}

// P4: a drain can be escalated by Abort, and by the context of another Shutdown.
func TestEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		must(t, p.Submit(bg, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		must(t, p.Submit(bg, sleep(0)))
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		wantIs(t, p.Shutdown(ctx), context.DeadlineExceeded)
		must(t, <-closed)
		if n := len(p.Leftover()); n != 1 {
			t.Fatalf("%d were handed back", n)
		}
		wantIs(t, p.Shutdown(bg), ErrAborted)
	})
}

// B13: Abort releases everybody who is blocked.
func TestAbortReleasesEveryone(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		for range workers + buffer {
			must(t, p.Submit(bg, sleep(10*time.Minute)))
			synctest.Wait()
		}
		errs := make(chan error, 3)
		go func() { errs <- p.Submit(bg, sleep(0)) }()
		go func() { _, err := p.SubmitBatch(bg, []Task{sleep(0)}); errs <- err }()
		go func() { errs <- p.Wait(bg) }()
		synctest.Wait()
		start := time.Now()
		p.Abort()
		for range 3 {
			wantIs(t, <-errs, ErrAborted)
		}
		if d := time.Since(start); d != 0 {
			t.Fatalf("released after %v", d)
		}
		<-p.Done()
		wantIs(t, p.Wait(bg), ErrAborted)
	})
}

// A2, B1, B14: submissions that race with an end are refused, run, or handed back:
// exactly one of the three.
func TestStressSubmitRacingTheEnd(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	ends := []func(p *Typed[int]){
		func(p *Typed[int]) { _ = p.Close() },
		func(p *Typed[int]) { p.Abort(); p.Abort() },
		func(p *Typed[int]) {
			ctx, cancel := context.WithTimeout(bg, 20*time.Microsecond)
			defer cancel()
			_ = p.Shutdown(ctx)
		},
		func(p *Typed[int]) {
			go p.Abort()
			_ = p.Close()
		},
		func(p *Typed[int]) {
			for _, n := range []int{3, 1, 5, 2} {
				_ = p.Resize(n)
				runtime.Gosched()
			}
			_ = p.Close()
		},
	}
	for round := range rounds {
		const submitters, each = 4, 50
		var ran, handed, accepted [submitters * each]int32
		buffer := []int{0, 1, 5, 64}[round%4]
		overflow := []Overflow{Block, Reject, CallerRuns}[round%3]
		p, err := NewTyped(func(_ context.Context, i int) error {
			atomic.AddInt32(&ran[i], 1)
			return nil
		}, WithWorkers(1+round%3), WithBuffer(buffer), WithOverflow(overflow))
		must(t, err)
		var wg sync.WaitGroup
		for s := range submitters {
			wg.Go(func() {
				for i := s * each; i < (s+1)*each; i++ {
					switch {
					case i%7 == 0:
						if p.TrySubmit(i) == nil {
							accepted[i]++
						}
					case i%11 == 0 && i+1 < (s+1)*each:
						n, _ := p.SubmitBatch(bg, []int{i, i + 1})
						for k := range n {
							accepted[i+k]++
						}
						i++
					case p.Submit(bg, i) == nil:
						accepted[i]++
					}
				}
			})
		}
		for range round % 50 {
			runtime.Gosched()
		}
		ends[round%len(ends)](p)
		wg.Wait()
		<-p.Done()
		for _, i := range p.Leftover() {
			handed[i]++
		}
		_ = p.Close()
		for i := range accepted {
			if n := atomic.LoadInt32(&ran[i]); n+handed[i] != accepted[i] || n > 1 || handed[i] > 1 {
				t.Fatalf("round %d: job %d was accepted %d times, ran %d times, was handed back %d times",
					round, i, accepted[i], n, handed[i])
			}
		}
		s := p.Stats()
		checkRest(t, s)
		if s.Accepted+s.Rejected != submitters*each {
			t.Fatalf("round %d: %+v", round, s) // P14
		}
	}
}

// B16: the end of the pool's context is an abort with that cause.
func TestContextOfThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		bad := errors.New("bad")
		ctx, cancel := context.WithCancelCause(context.WithValue(bg, key{}, 7))
		p := mustNew(t, WithContext(ctx), WithWorkers(1))
		must(t, p.Submit(bg, func(ctx context.Context) error {
			if ctx.Value(key{}) != 7 {
				t.Error("the value is not seen")
			}
			<-ctx.Done()
			wantIs(t, context.Cause(ctx), bad)
			return nil
		}))
		must(t, p.Submit(bg, sleep(0)))
		synctest.Wait()
		cancel(bad)
		<-p.Done()
		err := p.Submit(bg, sleep(0))
		wantIs(t, err, ErrClosed)
		wantIs(t, err, bad)
		if n := len(p.Leftover()); n != 1 {
			t.Fatalf("%d were handed back", n)
		}
	})
}

// Close says how many tasks the end of the parent context has kept from starting, together with the error that was kept.
func TestCloseAfterTheParentEnded(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithCancelCause(bg)
			p := mustNew(t, WithWorkers(1), WithContext(parent))
			if fails {
				must(t, p.Submit(bg, func(context.Context) error { return errTest }))
				must(t, p.Wait(bg))
			}
			must(t, p.Submit(bg, sleep(time.Hour)))
			synctest.Wait()
			for range 3 {
				must(t, p.Submit(bg, nop))
			}
			because := errors.New("because")
			cancel(because)
			synctest.Wait()
			err := p.Close()
			if wantIs(t, err, because); errors.Is(err, errTest) != fails || !strings.Contains(err.Error(), "3 tasks never started") {
				t.Error(err)
			}
			if n := len(p.Leftover()); n != 3 {
				t.Errorf("%d left over", n)
			}
			must(t, p.Close())
		})
	}
}
