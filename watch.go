package pool

import "time"

// watch is a timer that looks after the pool while all workers are busy and jobs
// wait, the only state in which nobody passes by to notice that GOMAXPROCS has
// grown, or that a task blocks itself (see room.go). It looks after 100 ms and
// then twice as late each time, unless jobs have ended in between, so that a
// task that sleeps for a year of virtual time costs some thirty looks; after
// that it gives up.
type watch struct {
	timer *time.Timer
	delay time.Duration
	seen  uint64 // how many jobs had begun
}

const (
	firstLook = 100 * time.Millisecond
	lastLook  = 1 << 30 * firstLook // three years
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
	stuck := false
	_, queued, _ := e.totalsLocked()
	if (queued > 0 || e.flags.word.Load() >= flagRoom) && e.idle.Load().Idle() == 0 && e.idle.Look() {
		ended := e.endedJobsLocked()
		stuck = ended == e.watch.seen
		if stuck {
			e.watch.delay *= 2
		} else {
			e.watch.seen, e.watch.delay = ended, firstLook
		}
		e.setWatchLocked()
	}
	e.mu.Unlock()
	e.placesFree()
	if stuck {
		e.checkSubmitters()
	}
}

// endedJobsLocked returns how many jobs have ended, modulo batch.CountMask+1 for each cell.
func (e *engine[T]) endedJobsLocked() (n uint64) {
	e.eachCell(func(c *cell[T]) { n += c.ended() })
	return n
}
