package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/headrace-go/pool/internal/queue"
)

// Weighted admission: the weights of the tasks that run never add up to more than
// the capacity, and tasks are admitted in the order of acceptance.
//
// The capacity is that of WithCapacity or, without it, the number of workers, and
// a plain task weighs 1. It is a semaphore of golang.org/x/sync. A worker holds one unit of it as long as it is not
// parked, and so a plain task costs nothing. The worker that has claimed a task of more than 1 waits in Acquire for
// the other units, right before the task starts, and gives them back when it has ended. Until it is admitted nothing behind
// it is claimed (waiting): so tasks are admitted in order, one that is heavy is not starved by light ones, and those that have nothing to do
// park and give their units back. While it waits the task counts as queued.
//
// A pool without a capacity of its own weighs nothing until
// its first task of more than 1: until then the number of workers is the limit.
//
// The wait ends when the pool stops: then the task is handed back. It begins again when the capacity changes, with
// what is left of it if that is less than the weight: a task that no longer fits runs when nothing else does. A
// semaphore cannot shrink: what is taken away while it is in use is owed, and withheld from what is released next.
type weights struct {
	active  atomic.Bool // tasks are weighed
	waiting atomic.Bool // a claimed task waits for its units

	mu       sync.Mutex // taken last, under any other
	sem      *semaphore.Weighted
	capacity int64
	owed     int64
	now      context.Context    // ends when the pool stops, and when the capacity changes
	change   context.CancelFunc // ends now
}

func (ws *weights) init(base context.Context, capacity int64, workers int) {
	ws.now, ws.change = context.WithCancel(base)
	if ws.capacity = capacity; capacity == 0 {
		ws.capacity = int64(workers)
		return
	}
	ws.activate(0)
}

// activate begins to weigh. Units are in use already.
func (ws *weights) activate(used int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.sem = semaphore.NewWeighted(maxCapacity)
	ws.sem.TryAcquire(maxCapacity - ws.capacity + min(used, ws.capacity))
	ws.owed = max(0, used-ws.capacity)
	ws.active.Store(true)
}

// release gives units back.
func (ws *weights) release(n int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.releaseLocked(n)
}

func (ws *weights) releaseLocked(n int64) {
	paid := min(n, ws.owed)
	ws.owed -= paid
	if n > paid {
		ws.sem.Release(n - paid)
	}
}

// resize changes the capacity.
func (ws *weights) resize(base context.Context, capacity int64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	d := capacity - ws.capacity
	ws.capacity = capacity
	if ws.sem == nil {
		return
	}
	if d > 0 {
		ws.releaseLocked(d)
	}
	for ; d < 0; d++ {
		if !ws.sem.TryAcquire(1) {
			ws.owed -= d
			break
		}
	}
	ws.change()
	ws.now, ws.change = context.WithCancel(base)
}

// acquire waits for units, all but have of those of a task of that weight, or of all the capacity if that is less. It returns how
// many it got, and false if ctx has ended.
func (ws *weights) acquire(ctx context.Context, weight, have int64) (got int64, ok bool) {
	for ctx.Err() == nil {
		ws.mu.Lock()
		n := min(weight, ws.capacity) - have
		if n <= 0 || ws.sem.TryAcquire(n) {
			ws.mu.Unlock()
			return max(n, 0), true
		}
		sem, now := ws.sem, ws.now
		ws.mu.Unlock()
		if sem.Acquire(now, n) == nil {
			return n, true
		}
	}
	return 0, false
}

// regain gets units back for a task that comes back from a wait. If ctx ends first it goes
// on, and they are owed.
func (ws *weights) regain(ctx, base context.Context, n int64) {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(base, cancel)
	defer stop()
	if n > 1 {
		ws.mu.Lock()
		if n > ws.capacity { // it runs alone
			ws.owed += n - ws.capacity
			n = ws.capacity
		}
		ws.mu.Unlock()
	}
	if ws.sem.Acquire(both, n) != nil {
		ws.mu.Lock()
		ws.owed += n
		ws.mu.Unlock()
	}
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
	if err := ctx.Err(); err != nil {
		return e.reject(err)
	}
	if err := e.useWeight(weight); err != nil {
		return e.reject(err)
	}
	return e.reject(e.submitSlow(ctx, &e.main, v, queue.Attr{Weight: weight}))
}

// useWeight prepares the pool for a task of the weight.
func (e *engine[T]) useWeight(weight int64) error {
	ws := &e.weights
	ws.mu.Lock()
	capacity := ws.capacity
	ws.mu.Unlock()
	if e.main.queue.IsClosed() {
		return e.errClosed()
	}
	if weight > capacity {
		return fmt.Errorf("%w: weight %d, capacity %d", ErrTooHeavy, weight, capacity)
	}
	if !ws.active.Load() {
		e.weigh()
	}
	if c := &e.main; !c.special.Load() {
		c.mu.Lock() // so that whoever claims the task knows
		c.special.Store(true)
		c.mu.Unlock()
	}
	return nil
}

// weigh makes the pool weigh from now on. Workers that are not parked may run a plain task: they hold a unit.
func (e *engine[T]) weigh() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.weights.active.Load() {
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
	e.weights.activate(used)
}

// enterWeighed gets w its unit, and reports whether it may claim. While a task waits for its units it may
// not.
func (w *worker[T]) enterWeighed() bool {
	ws := &w.e.weights
	if ws.waiting.Load() {
		return false
	}
	if w.units.Load() > 0 {
		return true
	}
	got, ok := ws.acquire(w.e.base, 1, 0)
	w.units.Store(got)
	return ok
}

// leaveWeighed gives w's units back, when it parks or ends. It reports whether others may be admitted now.
func (w *worker[T]) leaveWeighed() bool {
	n := w.units.Swap(0)
	if n > 0 {
		w.e.weights.release(n)
	}
	return n > 0
}

// admit waits until w has the units for the job in hand. It reports false if the job may not start.
func (w *worker[T]) admit() bool {
	e := w.e
	ws := &e.weights
	w.asks = false
	got, ok := ws.acquire(e.base, w.weight, w.units.Load())
	w.units.Add(got)
	ws.waiting.Store(false)
	e.wakeMore()
	e.wakeHomes()
	if f := e.flags.word.Load(); f&flagStop != 0 || f&flagShed != 0 && e.overfull() {
		return false
	}
	return ok
}

// lighten gives back what w holds beyond one unit, after the task, or if it has not begun.
func (w *worker[T]) lighten() {
	if w.asks = w.b.Load().Left() > 0; !w.asks {
		w.weight = 0
	}
	if n := w.units.Load(); n > 1 {
		w.units.Store(1)
		w.e.weights.release(n - 1)
	}
}
