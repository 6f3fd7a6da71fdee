package pool

import (
	"context"
	"fmt"

	"github.com/headrace-go/pool/internal/ring"
)

// Weighted admission: the weights of the tasks that run never add up to more than
// the capacity, and tasks are admitted in the order of acceptance.
//
// The capacity is that of WithCapacity or, without it, the number of workers, and
// a plain task weighs 1. A pool without a capacity of its own weighs nothing until
// its first task of more than 1: until then the number of workers is the limit.
// From then on every claim is admitted under sorter.mu, one task at a time.
//
// A worker holds the weight of its task from the claim to its next claim, or
// until it finds nothing. So used is never below what runs. The task at the front
// of the ring is the next to be admitted; while it does not fit, nothing behind
// it is (blocked), so a stream of light tasks does not starve a heavy one. Who
// gives weight back clears blocked and wakes somebody to try again; both sides
// hold sorter.mu.
//
// A task inside a Wait of its pool gives its weight away and gets it back, before
// any task is admitted, when it returns. A task that no longer fits because the
// pool was made smaller is admitted when nothing else runs.
//
// golang.org/x/sync/semaphore blocks its submitter until the task is admitted. With
// as many tasks as cores and tasks of 10 µs that leaves no parallelism: each end
// of a task wakes the submitter, which starts 75 to 130 µs later if the core goes
// on with something else. Here the tasks are accepted beforehand, and the worker
// that has ended one takes the next. benchmarks, suite elastic, measures both.

// admission is the part of the sorter that weighs.
type admission struct {
	weighs   bool
	capacity int64
	used     int64
	back     []*returning
	again    []claimed
}

// returning is a task that wants its weight back.
type returning struct {
	weight  int64
	granted chan struct{}
}

// claimed is a task that was claimed and put back.
type claimed struct {
	pos    uint64
	weight int64
}

// putBackWeighed puts the task in w's hand where the next claim finds it.
func (w *worker[T]) putBackWeighed() {
	d := &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	d.again = append(d.again, claimed{w.pos, max(1, w.held)})
	d.turns.Add(1)
}

// popAgainLocked removes the first task that was put back.
func (d *sorter[T]) popAgainLocked() (pos uint64, ok bool) {
	if len(d.again) == 0 {
		return 0, false
	}
	pos = d.again[0].pos
	d.again = d.again[1:]
	d.turns.Add(-1)
	return pos, true
}

// admitLocked makes weight what w holds, if that fits.
func (d *sorter[T]) admitLocked(w *worker[T], weight int64) bool {
	if !d.weighs {
		return true
	}
	d.used -= w.held
	w.held = 0
	d.grantBackLocked()
	if len(d.back) > 0 || !d.fitsLocked(weight) {
		d.blocked.Store(true)
		return false
	}
	d.used += weight
	w.held = weight
	return true
}

func (d *sorter[T]) fitsLocked(weight int64) bool {
	return weight <= d.capacity-d.used || d.used == 0
}

// freeWeightLocked takes from w what it holds. It reports whether others may be
// admitted now.
func (d *sorter[T]) freeWeightLocked(w *worker[T]) bool {
	if w.held == 0 {
		return false
	}
	d.used -= w.held
	w.held = 0
	d.grantBackLocked()
	return d.blocked.Swap(false)
}

// release is freeWeightLocked for a worker that ends or waits.
func (w *worker[T]) release() bool {
	d := &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.freeWeightLocked(w)
}

func (d *sorter[T]) grantBackLocked() {
	for len(d.back) > 0 && d.fitsLocked(d.back[0].weight) {
		d.used += d.back[0].weight
		close(d.back[0].granted)
		d.back = d.back[1:]
	}
}

// weighLocked makes the pool weigh from now on. Workers that are not parked may
// run a plain task. e.mu is held.
func (e *engine[T]) weighLocked() {
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.weighs {
		return
	}
	d.weighs = true
	e.ctl.Or(ctlSorted | ctlWeighs)
	parked := make(map[*worker[T]]bool, len(e.parked))
	for _, w := range e.parked {
		parked[w] = true
	}
	for _, w := range e.workers {
		if sit := w.sit.Load(); !parked[w] && (sit == nil || !sit.lent) {
			w.held = 1
			d.used++
		}
	}
}

// setCapacityLocked changes the capacity. e.mu is held.
func (e *engine[T]) setCapacityLocked(c int64) {
	d := &e.sorter
	d.mu.Lock()
	d.capacity = c
	d.grantBackLocked()
	d.blocked.Store(false)
	d.mu.Unlock()
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
	n := ring.Record{Kind: ring.Weighted, Bits: uint64(weight)}
	return e.reject(e.submitSlow(ctx, v, &n))
}

// useWeight prepares the pool for a task of the weight.
func (e *engine[T]) useWeight(weight int64) error {
	d := &e.sorter
	d.mu.Lock()
	capacity, weighs := d.capacity, d.weighs
	d.mu.Unlock()
	if e.ctl.Load()&ctlClosed != 0 {
		return e.errClosed()
	}
	if weight > capacity {
		return fmt.Errorf("%w: weight %d, capacity %d", ErrTooHeavy, weight, capacity)
	}
	if !weighs {
		e.mu.Lock()
		e.weighLocked()
		e.mu.Unlock()
	}
	return nil
}

// regain gets the weight back that a task gave away while it was inside Wait. If ctx
// ends first it goes on without waiting for room.
func (w *worker[T]) regain(ctx context.Context, weight int64) {
	d := &w.e.sorter
	d.mu.Lock()
	if len(d.back) == 0 && d.fitsLocked(weight) {
		d.used += weight
		w.held += weight
		d.mu.Unlock()
		return
	}
	r := &returning{weight, make(chan struct{})}
	d.back = append(d.back, r)
	d.mu.Unlock()
	select {
	case <-r.granted:
	case <-ctx.Done():
	case <-w.e.stopped:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, o := range d.back {
		if o == r { // not granted
			d.back = append(d.back[:i], d.back[i+1:]...)
			d.used += weight
			d.blocked.Store(false)
			break
		}
	}
	w.held += weight
}

// admitted makes w hold the weight of a plain task, if that fits.
func (w *worker[T]) admitted() bool {
	d := &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.admitLocked(w, 1)
}

// admitDirect makes room for a task that is handed over.
func (e *engine[T]) admitDirect(weight int64) bool {
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.back) > 0 || !d.fitsLocked(weight) {
		return false
	}
	d.used += weight
	return true
}

// giveWeight makes w hold weight that was admitted for it; nil gives it back.
func (e *engine[T]) giveWeight(w *worker[T], weight int64) {
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	if w != nil {
		w.held = weight
		return
	}
	d.used -= weight
	d.grantBackLocked()
}
