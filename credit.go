package pool

import "github.com/headrace-go/pool/internal/ring"

// Room for tasks that wait in several places.
//
// As long as every task that waits is in the ring, its slots are the bound. A task
// that waits elsewhere (behind another one with its key, or in a worker's own
// queue) has left its slot, so there the bound is counted: a task costs one unit
// of credit from its acceptance to its start, and there are as many units as the
// buffer has places. Unused units are
//
//	in the ring's tail, where a push spends them    (at most ring.MaxCredit),
//	in the bank,
//	in the pockets of workers, which put back a unit for each task they start.
//
// Pockets keep workers from sharing a word at every task. A push that finds no
// credit in the tail takes some from the bank, and if that is empty, from all
// pockets, so a submission is refused only when there is none anywhere. A worker
// that sees somebody waiting for room (ctlRoom) puts its unit into the bank and
// wakes them: it writes its pocket and then reads ctl, a submitter announces
// itself and then looks into the pockets, so one of the two sees the other.
//
// A Shared pool counts from its first keyed task on. Tasks that were in the ring
// then (before e.counted) have no credit; how many of them still wait is looked
// up in the ring until there is none.

// count makes the pool count from now on. e.mu is held.
func (e *engine[T]) countLocked() {
	if e.ctl.Load()&ctlCounted != 0 || e.direct() {
		return
	}
	e.renewLocked()
	from := e.ring().Count() // no push succeeds until the bank is filled
	e.counted.Store(from)
	e.ctl.Or(ctlCounted)
	e.legacy = e.ring().Waiting(from)
	e.bank.Add(int64(e.buffer - e.legacy))
}

// refill moves credit into the ring. It reports false if there is none.
func (e *engine[T]) refill() bool {
	for {
		b := e.bank.Load()
		if b <= 0 {
			if !e.gather() {
				return false
			}
			continue
		}
		k := min(b, ring.MaxCredit)
		if e.bank.CompareAndSwap(b, b-k) {
			if left := k - int64(e.ring().Grant(int(k))); left > 0 {
				e.bank.Add(left)
			}
			if e.ctl.Load()&ctlRoom != 0 {
				e.roomMade() // it was nowhere to be found while it was moved
			}
			return true
		}
	}
}

// gather empties the pockets into the bank. It reports whether there is credit in
// the bank now.
func (e *engine[T]) gather() bool {
	e.mu.Lock()
	e.gatherLocked()
	e.mu.Unlock()
	return e.bank.Load() > 0
}

func (e *engine[T]) gatherLocked() {
	if e.legacy > 0 {
		n := e.ring().Waiting(e.counted.Load())
		e.bank.Add(int64(e.legacy - n))
		e.legacy = n
	}
	for _, w := range e.workers {
		if w.pocket.Load() != 0 {
			e.bank.Add(w.pocket.Swap(0))
		}
	}
	e.eachQueue(e.gatherFrom)
}

// paid reports whether the job that was accepted at pos has credit to give back.
func (e *engine[T]) paid(pos uint64) bool {
	return e.ctl.Load()&ctlCounted != 0 && pos >= e.counted.Load()
}

// starts is called before the job at pos starts, when ctl said that there is
// something to do.
func (w *worker[T]) starts(pos uint64) {
	e := w.e
	if e.paid(pos) {
		w.pocket.Add(1)
	}
	if e.ctl.Load()&ctlRoom != 0 {
		if n := w.pocket.Swap(0); n != 0 {
			e.bank.Add(n)
		}
		e.roomMade()
	}
}

// creditLocked returns the unused credit, all of it.
func (e *engine[T]) creditLocked() int {
	e.gatherLocked()
	return int(e.bank.Load()) + e.ring().Credit()
}
