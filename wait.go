package pool

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/queue"
)

// Wait is exact, and costs nothing while nobody waits.
//
// A job carries a tag, 0 or 1, from its acceptance to its end. Wait gives later jobs the other tag,
// and returns when as many jobs with the old tag have ended as were accepted with it. The queue's
// tail orders the change with every push, so that number is known. Until those jobs have ended the
// queue is split: a submission has to say which tag its job gets, and a submission with the context
// of a task says that task's tag. So Wait also waits for what a task submits, at any depth.
//
// Workers count what has ended with each tag, once for a batch, and then look whether somebody
// waits (flagSplit). Wait sets the flag and then counts; a worker counts and then looks: one of the
// two sees that it is over.
//
// One change is under way at a time. A call of Wait meanwhile joins the next change. So it may wait
// for some jobs that were accepted after the call, but not for jobs that are accepted after that
// change.
type waits struct {
	waiters []*waiter        // for the old tag, in the change that is under way
	next    []*waiter        // for the next one
	old     int              // the old tag
	split   bool             // a change is under way
	other   [2]atomic.Uint64 // accepted with each tag while it was not the current one
	telling atomic.Int32     // how many submissions may still count something there
	inline  [2]uint64        // accepted with each tag, to run on the submitter's goroutine
	ended   [2]uint64        // of these
}

type waiter struct{ done chan struct{} }

// Wait waits until every task that was accepted before the call has ended, and every task that
// these submitted in turn, at any depth, with their contexts. Tasks that a task adds to a [Batcher]
// do not count as submitted by it. Wait then returns nil. It returns ctx's error if ctx is done
// first, and the cause of the stop if the pool stops first (Abort, FailFast, the end of
// [WithContext]).
//
// The pool stays open. Wait does not wait for tasks that are accepted from elsewhere after the
// call, so it returns under continuous load too. One exception: while an earlier call of Wait is
// still waiting, a later call also waits for tasks that are accepted before the earlier one
// returns.
//
// Wait does not report the errors of tasks: see [WithErrorMode] and [WithErrorHandler]. The end of
// each task that it waits for synchronizes before the return of nil.
//
// Inside a task of the same pool Wait returns [ErrInTask]: the task would wait for itself. Use a
// [Group], a [Future], [Do] or a loop there, which wait for some tasks only.
func (e *engine[T]) Wait(ctx context.Context) error {
	e.mustBeMade()
	if ctx == nil {
		return errNilContext
	}
	if err := endOf(ctx); err != nil {
		return err
	}
	if ctx.Value(e) != nil {
		return ErrInTask
	}
	e.mu.Lock()
	if err := e.stopCause; err != nil {
		e.mu.Unlock()
		if e.here() != nil { // a handler, of what has stopped the pool
			return ErrInTask
		}
		return err
	}
	wt := &waiter{make(chan struct{})}
	e.next = append(e.next, wt)
	e.evaluateLocked()
	e.mu.Unlock()
	var err error
	select {
	case <-wt.done:
	default:
		var here context.Context
		if here, err = e.rest(ctx, nil, wt.done); here != nil {
			err = ErrInTask
		}
	}
	if e.outer != nil && e.outer.Err() != nil { // which has ended the tasks
		e.contextEnded()
		return e.cause()
	}
	if err == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	mine := func(o *waiter) bool { return o == wt }
	e.waiters, e.next = slices.DeleteFunc(e.waiters, mine), slices.DeleteFunc(e.next, mine)
	return err
}

// evaluate ends the change that is under way, if its jobs have ended.
func (e *engine[T]) evaluate() {
	e.lock(&e.mu)
	defer e.mu.Unlock()
	e.evaluateLocked()
}

func (e *engine[T]) evaluateLocked() {
	for {
		if e.split {
			// In this order: whatever has ended was accepted, and is counted as that unless
			// somebody is telling.
			ended := e.endedWith(e.old)
			if e.telling.Load() > 0 || e.accepted(e.old) != ended {
				return
			}
			for _, wt := range e.waiters {
				close(wt.done)
			}
			e.waiters, e.split = nil, false
			e.eachCell(func(c *cell[T]) { c.queue.Join() })
			e.flags.word.And(^uint32(flagSplit))
		}
		if len(e.next) == 0 {
			return
		}
		e.waiters, e.next = e.next, nil
		e.old, e.split = e.main.queue.CurrentTag(), true
		e.flags.word.Or(flagSplit)
		e.eachCell(func(c *cell[T]) {
			n := c.queue.Split()
			c.past[e.old] += n - c.since
			c.since = n
		})
		e.eachKids(func(*kids[T]) {}) // a push that has read the old tag has counted its jobs
	}
}

// accepted returns how many jobs were ever accepted with the tag, which is not the current one.
func (e *engine[T]) accepted(tag int) uint64 {
	n := e.other[tag].Load() - e.other[1-tag].Load() + e.inline[tag] + e.kidsWith(tag)
	e.eachCell(func(c *cell[T]) { n += c.past[tag] })
	return n
}

// endedWith returns how many jobs with the tag have ended.
func (e *engine[T]) endedWith(tag int) uint64 {
	n := e.ended[tag]
	e.eachCell(func(c *cell[T]) {
		n += c.singles.Done(tag)
		for i := range c.lanes {
			n += c.lanes[i].Done(tag)
		}
	})
	return n
}

// withTag calls push with the tag for a job that is submitted inside the task of seat, or outside
// of any if seat is nil. push returns how many jobs were accepted with that tag though it is not
// the current one. Until these are counted, nobody can see that all jobs waited for have ended.
func (e *engine[T]) withTag(seat any, push func(tag int) (others int)) {
	tag := queue.Current
	switch s := seat.(type) {
	case *worker[T]:
		tag = int(s.tag.Load())
	case *callerRun:
		tag = s.tag
	}
	e.telling.Add(1)
	if n := push(tag); n > 0 {
		e.other[tag].Add(uint64(n))
	}
	e.telling.Add(-1)
	if e.flags.word.Load()&flagSplit != 0 {
		e.evaluate()
	}
}

// splitsLike gives a new cell the tag that the others have, and splits its queue if theirs are.
func (c *cell[T]) splitsLike(main *cell[T]) {
	for c.queue.CurrentTag() != main.queue.CurrentTag() || main.queue.IsSplit() && !c.queue.IsSplit() {
		c.queue.Split()
	}
	if !main.queue.IsSplit() {
		c.queue.Join()
	}
}
