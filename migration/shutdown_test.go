package migration

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	concpool "github.com/sourcegraph/conc/pool"

	"github.com/headrace-go/pool"
)

func TestAntsReleaseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			timeout, want time.Duration
			err           error
		}{{2 * time.Hour, time.Hour, nil}, {time.Minute, time.Minute, ants.ErrTimeout}} {
			a, begun := newAnts(t, 1), time.Now()
			wantIs(t, "Submit", a.Submit(func() { _ = hour(bg) }), nil)
			wantIs(t, "ReleaseTimeout", a.ReleaseTimeout(c.timeout), c.err)
			if d := time.Since(begun); d != c.want {
				t.Errorf("returned after %v, want %v", d, c.want)
			}
		}
		time.Sleep(time.Hour) // until the task has ended that was not waited for
	})
}

func TestAntsReboot(t *testing.T) {
	a := newAnts(t, 1)
	wantIs(t, "ReleaseTimeout", a.ReleaseTimeout(time.Hour), nil)
	wantIs(t, "released", a.Submit(func() {}), ants.ErrPoolClosed)
	a.Reboot()
	done := make(chan struct{})
	wantIs(t, "again", a.Submit(func() { close(done) }), nil)
	<-done
}

// TestCloseWithWaiters is of those who wait in Submit; the side of ants is in TestAntsSubmitInTask.
func TestCloseWithWaiters(t *testing.T) {
	for _, buffer := range []int{0, 1} {
		bubble(t, fmt.Sprint("buffer ", buffer), func(t *testing.T) {
			p := newPool(t, pool.WithWorkers(1), pool.WithBuffer(buffer))
			for range 1 + buffer {
				wantIs(t, "no waiter", p.Submit(bg, hour), nil)
				synctest.Wait()
			}
			var refused atomic.Int64
			for range 10 {
				go func() {
					wantIs(t, "waiter", p.Submit(bg, hour), pool.ErrClosed)
					refused.Add(1)
				}()
			}
			synctest.Wait()
			if n := refused.Load(); n != 0 {
				t.Errorf("%d do not wait", n)
			}
			begun := time.Now()
			wantIs(t, "Close", p.Close(), nil)
			if d := time.Since(begun); d != time.Duration(1+buffer)*time.Hour || refused.Load() != 10 {
				t.Errorf("%d refused, and Close returned after %v", refused.Load(), d)
			}
		})
	}
}

func TestPondStopAndWait(t *testing.T) {
	p, gate, n := pond.NewPool(1), make(chan struct{}), 0
	lost := p.Submit(runtime.Goexit) // its Wait does not return before the pool has stopped, see TestEndings
	for range 10 {
		wantIs(t, "pond", p.Go(func() { <-gate; n++ }), nil)
	}
	close(gate)
	p.StopAndWait()
	if n != 10 {
		t.Errorf("%d ran, want 10", n)
	}
	wantIs(t, "after Goexit", lost.Wait(), pond.ErrPoolStopped)
}

// TestStopped stops pools that have a task at work and another one queued.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		theirs, release := pond.NewPool(1, pond.WithContext(ctx)), make(chan struct{})
		at, queued := theirs.Submit(func() { <-release }), theirs.Submit(func() {})
		synctest.Wait()
		cancel()
		wantIs(t, "pond, at work", at.Wait(), context.Canceled)
		wantIs(t, "pond, queued", queued.Wait(), context.Canceled)
		close(release)

		ours, cause := newPool(t, pool.WithWorkers(1)), make(chan error, 1)
		g, h := pool.NewGroup(bg, ours), pool.NewGroup(bg, ours)
		g.Go(func(ctx context.Context) error { <-ctx.Done(); cause <- context.Cause(ctx); return nil })
		h.Go(hour)
		wantIs(t, "Submit", ours.Submit(bg, hour), nil)
		synctest.Wait()
		ours.Abort()
		wantIs(t, "pool, at work", <-cause, pool.ErrAborted)
		wantIs(t, "its Group", g.Wait(), nil)
		wantIs(t, "Group, queued", h.Wait(), pool.ErrAborted)
		wantIs(t, "Close", ours.Close(), nil)
		if left := ours.Leftover(); len(left) != 2 {
			t.Errorf("%d left over, want 2", len(left))
		}
	})
}

func TestConcWaitEndsThePool(t *testing.T) {
	theirs := concpool.New().WithMaxGoroutines(4)
	theirs.Go(func() {})
	theirs.Wait()
	if panicOf(func() { theirs.Go(func() {}) }) == nil {
		t.Error("conc: Go after Wait did not panic")
	}
	p := newPool(t)
	g := pool.NewGroup(bg, p)
	wantIs(t, "Wait", g.Wait(), nil)
	for _, g := range []*pool.Group{g, pool.NewGroup(bg, p)} {
		g.Go(func(context.Context) error { return errGone })
		wantIs(t, "Wait after Wait", g.Wait(), errGone)
	}
}

// TestBreak stops reading results; the side of the channel is in TestEndings.
func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int64
		fetch := func(ctx context.Context, url string) (string, error) {
			running.Add(1)
			defer running.Add(-1)
			if url == "/0" {
				time.Sleep(time.Hour) // until the others have begun
			} else {
				<-ctx.Done()
			}
			return url, nil
		}
		for url, err := range pool.MapUnordered(bg, newPool(t), slices.Values(urls(4)), fetch) {
			if n := running.Load(); url != "/0" || err != nil || n != 3 {
				t.Errorf("got %q, %v; %d run, want 3", url, err, n)
			}
			break
		}
		if n := running.Load(); n != 0 {
			t.Errorf("after the loop %d run", n)
		}
	})
}
