package migration

import (
	"context"
	"errors"
	"io"
	"log"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	"github.com/sourcegraph/conc/iter"
	concpool "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// The tests in this file are of what the pages say changes in behaviour.

func ignore(*pool.PanicError) {}

// wantIs fails unless err is target; a nil target wants no error.
func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

// panicOf returns what f panics with, or nil.
func panicOf(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestErrgroupAfterError(t *testing.T) {
	var theirs, ours atomic.Int64
	g, ctx := errgroup.WithContext(bg)
	g.Go(func() error { return errGone })
	<-ctx.Done()
	g.Go(func() error { theirs.Add(1); return nil })
	wantIs(t, "errgroup", g.Wait(), errGone)

	h := pool.NewGroup(bg, newPool(t))
	h.Go(func(context.Context) error { return errGone })
	<-h.Context().Done()
	h.Go(func(context.Context) error { ours.Add(1); return nil })
	wantIs(t, "Group", h.Wait(), errGone)
	if theirs.Load() != 1 || ours.Load() != 0 {
		t.Errorf("begun after the error: %d and %d, want 1 and 0", theirs.Load(), ours.Load())
	}
}

func TestErrgroupGoexit(t *testing.T) {
	var g errgroup.Group
	g.Go(func() error { runtime.Goexit(); return nil })
	wantIs(t, "errgroup", g.Wait(), nil)
	h := pool.NewGroup(bg, newPool(t))
	h.Go(func(context.Context) error { runtime.Goexit(); return nil })
	// Wait may run what nobody has begun, but only inside a task of the pool.
	wantIs(t, "Group", h.Wait(), pool.ErrGoexit)
}

func TestErrgroupParentDone(t *testing.T) {
	done, cancel := context.WithCancel(bg)
	cancel()
	g, _ := errgroup.WithContext(done)
	g.Go(func() error { return nil })
	wantIs(t, "errgroup", g.Wait(), nil)
	h := pool.NewGroup(done, newPool(t))
	h.Go(func(context.Context) error { return nil })
	wantIs(t, "Group", h.Wait(), context.Canceled)
}

// TestErrgroupNested has the side of the Group: with an errgroup this blocks for ever, see TestEndings.
func TestErrgroupNested(t *testing.T) {
	for _, limit := range []int{-1, 1} {
		p := newPool(t, pool.WithWorkers(1), pool.WithBuffer(1))
		g := pool.NewGroup(bg, p)
		g.SetLimit(limit)
		var n atomic.Int64
		g.Go(func(context.Context) error {
			for i := range int64(10) {
				g.Go(func(context.Context) error { n.Add(1); return nil })
				if limit == 1 && n.Load() != i+1 {
					t.Errorf("at the limit: %d tasks before Go returned, want %d", n.Load(), i+1)
				}
			}
			return nil
		})
		wantIs(t, "Group", g.Wait(), nil)
		if n.Load() != 10 {
			t.Errorf("%d tasks, want 10", n.Load())
		}
	}
}

func TestAntsPanic(t *testing.T) {
	var seen atomic.Value
	done := make(chan struct{})
	a, err := ants.NewPool(1, ants.WithLogger(log.New(io.Discard, "", 0)), ants.WithPanicHandler(func(v any) {
		seen.Store(v)
		close(done)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	wantIs(t, "ants", a.Submit(func() { panic("boom") }), nil)
	<-done
	if seen.Load() != "boom" {
		t.Errorf("ants: recovered %v", seen.Load())
	}
	p := newPool(t, pool.WithPanicHandler(ignore))
	wantIs(t, "pool", p.Submit(bg, func(context.Context) error { panic("boom") }), nil)
	var e *pool.PanicError
	if err := p.Close(); !errors.As(err, &e) || e.Value != "boom" {
		t.Errorf("pool: Close returned %v, want the panic", err)
	}
}

func TestAntsRelease(t *testing.T) {
	a, err := ants.NewPool(1)
	if err != nil {
		t.Fatal(err)
	}
	release, ended := make(chan struct{}), make(chan struct{})
	wantIs(t, "ants", a.Submit(func() { <-release; close(ended) }), nil)
	a.Release() // returns, though the task runs
	select {
	case <-ended:
		t.Error("ants: the task has ended")
	default:
	}
	close(release)
	<-ended

	synctest.Test(t, func(t *testing.T) {
		p, err := pool.New(pool.WithWorkers(1))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for range 3 {
			wantIs(t, "pool", p.Submit(bg, func(context.Context) error { time.Sleep(time.Hour); return nil }), nil)
		}
		wantIs(t, "pool", p.Close(), nil)
		if d := time.Since(begun); d != 3*time.Hour {
			t.Errorf("pool: Close returned after %v, want 3h", d)
		}
	})
}

func TestBlockedSubmitObeysContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := pool.New(pool.WithWorkers(1), pool.WithBuffer(0))
		if err != nil {
			t.Fatal(err)
		}
		hour := func(context.Context) error { time.Sleep(time.Hour); return nil }
		wantIs(t, "first", p.Submit(bg, hour), nil)
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		begun := time.Now()
		wantIs(t, "second", p.Submit(ctx, hour), context.DeadlineExceeded)
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("gave up after %v, want 1m", d)
		}
		wantIs(t, "Close", p.Close(), nil)
	})
}

func TestPondQueue(t *testing.T) {
	const many = 5000
	release := make(chan struct{})
	a := pond.NewPool(1)
	for range many {
		wantIs(t, "pond", a.Go(func() { <-release }), nil) // never full
	}
	p := newPool(t, pool.WithWorkers(1))
	accepted := 0
	for range many {
		if err := p.TrySubmit(func(context.Context) error { <-release; return nil }); err != nil {
			wantIs(t, "pool", err, pool.ErrFull)
			break
		}
		accepted++
	}
	if accepted < pool.DefaultBuffer || accepted > pool.DefaultBuffer+1 {
		t.Errorf("pool: accepted %d, want %d, and the one that runs", accepted, pool.DefaultBuffer)
	}
	close(release)
	a.StopAndWait()
}

func TestPondPanic(t *testing.T) {
	a := pond.NewPool(1)
	defer a.StopAndWait()
	wantIs(t, "pond", a.Submit(func() { panic("boom") }).Wait(), pond.ErrPanic)
	_, err := pool.Do(bg, newPool(t, pool.WithPanicHandler(ignore)), func(context.Context) (int, error) { panic("boom") })
	var e *pool.PanicError
	if !errors.As(err, &e) || e.Value != "boom" {
		t.Errorf("pool: got error %v, want the panic", err)
	}
}

func TestPondNested(t *testing.T) {
	p := newPool(t, pool.WithWorkers(1))
	n, err := pool.Do(bg, p, func(ctx context.Context) (int, error) {
		// With a pond of one worker the inner one waits for ever, see TestEndings.
		return pool.Do(ctx, p, func(context.Context) (int, error) { return 42, nil })
	})
	if n != 42 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestPondStopped(t *testing.T) {
	a := pond.NewPool(1)
	a.StopAndWait()
	wantIs(t, "pond", a.Go(func() {}), pond.ErrPoolStopped)
	p := newPool(t)
	wantIs(t, "pool", p.Close(), nil)
	_, err := pool.Do(bg, p, func(context.Context) (int, error) { return 0, nil })
	wantIs(t, "pool", err, pool.ErrClosed)
}

func TestConcPanic(t *testing.T) {
	one := []int{1}
	for name, call := range map[string]func(){
		"Wait": func() {
			p := concpool.New()
			p.Go(func() { panic("boom") })
			p.Wait()
		},
		"Map":     func() { iter.Map(one, func(*int) int { panic("boom") }) },
		"ForEach": func() { iter.ForEach(one, func(*int) { panic("boom") }) },
	} {
		if panicOf(call) == nil {
			t.Errorf("conc: %s did not panic", name)
		}
	}
	g := pool.NewGroup(bg, newPool(t, pool.WithPanicHandler(ignore)))
	g.Go(func(context.Context) error { panic("boom") })
	var e *pool.PanicError
	if err := g.Wait(); !errors.As(err, &e) {
		t.Errorf("Group: got error %v, want the panic", err)
	}
}

func TestConcGoexit(t *testing.T) {
	p := concpool.New().WithErrors()
	p.Go(func() error { runtime.Goexit(); return nil })
	wantIs(t, "conc", p.Wait(), nil)
}

func TestConcAfterError(t *testing.T) {
	var begun atomic.Int64
	p := concpool.New().WithContext(bg).WithCancelOnError().WithFirstError()
	failed := make(chan struct{})
	p.Go(func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { close(failed) })
		return errGone
	})
	<-failed
	p.Go(func(context.Context) error { begun.Add(1); return nil })
	wantIs(t, "conc", p.Wait(), errGone)
	if begun.Load() != 1 {
		t.Error("conc: nothing begun after the error") // the Group's side is in TestErrgroupAfterError
	}
}

func TestChannelClosed(t *testing.T) {
	theirs := newChannelService(func(int) {})
	theirs.stop()
	v := panicOf(func() { _ = theirs.submit(bg, 1) })
	if _, ok := v.(runtime.Error); !ok {
		t.Errorf("channel: got %v, want a panic", v)
	}
	ours, err := newPoolService(func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ours.stop(bg)
	wantIs(t, "stop", err, nil)
	wantIs(t, "pool", ours.submit(bg, 1), pool.ErrClosed)
}

func TestChannelLeftover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, begun := newChannelService(func(int) { time.Sleep(time.Hour) }), time.Now()
		for job := range 10 {
			wantIs(t, "submit", theirs.submit(bg, job), nil)
		}
		theirs.stop()
		if d := time.Since(begun); d != 3*time.Hour {
			t.Errorf("channel: stop returned after %v, want 3h", d)
		}
		s, err := newPoolService(func(int) { time.Sleep(time.Hour) })
		if err != nil {
			t.Fatal(err)
		}
		for job := range 10 {
			wantIs(t, "submit", s.submit(bg, job), nil)
		}
		ctx, cancel := context.WithTimeout(bg, 90*time.Minute)
		defer cancel()
		left, err := s.stop(ctx)
		var d *pool.DeadlineError
		if !errors.As(err, &d) || d.Running != 4 || len(left) != 2 {
			t.Errorf("left %v, %v; want 2 left and 4 running", left, err)
		}
		<-s.p.Done()
	})
}
