package pool

import (
	"sync/atomic"
	"time"
)

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
// budget, twice as many after two that took less. After a batch that it took over, whose size it did not
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
	if long := took > 4*budget && n == 1; long != w.e.long.Load() {
		w.e.long.Store(long)
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
	if w.limit < tinyTake || w.last >= smallTake || w.last == 0 || !w.e.parallel.Load() {
		return false
	}
	if w.skip > 0 {
		w.skip--
		return false
	}
	pause(pollRounds)
	if !w.claim() {
		w.grow()
		return false
	}
	if w.last >= 4 {
		w.backoff = 0
	} else {
		w.grow()
	}
	return true
}

func (w *worker[T]) grow() {
	w.backoff = min(max(8, 2*w.backoff), maxBackoff)
	w.skip = w.backoff
}

// patience leaves out waiting that was in vain, for a growing number of times.
type patience struct {
	skip, miss atomic.Int64
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
