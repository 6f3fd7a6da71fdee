package pool

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace-go/pool/internal/list"
	"github.com/headrace-go/pool/internal/seam"
)

// places is how many workers there may be, and which there are. e.mu guards it.
//
// A pool has target places, and a worker needs one. A worker whose task waits in its own pool gives
// its place away (lent), so that the jobs for which it waits can run, and gets one back before the
// wait returns. The rest,
//
//	target - (live - lent), not below 0,
//
// are places without a worker (unborn). Always
//
//	tokens in the idle word + tokens that somebody has taken >= unborn + parked
//
// There is a token too many when a place went away, or a worker went to work, while somebody held
// its token. A goroutine that comes with a token and finds neither a parked worker nor an unborn
// one drops it (employ).
type places[T any] struct {
	target  int
	live    int                              // workers
	busy    time.Duration                    // of workers that are no more
	starts  uint64                           // workers ever
	leaving list.List[worker[T], *worker[T]] // workers no more, whose goroutine has not ended
	lent    int                              // of live, inside a wait with their place given away
	parked  list.List[worker[T], *worker[T]] // the one that parked last is the last
	workers []*worker[T]                     // all live ones
	back    []chan struct{}                  // tasks that want their place back
	expiry  expiry
}

func (p *places[T]) active() int { return p.live - p.lent }

func (p *places[T]) unborn() int { return max(0, p.target-p.active()) }

// overfullLocked reports whether the calling worker has to end.
func (p *places[T]) overfullLocked() bool {
	return p.active()+len(p.back) > p.target && p.active() > 0
}

func (e *engine[T]) overfull() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.overfullLocked()
}

// widenLocked makes the bound of the queue follow the number of tasks that may run, or still run
// after a shrink.
func (e *engine[T]) widenLocked() { e.main.width.Store(int64(max(e.target+e.lent, e.live))) }

// placesLocked makes tokens and parked workers agree with a changed number of places; before is
// what unborn was before the change.
func (e *engine[T]) placesLocked(before int) {
	e.giveBackPlacesLocked()
	after := e.unborn()
	for ; before > after; before-- {
		e.idle.Drop()
	}
	if before < after {
		e.idle.Add(after - before)
	}
	for e.overfullLocked() && e.parked.Last != nil && e.idle.Drop() {
		e.dismissLocked(e.parked.Last)
		e.giveBackPlacesLocked()
	}
	if e.overfullLocked() {
		e.flags.word.Or(flagShed)
	} else {
		e.flags.word.And(^uint32(flagShed))
	}
	e.widenLocked()
}

// giveBackPlacesLocked lets tasks return from a wait while there are places for them.
func (e *engine[T]) giveBackPlacesLocked() {
	for len(e.back) > 0 && e.active() < e.target {
		e.lent--
		close(e.back[0])
		e.back = e.back[1:]
	}
}

// dismissLocked ends a parked worker, for which a token was dropped.
func (e *engine[T]) dismissLocked(w *worker[T]) {
	e.unparkLocked(w)
	w.dismissed = true
	w.forgetLocked()
	w.wake <- struct{}{} // never blocks: it is parked, and taken only once
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
	e.busy += w.busyFor(e.now())
	e.leaving.Push(w, false) // until finish
	w.dropHomeLocked()
}

// shed ends the worker if there are too many, and reports whether it did.
func (w *worker[T]) shed() bool {
	e := w.e
	w.leaveLane()
	w.leaveHome()
	e.mu.Lock()
	if !e.overfullLocked() {
		e.placesLocked(e.unborn())
		e.mu.Unlock()
		return false
	}
	w.retireLocked()
	e.mu.Unlock()
	w.retired()
	return true
}

// retireLocked takes w, which has nothing in hand, off the books.
func (w *worker[T]) retireLocked() {
	e := w.e
	if w.searching {
		w.searching = false
		e.idle.Found()
	}
	w.leaveWeighed()
	before := e.unborn()
	w.forgetLocked()
	e.placesLocked(before)
}

// retired does what retireLocked leaves to be done without the lock.
func (w *worker[T]) retired() {
	w.gone = true
	w.e.settle()
	w.e.wakeMore()
}

func (e *engine[T]) resizeLocked(n int) {
	before := e.unborn()
	e.target = n
	e.placesLocked(before)
	if e.capacity == 0 {
		e.weights.Resize(e.base, int64(n))
	}
}

// Resize changes the number of workers to n, 1 <= n <= 1<<24, while the pool runs. From then on the
// pool no longer follows GOMAXPROCS. The capacity for weights changes too, unless [WithCapacity]
// sets it. A floor ([WithFloor]) above n counts as n. Resize does not wait. After a shrink no task
// starts until fewer than n run; after a grow the pool wakes or starts workers for queued tasks.
// Any goroutine may call it, also inside a task. If it fails (n is out of bounds, or ErrClosed)
// nothing changes.
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

// placesFree is called when places may have become idle that nobody gave up, or there may be more
// room.
func (e *engine[T]) placesFree() {
	e.wakeMore()
	e.fairRoom()
	if e.flags.word.Load() >= flagRoom {
		e.eachCell(func(c *cell[T]) {
			if c.hasRoom() {
				c.roomMade()
			}
		})
	}
}

// block is a task that is inside a wait, with one goroutine or several. Its worker has it until the
// last of them has left, or the task has ended, whatever comes first. e.mu guards it.
type block struct {
	waits int
	units int64         // of the capacity, that its worker gave away
	over  bool          // the task has ended
	back  chan struct{} // while somebody gets these back; closed then
}

// rest blocks until done, ctx ends, or the pool stops. seat is the context of the task that the
// caller is inside of, as far as it knows, or nil; rest lends that task's place meanwhile. If the
// caller turns out to be inside of another task, rest ends and returns the context of that one as
// here.
func (e *engine[T]) rest(ctx, seat context.Context, done <-chan struct{}) (here context.Context, err error) {
	if seat == nil && e.watch.lost.Load() {
		if here := e.found(); here != nil {
			return here, nil
		}
	}
	w, ended, cancelled := e.insideOf(seat), ctx.Done(), false
	b := e.lend(w)
	asked := e.listen()
	for waits := true; waits; {
		waits = false
		select {
		case <-done:
		case <-ended:
			cancelled = true
		case <-e.stopped:
			err = e.cause()
		case <-asked:
			asked = nil
			e.watch.unasked.Add(-1)
			if seat == nil || e.insideOf(e.here()) != w {
				here = e.found()
			}
			waits = here == nil
		}
	}
	if asked != nil {
		e.watch.unasked.Add(-1)
	}
	if b != nil {
		e.standUp(ended, w, b)
	}
	if cancelled {
		err = endOf(ctx) // at the end: it may be a method of the user's
	}
	return here, err
}

// lend gives away the place of w's task, which is about to wait, and its units of the capacity.
func (e *engine[T]) lend(w *worker[T]) *block {
	if w == nil {
		return nil
	}
	e.mu.Lock()
	if b := w.blocked.Load(); b != nil {
		b.waits++
		e.mu.Unlock()
		return b
	}
	b := &block{waits: 1}
	w.blocked.Store(b)
	seam.Yield()
	if w.cur.Load().Load().Running() == 0 { // w ends a batch and then looks whether it is blocked
		w.blocked.Store(nil)
		e.mu.Unlock()
		return nil // its task has ended
	}
	e.lendLocked(w, b)
	e.mu.Unlock()
	e.placesFree()
	return b
}

func (e *engine[T]) lendLocked(w *worker[T], b *block) {
	w.lendHomeLocked()
	before := e.unborn()
	e.lent++
	e.placesLocked(before)
	if b.units = w.units.Swap(0); b.units > 0 {
		e.weights.Release(b.units)
	}
}

// standUp ends a wait of the task that b stands for. The last wait of the task gets the worker's
// place and units back, and waits that begin meanwhile join it.
func (e *engine[T]) standUp(ended <-chan struct{}, w *worker[T], b *block) {
	e.mu.Lock()
	if b.waits--; b.over || b.waits > 0 {
		e.mu.Unlock()
		return
	}
	if back := b.back; back != nil {
		e.mu.Unlock()
		<-back
		return
	}
	b.back = make(chan struct{})
	e.mu.Unlock()
	e.reclaim(ended, w, b.units)
	e.mu.Lock()
	close(b.back)
	b.back = nil
	lends := !b.over && b.waits > 0
	switch {
	case lends:
		e.lendLocked(w, b)
	case !b.over:
		w.blocked.Store(nil)
		w.regainHomeLocked()
	}
	e.mu.Unlock()
	if lends {
		e.placesFree()
	}
}

// outlived is called when the task has ended, if goroutines of it are still inside a wait. They
// continue like any other that waits.
func (w *worker[T]) outlived() {
	e := w.e
	e.mu.Lock()
	b := w.blocked.Load()
	if b == nil {
		e.mu.Unlock()
		return
	}
	b.over = true
	w.blocked.Store(nil)
	w.regainHomeLocked()
	back := b.back
	e.mu.Unlock()
	if back != nil {
		<-back
	} else {
		e.reclaim(nil, w, b.units)
	}
}

// reclaim gets a place back, and units of the capacity. If the wait was cancelled, or the pool has
// stopped, it continues without them, and the next worker that ends its task leaves instead.
func (e *engine[T]) reclaim(ended <-chan struct{}, w *worker[T], units int64) {
	e.reclaimPlace(ended)
	if e.weights.Active() && w.units.Load() == 0 { // else it weighs now, with a unit for w
		units = max(1, units)
		e.weights.Regain(ended, e.base, units)
		w.units.Store(units)
	}
}

func (e *engine[T]) reclaimPlace(ended <-chan struct{}) {
	e.mu.Lock()
	if len(e.back) == 0 && (e.unborn() > 0 || e.parked.Last != nil) && e.idle.Drop() {
		if e.active() >= e.target {
			e.dismissLocked(e.parked.Last)
		}
		e.lent--
		e.placesLocked(e.unborn())
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
	case <-ended:
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
