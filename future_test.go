package pool

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFuture(t *testing.T) {
	p := mustNew(t, WithWorkers(2), WithErrorHandler(func(err error) { t.Errorf("handler got %v", err) }))
	futures := make([]*Future[int], 1000)
	for i := range futures {
		futures[i] = Go(bg, p, func(context.Context) (int, error) {
			if i == 7 {
				return i, errTest
			}
			return i, nil
		})
	}
	for i, f := range futures {
		v, err := f.Wait(bg)
		if v != i || (err != nil) != (i == 7) {
			t.Errorf("%d: got %d, %v", i, v, err)
		}
		if again, _ := f.Wait(bg); again != i {
			t.Errorf("%d: got %d the second time", i, again)
		}
	}
	must(t, p.Close())
	if s := p.Stats(); s.Failed != 1 || s.Completed != 999 {
		t.Errorf("%+v", s)
	}
}

// A future ends in every ending: those that TestContract does not have.
func TestFutureEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			opts []Option
			f    func(context.Context) (int, error)
			then func(p *Pool, cancel func())
			want error
		}{
			"cancelled queued": {then: func(_ *Pool, cancel func()) { cancel() }, want: context.Canceled},
			"pool failed": {opts: []Option{WithErrorMode(FailFast)}, then: func(p *Pool, _ func()) {
				must(t, p.Resize(2))
				must(t, p.Submit(bg, func(context.Context) error { return errTest }))
			}, f: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) }, want: errTest},
			"closed":            {opts: []Option{WithContext(closedContext{bg})}, want: ErrClosed},
			"dropped":           {opts: []Option{WithBuffer(1), WithOverflow(DropOldest)}, then: func(p *Pool, _ func()) { must(t, p.Submit(bg, func(context.Context) error { return nil })) }, want: ErrDropped},
			"rejected":          {opts: []Option{WithBuffer(1), WithOverflow(Reject)}, want: ErrFull},
			"cancelled at work": {f: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, then: func(_ *Pool, cancel func()) { cancel() }, want: context.Canceled},
		} {
			p := mustNew(t, append([]Option{WithWorkers(1)}, c.opts...)...)
			g := make(gate)
			if c.f == nil {
				must(t, p.Submit(bg, func(ctx context.Context) error {
					select {
					case <-g:
					case <-ctx.Done():
					}
					return nil
				}))
				synctest.Wait()
			}
			switch name {
			case "closed":
				close(g)
				must(t, p.Close())
			case "rejected":
				must(t, p.Submit(bg, func(context.Context) error { return nil }))
			}
			f := c.f
			if f == nil {
				f = func(context.Context) (int, error) { t.Errorf("%s: ran", name); return 0, nil }
			}
			ctx, cancel := context.WithCancel(bg)
			u := Go(ctx, p, f)
			synctest.Wait()
			if c.then != nil {
				c.then(p, cancel)
			}
			if name == "cancelled queued" {
				synctest.Wait()
				close(g)
			}
			if _, err := u.Wait(bg); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			cancel()
			if name == "dropped" || name == "rejected" {
				close(g)
			}
			p.Close()
		}
	})
}

// closedContext only makes an option that changes nothing.
type closedContext struct{ context.Context }

// One waiter's timeout is its own.
func TestFutureWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		u := Go(bg, p, func(context.Context) (string, error) { time.Sleep(time.Minute); return "done", nil })
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(bg, time.Second)
				defer cancel()
				if i%2 == 0 {
					ctx = bg
				}
				v, err := u.Wait(ctx)
				if i%2 == 0 && (v != "done" || err != nil) || i%2 == 1 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiter %d: %q, %v", i, v, err)
				}
			})
		}
		wg.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err := Do(ctx, p, func(ctx context.Context) (int, error) { time.Sleep(time.Minute); return 0, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		must(t, p.Close())
	})
}

// The context of a call has the values of its own, the state of the worker, and both ends.
func TestFutureContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		p := mustNew(t, WithWorkers(1), WithContext(context.WithValue(bg, key{}, "pool")),
			WithState(func(context.Context) (int, error) { return 42, nil }, nil))
		f := func(ctx context.Context) (any, error) {
			if s, err := StateOf[int](ctx); err != nil || s != 42 {
				t.Errorf("the state is %v", s)
			}
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			return ctx.Value(key{}), context.Cause(child)
		}
		ctx, cancel := context.WithCancelCause(context.WithValue(bg, key{}, "call"))
		time.AfterFunc(time.Second, func() { cancel(errTest) })
		v, err := Go(ctx, p, f).Wait(bg)
		if wantIs(t, err, errTest); v != "call" {
			t.Errorf("the value is %v", v)
		}
		ctx, cancel = context.WithCancelCause(bg)
		defer cancel(nil)
		time.AfterFunc(time.Second, p.Abort)
		v, err = Go(ctx, p, f).Wait(bg)
		if wantIs(t, err, ErrAborted); v != "pool" {
			t.Errorf("the value is %v", v)
		}
		<-p.Done()
	})
}

// A call that nobody has begun ends when one who waits sees its context done, for all who wait,
// and not only when a worker comes to it.
func TestFutureEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		must(t, p.Submit(bg, sleep(time.Hour)))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		start := time.Now()
		u := Go(ctx, p, func(context.Context) (int, error) { return 1, nil })
		other := make(chan time.Duration)
		go func() {
			_, err := u.Wait(bg)
			wantIs(t, err, context.DeadlineExceeded)
			other <- time.Since(start)
		}()
		_, err := u.Wait(ctx)
		wantIs(t, err, context.DeadlineExceeded)
		if d := <-other; d != time.Second {
			t.Errorf("ended after %v for another one who waits", d)
		}
		must(t, p.Close())
	})
}

// Recursion with one worker, with futures and Do, with the task's context and without.
func TestFutureNested(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		for _, buffer := range []int{0, 1, 1024} {
			p := mustNew(t, WithWorkers(n), WithBuffer(buffer))
			var fib func(ctx context.Context, n int) (int, error)
			fib = func(ctx context.Context, n int) (int, error) {
				if n < 2 {
					return n, nil
				}
				a := Go(ctx, p, func(ctx context.Context) (int, error) { return fib(ctx, n-1) })
				b, err := Do(ctx, p, func(ctx context.Context) (int, error) { return fib(ctx, n-2) })
				if err != nil {
					return 0, err
				}
				c, err := a.Wait(ctx)
				return b + c, err
			}
			v, err := fib(bg, 12)
			if must(t, err); v != 144 {
				t.Errorf("got %d", v)
			}
			v, err = Do(bg, p, func(context.Context) (int, error) {
				return Do(bg, p, func(context.Context) (int, error) { return 5, nil })
			})
			if must(t, err); v != 5 {
				t.Errorf("got %d", v)
			}
			must(t, p.Close())
		}
	}
}

// Two pools whose tasks wait for each other's, deeper than there are workers (C8).
func TestFutureTwoPools(t *testing.T) {
	for _, n := range []int{1, 2} {
		a, b := mustNew(t, WithWorkers(n)), mustNew(t, WithWorkers(n))
		var down func(ctx context.Context, depth int) (int, error)
		down = func(ctx context.Context, depth int) (int, error) {
			if depth == 0 {
				return 0, nil
			}
			next := a
			if depth%2 == 0 {
				next = b
			}
			v, err := Do(ctx, next, func(ctx context.Context) (int, error) { return down(ctx, depth-1) })
			return v + 1, err
		}
		v, err := down(bg, 100)
		if must(t, err); v != 100 {
			t.Errorf("got %d", v)
		}
		must(t, a.Close())
		must(t, b.Close())
	}
}

// A child that panics inside the waiting task is its own failure, not the parent's.
func TestFuturePanicsInside(t *testing.T) {
	var panics atomic.Int64
	p := mustNew(t, WithWorkers(1), WithPanicHandler(func(*PanicError) { panics.Add(1) }))
	_, err := Do(bg, p, func(ctx context.Context) (int, error) {
		_, err := Do(ctx, p, func(context.Context) (int, error) { panic(errTest) })
		wantIs(t, err, errTest)
		return 0, nil
	})
	must(t, err)
	must(t, p.Close())
	if panics.Load() != 1 {
		t.Errorf("the handler got %d panics", panics.Load())
	}
}

func TestFutureBadInput(t *testing.T) {
	p := mustNew(t)
	_, err := Do[int](bg, p, nil)
	wantIs(t, err, ErrNilTask)
	_, err = Do(noContext, p, func(context.Context) (int, error) { return 0, nil })
	wantIs(t, err, errNilContext)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err = Do(ctx, p, func(context.Context) (int, error) { t.Error("ran"); return 0, nil })
	wantIs(t, err, context.Canceled)
	must(t, p.Close())
}

func TestFutureAllocations(t *testing.T) {
	only(t, Shared, PerWorker, WorkStealing) // Elastic makes a worker
	p := mustNew(t, WithWorkers(1))
	defer p.Close()
	f := func(context.Context) (int, error) { return 1, nil }
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := Go(bg, p, f).Wait(bg); err != nil {
			t.Error(err)
		}
	}); n > 3 && !raceBuild {
		t.Errorf("Go and Wait take %v allocations", n)
	}
}

// The context of a future's call is no part of the future: Done would not tell that the call has ended.
func TestFutureIsNoContext(t *testing.T) {
	only(t, Shared)
	for _, name := range []string{"Deadline", "Done", "Err", "Value"} {
		if _, ok := reflect.TypeFor[*Future[int]]().MethodByName(name); ok {
			t.Errorf("Future has the method %s of a context", name)
		}
	}
}

// A Wait whose context ends just after the pool has stopped returns the context's error. The cause of
// the stop would look like the outcome.
func TestFutureWaitSaysWhyItEnded(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1))
			hold := make(gate)
			u := Go(bg, p, func(ctx context.Context) (int, error) { return 1, hold.task(ctx) })
			synctest.Wait()
			ctx, cancel := context.WithCancel(bg)
			var err error
			go func() { _, err = u.Wait(ctx) }()
			synctest.Wait()
			p.Abort()
			cancel()
			synctest.Wait()
			wantIs(t, err, context.Canceled)
			close(hold)
			if v, err := u.Wait(bg); v != 1 || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
			must(t, p.Close())
		})
	}
}
