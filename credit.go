package pool

import (
	"runtime"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/ring"
)

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
//	in the pockets of workers, which put back a unit for each task they start,
//	in the queues of workers, see workerqueue.go.
//
// Pockets and queues keep workers from sharing a word at every task: what is in
// them goes to the bank when it has become a payment. A push that finds no
// credit in the tail takes some from the bank, and if that is empty, from all
// pockets. Credit that is moved from one place to another is in neither for a moment, and moves
// says so: who finds none in any place looks again, unless nothing was on its way from before the
// first look until after the last. So a submission is refused only when there is none anywhere. A worker
// that sees somebody waiting for room (ctlRoom) puts its unit into the bank and
// wakes them: it writes its pocket and then reads ctl, a submitter announces
// itself and then looks into the pockets, so one of the two sees the other.
//
// A Shared pool counts from its first keyed task on. Tasks that were in the ring
// then (before e.counted) have no credit; how many of them still wait is looked
// up in the ring until there is none.

// payment is how much credit goes into the bank, or out of it, at a time.
const payment = 64

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

// refill moves credit into the ring, unless there is some. It reports false if there is
// none anywhere.
func (e *engine[T]) refill() bool {
	for {
		m := e.moves.Load()
		if e.ring().Credit() > 0 {
			return true
		}
		b := e.bank.Load()
		if b <= 0 {
			switch {
			case e.patience.wait(e.parallel.Load(), &e.bank, 1) || e.gather():
			case m&moving == 0 && e.moves.Load() == m:
				return false
			default:
				runtime.Gosched() // whoever moves it may wait for this core
			}
			continue
		}
		e.moves.Add(moveBegins)
		k := min(b, ring.MaxCredit)
		taken := e.bank.CompareAndSwap(b, b-k)
		if taken {
			if left := k - int64(e.ring().Grant(int(k))); left > 0 {
				e.bank.Add(left)
			}
		}
		e.moves.Add(moveEnds)
		if taken {
			if e.ctl.Load()&ctlRoom != 0 {
				e.roomMade() // it was nowhere to be found while it was moved
			}
			return true
		}
	}
}

const (
	moveBegins = 1
	moveEnds   = 1<<32 - 1
	moving     = 1<<32 - 1 // the mask of those on their way
)

// deposit puts the pocket's credit into the bank.
func (w *worker[T]) deposit() {
	if w.pocket.Load() != 0 {
		w.e.moves.Add(moveBegins)
		w.e.bank.Add(w.pocket.Swap(0))
		w.e.moves.Add(moveEnds)
	}
}

// patience makes a push that finds no credit wait about 2 µs for a payment before it
// looks into the pockets: while tasks are tiny a worker is about to make one, and to
// look means to take from the workers the lines that they write for each task. Who wants credit
// for a chunk lets others run first, among them a worker that waits for a core (benchmarks, -suite
// batch -rows 100ns: 72 ns a task without, 60 with; 2026-11-24). When
// waiting was in vain it is left out for a growing number of times, so who submits to
// a pool that is full of longer tasks does not pay for it.
type patience struct {
	skip, miss atomic.Int64
}

const (
	patientPolls = 10
	patientPause = 500 // rounds, about 0.2 µs
)

// wait reports whether there is so much credit in the bank; more than 1 is for a chunk.
func (p *patience) wait(parallel bool, bank *atomic.Int64, want int64) bool {
	if !parallel || !p.worth() {
		return false
	}
	if want > 1 {
		runtime.Gosched()
	}
	for range patientPolls + 1 {
		if bank.Load() >= want {
			p.miss.Store(0)
			return true
		}
		pause(patientPause)
	}
	p.inVain()
	return false
}

// worth reports whether to wait.
func (p *patience) worth() bool {
	n := p.skip.Load()
	if n > 0 {
		p.skip.Store(n - 1) // of those who do so at once, one is enough
	}
	return n == 0
}

// inVain makes waiting be left out for a while.
func (p *patience) inVain() {
	n := min(max(8, 2*p.miss.Load()), maxBackoff)
	p.miss.Store(n)
	p.skip.Store(n)
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
	e.eachHandLocked(func(h *hand[T]) { e.gatherFrom(&h.workerQueue) })
	for _, w := range e.workers {
		w.settleLane()
		w.deposit()
		if q := w.queue(); q != nil {
			q.mu.Lock()
			e.gatherFrom(q)
			q.mu.Unlock()
		}
	}
}

// paid reports whether the job that was accepted at pos has credit to give back.
func (e *engine[T]) paid(pos uint64) bool {
	return e.ctl.Load()&ctlCounted != 0 && pos >= e.counted.Load()
}

// settleLane puts the credit of the jobs into w's pocket that w has begun in its lane.
// The worker does so at the end of the batch, and others when they look for credit.
func (w *worker[T]) settleLane() {
	m := w.mark.Load()
	if m == 0 || m&(markOne|markItems) != 0 {
		return
	}
	from := w.settled.Load() // inCash is larger than all
	end := markPos(m) + uint64(w.begunOf(m))
	if end > from && w.mark.Load() == m && w.settled.CompareAndSwap(from, end) {
		w.earn(from, end)
	}
}

// inCash in settled says that the jobs of w's lane earn their credit one by one: there
// may be gaps between them.
const inCash = ^uint64(0)

// startsInLane is starts for a job of w's lane.
func (w *worker[T]) startsInLane(pos uint64) {
	if w.settled.Load() == inCash {
		w.starts(pos)
	} else if w.e.ctl.Load()&ctlRoom != 0 {
		w.settleLane()
		w.makeRoom()
	}
}

// earn puts the credit of the jobs from one position to the other into w's pocket.
func (w *worker[T]) earn(from, end uint64) {
	if w.e.ctl.Load()&ctlCounted == 0 {
		return
	}
	if from = max(from, w.e.counted.Load()); from < end && w.pocket.Add(int64(end-from)) >= payment/4 {
		w.deposit()
	}
}

// starts is called before the job at pos starts, when ctl said that there is
// something to do.
func (w *worker[T]) starts(pos uint64) {
	e := w.e
	if e.paid(pos) && w.pocket.Add(1) >= payment {
		w.deposit()
	}
	if e.ctl.Load()&ctlRoom != 0 {
		w.makeRoom()
	}
}

// makeRoom wakes who waits for room.
func (w *worker[T]) makeRoom() {
	w.deposit()
	w.e.roomMade()
}

// creditLocked returns the unused credit, all of it.
func (e *engine[T]) creditLocked() int {
	e.gatherLocked()
	return int(e.bank.Load()) + e.ring().Credit()
}
