package migration

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	concpool "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// bubble is a subtest in virtual time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// hour is a task that takes an hour of a bubble's time.
func hour(context.Context) error {
	time.Sleep(time.Hour)
	return nil
}

// newAnts returns a pool of ants that is released at the end of the test.
func newAnts(t *testing.T, size int, opts ...ants.Option) *ants.Pool {
	t.Helper()
	a, err := ants.NewPool(size, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Release)
	return a
}

// TestSecondSubmissionWaits is of two tasks of an hour where one can run and none can be queued: how long the
// submission of the second one waits, with a context that is done after a minute.
func TestSecondSubmissionWaits(t *testing.T) {
	one := func(t *testing.T) *pool.Pool { return newPool(t, pool.WithWorkers(1), pool.WithBuffer(0)) }
	for name, c := range map[string]struct {
		want   time.Duration
		submit func(t *testing.T, ctx context.Context) func()
	}{
		"ants": {time.Hour, func(t *testing.T, ctx context.Context) func() {
			a := newAnts(t, 1)
			return func() { wantIs(t, "ants", a.Submit(func() { _ = hour(ctx) }), nil) }
		}},
		"conc": {time.Hour, func(t *testing.T, ctx context.Context) func() {
			p := concpool.New().WithMaxGoroutines(1).WithContext(ctx)
			t.Cleanup(func() { _ = p.Wait() })
			return func() { p.Go(hour) }
		}},
		"errgroup": {time.Hour, func(t *testing.T, ctx context.Context) func() {
			g, ctx := errgroup.WithContext(ctx)
			g.SetLimit(1)
			t.Cleanup(func() { _ = g.Wait() })
			return func() { g.Go(func() error { return hour(ctx) }) }
		}},
		"Group at its limit": {time.Hour, func(t *testing.T, _ context.Context) func() {
			g := pool.NewGroup(bg, newPool(t))
			g.SetLimit(1)
			return func() { g.Go(hour) }
		}},
		"Group in a full pool": {time.Hour, func(t *testing.T, _ context.Context) func() {
			g := pool.NewGroup(bg, one(t))
			return func() { g.Go(hour) }
		}},
		"Group with the context": {time.Minute, func(t *testing.T, ctx context.Context) func() {
			g := pool.NewGroup(ctx, one(t))
			return func() { g.Go(hour) }
		}},
		"Go": {time.Hour, func(t *testing.T, _ context.Context) func() {
			p := one(t)
			return func() { pool.Go(bg, p, func(ctx context.Context) (int, error) { return 0, hour(ctx) }) }
		}},
		"Submit": {time.Hour, func(t *testing.T, _ context.Context) func() {
			p := one(t)
			return func() { wantIs(t, "pool", p.Submit(bg, hour), nil) }
		}}, // with the context: TestBlockedSubmitObeysContext
	} {
		bubble(t, name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			submit := c.submit(t, ctx)
			submit()
			begun := time.Now()
			submit()
			if d := time.Since(begun); d != c.want {
				t.Errorf("waited %v, want %v", d, c.want)
			}
			time.Sleep(2 * time.Hour) // until both have ended
		})
	}
}

// TestRefused counts the tasks that are taken before one is refused, with one worker and room for two.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		want   error
		submit func(t *testing.T) func(func()) error
	}{
		"pond": {pond.ErrQueueFull, func(*testing.T) func(func()) error {
			return pond.NewPool(1, pond.WithNonBlocking(true), pond.WithQueueSize(2)).Go
		}},
		"Reject": {pool.ErrFull, func(t *testing.T) func(func()) error {
			p := newPool(t, pool.WithWorkers(1), pool.WithBuffer(2), pool.WithOverflow(pool.Reject))
			return func(f func()) error { return p.Submit(bg, func(context.Context) error { f(); return nil }) }
		}},
		"TrySubmit": {pool.ErrFull, func(t *testing.T) func(func()) error {
			p := newPool(t, pool.WithWorkers(1), pool.WithBuffer(2))
			return func(f func()) error { return p.TrySubmit(func(context.Context) error { f(); return nil }) }
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			submit, release := c.submit(t), make(chan struct{})
			for range 3 {
				wantIs(t, name, submit(func() { <-release }), nil)
				synctest.Wait()
			}
			wantIs(t, name, submit(func() {}), c.want)
			close(release)
		})
	}
}

func TestAntsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnts(t, 1, ants.WithMaxBlockingTasks(3))
		next := make(chan struct{})
		var begun, returned []int
		submit := func(i int) {
			wantIs(t, "ants", a.Submit(func() { begun = append(begun, i); <-next }), nil)
			returned = append(returned, i)
		}
		submit(0)
		for i := range 3 {
			go submit(i + 1)
			synctest.Wait()
		}
		wantIs(t, "with three who wait", a.Submit(func() {}), ants.ErrPoolOverload)
		for n := range 4 { // nothing is queued: a task begins when its submitter is woken
			if len(begun) != n+1 || !slices.Equal(begun, returned) {
				t.Errorf("%d have ended: begun %v, submitted %v", n, begun, returned)
			}
			next <- struct{}{}
			synctest.Wait()
		}
	})
}

func TestAntsSubmitInTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnts(t, 1)
		returned := make(chan error, 1)
		wantIs(t, "ants", a.Submit(func() { returned <- a.Submit(func() {}) }), nil)
		time.Sleep(time.Hour)
		if len(returned) > 0 || a.Waiting() != 1 {
			t.Errorf("ants: Submit in a task does not wait")
		}
		a.Release()
		wantIs(t, "ants, released", <-returned, ants.ErrPoolClosed)

		p := newPool(t, pool.WithWorkers(1), pool.WithBuffer(1))
		var order []string
		add := func(s string) pool.Task {
			return func(context.Context) error { order = append(order, s); return nil }
		}
		wantIs(t, "pool", p.Submit(bg, func(ctx context.Context) error {
			wantIs(t, "room", p.Submit(ctx, add("queued")), nil)
			wantIs(t, "no room", p.Submit(ctx, add("inside")), nil)
			return add("returned")(ctx)
		}), nil)
		synctest.Wait()
		if want := []string{"inside", "returned", "queued"}; !slices.Equal(order, want) {
			t.Errorf("pool: order %v, want %v", order, want)
		}
	})
}

func TestWaitLendsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.WithWorkers(2))
		gate := make(chan struct{})
		begun := pool.Go(bg, p, func(context.Context) (int, error) { <-gate; return 42, nil })
		synctest.Wait()
		n, err := pool.Do(bg, p, func(ctx context.Context) (int, error) {
			wantIs(t, "Submit", p.Submit(ctx, func(context.Context) error { close(gate); return nil }), nil)
			return begun.Wait(ctx) // both workers are taken
		})
		if n != 42 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

// TestFullService submits with a context that is done after a minute to four workers, with a queue of 100.
func TestFullService(t *testing.T) {
	slow := func(int) { _ = hour(bg) }
	for name, start := range map[string]func(t *testing.T) func(context.Context, int) error{
		"channel": func(t *testing.T) func(context.Context, int) error {
			s := newChannelService(slow)
			t.Cleanup(s.stop)
			return s.submit
		},
		"pool": func(t *testing.T) func(context.Context, int) error {
			s, err := newPoolService(slow)
			wantIs(t, "new", err, nil)
			t.Cleanup(func() { _, _ = s.stop(bg) })
			return s.submit
		},
	} {
		bubble(t, name, func(t *testing.T) {
			submit := start(t)
			for job := range 104 {
				wantIs(t, "room", submit(bg, job), nil)
				synctest.Wait()
			}
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			begun := time.Now()
			wantIs(t, "no room", submit(ctx, 104), context.DeadlineExceeded)
			if d := time.Since(begun); d != time.Minute {
				t.Errorf("waited %v, want 1m", d)
			}
		})
	}
}

func TestChannelDoneContext(t *testing.T) {
	done, cancel := context.WithCancel(bg)
	cancel()
	theirs := newChannelService(func(int) {})
	defer theirs.stop()
	ours, err := newPoolService(func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for job := range 1000 { // select takes one of what is possible, by chance
		if theirs.submit(done, job) == nil {
			accepted++
		}
		wantIs(t, "pool", ours.submit(done, job), context.Canceled)
	}
	if accepted == 0 {
		t.Error("channel: nothing was accepted")
	}
	_, err = ours.stop(bg)
	wantIs(t, "stop", err, nil)
}

// TestOrder is of tasks that wait for the only worker.
func TestOrder(t *testing.T) {
	p := newPool(t, pool.WithWorkers(1))
	for name, submit := range map[string]func(func()) error{
		"pond": pond.NewPool(1).Go,
		"pool": func(f func()) error { return p.Submit(bg, func(context.Context) error { f(); return nil }) },
	} {
		gate, done := make(chan struct{}), make(chan struct{})
		wantIs(t, name, submit(func() { <-gate }), nil)
		var got []int
		for i := range 500 {
			wantIs(t, name, submit(func() { got = append(got, i) }), nil)
		}
		wantIs(t, name, submit(func() { close(done) }), nil)
		close(gate)
		<-done
		if len(got) != 500 || !slices.IsSorted(got) {
			t.Errorf("%s: order %v", name, got)
		}
	}
}
