package pool

import (
	"context"
	"errors"
	"runtime"
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

// stopper is one cell of the table of shutdowns in the package documentation.
type stopper struct {
	name      string
	opts      []Option
	stop      func(p *Pool) error
	runs      bool          // queued tasks run
	takes     time.Duration // the call, with running tasks that obey or take 10 s
	cancelled time.Duration // after which running contexts are cancelled, -1 never
	err       error
}

func stoppers() []stopper {
	shutdown := func(d time.Duration) func(*Pool) error {
		return func(p *Pool) error {
			ctx, cancel := context.WithTimeout(bg, d)
			defer cancel()
			return p.Shutdown(ctx)
		}
	}
	closing := func(p *Pool) error { return p.Close() }
	return []stopper{
		{"Close/Drain", nil, closing, true, 20 * time.Second, -1, nil},
		{"Close/Abort", []Option{WithShutdown(Abort)}, closing, false, 10 * time.Second, 0, nil},
		{"Close/DrainFor/in-time", []Option{WithShutdown(DrainFor(time.Minute))}, closing, true, 20 * time.Second, -1, nil},
		{"Close/DrainFor/missed", []Option{WithShutdown(DrainFor(4 * time.Second))}, closing, false, 10 * time.Second, 4 * time.Second, context.DeadlineExceeded},
		{"Shutdown/in-time", nil, shutdown(time.Minute), true, 20 * time.Second, -1, nil},
		{"Shutdown/missed", nil, shutdown(4 * time.Second), false, 4 * time.Second, 4 * time.Second, context.DeadlineExceeded},
		{"Abort", nil, func(p *Pool) error { p.Abort(); return nil }, false, 0, 0, nil},
	}
}

// B7, B8, B10, B12: the table of shutdowns, each cell, with a running task that
// ignores its context for 10 s, one that obeys it, a full queue and blocked
// submitters.
func TestShutdownTable(t *testing.T) {
	for _, c := range stoppers() {
		for _, buffer := range buffers {
			t.Run(name("stop", c.name, "buffer", buffer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testStopper(t, c, buffer) })
			})
		}
	}
}

func testStopper(t *testing.T, c stopper, buffer int) {
	p := mustNew(t, append(c.opts, WithWorkers(2), WithBuffer(buffer))...)
	var ran, blockedRan, refused atomic.Int64
	cancelledAt := make(chan time.Duration, 1)
	start := time.Now()
	must(t, p.Submit(bg, sleep(10*time.Second))) // ignores its context
	synctest.Wait()
	must(t, p.Submit(bg, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			cancelledAt <- time.Since(start)
			if !errors.Is(context.Cause(ctx), ErrAborted) {
				t.Errorf("cause is %v", context.Cause(ctx))
			}
			time.Sleep(10*time.Second - time.Since(start))
			return ctx.Err()
		case <-time.After(10 * time.Second):
			return nil
		}
	}))
	synctest.Wait()
	queued := buffer
	for range queued {
		must(t, p.Submit(bg, func(context.Context) error { ran.Add(1); time.Sleep(time.Millisecond); return nil }))
	}
	for range 3 {
		go func() {
			err := p.Submit(bg, func(context.Context) error { blockedRan.Add(1); return nil })
			if err != nil {
				refused.Add(1)
				if !errors.Is(err, ErrClosed) {
					t.Errorf("blocked submission: %v", err)
				}
				if c.name == "Abort" && !errors.Is(err, ErrAborted) {
					t.Errorf("blocked submission: %v", err) // B13
				}
			}
		}()
	}
	synctest.Wait()
	err := c.stop(p)
	took := time.Since(start)
	if c.err == nil {
		must(t, err)
	} else {
		wantIs(t, err, c.err)
		var d *DeadlineError
		if !errors.As(err, &d) || d.Running != 2 || d.Unstarted != queued {
			t.Fatalf("got %v, want 2 running and %d unstarted", err, queued)
		}
	}
	slack := time.Duration(0)
	if c.runs {
		slack = 11 * time.Second // the queue takes some milliseconds
	}
	if took > c.takes || took < c.takes-slack {
		t.Fatalf("took %v, want %v", took, c.takes)
	}
	synctest.Wait()
	if refused.Load() != 3 || blockedRan.Load() != 0 {
		t.Fatalf("of the blocked submissions %d were refused", refused.Load())
	}
	<-p.Done()
	select {
	case at := <-cancelledAt:
		if at != c.cancelled {
			t.Fatalf("contexts were cancelled after %v, want %v", at, c.cancelled)
		}
	default:
		if c.cancelled >= 0 {
			t.Fatal("contexts were not cancelled")
		}
	}
	left := len(p.Leftover())
	if c.runs && (int(ran.Load()) != queued || left != 0) || !c.runs && (ran.Load() != 0 || left != queued) {
		t.Fatalf("%d queued: %d ran, %d were handed back", queued, ran.Load(), left)
	}
	if again := p.Leftover(); len(again) != 0 {
		t.Fatalf("%d were handed back twice", len(again)) // B14
	}
	must(t, p.Close())
	checkClosed(t, p)
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
		"Close":         func(_ context.Context, p *Pool) error { return p.Close() },
		"Shutdown":      func(ctx context.Context, p *Pool) error { return p.Shutdown(ctx) },
		"Shutdown/bg":   func(_ context.Context, p *Pool) error { return p.Shutdown(bg) },
		"Abort":         func(_ context.Context, p *Pool) error { p.Abort(); return ErrInTask },
		"Close+Abort":   func(_ context.Context, p *Pool) error { p.Abort(); return p.Close() },
		"Close+Close":   func(_ context.Context, p *Pool) error { _ = p.Close(); return p.Close() },
		"Shutdown+Wait": func(ctx context.Context, p *Pool) error { _ = p.Wait(ctx); return p.Shutdown(ctx) },
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
