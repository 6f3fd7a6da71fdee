package pool

import (
	"context"
	"sync/atomic"
	"time"
)

// watch is a timer that looks after the pool in two states: while all workers are busy and jobs
// wait, when nobody else would notice that GOMAXPROCS has grown, and while somebody blocks in the
// pool. It looks after 100 ms and then twice as late each time, unless jobs have ended in between.
// So a task that sleeps for a year of virtual time costs about thirty looks; then the watch gives
// up.
//
// A context tells the pool where its caller is. A task that blocks in the pool without its context
// may wait for itself. So if nothing has ended between two looks, and at every tenth look in any
// case, the watch asks each blocked goroutine, once. It finds out by its own stack whether it is
// inside of a task. If so the task runs what it waits for, or gets ErrInTask. After the first such
// case others look at once.
type watch struct {
	timer *time.Timer
	delay time.Duration
	seen  uint64 // how many jobs had ended
	looks int

	unasked  atomic.Int32                  // how many are blocked and were not asked
	question atomic.Pointer[chan struct{}] // closed to ask them; made by a blocked one
	lost     atomic.Bool                   // one was inside of a task
}

const (
	firstLook = 100 * time.Millisecond
	lastLook  = 1 << 30 * firstLook // three years
	askEvery  = 10                  // looks
)

// lookAfter sets the timer, unless it is set.
func (e *engine[T]) lookAfter() {
	if !e.idle.Look() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if seen := e.endedJobsLocked(); seen != e.watch.seen || e.watch.delay == 0 {
		e.watch.delay, e.watch.seen = firstLook, seen
	} else {
		e.watch.delay *= 2
	}
	e.setWatchLocked()
}

func (e *engine[T]) setWatchLocked() {
	if e.finished || e.watch.delay > lastLook {
		return
	}
	if e.watch.timer == nil {
		e.watch.timer = time.AfterFunc(e.watch.delay, e.look)
	} else {
		e.watch.timer.Reset(e.watch.delay)
	}
}

// look is the timer's function.
func (e *engine[T]) look() {
	e.mu.Lock()
	if e.finished {
		e.mu.Unlock()
		return
	}
	e.followLocked()
	// First let others set the timer, then see whether it is still needed: jobs
	// may have come that found it set.
	e.idle.Relax()
	asks := false
	_, queued, _ := e.totalsLocked()
	busy := (queued > 0 || e.flags.word.Load() >= flagRoom) && e.idle.Load().Idle() == 0
	if (busy || e.watch.unasked.Load() > 0) && e.idle.Look() {
		e.watch.looks++
		asks = e.watch.looks%askEvery == 0
		if ended := e.endedJobsLocked(); ended == e.watch.seen {
			e.watch.delay *= 2
			asks = true
		} else {
			e.watch.seen, e.watch.delay = ended, firstLook
		}
		e.setWatchLocked()
	}
	e.mu.Unlock()
	e.placesFree()
	if asks {
		e.checkSubmitters()
		if q := e.watch.question.Swap(nil); q != nil {
			close(*q)
		}
	}
}

// listen returns the channel that the watch closes to ask the caller, which is about to block,
// where it is. The caller has to take itself off unasked.
func (e *engine[T]) listen() <-chan struct{} {
	e.watch.unasked.Add(1)
	q := e.watch.question.Load()
	for q == nil {
		ch := make(chan struct{})
		if e.watch.question.CompareAndSwap(nil, &ch) {
			q = &ch
		} else {
			q = e.watch.question.Load()
		}
	}
	if e.idle.Load().Looks() {
		e.lookAfter()
	}
	return *q
}

// found is here for a caller that did not know: from now on others look at once.
func (e *engine[T]) found() context.Context {
	here := e.here()
	if here != nil {
		e.watch.lost.Store(true)
	}
	return here
}

// endedJobsLocked returns how many jobs have ended, modulo batch.CountMask+1 for each cell.
func (e *engine[T]) endedJobsLocked() (n uint64) {
	e.eachCell(func(c *cell[T]) { n += c.ended() })
	return n
}
