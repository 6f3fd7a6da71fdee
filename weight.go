package pool

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/units"
)

// Weighted admission: the weights of the tasks that run never add up to more than the capacity, and
// tasks are admitted in the order of acceptance.
//
// The capacity is that of WithCapacity or, without it, the number of workers, and a plain task
// weighs 1. It is a semaphore (internal/units). A worker holds one unit of it as long as it is not
// parked, and so a plain task costs nothing. A worker that has claimed a task of more than 1 waits
// in Acquire for the other units, right before the task starts. It keeps them for its next task, as
// far as that weighs as much, and gives them back when it finds none. Until the task is admitted
// workers claim nothing behind it (waiting). So tasks are admitted in order, light ones do not
// starve a heavy one, and workers that have nothing to do park and give their units back. While it
// waits the task counts as queued.
//
// A pool without a capacity of its own weighs nothing until its first task of more than 1: until
// then the number of workers is the limit.
//
// The wait ends when the pool stops: then the task is handed back. When the capacity changes the
// wait starts again, for all of the capacity if that is less than the weight: a task that no longer
// fits runs when nothing else does.
//
// A task that could not be admitted needs no wake-up: a worker that gives units back looks for work
// afterwards, or wakes others. So heavy tasks that run one at a time stay on one worker.
type weights struct {
	units.Units
	waiting atomic.Bool // a claimed task waits for its units
}

// admits reports whether the next task of the queue would be admitted at once.
func (c *cell[T]) admits() bool {
	ws := &c.e.weights
	if !ws.Active() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return ws.Free(max(1, c.queue.Next().Weight))
}

// submitWeighted is submit for a job with a weight.
func (e *engine[T]) submitWeighted(ctx context.Context, weight int64, v T) error {
	if weight < 1 {
		return e.reject(fmt.Errorf("pool: SubmitWeighted: weight must be at least 1, got %d", weight))
	}
	if weight == 1 {
		return e.submit(ctx, v)
	}
	if ctx == nil {
		return e.reject(errNilContext)
	}
	if err := endOf(ctx); err != nil {
		return e.reject(err)
	}
	if err := e.useWeight(weight); err != nil {
		return e.reject(err)
	}
	a, err := e.attrsOf(ctx, Attrs{Weight: weight})
	if err != nil {
		return e.reject(err)
	}
	return e.submitSlow(ctx, &e.main, v, &a)
}

// useWeight prepares the pool for a task of the weight.
func (e *engine[T]) useWeight(weight int64) error {
	ws := &e.weights
	capacity := ws.Capacity()
	if e.main.queue.IsClosed() {
		return e.errClosed()
	}
	switch {
	case weight <= capacity:
	case e.capacity == 0:
		return fmt.Errorf("%w: weight %d, and the capacity is the number of workers, %d: see WithCapacity", ErrTooHeavy, weight, capacity)
	default:
		return fmt.Errorf("%w: weight %d, WithCapacity(%d)", ErrTooHeavy, weight, capacity)
	}
	if !ws.Active() {
		e.weigh()
	}
	if c := &e.main; !c.special.Load() {
		c.mu.Lock() // so the worker that claims the task knows
		c.special.Store(true)
		c.mu.Unlock()
	}
	return nil
}

// weigh makes the pool weigh from now on. Workers that are not parked may run a plain task: they
// hold a unit.
func (e *engine[T]) weigh() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.weights.Active() {
		return
	}
	used := int64(0)
	for _, w := range e.workers {
		b := w.blocked.Load()
		switch {
		case w.parked.Load() || b != nil && b.back == nil:
		default:
			w.units.Store(1)
			used++
		}
	}
	e.weights.Activate(used)
}

// enterWeighed gets w its unit, and reports whether it may claim. It may not while a task waits for
// its units.
func (w *worker[T]) enterWeighed() bool {
	ws := &w.e.weights
	if ws.waiting.Load() {
		return false
	}
	if w.units.Load() > 0 {
		return true
	}
	got, ok := ws.Acquire(w.e.base, 1, 0)
	w.units.Store(got)
	return ok
}

// leaveWeighed gives w's units back, when it parks or ends. It reports whether others may be
// admitted now.
func (w *worker[T]) leaveWeighed() bool {
	n := w.units.Swap(0)
	if n > 0 {
		w.e.weights.Release(n)
	}
	return n > 0
}

// weigh notes the weight of what w has just claimed; a is what stands beside it, or nil. The claim
// lock is held.
func (w *worker[T]) weigh(a *queue.Attr) {
	w.weight = 1
	if a != nil && a.Weight > 1 {
		w.weight = a.Weight
	}
	units := max(1, w.units.Load())
	if w.asks = w.weight != units; w.weight > units {
		w.e.weights.waiting.Store(true)
	}
}

// admit waits until w has the units for the job in hand, or gives back those that it does not need.
// It reports false if the job may not start.
func (w *worker[T]) admit() bool {
	e := w.e
	w.asks = false
	ok := true
	if units := max(1, w.units.Load()); w.weight > units {
		units, ok = e.weights.Acquire(e.base, w.weight, w.units.Load())
		w.units.Store(units)
		e.weights.waiting.Store(false)
	} else {
		w.lighten(w.weight)
	}
	e.wakeMore()
	e.wakeHomes()
	if f := e.flags.word.Load(); f&flagStop != 0 || f&flagShed != 0 && e.overfull() {
		w.asks = true
		return false
	}
	return ok
}

// lighten gives back all units of w except for keep. The caller looks for work afterwards, or wakes
// others.
func (w *worker[T]) lighten(keep int64) {
	if n := w.units.Load(); n > keep {
		w.units.Store(keep)
		w.e.weights.Release(n - keep)
	}
}
