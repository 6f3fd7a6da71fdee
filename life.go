package pool

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// The life of a worker: birth for a task (employ, in park.go) or for the warm-up, expiry, and what
// has to be done at its end.
//
// Expiry loses no wake-up, because it leaves the tokens in the idle word alone. A parked worker
// that goes becomes a place without a worker, and a token stands for either: a goroutine that has
// taken one and finds no parked worker starts one. One case differs. If there were too many
// workers, which could not end before because somebody held their tokens, expiry leaves no place,
// and a token goes too.
//
// There is one timer for a pool, not one for a worker, and it is set only while more workers are
// parked than have to stay. It is set when a worker parks and it is not set, and when it fires too
// early for some workers. So a busy pool sets it once in the idle time, and a pool at rest has
// none.

// leaves reports whether a worker that finds nothing to do ends at once.
func (e *engine[T]) leaves() bool { return e.strategy == Elastic }

// expires reports whether the pool can be without workers.
func (e *engine[T]) expires() bool { return (e.leaves() || e.lazy) && e.floor == 0 }

// expiry is the timer that ends workers. e.mu guards it.
type expiry struct {
	timer *time.Timer
	set   bool
}

// restLocked makes w, whose place is idle, rest or end. It reports whether w rests.
func (w *worker[T]) restLocked() bool {
	e := w.e
	if e.leaves() {
		w.parked.Store(false)
		w.forgetLocked()
		return false
	}
	if e.lazy {
		w.restsSince = time.Since(e.start)
		e.setExpiryLocked(w.restsSince)
	}
	e.parked.Push(w, false)
	return true
}

// setExpiryLocked sets the timer for the worker that has rested longest.
func (e *engine[T]) setExpiryLocked(now time.Duration) {
	x := &e.expiry
	if x.set || e.finished || e.live <= e.floor {
		return
	}
	x.set = true
	since := now
	if e.parked.First != nil {
		since = e.parked.First.restsSince
	}
	d := max(0, since+e.idleTime-now)
	if x.timer == nil {
		x.timer = time.AfterFunc(d, e.expire)
	} else {
		x.timer.Reset(d)
	}
}

// expire ends the workers that have rested for the idle time.
func (e *engine[T]) expire() {
	e.mu.Lock()
	e.expiry.set = false
	now := time.Since(e.start)
	for w := e.parked.First; w != nil && e.live > e.floor && w.restsSince+e.idleTime <= now; w = e.parked.First {
		before := e.unborn()
		e.dismissLocked(w)
		if e.unborn() == before {
			e.idle.Drop() // there were too many
		}
	}
	if e.parked.First != nil {
		e.setExpiryLocked(now)
	}
	empty := e.live == 0
	e.mu.Unlock()
	if empty {
		e.main.trim()
	}
}

// trim gives memory back, if nothing waits.
func (c *cell[T]) trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fair == nil || c.queue.Large() { // a table is trimmed more often
		c.queue.Trim()
	}
	if c.keys != nil {
		c.keys.Trim()
	}
	if c.fair != nil {
		c.fair.Trim()
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
	w.e.leaving.Remove(w)
	w.e.mu.Unlock()
	w.e.settle()
}

// warmUp starts all workers and returns when each has run the warm-up function, or with its first
// failure, when nothing of the pool is left.
func (e *engine[T]) warmUp() error {
	e.mu.Lock()
	n := e.target
	results := make(chan error, n)
	for range n {
		e.idle.Take()
		w := e.newWorkerLocked(nil)
		w.warm = results
		w.start()
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

// warmUp runs the warm-up function and sends its result.
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
		if err := context.Cause(&w.ctx); err != nil {
			return err
		}
		if err := w.e.warm(&w.ctx); err != nil {
			return err
		}
	}
	return nil
}

// move lets w continue on another goroutine, which is a new thread if w is locked to one.
func (w *worker[T]) move() {
	if w.e.locked {
		w.closeState() // it belongs to the thread that ends
	}
	w.start()
}

// lock locks the worker's goroutine to its thread, which ends with it.
func (w *worker[T]) lock() {
	if w.e.locked {
		runtime.LockOSThread()
	}
}
