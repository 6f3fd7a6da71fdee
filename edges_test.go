package pool

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A producer's buffer for jobs does what one for tasks does.
func TestTypedBatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		p, err := NewTyped(func(_ context.Context, v int) error { time.Sleep(time.Second); r.add(v); return nil },
			WithStrategy(strategy), WithWorkers(1))
		must(t, err)
		b := p.Batcher()
		for i := range 3 {
			must(t, b.Add(bg, i))
			synctest.Wait()
		}
		if s := p.Stats(); s.Running != 1 || s.Queued != 0 {
			t.Errorf("%d run, %d are queued, want 1 and 0 while the worker is busy", s.Running, s.Queued)
		}
		must(t, b.Flush(bg))
		if s := p.Stats(); s.Running != 1 || s.Queued != 2 {
			t.Errorf("%d run, %d are queued, want 1 and 2 after the flush", s.Running, s.Queued)
		}
		must(t, b.Add(bg, 3))
		must(t, b.Close())
		must(t, p.Close())
		if got := r.get(); len(got) != 4 {
			t.Errorf("%v ran", got)
		}
	})
}

// The options of all kinds of pools are checked.
func TestBadOptionsOfTypedPools(t *testing.T) {
	if _, err := NewTyped(func(context.Context, int) error { return nil }, WithWorkers(-1)); err == nil || !strings.Contains(err.Error(), "WithWorkers") {
		t.Errorf("NewTyped: %v", err)
	}
	if _, err := NewTypedBatch(func(context.Context, []int) error { return nil }, WithWorkers(-1)); err == nil || !strings.Contains(err.Error(), "WithWorkers") {
		t.Errorf("NewTypedBatch: %v", err)
	}
}

// A bad argument of a group's settings panics, where it is given.
func TestBadSettingsOfAGroup(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	g := NewGroup(bg, p)
	started, end := make(gate), make(gate)
	g.Go(func(context.Context) error { close(started); <-end; return nil })
	<-started
	for what, f := range map[string]func(){
		"SetLimit(3) while 1 tasks": func() { g.SetLimit(3) },
		"unknown mode 7":            func() { g.SetErrorMode(7) },
		"at least 1, got 0":         func() { g.SetErrorLimit(0) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.Contains(s, what) {
					t.Errorf("panic %q, want one with %q", s, what)
				}
			}()
			f()
		}()
	}
	close(end)
	must(t, g.Wait())
	must(t, p.Close())
}

// The contexts of calls and groups have the deadline of their owner's.
func TestDeadlineOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		want, _ := ctx.Deadline()
		ask := func(ctx context.Context) (time.Time, error) { d, _ := ctx.Deadline(); return d, nil }
		if got, err := Do(ctx, p, ask); err != nil || got != want {
			t.Errorf("Do: %v, %v", got, err)
		}
		g := NewGroup(ctx, p)
		g.Go(func(ctx context.Context) error {
			if got, _ := ctx.Deadline(); got != want {
				t.Errorf("Go: %v", got)
			}
			return nil
		})
		must(t, g.Wait())
		must(t, p.Close())
	})
}

// Nil contexts are refused, and a context that is done is seen before anything begins.
func TestContextsOfFuturesAndLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		g := make(gate)
		u := Go(bg, p, func(ctx context.Context) (int, error) { return 1, g.task(ctx) })
		_, err := u.Wait(noContext)
		wantIs(t, err, errNilContext)
		done, cancel := context.WithCancel(bg)
		cancel()
		_, err = u.Wait(done)
		wantIs(t, err, context.Canceled)
		one := func(ctx context.Context, v int) (int, error) { return v, nil }
		values := func(yield func(int) bool) { t.Error("a value was taken"); yield(1) }
		for what, ctx := range map[error]context.Context{errNilContext: noContext, context.Canceled: done} {
			for name, results := range map[string]iter.Seq2[int, error]{
				"Map": Map(ctx, p, values, one), "MapUnordered": MapUnordered(ctx, p, values, one),
			} {
				n := 0
				for _, err := range results {
					n++
					if !errors.Is(err, what) {
						t.Errorf("%s: %v, want %v", name, err, what)
					}
				}
				if n != 1 {
					t.Errorf("%s: %d results", name, n)
				}
			}
		}
		close(g)
		must(t, p.Close())
	})
}

// Who waits for a call that runs on after the pool was stopped obeys its own context.
func TestWaitForACallThatOutlivesTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		u := Go(bg, p, func(ctx context.Context) (int, error) { return 1, sleep(time.Minute)(ctx) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, 2*time.Second)
		defer cancel()
		start := time.Now()
		time.AfterFunc(time.Second, p.Abort)
		_, err := u.Wait(ctx)
		wantIs(t, err, context.DeadlineExceeded)
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("returned after %v", d)
		}
		if v, err := u.Wait(bg); v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		<-p.Done()
	})
}

// A worker's state is made once, also when several goroutines of the task ask for it.
func TestStateIsAskedForByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		p := mustNew(t, WithWorkers(1), WithState(func(context.Context) (int, error) { time.Sleep(time.Second); made++; return made, nil }, nil))
		must(t, p.Submit(bg, func(ctx context.Context) error {
			got := make(chan int)
			for range 3 {
				go func() { v, _ := StateOf[int](ctx); got <- v }()
			}
			for range 3 {
				if v := <-got; v != 1 {
					t.Errorf("got state %d", v)
				}
			}
			return nil
		}))
		must(t, p.Close())
	})
}

// What errors and strategies say of themselves.
func TestTexts(t *testing.T) {
	if got := (&DeadlineError{Unstarted: 2, Running: 3, Err: context.DeadlineExceeded}).Error(); !strings.Contains(got, "2 tasks never started") || !strings.Contains(got, "3 still running") {
		t.Errorf("got %q", got)
	}
	if got := Strategy(9).String(); got != "Strategy(9)" {
		t.Errorf("got %q", got)
	}
}

// Without a queue a task with a key is accepted while a worker is free, and waits behind another one with
// its key on that worker's account.
func TestKeyWithoutAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(0), WithOverflow(Reject))
		g := make(gate)
		var r record
		must(t, p.SubmitKeyed(bg, 1, func(context.Context) error { <-g; r.add(1); return nil }))
		synctest.Wait()
		must(t, p.SubmitKeyed(bg, 1, r.task(2)))
		synctest.Wait()
		wantIs(t, p.SubmitKeyed(bg, 1, r.task(3)), ErrFull)
		close(g)
		must(t, p.Wait(bg))
		must(t, p.SubmitKeyed(bg, 1, r.task(4)))
		must(t, p.Close())
		if got := r.get(); !slices.Equal(got, []int{1, 2, 4}) {
			t.Errorf("%v ran", got)
		}
	})
}

// The context of a batch may end in the middle of it, here by a task that its submitter runs.
func TestContextEndsWithinABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns))
		g := make(gate)
		must(t, p.Submit(bg, g.task))
		synctest.Wait()
		must(t, p.Submit(bg, g.task))
		ctx, cancel := context.WithCancel(bg)
		n, err := p.SubmitBatch(ctx, []Task{
			func(context.Context) error { cancel(); return nil },
			func(context.Context) error { t.Error("ran"); return nil },
		})
		wantIs(t, err, context.Canceled)
		if n != 1 {
			t.Errorf("%d were accepted", n)
		}
		close(g)
		must(t, p.Close())
		s := p.Stats()
		checkRest(t, s)
		if s.Accepted != 3 || s.Rejected != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

// The context of a group ends with it.
func TestContextOfAGroup(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	g := NewGroup(bg, p)
	ctx := g.Context()
	must(t, ctx.Err())
	g.Go(func(context.Context) error { return errTest })
	wantIs(t, g.Wait(), errTest)
	wantIs(t, context.Cause(ctx), errTest)
	must(t, p.Close())
}

// What was not made by its constructor panics with a sentence that names it.
func TestNotMade(t *testing.T) {
	var (
		none  *Pool
		typed *Typed[int]
		group *Group
	)
	for name, f := range map[string]func(){
		"nil Pool: Submit":         func() { _ = none.Submit(bg, nop) },
		"nil Pool: TrySubmit":      func() { _ = none.TrySubmit(nop) },
		"nil Pool: SubmitBatch":    func() { _, _ = none.SubmitBatch(bg, nil) },
		"nil Pool: SubmitKeyed":    func() { _ = none.SubmitKeyed(bg, 1, nop) },
		"nil Pool: SubmitWeighted": func() { _ = none.SubmitWeighted(bg, 1, nop) },
		"nil Pool: Submit of nil":  func() { _ = none.Submit(bg, nil) },
		"nil Pool: Batcher":        func() { none.Batcher() },
		"nil Pool: NewGroup":       func() { NewGroup(bg, none) },
		"nil Pool: Go":             func() { Go(bg, none, one) },
		"nil Pool: Map":            func() { _ = lastOf(Map(bg, none, upTo(1), one1)) },
		"zero Pool: Submit":        func() { _ = new(Pool).Submit(bg, nop) },
		"zero Pool: Close":         func() { _ = new(Pool).Close() },
		"zero Pool: Shutdown":      func() { _ = new(Pool).Shutdown(bg) },
		"zero Pool: Wait":          func() { _ = new(Pool).Wait(bg) },
		"nil Typed: Submit":        func() { _ = typed.Submit(bg, 1) },
		"nil Typed: Batcher":       func() { typed.Batcher() },
		"nil Group: Go":            func() { group.Go(nop) },
		"zero Group: Go":           func() { new(Group).Go(nop) },
		"zero Group: Wait":         func() { _ = new(Group).Wait() },
		"zero Group: Context":      func() { new(Group).Context() },
		"zero Future: Wait":        func() { _, _ = new(Future[int]).Wait(bg) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "pool: the ") {
					t.Errorf("%s: %q", name, s)
				}
			}()
			f()
		}()
	}
}
