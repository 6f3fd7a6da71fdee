package pool

import (
	"context"
	"sync"

	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
)

// room is where submitters wait while the queue is full, in the order of their
// arrival.
//
// At most one of them is being woken at any time. The worker that frees a slot
// wakes the first, which pushes its job and, if there is still room, wakes the
// next. So a busy worker pays for one wake while many slots become free, and
// still no free slot is left unused while somebody waits. (Waking one waiter for
// each slot costs ten times as much with short jobs; waking at a low-water mark
// leaves submitters blocked beside free slots while a long task runs.)
//
// No wake-up is lost. A submitter sets ctlRoom and then tries once more to push;
// a worker frees a slot and then loads ctlRoom. All are sequentially consistent,
// so one of the two sees the other. While a wake is in flight ctlRoom is clear;
// who was woken sets it again, if others wait, before it looks for more room.
//
// A submission that has not waited may overtake those who wait. One that was
// overtaken misses times while it was being woken reserves the ring, which keeps
// all others out until it has pushed: nobody waits for ever.
type room[T any] struct {
	mu sync.Mutex
	list[blocked, *blocked]
	waking bool
	spare  *blocked // for reuse, linked by next: a channel costs an allocation
}

const misses = 3

type blocked struct {
	link[blocked]
	ready   chan struct{}
	missed  int
	checks  bool // is to see whether it blocks a worker
	checked bool
}

func (r *room[T]) get() *blocked {
	b := r.spare
	if b == nil {
		return &blocked{ready: make(chan struct{}, 1)}
	}
	r.spare = b.next
	b.next = nil
	return b
}

func (r *room[T]) put(b *blocked) {
	*b = blocked{ready: b.ready}
	b.next = r.spare
	r.spare = b
}

// announceLocked makes ctlRoom say whether somebody waits to be woken.
func (e *engine[T]) announceLocked() {
	if e.room.first != nil && !e.room.waking || e.batching.wants.Load() {
		e.ctl.Or(ctlRoom)
	} else {
		e.ctl.And(^uint32(ctlRoom))
	}
}

// wakeSubmitterLocked wakes the first submitter that waits, if none is being woken.
func (e *engine[T]) wakeSubmitterLocked() {
	if b := e.room.first; b != nil && !e.room.waking {
		e.room.remove(b)
		e.room.waking = true
		b.signal()
	}
	e.announceLocked()
}

// signal wakes b, unless it has been signalled already and has not looked since.
func (b *blocked) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// refuseSubmitters wakes those who are blocked after the ring was closed. One that
// comes later sees that itself.
func (e *engine[T]) refuseSubmitters() {
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	for b := e.room.first; b != nil; b = b.next {
		b.signal()
	}
}

// checkSubmitters makes those who are blocked see whether they are workers, once.
func (e *engine[T]) checkSubmitters() {
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	for b := e.room.first; b != nil; b = b.next {
		if !b.checked {
			b.checks, b.checked = true, true
			b.signal()
		}
	}
}

// roomMade is called after a slot was freed and ctlRoom was seen.
func (e *engine[T]) roomMade() {
	seam.Yield()
	e.room.mu.Lock()
	wanted := e.batching.wants.Swap(false)
	e.wakeSubmitterLocked()
	e.room.mu.Unlock()
	if wanted {
		e.pull(flushIdle)
	}
}

// await waits for room for v.
func (e *engine[T]) await(ctx context.Context, v T, n *ring.Record) error {
	r := &e.room
	r.mu.Lock()
	b := r.get()
	r.push(b, false)
	e.announceLocked()
	r.mu.Unlock()
	seam.Yield()
	if e.gate.Load()&gateLook != 0 {
		e.watch()
	}
	holder := false
	for {
		if s := e.push(v, n, holder || e.isFirst(b)); s != ring.Full {
			e.leave(b, holder)
			if s == ring.OK {
				return nil
			}
			return e.errBlocked()
		}
		r.mu.Lock()
		checks := b.checks
		b.checks = false
		again := !b.queued // it was woken and found no room
		if again {
			b.missed++
			select {
			case <-b.ready: // woken while it was trying
			default:
			}
			r.push(b, true)
			r.waking = false
			e.announceLocked()
		}
		r.mu.Unlock()
		if checks {
			if w := e.workerHere(); w != nil {
				e.leave(b, holder)
				return e.runInside(w, v, n)
			}
		}
		if again && b.missed == misses {
			holder = true
			e.reserve(true)
		}
		if again {
			continue
		}
		if done := ctx.Done(); done == nil {
			<-b.ready // a third of the price of a select
		} else {
			select {
			case <-b.ready:
			case <-done:
				e.leave(b, holder)
				return ctx.Err()
			}
		}
	}
}

// leave takes b out, passes an unused wake on, and wakes the next if there is room.
func (e *engine[T]) leave(b *blocked, holder bool) {
	r := &e.room
	if holder {
		e.reserve(false)
	}
	r.mu.Lock()
	if b.queued {
		r.remove(b)
	} else {
		r.waking = false
		select {
		case <-b.ready:
		default:
		}
	}
	r.put(b)
	e.announceLocked()
	others := r.first != nil || holder && e.batching.wants.Load() // of those, who was kept out has given up
	r.mu.Unlock()
	if others && e.hasRoom() {
		e.roomMade()
	}
}

// reserve keeps all but the caller out of the ring, or ends that. The ring is not
// replaced meanwhile.
func (e *engine[T]) reserve(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if on {
		e.ring().Reserve()
	} else {
		e.ring().Release()
	}
}

// isFirst reports whether b is the first in a queue that nobody may overtake.
func (e *engine[T]) isFirst(b *blocked) bool {
	if !e.direct() || e.ctl.Load()&ctlWeighs == 0 {
		return false
	}
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	return !b.queued || e.room.first == b && !e.room.waking
}

// somebodyWaits reports whether a submitter is blocked.
func (e *engine[T]) somebodyWaits() bool {
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	return e.room.first != nil || e.room.waking
}

func (e *engine[T]) hasRoom() bool {
	if e.direct() {
		return e.gate.Load()&gateIdleMask != 0
	}
	if e.ctl.Load()&ctlCounted != 0 && e.ring().Credit() == 0 && e.bank.Load() <= 0 && !e.gather() {
		return false
	}
	return e.ring().Room()
}

// errBlocked is what a submitter gets that was blocked when the pool closed: the
// cause, if there is one, as well as ErrClosed.
func (e *engine[T]) errBlocked() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopCause != nil {
		return &stopError{ErrClosed, e.stopCause}
	}
	return e.closeErr
}
