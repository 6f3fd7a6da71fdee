package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Ending a pool has two steps, and each happens once. Closing ends the intake: it sets one bit in
// the queue's tail, which orders it with every push. Stopping says that nothing more may start.
// Whoever comes across a queued job then hands it back: the stopping goroutine, a worker, or a
// submitter whose push was under way. A pool has ended when it is closed, every accepted job has
// ended or was handed back, no batcher holds anything, and no worker is left.

// endState is how a pool ends. e.mu guards it, except for the channels.
type endState[T any] struct {
	stopped     chan struct{}  // closed when nothing more may start
	done        chan struct{}  // closed when the last worker has gone
	whenDone    []func() bool  // stops what watches contexts and deadlines
	leftover    []T            // accepted, never started, not yet returned
	unrun       uint64         // how many were ever put into leftover
	missed      *DeadlineError // the first missed deadline
	stopCause   error          // why nothing more may start
	byContext   bool           // it was the end of WithContext's context
	closeErr    error          // what submissions get once the intake has ended
	emptying    bool           // and batchers are still to be emptied
	finished    bool           // done is closed
	reported    bool           // a Close has returned the kept errors
	deadlineEnd chan struct{}  // of DrainFor, nil before Close: see setDeadline
	dropCount   uint64         // discarded by DropOldest
	dropping    int            // running drop handlers, and expired jobs being handed over
	expired     uint64         // never started, for their deadline
	inlines     int            // jobs that run on their submitter's goroutine
	last        Stats          // keeps Stats monotone
}

// closeIntakeLocked ends the intake; err is what submissions get from then on.
func (e *engine[T]) closeIntakeLocked(err error) {
	if e.closeErr == nil {
		e.closeErr, e.emptying = err, true
		e.eachCell(func(c *cell[T]) { c.queue.Close() })
		e.eachKids(func(*kids[T]) {})
		e.eachCell(func(c *cell[T]) { c.refuse() })
	}
}

// drain ends the intake and lets the workers finish.
func (e *engine[T]) drain() {
	e.mu.Lock()
	e.closeIntakeLocked(ErrClosed)
	e.mu.Unlock()
	e.emptyBatchers()
	e.settle()
	e.wakeMore() // for what did not linger long enough
}

// stop makes cause the reason why nothing more starts, unless there is one. It returns how many
// tasks ran then, before their contexts were cancelled, and whether this call did it.
func (e *engine[T]) stop(cause, closeErr error) (running int, did bool) {
	e.mu.Lock()
	if e.stopCause != nil || e.finished {
		e.mu.Unlock()
		return 0, false
	}
	e.stopCause = cause
	e.closeIntakeLocked(closeErr)
	e.flags.word.Or(flagStop)
	e.idle.Stop()
	close(e.stopped)
	_, _, r := e.totalsLocked()
	woken := e.takeAllLocked()
	e.mu.Unlock()
	e.cancel(cause)
	signal(woken)
	e.emptyBatchers()
	e.discard()
	return int(r), true
}

func (e *engine[T]) cause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopCause
}

// discard hands back everything that waits, and ends the pool if it can end. It is called after a
// stop.
func (e *engine[T]) discard() {
	e.mu.Lock()
	e.eachCell(func(c *cell[T]) {
		c.drain(func(job T, tag int) { e.giveBackLocked(c, job, tag) })
	})
	e.eachKids(func(k *kids[T]) {
		for it, ok := k.jobs.PopFront(); ok; it, ok = k.jobs.PopFront() {
			e.giveBackLocked(&e.main, it.job, it.tag)
		}
		k.changedLocked()
	})
	e.mu.Unlock()
	e.settle()
}

func (e *engine[T]) giveBackLocked(c *cell[T], job T, tag int) {
	e.leftover = append(e.leftover, job)
	e.unrun++
	c.disposed(tag, 1)
}

// endedLocked reports whether nothing is left to run, and nothing will come.
func (e *engine[T]) endedLocked() bool {
	if e.closeErr == nil || e.emptying {
		return false
	}
	ended := true
	e.eachCell(func(c *cell[T]) { ended = ended && c.unfinished() == 0 })
	return ended
}

// settle wakes parked workers that have to end and, when the last is gone, ends the pool.
func (e *engine[T]) settle() {
	e.mu.Lock()
	if !e.endedLocked() {
		e.mu.Unlock()
		return
	}
	woken := e.takeAllLocked()
	var whenDone []func() bool
	_, inside := e.insideCounts()
	last := inside == 0 && e.live == 0 && e.leaving.Len == 0 && e.dropping == 0 && e.inlines == 0 && !e.finished
	if last {
		e.finished = true
		whenDone, e.whenDone = e.whenDone, nil
		for _, t := range []*time.Timer{e.watch.timer, e.expiry.timer, e.linger.timer} {
			if t != nil {
				t.Stop()
			}
		}
	}
	e.mu.Unlock()
	signal(woken)
	if last {
		for _, stop := range whenDone {
			stop()
		}
		e.cancel(ErrClosed)
		close(e.done)
	}
}

// onDone makes stop be called when the pool has ended.
func (e *engine[T]) onDone(stop func() bool) {
	e.mu.Lock()
	finished := e.finished
	if !finished {
		e.whenDone = append(e.whenDone, stop)
	}
	e.mu.Unlock()
	if finished {
		stop()
	}
}

// miss turns a drain that took too long into an abort. It returns nil if the drain was done after
// all.
func (e *engine[T]) miss(err error) error {
	running, did := e.stop(&stopError{ErrAborted, err}, ErrClosed)
	s := e.Stats()
	for range settleTries {
		if s.Queued == 0 {
			break
		}
		runtime.Gosched() // a job is being handed back, or has ended and is being counted
		s = e.Stats()
	}
	if !did {
		running = int(s.Running)
	}
	d := &DeadlineError{Unstarted: int(s.Unrun + s.Queued), Running: running, Err: err}
	if d.Unstarted == 0 && d.Running == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.missed == nil {
		e.missed = d
	}
	return d
}

// settleTries bounds how long a missed deadline waits for exact numbers. A goroutine that hands
// back or accounts for a job runs no user code meanwhile, but may be preempted, for about 10 ms.
const settleTries = 100_000

// Close ends the pool by its shutdown mode (see [WithShutdown]; by default it runs every accepted
// task) and waits until the last worker is gone: nothing of the pool runs after Close has returned,
// and all concurrent calls return at the same end. It returns what the error mode kept; under
// [DrainFor], a [*DeadlineError] if the deadline was missed; and, if the end of [WithContext]'s
// context kept tasks from starting, an error with their number and the context's cause. A later
// call returns nil.
//
// Inside a task or a callback of the pool Close closes the pool and returns [ErrInTask] at
// once.
//
// The end of every task synchronizes before the return of Close.
func (e *engine[T]) Close() error {
	e.mustBeMade()
	inside := e.here() != nil
	if e.shutdown.abort {
		e.Abort()
	} else {
		e.drain()
	}
	if e.shutdown.bounded {
		e.setDeadline()
	}
	if inside {
		return ErrInTask
	}
	e.mu.Lock()
	reported := e.reported
	e.mu.Unlock()
	<-e.done
	if e.deadlineEnd != nil {
		<-e.deadlineEnd // if it was missed, the tasks may have ended before that was noted
	}
	if reported {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reported = true
	kept := e.errs.Err()
	var early error // nil or why not everything ran
	switch {
	case e.missed != nil && e.shutdown.bounded:
		early = e.missed
	case e.byContext && e.unrun > 0:
		early = fmt.Errorf("pool: the context of WithContext has ended: %d tasks never started: %w", e.unrun, e.stopCause)
	}
	switch {
	case early == nil:
		return kept
	case kept == nil:
		return early
	}
	return errors.Join(early, kept)
}

// setDeadline makes a drain that takes too long an abort. It closes e.deadlineEnd when that has
// happened, or can no longer happen.
func (e *engine[T]) setDeadline() {
	e.mu.Lock()
	set := e.deadlineEnd != nil
	if !set {
		e.deadlineEnd = make(chan struct{})
	}
	e.mu.Unlock()
	if set {
		return
	}
	t := time.AfterFunc(e.shutdown.after, func() {
		_ = e.miss(context.DeadlineExceeded)
		close(e.deadlineEnd)
	})
	e.onDone(func() bool {
		stopped := t.Stop()
		if stopped {
			close(e.deadlineEnd)
		}
		return stopped
	})
}

// Shutdown drains the pool until ctx is done and then aborts it, as Shutdown of net/http.Server
// does. It never outlives ctx. It returns nil when every accepted task has run and the last worker
// is gone; a [*DeadlineError] with the numbers of tasks that never started and of those still
// running, if ctx is done first; or the cause, if the pool was stopped in another way meanwhile.
// Tasks that ignore their context end later: the channel of [Pool.Done] says when.
//
// Shutdown says whether all tasks have run, and not whether they failed: their errors go to
// [WithErrorHandler], and a Close after it, which returns at once when the pool has been drained,
// returns those that were kept.
//
// Inside a task or a callback of the pool Shutdown starts the drain and returns [ErrInTask]
// at once; ctx still limits the drain.
func (e *engine[T]) Shutdown(ctx context.Context) error {
	e.mustBeMade()
	if ctx == nil {
		return errNilContext
	}
	inside := ctx.Value(e) != nil || e.here() != nil
	e.drain()
	if inside {
		e.onDone(context.AfterFunc(ctx, func() { _ = e.miss(endOf(ctx)) }))
		return ErrInTask
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		if err := e.miss(endOf(ctx)); err != nil {
			return err
		}
		<-e.done
		return nil
	}
	return e.cause()
}

// Abort closes the pool, hands queued tasks back through Leftover and cancels the contexts of
// running tasks with the cause [ErrAborted]. It does not wait, and releases every call that is
// blocked in the pool. Any goroutine may call it, also inside a task, and more than once.
func (e *engine[T]) Abort() { e.stop(ErrAborted, ErrClosed) }

// Done returns a channel that is closed when the pool was closed, shut down or stopped and its last
// worker is gone.
func (e *engine[T]) Done() <-chan struct{} { return e.done }

func (e *engine[T]) takeLeftover() []T {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.leftover
	e.leftover = nil
	return l
}
