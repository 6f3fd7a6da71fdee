package pool

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Ending a pool has two steps, and each happens once. Closing ends the intake:
// one bit in the ring's tail, so that it is ordered with every push. Stopping
// says that nothing more may start: what waits is handed back, by whoever comes
// across it: the stopping goroutine, workers, and a submitter whose push was
// under way. A pool has ended when it is closed, all that was accepted was
// claimed, no lane and no batcher holds anything, and no worker is left.

// closeIntakeLocked ends the intake; err is what submissions get from then on.
func (e *engine[T]) closeIntakeLocked(err error) {
	if e.closeErr == nil {
		e.closeErr = err
		e.ctl.Or(ctlClosed)
		e.limitBatchersLocked()
		e.ring().Close()
		e.fence()
		e.refuseSubmitters()
	}
}

// drain ends the intake and lets the workers finish.
func (e *engine[T]) drain() {
	e.mu.Lock()
	e.closeIntakeLocked(ErrClosed)
	e.settle()
	e.pull(flushEnd)
	e.wakeMore() // for what did not linger long enough
}

// stop makes cause the reason why nothing more starts, unless there is one. It
// returns how many tasks ran then, before their contexts were cancelled, and
// whether this call did it.
func (e *engine[T]) stop(cause, closeErr error) (running int, did bool) {
	e.mu.Lock()
	if e.stopCause != nil || e.finished {
		e.mu.Unlock()
		return 0, false
	}
	e.stopCause = cause
	e.closeIntakeLocked(closeErr)
	e.ctl.Or(ctlStop)
	e.gate.Or(gateStop)
	close(e.stopped)
	_, inline := e.inlineCounts()
	running = int(inline)
	for _, w := range e.workers {
		_, r := w.progress()
		running += int(r)
	}
	woken := e.takeAllLocked()
	e.mu.Unlock()
	e.cancel(cause)
	signal(woken)
	e.discard()
	e.pull(flushEnd)
	return running, true
}

func (e *engine[T]) cause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopCause
}

// discard hands back everything that waits. It claims under e.mu, so that nobody
// sees the pool ended while a job is on its way.
func (e *engine[T]) discard() {
	e.mu.Lock()
	for {
		pos, n := e.claimForOthersLocked(discardTake)
		if n == 0 {
			if pos, n = e.lanes.Steal(0, discardTake, e.ring().Claimed()); n == 0 {
				break
			}
		}
		for i := range n {
			if vs := e.ring().TakeChunk(pos + uint64(i)); vs != nil {
				e.giveBackAllLocked(vs)
			} else if v, _, ok := e.ring().Take(pos + uint64(i)); ok {
				e.giveBackLocked(pos+uint64(i), v)
			}
		}
	}
	e.discardStrandsLocked()
	e.discardLocalsLocked()
	e.settle()
}

// discardTake is how many tasks discard claims at a time.
const discardTake = 64

func (e *engine[T]) giveBackLocked(pos uint64, v T) {
	if e.paid(pos) {
		e.bank.Add(1)
	}
	e.leftover = append(e.leftover, v)
	e.unrun++
}

func (e *engine[T]) giveBack(pos uint64, v T) {
	e.mu.Lock()
	e.giveBackLocked(pos, v)
	e.mu.Unlock()
}

// endedLocked reports whether there is nothing left to take, for ever. It looks in the order
// in which tasks go from one place to the next: a batcher's come to the ring, from
// there to seats, lanes and hands. A batcher's task is seen there until it is in the ring, and seats are
// looked at under the mutex with which others fill them. A worker with a task in its hands is alive, which settle sees.
func (e *engine[T]) endedLocked() bool {
	return e.closeErr != nil && !e.unsentLocked() && e.ring().Drained() && e.lanes.Empty() && e.sorter.turns.Load() == 0 &&
		e.listed.Load() == 0 && !e.handsLeft() && e.sorter.seatsEmpty()
}

// settle wakes parked workers that have to end and, when the last has gone, ends
// the pool. e.mu is held, and released.
func (e *engine[T]) settle() {
	var woken []*worker[T]
	last := false
	if e.endedLocked() {
		woken = e.takeAllLocked()
		if _, inline := e.inlineCounts(); inline == 0 && e.live == 0 && e.leaving == 0 && e.dropping == 0 && !e.finished {
			e.finished, last = true, true
			for _, t := range []*time.Timer{e.watchTimer, e.expiry, e.collecting.timer} {
				if t != nil {
					t.Stop()
				}
			}
		}
	}
	whenDone := e.whenDone
	if last {
		e.whenDone = nil
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

// miss turns a drain that took too long into an abort. It returns nil if the
// drain was done after all.
func (e *engine[T]) miss(err error) error {
	running, did := e.stop(&stopError{ErrAborted, err}, ErrClosed)
	unsent, s := e.unsent(), e.Stats() // in the order in which a job goes
	for range settleTries {
		over := s.Completed + s.Failed + s.Panicked + s.Goexited + s.Dropped
		if unsent == 0 && over+s.Unrun+s.Running == s.Accepted {
			break
		}
		runtime.Gosched() // a job is being handed back, or accounted for
		unsent, s = e.unsent(), e.Stats()
	}
	if !did {
		running = int(s.Running)
	}
	d := &DeadlineError{Unstarted: int(unsent + s.Unrun + s.Queued), Running: running, Err: err}
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

// settleTries bounds how long a missed deadline waits for exact numbers.
const settleTries = 100

// Close ends the pool by its shutdown mode (see [WithShutdown]; the default runs
// every accepted task) and waits until the last worker has gone: nothing of the
// pool runs after Close has returned, and all concurrent calls return at the same
// end. It returns what the error mode kept and, under [DrainFor], a
// [*DeadlineError] if the deadline was missed; a later call returns nil.
//
// Called inside a task, a hook or a handler of the pool, Close begins the closing
// and returns [ErrInTask] at once.
//
// Everything that tasks did synchronizes before the return of Close.
func (e *engine[T]) Close() error {
	inside := e.inside()
	if e.shutdown == Abort {
		e.Abort()
	} else {
		e.drain()
	}
	if e.shutdown > 0 {
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
	kept := e.errs.err()
	if e.missed == nil || e.shutdown <= 0 {
		return kept
	}
	if kept == nil {
		return e.missed
	}
	return errors.Join(e.missed, kept)
}

// setDeadline makes a drain that takes too long an abort. e.deadlineEnd is closed when that
// has happened, or will not happen any more.
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
	t := time.AfterFunc(time.Duration(e.shutdown), func() {
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

// Shutdown drains the pool until ctx is done and then aborts it. It never
// outlives ctx. It returns nil when every accepted task has run and the last
// worker has gone; a [*DeadlineError] with the numbers of tasks that never
// started and that still run when ctx ended first; or the cause when the pool was stopped
// in another way meanwhile. Tasks that ignore their context end later; [Pool.Done]
// tells when.
//
// Called inside a task, a hook or a handler of the pool, Shutdown begins the
// draining and returns [ErrInTask] at once; ctx still bounds the drain.
func (e *engine[T]) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	inside := ctx.Value(e) != nil || e.inside()
	e.drain()
	if inside {
		e.onDone(context.AfterFunc(ctx, func() { _ = e.miss(ctx.Err()) }))
		return ErrInTask
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		if err := e.miss(ctx.Err()); err != nil {
			return err
		}
		<-e.done
		return nil
	}
	return e.cause()
}

// Abort ends the intake, hands queued tasks back through Leftover and cancels the
// contexts of running tasks with the cause [ErrAborted]. It does not wait, and
// releases everybody who is blocked in the pool. It may be called
// by any goroutine, also inside a task, and more than once.
func (e *engine[T]) Abort() { e.stop(ErrAborted, ErrClosed) }

// Done returns a channel that is closed when the pool was closed, shut down or
// stopped and the last worker has gone.
func (e *engine[T]) Done() <-chan struct{} { return e.done }

func (e *engine[T]) takeLeftover() []T {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.leftover
	e.leftover = nil
	return l
}

// errorLog keeps the first errors and counts the others.
type errorLog struct {
	mu    sync.Mutex
	limit int
	kept  []error
	count uint64
}

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if len(l.kept) < l.limit {
		l.kept = append(l.kept, err)
	}
}

func (l *errorLog) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return nil
	}
	err := l.kept[0]
	if len(l.kept) > 1 {
		err = errors.Join(l.kept...)
	}
	if more := l.count - uint64(len(l.kept)); more > 0 {
		return &moreError{err, more}
	}
	return err
}

// keep applies the error mode to a failure. The errors of tasks that were
// cancelled because the pool stopped are its consequence and not kept.
func (e *engine[T]) keep(err error) {
	if e.ctl.Load()&ctlStop != 0 && follows(err, e.cause()) {
		return
	}
	e.errs.add(err)
	if e.errorMode == FailFast {
		e.stop(err, &stopError{ErrClosed, err})
	}
}

// follows reports whether err is what a cancellation with cause leads to. An error
// whose own methods panic is none.
func follows(err, cause error) (yes bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, context.Canceled) || errors.Is(err, cause)
}
