package pool

import "time"

// How much a worker claims at a time, and how long it waits for more.

const (
	budget    = 5 * time.Microsecond // of work in a batch
	tinyTake  = 32                   // jobs; a worker that may take so many has tiny ones
	smallTake = 32                   // jobs; a smaller take is worth waiting for more
	// pollRounds is about 1 µs.
	pollRounds = 2500
	maxBackoff = 256
	maxUntimed = 15
)

// measure adapts the number of jobs to claim to how long they take: one while a
// batch takes more than four times the budget, half when it takes more than the
// budget, twice as many after two that took less. After a chunk, whose size it did not
// choose, it is as many as take the budget.
//
// To read the clock costs as much as a claim. So while tasks are long, it is read for
// one in 2, 4, ... up to maxUntimed+1 of them.
func (w *worker[T]) measure(n int) {
	if w.untimed > 0 {
		if w.untimed--; w.untimed == 0 {
			w.began()
		}
		return
	}
	now := time.Since(w.e.start)
	took := now - w.clock
	w.clock = now
	if took <= 4*budget {
		w.slow = 0
	} else {
		w.slow = min(2*w.slow+1, maxUntimed)
		w.untimed = w.slow
	}
	switch {
	case n > w.limit && took > budget:
		w.limit, w.streak = max(1, int(int64(n)*int64(budget)/int64(took))), 0
	case took > 4*budget:
		w.limit, w.streak = 1, 0
	case took > budget:
		w.limit, w.streak = max(1, w.limit/2), 0
	default:
		if w.streak++; w.streak >= 2 && w.limit < w.e.batch {
			w.limit, w.streak = min(2*w.limit, w.e.batch), 0
		}
	}
}

// began notes when a batch begins, if its time is to be measured.
func (w *worker[T]) began() {
	if w.untimed == 0 {
		w.clock = time.Since(w.e.start)
	}
}

// coalesce waits about 1 µs before the next claim, when tasks are tiny and the
// last claim was small, and claims. A worker that looks again at once takes one
// or two jobs each time, and drags the slots' cache line from the producer and
// back for each of them. It stops doing so, for a growing number of claims, when
// waiting brought nothing: a lone submitter that waits for each task would pay
// for it each time.
func (w *worker[T]) coalesce() bool {
	e := w.e
	last := int(w.end - w.pos)
	if w.stolen > 0 {
		last = w.stolen / 8 // a theft costs more
	}
	if w.limit < tinyTake || last >= smallTake || w.end == w.pos || !e.parallel.Load() {
		return false
	}
	if w.skip > 0 {
		w.skip--
		return false
	}
	pause(pollRounds)
	if w.stolen > 0 {
		pause(3 * pollRounds)
	}
	if !w.claim() && (w.stolen == 0 || !w.steal()) {
		w.grow()
		return false
	}
	if w.inHand() >= 4 {
		w.backoff = 0
	} else {
		w.grow()
	}
	return true
}

// inHand returns how many jobs were claimed, or wait in w's seat.
func (w *worker[T]) inHand() int {
	switch s := w.seat.Load(); {
	case s != nil:
		return s.waiting()
	case w.from != nil:
		return w.stolen / 8
	case w.single || w.lane == nil:
		return 1
	}
	return w.lane.Len()
}

func (w *worker[T]) grow() {
	w.backoff = min(max(8, 2*w.backoff), maxBackoff)
	w.skip = w.backoff
}
