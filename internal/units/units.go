// Package units is a semaphore for tasks of different weights whose capacity can change while units
// of it are in use.
//
// It uses the semaphore of golang.org/x/sync, which cannot shrink: units that are taken away while
// in use are owed, and withheld from those that are released next. Waiters are served in the order
// of their arrival.
package units

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Max is the largest capacity. It leaves room for sums of weights.
const Max = 1 << 62

// Units is the semaphore. Until Activate nothing is taken from it.
type Units struct {
	active   atomic.Bool
	capacity atomic.Int64 // written under mu

	mu     sync.Mutex
	sem    *semaphore.Weighted
	owed   int64
	now    context.Context    // ends with base, and when the capacity changes
	change context.CancelFunc // ends now
}

// Init sets the capacity. Calls that wait end with base.
func (u *Units) Init(base context.Context, capacity int64) {
	u.capacity.Store(capacity)
	u.now, u.change = context.WithCancel(base)
}

// Active reports whether Activate was called.
func (u *Units) Active() bool { return u.active.Load() }

// Activate starts to count. used units are in use already.
func (u *Units) Activate(used int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sem = semaphore.NewWeighted(Max)
	capacity := u.capacity.Load()
	u.sem.TryAcquire(Max - capacity + min(used, capacity))
	u.owed = max(0, used-capacity)
	u.active.Store(true)
}

// Capacity returns the capacity.
func (u *Units) Capacity() int64 { return u.capacity.Load() }

// Free reports whether Acquire would get what it wants without waiting.
func (u *Units) Free(weight int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := min(weight, u.capacity.Load())
	free := u.sem.TryAcquire(n)
	if free {
		u.sem.Release(n)
	}
	return free
}

// Release gives units back.
func (u *Units) Release(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.releaseLocked(n)
}

func (u *Units) releaseLocked(n int64) {
	paid := min(n, u.owed)
	u.owed -= paid
	if n > paid {
		u.sem.Release(n - paid)
	}
}

// Resize changes the capacity. Calls that wait start again.
func (u *Units) Resize(base context.Context, capacity int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := capacity - u.capacity.Swap(capacity)
	if u.sem == nil {
		return
	}
	if d > 0 {
		u.releaseLocked(d)
	}
	for ; d < 0; d++ {
		if !u.sem.TryAcquire(1) {
			u.owed -= d
			break
		}
	}
	u.change()
	u.now, u.change = context.WithCancel(base)
}

// Acquire waits for the units of a task of that weight, or for all of the capacity if that is less.
// The caller has have units already. Acquire returns how many the caller has then, and false if ctx
// has ended. A caller that waits gives back what it has, so no waiting caller keeps another one
// waiting.
func (u *Units) Acquire(ctx context.Context, weight, have int64) (units int64, ok bool) {
	for ctx.Err() == nil {
		u.mu.Lock()
		n := min(weight, u.capacity.Load())
		if n <= have || u.sem.TryAcquire(n-have) {
			u.mu.Unlock()
			return max(n, have), true
		}
		if have > 0 {
			u.releaseLocked(have)
			have = 0
		}
		sem, now := u.sem, u.now
		u.mu.Unlock()
		if sem.Acquire(now, n) == nil {
			return n, true
		}
	}
	return have, false
}

// Regain gets units back for a task that returns from a wait: all of the capacity if that is less,
// and the rest is owed. If ended is closed, or base ends first, the task continues, and all units
// are owed.
func (u *Units) Regain(ended <-chan struct{}, base context.Context, n int64) {
	got := int64(0)
	for got == 0 && base.Err() == nil && !closed(ended) {
		u.mu.Lock()
		k, sem, now := min(n, u.capacity.Load()), u.sem, u.now
		if sem.TryAcquire(k) {
			got = k
		}
		u.mu.Unlock()
		if got == 0 && acquire(now, ended, sem, k) {
			got = k
		}
	}
	u.mu.Lock()
	u.owed += n - got
	u.mu.Unlock()
}

// acquire waits for k units until ctx ends, or ended is closed.
func acquire(ctx context.Context, ended <-chan struct{}, sem *semaphore.Weighted, k int64) bool {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-ended:
			cancel()
		case <-both.Done():
		}
	}()
	return sem.Acquire(both, k) == nil
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Used returns how many units are in use. Nobody may be waiting. It is for tests, which check that
// none was lost.
func (u *Units) Used() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sem == nil {
		return 0
	}
	free := int64(0)
	for u.sem.TryAcquire(1) {
		free++
	}
	u.sem.Release(free)
	return u.capacity.Load() + u.owed - free
}
