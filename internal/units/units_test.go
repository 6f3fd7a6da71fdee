package units

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var bg = context.Background()

func activated(ctx context.Context, capacity int64) *Units {
	u := new(Units)
	u.Init(ctx, capacity)
	u.Activate(0)
	return u
}

// While the capacity stays, no more than that is in use, and at the end nothing is.
func TestCapacityHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 7
		u := activated(bg, capacity)
		var used atomic.Int64
		var wg sync.WaitGroup
		for i := range uint64(20) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(i, 1))
				for range 50 {
					n := 1 + r.Int64N(capacity)
					got, ok := u.Acquire(bg, n, 0)
					if !ok || got != n {
						t.Errorf("got %d of %d, %v", got, n, ok)
					}
					if now := used.Add(n); now > capacity {
						t.Errorf("%d of %d are in use", now, capacity)
					}
					time.Sleep(time.Duration(r.IntN(3)))
					used.Add(-n)
					u.Release(n)
				}
			})
		}
		wg.Wait()
		if n := u.Used(); n != 0 {
			t.Errorf("at the end %d are in use", n)
		}
	})
}

// However the capacity changes, everybody gets what there is of what it wants, and at the end nothing is in use.
func TestCapacityChanges(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			u := activated(bg, 5)
			var wg sync.WaitGroup
			for i := range uint64(10) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, i))
					for range 20 {
						n, ok := u.Acquire(bg, 1+r.Int64N(8), 0)
						if !ok {
							t.Error("refused")
						}
						time.Sleep(time.Duration(r.IntN(3)))
						u.Release(n)
						time.Sleep(time.Duration(r.IntN(2)))
						u.Regain(nil, bg, n) // as much as before
						u.Release(n)
					}
				})
			}
			r := rand.New(rand.NewPCG(seed, 99))
			for range 50 {
				u.Resize(bg, 1+r.Int64N(9))
				time.Sleep(time.Nanosecond)
			}
			wg.Wait()
			if n := u.Used(); n != 0 {
				t.Errorf("at the end %d are in use", n)
			}
		})
	}
}

// What was taken away while it was in use is withheld from what is released next.
func TestDebtIsPaidFirst(t *testing.T) {
	u := activated(bg, 4)
	if n, ok := u.Acquire(bg, 4, 0); n != 4 || !ok {
		t.Fatal(n, ok)
	}
	u.Resize(bg, 2)
	u.Release(2)
	if n := u.Used(); n != 2 || u.owed != 0 {
		t.Errorf("%d in use, %d owed, want 2 and 0", n, u.owed)
	}
	u.Release(2)
	if n := u.Used(); n != 0 {
		t.Errorf("%d in use", n)
	}
}

// Units that were in use when the count began are released like others, and more of them than there are is a debt.
func TestActivateInUse(t *testing.T) {
	u := new(Units)
	u.Init(bg, 3)
	if u.Active() || u.Used() != 0 {
		t.Error("active before Activate")
	}
	u.Activate(5)
	if n := u.Used(); n != 5 || !u.Active() {
		t.Errorf("%d in use, want 5", n)
	}
	u.Release(5)
	if n := u.Used(); n != 0 {
		t.Errorf("%d in use", n)
	}
}

// A wait ends with the base context, and a task that comes back goes on then with units that are owed.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		u := activated(ctx, 2)
		_, _ = u.Acquire(ctx, 2, 0)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, ok := u.Acquire(ctx, 1, 0); ok || n != 0 {
				t.Errorf("got %d, %v", n, ok)
			}
		})
		wg.Go(func() { u.Regain(nil, ctx, 2) })
		synctest.Wait()
		cancel()
		wg.Wait()
		if n := u.Used(); n != 4 {
			t.Errorf("%d in use, want 4", n)
		}
		u.Release(4)
		if n := u.Used(); n != 0 {
			t.Errorf("%d in use", n)
		}
	})
}

// Who waits for more than it has does not keep one waiting that came before.
func TestNobodyHoldsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := activated(bg, 3)
		_, _ = u.Acquire(bg, 1, 0)
		var wg sync.WaitGroup
		wg.Go(func() {
			u.Regain(nil, bg, 3)
			u.Release(3)
		})
		synctest.Wait()
		if n, ok := u.Acquire(bg, 2, 1); n != 2 || !ok {
			t.Errorf("got %d, %v", n, ok)
		}
		wg.Wait()
		u.Release(2)
		if n := u.Used(); n != 0 {
			t.Errorf("%d in use", n)
		}
	})
}
