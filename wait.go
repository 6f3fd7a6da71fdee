package pool

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/ring"
)

// Wait, exactly and for nothing when nobody waits.
//
// A job carries a tag of three bits from its acceptance to its end. Wait gives
// later jobs another tag; the ring's tail orders that with every push, so it
// knows how many jobs the ended tag has: they are an epoch. Workers count what
// they finish for each tag in counters of their own, once for a batch. For an
// epoch that is waited for, watchBit is set in those counters with an atomic Or
// that also returns the count so far; from then on a worker sees the bit in the
// result of its own Add and tallies its jobs in the epoch's left as well. So every
// finished job is counted once: by the Or or by the worker.
//
// There can be eight epochs. When all tags are taken, Wait watches the current
// epoch, which ends as soon as a tag is free; it may then wait for jobs accepted
// after it began.
//
// A task that waits is itself unfinished, and others may wait for it inside Wait.
// So such a task waits until all that is unfinished are itself and older tasks
// that are inside Wait: a parent waits for its child that waits for a grandchild,
// and never the other way round. Waits go from older to younger tasks only, so
// there is no cycle. What is deferred behind a task's key counts as the task does.

const watchBit = 1 << 63

// tally is what is known of the jobs of one tag.
type tally struct {
	left    atomic.Int64 // unfinished, if the epoch has ended; minus finished, if not
	gone    uint64       // finished by workers that have gone, while it is watched
	inside  []uint64     // the ages of tasks with this tag inside Wait, ascending
	watched bool
}

// epoch is a set of jobs that share a tag. e.epochs has them in order of time; the
// last one is the current one.
type epoch struct {
	serial uint64
	tag    uint64
	ended  bool
}

type waiter struct {
	serial uint64   // waits for epochs up to this one
	sit    *sitting // of the task that waits, nil outside of tasks
	done   chan struct{}
}

// sitting is a task that is inside Wait, with one goroutine or several. Where it
// is registered (a worker, or a job on its submitter's goroutine) it stands until
// the last has left, or the task has ended, whatever comes first.
type sitting struct {
	tag   uint64
	age   uint64 // of the task, see ageOf; of the youngest of a typed batch
	ages  []uint64
	waits int
	lent  bool // its worker's place
	at    *atomic.Pointer[sitting]

	held   int64                   // weight that its worker gave away
	back   chan struct{}           // while somebody gets these back; closed then
	behind func(*[ring.Tags]int64) // tasks behind its key, nil without one
}

// totals are outcomes of jobs.
type totals struct {
	finished, failed, panicked, goexited uint64

	taken [BatchSizes]uint64 // batches by size
}

// Wait blocks until no task that was accepted before the call is unfinished, or
// ctx is done, or the pool stops (Abort, FailFast). The pool stays open, and
// tasks accepted meanwhile are not waited for, unless more than seven other calls
// that began at different moments are still waiting. It returns nil, ctx's error, or the
// cause of the stop. Tasks' errors are not reported here: they go where
// [WithErrorMode] and [WithErrorHandler] say.
//
// The end of each of those tasks synchronizes before the return of nil.
//
// Wait may be called inside a task with the context that the task was given. The
// task itself, tasks accepted before it that are themselves inside Wait, and tasks
// that have to wait for one of these because they have its key, are not waited for,
// and the worker's place is lent to another worker meanwhile, so it completes
// with one worker too. If ctx ends such a Wait, one task more than there are
// workers may run for a moment.
func (e *engine[T]) Wait(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	seat := ctx.Value(e)
	if seat == nil {
		if w := e.workerHere(); w != nil {
			seat = w
		}
	}
	e.mu.Lock()
	if e.stopCause != nil {
		defer e.mu.Unlock()
		return e.stopCause
	}
	wt := &waiter{done: make(chan struct{})}
	lends := e.sitLocked(seat, wt)
	wt.serial = e.endEpochLocked()
	e.waiters = append(e.waiters, wt)
	e.evaluateLocked()
	e.mu.Unlock()
	if lends {
		e.placesFree()
	}
	var err error
	select {
	case <-wt.done:
	default:
		select {
		case <-wt.done:
		case <-ctx.Done():
			err = ctx.Err()
		case <-e.stopped:
			err = e.cause()
		}
	}
	e.mu.Lock()
	if err != nil {
		e.removeWaiterLocked(wt)
	}
	e.standUp(ctx, seat, wt.sit) // unlocks
	return err
}

// sitLocked registers the task that calls Wait. It reports whether its worker's
// place was lent.
func (e *engine[T]) sitLocked(seat any, wt *waiter) (lends bool) {
	sit := &sitting{}
	switch s := seat.(type) {
	case *worker[T]:
		m := s.mark.Load()
		if m == 0 {
			return false // its task has ended
		}
		sit.tag, sit.lent, sit.at = markTag(m), true, &s.sit
		sit.age = s.flushBegun(m)
		sit.ages = s.agesOf(m, sit.age)
		for _, age := range sit.ages {
			sit.age = max(sit.age, age) // with keys the last one need not be the youngest
		}
		sit.behind = s.behind(m)
	case *callerRun:
		if s.ended {
			return false
		}
		sit.tag, sit.age, sit.at = s.tag, s.age, &s.sit
		sit.ages = []uint64{s.age}
	default:
		return false
	}
	if old := sit.at.Load(); old != nil {
		old.waits++
		wt.sit = old
		return false
	}
	sit.waits = 1
	wt.sit = sit
	sit.at.Store(sit)
	in := &e.left[sit.tag].inside
	for _, age := range sit.ages {
		i, _ := slices.BinarySearch(*in, age)
		*in = slices.Insert(*in, i, age)
	}
	e.insideWait.Add(int64(len(sit.ages)))
	if sit.behind != nil {
		e.insideWait.Add(keyedWait)
		e.keyedWaits = append(e.keyedWaits, sit)
	}
	if sit.lent {
		e.lendLocked(seat.(*worker[T]), sit)
	}
	return sit.lent
}

// keyedWait is what a keyed task adds to insideWait: with one of them inside Wait
// every change counts, because tasks behind it may be left out too.
const keyedWait = 1 << 40

// standUp ends a Wait of the task that sits. When it was the last one of the task
// it gets the worker's place and weight back, and others of the task that come
// meanwhile join it. e.mu is held, and released.
func (e *engine[T]) standUp(ctx context.Context, seat any, sit *sitting) {
	if sit == nil || sit.at == nil {
		e.mu.Unlock()
		return
	}
	if sit.waits--; sit.waits > 0 {
		e.mu.Unlock()
		return
	}
	if !sit.lent {
		e.standUpLocked(sit)
		e.mu.Unlock()
		return
	}
	if back := sit.back; back != nil {
		e.mu.Unlock()
		<-back
		return
	}
	sit.back = make(chan struct{})
	e.mu.Unlock()
	w := seat.(*worker[T])
	e.reclaim(ctx)
	e.mu.Lock()
	if e.ctl.Load()&ctlWeighs != 0 { // else who begins to weigh later counts w
		e.mu.Unlock()
		w.regain(ctx, max(1, sit.held))
		e.mu.Lock()
	}
	close(sit.back)
	sit.back = nil
	lends := false
	if sit.at != nil {
		if lends = sit.waits > 0; lends {
			e.lendLocked(w, sit)
		} else {
			e.standUpLocked(sit)
		}
	}
	e.mu.Unlock()
	if lends {
		e.placesFree()
	}
}

func (e *engine[T]) standUpLocked(sit *sitting) {
	in := &e.left[sit.tag].inside
	for _, age := range sit.ages {
		i, _ := slices.BinarySearch(*in, age)
		*in = slices.Delete(*in, i, i+1)
	}
	e.insideWait.Add(-int64(len(sit.ages)))
	if sit.behind != nil {
		e.insideWait.Add(-keyedWait)
		i := slices.Index(e.keyedWaits, sit)
		e.keyedWaits = slices.Delete(e.keyedWaits, i, i+1)
	}
	sit.at.Store(nil)
	sit.at = nil
}

// outlived is called at the end of a task of which goroutines are still inside
// Wait. They go on like any other that waits.
func (w *worker[T]) outlived() {
	e := w.e
	e.mu.Lock()
	sit := w.sit.Load()
	if sit == nil {
		e.mu.Unlock()
		return
	}
	back := sit.back
	e.standUpLocked(sit)
	e.mu.Unlock()
	if back != nil {
		<-back
	} else {
		e.reclaim(context.Background())
	}
}

// flushBegun accounts for the jobs of a batch before the one that runs, which is
// inside Wait and keeps the worker from doing it. It returns the age of that one.
func (w *worker[T]) flushBegun(m uint64) uint64 {
	pos, tag := markPos(m), markTag(m)
	n := w.begunOf(m) - 1
	age := ageOf(pos+uint64(max(0, n))) + ageStep - 1
	if m&markItems != 0 {
		age = w.itemAge(m)
	}
	if n <= 0 || markSingle(m) || w.e.handleAll != nil {
		w.alone(m, age)
		return age
	}
	if w.mark.CompareAndSwap(m, m+uint64(n)<<5) {
		w.finished[tag].Add(uint64(n))
		if w.e.left[tag].watched {
			w.e.left[tag].left.Add(-n)
		}
	}
	w.alone(m+uint64(n)<<5, age)
	return age
}

// Ages order tasks by their acceptance, so that a child is younger than its
// parent. There are ageStep for each position in the ring. The task at a position has
// the last of them, one that took no position then the first; a child has the next
// one after those of its parent and of the child before it, see pushLocal.
const ageStep = 1 << 8

func ageOf(pos uint64) uint64 { return pos * ageStep }

// endEpochLocked ends the current epoch and returns the serial up to which to
// wait.
func (e *engine[T]) endEpochLocked() uint64 {
	cur := &e.epochs[len(e.epochs)-1]
	serial := cur.serial
	if next, ok := e.freeTagLocked(); ok {
		accepted := e.ring().Advance(next)
		cur.ended = true
		e.left[cur.tag].left.Add(int64(accepted - e.boundary + e.collectUncounted(cur.tag, true)))
		e.boundary = accepted
		tag := cur.tag
		e.epochs = append(e.epochs, epoch{serial: serial + 1, tag: next})
		e.watchLocked(tag)
	} else {
		e.watchLocked(cur.tag)
	}
	return serial
}

func (e *engine[T]) freeTagLocked() (uint64, bool) {
	var used [ring.Tags]bool
	for _, ep := range e.epochs {
		used[ep.tag] = true
	}
	for tag, u := range used {
		if !u && e.callers[tag] == 0 {
			return uint64(tag), true
		}
	}
	return 0, false
}

// watchLocked makes left count down.
func (e *engine[T]) watchLocked(tag uint64) {
	t := &e.left[tag]
	if t.watched {
		return
	}
	t.watched = true
	var n uint64
	for _, w := range e.workers {
		n += w.finished[tag].Or(watchBit) &^ watchBit
	}
	t.left.Add(-int64(n + t.gone))
}

// accountLocked counts jobs that no worker finished.
func (e *engine[T]) accountLocked(tag, n uint64) {
	e.left[tag].gone += n
	if e.left[tag].watched {
		e.left[tag].left.Add(-int64(n))
	}
	e.evaluateLocked()
}

// tallied counts n finished jobs of an epoch that is waited for.
func (e *engine[T]) tallied(tag, n uint64) {
	if e.left[tag].left.Add(-int64(n)) <= e.insideWait.Load() {
		e.evaluate()
	}
}

// deferred is called after tasks may have been deferred behind others with their
// key: one of these may be inside a Wait that does not wait for them.
func (e *engine[T]) deferred() {
	if e.insideWait.Load() >= keyedWait {
		e.evaluate()
	}
}

func (e *engine[T]) evaluate() {
	e.mu.Lock()
	e.evaluateLocked()
	e.mu.Unlock()
}

// unfinishedLocked returns how many jobs of an epoch are unfinished.
func (e *engine[T]) unfinishedLocked(ep epoch) int64 {
	n := e.left[ep.tag].left.Load() + int64(e.callers[ep.tag])
	if !ep.ended {
		n += int64(e.ring().Accepted() - e.boundary + e.collectUncounted(ep.tag, false))
	}
	return n
}

// evaluateLocked forgets epochs that are finished and releases who waited.
func (e *engine[T]) evaluateLocked() {
	if len(e.waiters) == 0 && len(e.epochs) == 1 {
		return
	}
	kept := e.epochs[:0]
	for _, ep := range e.epochs {
		if ep.ended && e.left[ep.tag].watched && e.unfinishedLocked(ep) == 0 {
			e.forgetEpochLocked(ep.tag)
			continue
		}
		kept = append(kept, ep)
	}
	e.epochs = kept
	if cur := kept[len(kept)-1]; e.left[cur.tag].watched && !cur.ended {
		// A Wait found no free tag. There may be one now.
		e.endEpochLocked()
	}
	waiting := e.waiters[:0]
	for _, wt := range e.waiters {
		if e.reachedLocked(wt) {
			close(wt.done)
			continue
		}
		waiting = append(waiting, wt)
	}
	clear(e.waiters[len(waiting):])
	e.waiters = waiting
}

func (e *engine[T]) reachedLocked(wt *waiter) bool {
	var behind [ring.Tags]int64
	if wt.sit != nil && wt.sit.at != nil {
		for _, s := range e.keyedWaits {
			if s.age <= wt.sit.age {
				s.behind(&behind)
			}
		}
	}
	for _, ep := range e.epochs {
		if ep.serial > wt.serial {
			break
		}
		n := e.unfinishedLocked(ep)
		if wt.sit != nil && wt.sit.at != nil {
			older, _ := slices.BinarySearch(e.left[ep.tag].inside, wt.sit.age+1)
			n -= int64(older)
		}
		n -= behind[ep.tag]
		if n > 0 {
			return false
		}
	}
	return true
}

// forgetEpochLocked makes the tag of a finished epoch free.
func (e *engine[T]) forgetEpochLocked(tag uint64) {
	for _, w := range e.workers {
		e.gone.finished += w.finished[tag].Swap(0) &^ watchBit
	}
	e.left[tag].left.Store(0)
	e.left[tag].gone = 0
	e.left[tag].watched = false
}

func (e *engine[T]) removeWaiterLocked(wt *waiter) {
	for i, o := range e.waiters {
		if o == wt {
			e.waiters = append(e.waiters[:i], e.waiters[i+1:]...)
			return
		}
	}
}
