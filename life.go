package pool

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// The life of a worker: birth for a task (employ, in park.go) or for the warm-up,
// expiry, and what has to be done at its end.
//
// Expiry loses no wake-up, because it leaves the tokens in gate alone: a parked
// worker that goes becomes a place that was never started, and a token stands for
// either. Who has taken one and finds nobody parked starts a worker. Only if there were too many workers,
// which could not end before since their tokens were in somebody's hands, it leaves no place, and a token goes too.
//
// There is one timer for a pool, not one for a worker, and it is set only while
// more workers are parked than have to stay: when a worker parks and it is not
// set, and when it fires too early for some. So a busy pool sets it once in the
// idle time, and a pool at rest has none.

// leaves reports whether a worker that finds nothing to do ends at once.
func (e *engine[T]) leaves() bool { return e.strategy == Elastic }

// expires reports whether the pool can be without workers.
func (e *engine[T]) expires() bool { return (e.leaves() || e.lazy) && e.floor == 0 }

// restLocked makes w, whose place is idle, rest or end. It reports whether w
// rests. e.mu is held.
func (w *worker[T]) restLocked() bool {
	e := w.e
	if e.leaves() {
		w.forgetLocked()
		e.shrinkLocked()
		return false
	}
	if e.lazy {
		w.restsSince = time.Since(e.start)
		e.setExpiryLocked(w.restsSince)
	}
	e.parked = append(e.parked, w)
	return true
}

// setExpiryLocked sets the timer for the worker that rests longest.
func (e *engine[T]) setExpiryLocked(now time.Duration) {
	if e.expirySet || e.finished || e.live <= e.floor {
		return
	}
	e.expirySet = true
	since := now
	if len(e.parked) > 0 {
		since = e.parked[0].restsSince
	}
	d := max(0, since+e.idle-now)
	if e.expiry == nil {
		e.expiry = time.AfterFunc(d, e.expire)
	} else {
		e.expiry.Reset(d)
	}
}

// expire ends the workers that have rested for the idle time.
func (e *engine[T]) expire() {
	e.mu.Lock()
	e.expirySet = false
	now := time.Since(e.start)
	n := 0
	for n < len(e.parked) && e.live > e.floor && e.parked[n].restsSince+e.idle <= now {
		w := e.parked[n]
		w.dismissed = true
		before := e.unborn()
		w.forgetLocked()
		if e.unborn() == before && !e.dropToken() {
			e.debt++
		}
		w.wake <- struct{}{} // never blocks: it is parked, and taken only once
		n++
	}
	left := copy(e.parked, e.parked[n:])
	clear(e.parked[left:])
	e.parked = e.parked[:left]
	if left > 0 {
		e.setExpiryLocked(now)
	}
	e.shrinkLocked()
	e.mu.Unlock()
}

// shrinkLocked gives the queue's memory back when the last worker has left.
func (e *engine[T]) shrinkLocked() {
	if e.live > 0 || !e.expires() || !e.lanes.Empty() || e.listed.Load() > 0 || e.sorter.turns.Load() > 0 {
		return
	}
	e.sorter.mu.Lock()
	e.sorter.trimLocked()
	e.sorter.mu.Unlock()
	if r := e.ring().Retire(); r != nil {
		e.queue.Store(r)
	}
}

// finish is the last thing that a worker's goroutine does.
func (w *worker[T]) finish() {
	w.ending = true
	w.closeState()
	w.ended()
}

// ended takes w off the list of those that are about to end.
func (w *worker[T]) ended() {
	w.e.mu.Lock()
	w.e.leaving--
	w.e.settle()
}

// warmUp starts all workers and returns when each has run the warm-up function,
// or with its first failure, when nothing of the pool is left.
func (e *engine[T]) warmUp() error {
	e.mu.Lock()
	n := e.target
	results := make(chan error, n)
	for range n {
		e.takeToken()
		w := e.newWorkerLocked(nil)
		w.warm = results
		go w.main()
	}
	e.mu.Unlock()
	for range n {
		if err := <-results; err != nil {
			e.stop(err, &stopError{ErrClosed, err})
			break
		}
	}
	err := e.cause() // the first failure, or the end of the context
	if err == nil {
		return nil
	}
	<-e.done
	return fmt.Errorf("pool: WithWarmup: %w", err)
}

// warmUp runs the warm-up function and says how it went.
func (w *worker[T]) warmUp() {
	results, err := w.warm, ErrGoexit
	defer func() {
		w.warm = nil
		results <- err
	}()
	err = w.warmUps()
}

func (w *worker[T]) warmUps() (err error) {
	if w.e.onPanic != nil {
		defer func() {
			if r := recover(); r != nil {
				err = &PanicError{Value: r, Stack: debug.Stack()}
			}
		}()
	}
	for range w.e.warmRuns {
		if err := context.Cause(w.ctx); err != nil {
			return err
		}
		if err := w.e.warm(w.ctx); err != nil {
			return err
		}
	}
	return nil
}

// move lets w go on with another goroutine: a new thread, if it is locked to one.
func (w *worker[T]) move() {
	if w.e.locked {
		w.closeState() // it belongs to the thread that ends
	}
	go w.main()
}

// lock locks the worker's goroutine to its thread, which ends with it.
func (w *worker[T]) lock() {
	if w.e.locked {
		runtime.LockOSThread()
	}
}
