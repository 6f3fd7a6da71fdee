package migration

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alitto/pond/v2"

	"github.com/headrace-go/pool"
)

// The tests in this file are of what pond's own tests ask of a pool. Where theirs and ours differ on purpose the page says so.

var errMine = errors.New("mine")

// TestPondTry submits without waiting: with one worker and room for one, two are accepted, also in the moment
// in which the worker has not begun the first. What is refused, full or closed, is counted.
func TestPondTry(t *testing.T) {
	for _, want := range []error{nil, errMine} {
		t.Run(errorName(want), func(t *testing.T) {
			ended := map[bool]int{}
			ends := func(err error) { ended[err == nil]++ }

			theirs, release := pond.NewResultPool[int](1, pond.WithQueueSize(1)), make(chan struct{})
			first, ok1 := theirs.TrySubmitErr(func() (int, error) { <-release; return 42, nil })
			second, ok2 := theirs.TrySubmitErr(func() (int, error) { return 43, want })
			_, ok3 := theirs.TrySubmitErr(func() (int, error) { return 44, nil })
			close(release)
			theirs.StopAndWait()
			_, ok4 := theirs.TrySubmitErr(func() (int, error) { return 45, nil })
			if got := []bool{ok1, ok2, ok3, ok4}; !slices.Equal(got, []bool{true, true, false, false}) {
				t.Errorf("pond: accepted %v", got)
			}
			_, err := first.Wait()
			ends(err)
			_, err = second.Wait()
			ends(err)

			p := newPool(t, pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.Reject))
			gate := make(chan struct{})
			u := pool.Go(bg, p, func(context.Context) (int, error) { <-gate; return 42, nil })
			v := pool.Go(bg, p, func(context.Context) (int, error) { return 43, want })
			w := pool.Go(bg, p, func(context.Context) (int, error) { return 44, nil })
			wantIs(t, "TrySubmit", p.TrySubmit(hour), pool.ErrFull)
			close(gate)
			if err := p.Close(); err != nil {
				t.Errorf("Close: %v; the error of a Future is its own", err)
			}
			wantIs(t, "TrySubmit after Close", p.TrySubmit(hour), pool.ErrClosed)
			for i, u := range []*pool.Future[int]{u, v, w} {
				n, err := u.Wait(bg)
				switch i {
				case 0:
					wantIs(t, "first", err, nil)
				case 1:
					wantIs(t, "second", err, want)
				case 2:
					wantIs(t, "third", err, pool.ErrFull)
				}
				if wantN := 42 + i; err == nil && n != wantN || err != nil && i == 2 && n != 0 {
					t.Errorf("result %d is %d", i, n)
				}
			}
			s := p.Stats()
			if s.Accepted != 2 || s.Rejected != 3 || int(s.Completed) != ended[true] || int(s.Failed) != ended[false] {
				t.Errorf("%v, where pond has %v", s, ended)
			}
		})
	}
}

func errorName(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

// TestPondCancelInside cancels the context of a pool inside a task. From the moment on in which cancel returns nothing starts.
// pond gives the task's Future the context's error, the pool the task's own: it has ended well.
func TestPondCancelInside(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	theirs := pond.NewResultPool[int](1, pond.WithContext(ctx))
	before := theirs.Submit(func() int { return 111 })
	inside := theirs.Submit(func() int { cancel(); return 222 })
	after := theirs.Submit(func() int { return 333 })
	_, err := before.Wait()
	wantIs(t, "pond, before", err, nil)
	_, err = inside.Wait()
	wantIs(t, "pond, inside", err, context.Canceled)
	_, err = after.Wait()
	wantIs(t, "pond, after", err, context.Canceled)
	theirs.StopAndWait()

	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		p := newPool(t, pool.WithWorkers(1), pool.WithContext(ctx))
		u := pool.Go(bg, p, func(context.Context) (int, error) { return 111, nil })
		v := pool.Go(bg, p, func(context.Context) (int, error) { cancel(); return 222, nil })
		w := pool.Go(bg, p, func(context.Context) (int, error) { return 333, nil })
		for i, u := range []*pool.Future[int]{u, v} {
			if n, err := u.Wait(bg); n != 111*(i+1) || err != nil {
				t.Errorf("result %d: %d, %v", i, n, err)
			}
		}
		_, err = w.Wait(bg)
		wantIs(t, "after", err, context.Canceled)
		wantIs(t, "Submit", p.Submit(bg, hour), context.Canceled)
		wantIs(t, "Submit", p.Submit(bg, hour), pool.ErrClosed)
		if err := p.Close(); err == nil {
			t.Error("Close does not say that a task was handed back")
		}
		wantIs(t, "Submit after Close", p.Submit(bg, hour), pool.ErrClosed)
		if s := p.Stats(); s.Accepted != 3 || s.Completed != 2 || s.Unrun != 1 || s.Queued != 0 || s.Running != 0 || s.Goroutines != 0 {
			t.Errorf("%v", s)
		}
	})
}

// TestPondCancelQueued cancels the context of a pool whose only worker is busy. Its end does not wait for what is queued.
func TestPondCancelQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		p, gate := newPool(t, pool.WithWorkers(1), pool.WithContext(ctx)), make(chan struct{})
		u := pool.Go(bg, p, func(context.Context) (int, error) { <-gate; return 1, nil })
		v := pool.Go(bg, p, func(context.Context) (int, error) { return 2, nil })
		synctest.Wait()
		cancel()
		close(gate)
		if err := p.Close(); err == nil {
			t.Error("Close does not say that a task was handed back")
		}
		if n, err := u.Wait(bg); n != 1 || err != nil {
			t.Errorf("at work: %d, %v", n, err)
		}
		_, err := v.Wait(bg)
		wantIs(t, "queued", err, context.Canceled)
		if s := p.Stats(); s.Accepted != 2 || s.Completed != 1 || s.Unrun != 1 || s.Goroutines != 0 {
			t.Errorf("%v", s)
		}
	})
}

// TestPondGroupCancelled cancels the context of a group in the fifth of ten tasks. Five have run; the others are
// counted as what they are, skipped, not as successes.
func TestPondGroupCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.WithWorkers(1))
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		g := pool.NewGroup(ctx, p)
		for i := range 10 {
			g.Go(func(context.Context) error {
				time.Sleep(20 * time.Millisecond)
				if i == 4 {
					cancel()
				}
				return nil
			})
		}
		wantIs(t, "Wait", g.Wait(), context.Canceled)
		wantIs(t, "Close", p.Close(), nil)
		if s := p.Stats(); s.Accepted != 10 || s.Completed != 5 || s.Failed != 0 || s.Skipped != 5 {
			t.Errorf("%v", s)
		}
	})
}

// TestPondGroupContext has the first error of a group end the context of the others, and keep a third one from starting.
func TestPondGroupContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.WithWorkers(2))
		g := pool.NewGroup(bg, p)
		var both sync.WaitGroup
		both.Add(2)
		g.Go(func(context.Context) error {
			both.Done()
			both.Wait()
			return errMine
		})
		g.Go(func(ctx context.Context) error {
			both.Done()
			both.Wait()
			<-ctx.Done()
			return errGone
		})
		g.Go(func(context.Context) error { return nil })
		wantIs(t, "Wait", g.Wait(), errMine)
		<-g.Context().Done()
		_ = p.Close()
		if s := p.Stats(); s.Accepted != 3 || s.Completed != 0 || s.Failed != 2 || s.Skipped != 1 {
			t.Errorf("%v", s)
		}
	})
}

// TestPondSubpools has four pools that share the place of none: a subpool is a pool of its own. Each runs as many as it may, and
// after the end of their context only those that had begun.
func TestPondSubpools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		gate := make(chan struct{})
		limits := []int{1, 2, 3, 7}
		var pools []*pool.Pool
		for _, n := range limits {
			p := newPool(t, pool.WithStrategy(pool.Elastic), pool.WithWorkers(n), pool.WithContext(ctx))
			pools = append(pools, p)
			for range 10 {
				wantIs(t, "Submit", p.Submit(bg, func(context.Context) error { <-gate; return nil }), nil)
			}
		}
		synctest.Wait()
		for i, p := range pools {
			if s := p.Stats(); int(s.Running) != limits[i] || s.Completed != 0 {
				t.Errorf("pool of %d: %v", limits[i], s)
			}
		}
		cancel()
		close(gate)
		for i, p := range pools {
			_ = p.Close()
			if s := p.Stats(); int(s.Completed) != limits[i] || int(s.Unrun) != 10-limits[i] {
				t.Errorf("pool of %d at the end: %v", limits[i], s)
			}
		}
	})
}
