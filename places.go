package pool

import (
	"context"
	"fmt"
)

// Places. A pool has target places, and a worker needs one. A worker inside a
// Wait of its own pool gives its place away (lent), so that the jobs it waits for
// can run, and gets one back before Wait returns. What is left,
//
//	target - (live - lent), not below 0,
//
// are the places of workers that were not started (unborn). Under e.mu always
//
//	tokens in gate + tokens that somebody has taken = unborn + parked + debt
//
// and debt > 0 only while gate has no token. debt is the number of places that
// went away while their tokens were in somebody's hands: that many of those who
// come with a token go away again. They may: debt comes with a shrink, and then
// at least one worker is at work and will look at the queue.

func (e *engine[T]) active() int { return e.live - e.lent }

func (e *engine[T]) unborn() int { return max(0, e.target-e.active()) }

// overfullLocked reports whether the calling worker has to end.
func (e *engine[T]) overfullLocked() bool {
	return e.active()+len(e.back) > e.target && e.active() > 0
}

// placesLocked makes tokens and parked workers agree with a changed number of
// places; before is what unborn was before the change.
func (e *engine[T]) placesLocked(before int) {
	e.giveBackPlacesLocked()
	after := e.unborn()
	for ; before > after; before-- {
		if !e.dropToken() {
			e.debt++
		}
	}
	for ; before < after; before++ {
		if e.debt > 0 {
			e.debt--
		} else {
			e.gate.Add(gateIdle)
		}
	}
	for e.overfullLocked() && len(e.parked) > 0 && e.dropToken() {
		e.dismissLocked()
		e.giveBackPlacesLocked()
	}
	if e.overfullLocked() {
		e.ctl.Or(ctlShed)
	} else {
		e.ctl.And(^uint32(ctlShed))
	}
}

// giveBackPlacesLocked lets tasks return from Wait for which there is a place.
func (e *engine[T]) giveBackPlacesLocked() {
	for len(e.back) > 0 && e.active() < e.target {
		e.lent--
		close(e.back[0])
		e.back = e.back[1:]
	}
}

// dropToken takes an idle place out of gate.
func (e *engine[T]) dropToken() bool {
	for {
		g := e.gate.Load()
		if g&gateIdleMask == 0 {
			return false
		}
		if e.gate.CompareAndSwap(g, g-gateIdle) {
			return true
		}
	}
}

// dismissLocked ends a parked worker, for which a token was dropped.
func (e *engine[T]) dismissLocked() {
	w := e.popLocked()
	w.dismissed = true
	w.forgetLocked()
	w.wake <- struct{}{} // never blocks: it is parked, and popped only once
}

// forgetLocked takes w off the books.
func (w *worker[T]) forgetLocked() {
	e := w.e
	last := len(e.workers) - 1
	moved := e.workers[last]
	moved.index = w.index
	e.workers[w.index] = moved
	e.workers[last] = nil
	e.workers = e.workers[:last]
	e.live--
	e.leaving++ // until finish
	w.vacateLocked()
	for tag := range w.finished {
		n := w.finished[tag].Load() &^ watchBit
		e.left[tag].gone += n
		e.gone.finished += n
	}
	w.deposit()
	e.gone.failed += w.failed.Load()
	e.gone.panicked += w.panicked.Load()
	e.gone.goexited += w.goexited.Load()
	for i := range w.taken {
		e.gone.taken[i] += w.taken[i].Load()
	}
}

// shed ends the worker if there are too many.
func (w *worker[T]) shed() bool {
	e := w.e
	e.mu.Lock()
	if !e.overfullLocked() {
		e.placesLocked(e.unborn())
		e.mu.Unlock()
		return false
	}
	w.retire()
	return true
}

// retire ends the worker; e.mu is held, and released.
func (w *worker[T]) retire() {
	e := w.e
	if w.searching {
		w.searching = false
		e.gate.Add(^uint64(0))
	}
	if w.lane != nil {
		w.lane.Release() // what is in it stays there to be stolen
		w.lane = nil
		w.shown.Store(nil)
	}
	w.leaveLocal()
	w.leaveSorter()
	before := e.unborn()
	w.forgetLocked()
	e.placesLocked(before)
	e.settle() // unlocks
	e.mendSeats()
	e.wakeMore()
}

func (e *engine[T]) resizeLocked(n int) {
	if e.seated() {
		e.openSeatsLocked(n)
		e.grown = e.grown || n > e.target
	}
	before := e.unborn()
	e.target = n
	e.placesLocked(before)
	if e.capacity == 0 {
		e.setCapacityLocked(int64(n))
	}
}

// Resize changes the number of workers to n, 1 <= n <= 1<<24, while the pool
// runs, and ends the following of GOMAXPROCS. The capacity for weights changes with
// it, unless [WithCapacity] set it apart from the number of workers. A floor
// ([WithFloor]) above n counts as n. It does not wait. After a shrink
// nothing starts until fewer than n tasks run; after a grow workers are woken or started for the
// tasks that wait. It may be called by any goroutine, also inside a task. On
// failure (n out of bounds, or ErrClosed) nothing changes.
func (e *engine[T]) Resize(n int) error {
	if n < 1 || n > maxWorkers {
		return fmt.Errorf("pool: Resize: workers must be between 1 and %d, got %d", maxWorkers, n)
	}
	e.mu.Lock()
	if e.closeErr != nil {
		err := e.closeErr
		e.mu.Unlock()
		return err
	}
	e.follows.Store(false)
	if n == e.target {
		e.mu.Unlock()
		return nil
	}
	e.resizeLocked(n)
	e.mu.Unlock()
	e.placesFree()
	return nil
}

// placesFree is called when places may have become idle that nobody gave up.
func (e *engine[T]) placesFree() {
	e.mendSeats()
	e.wakeMore()
	if e.direct() && e.ctl.Load()&ctlRoom != 0 && e.hasRoom() {
		e.roomMade()
	}
}

// lendLocked gives w's place and weight away while its task waits.
func (e *engine[T]) lendLocked(w *worker[T], sit *sitting) {
	if c := e.ctl.Load(); c&(ctlKeyed|ctlChunked) != 0 {
		w.emptyHandsLocked(true)
		if c&ctlKeyed != 0 {
			w.leaveKeyLocked()
		}
	}
	w.vacateLocked()
	before := e.unborn()
	e.lent++
	e.placesLocked(before)
	d := &e.sorter
	d.mu.Lock()
	sit.held = w.held
	d.freeWeightLocked(w)
	d.mu.Unlock()
}

// reclaim gets a place back. If ctx ends first it goes on without one, and the
// next worker that ends its task leaves instead.
func (e *engine[T]) reclaim(ctx context.Context) {
	e.mu.Lock()
	if len(e.back) == 0 && e.dropToken() {
		if e.active() >= e.target {
			e.dismissLocked()
		}
		e.lent--
		e.mu.Unlock()
		return
	}
	granted := make(chan struct{})
	e.back = append(e.back, granted)
	e.placesLocked(e.unborn())
	e.mu.Unlock()
	select {
	case <-granted:
		return
	case <-ctx.Done():
	case <-e.stopped:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, c := range e.back {
		if c == granted {
			e.back = append(e.back[:i], e.back[i+1:]...)
			before := e.unborn()
			e.lent--
			e.placesLocked(before)
			return
		}
	}
}
