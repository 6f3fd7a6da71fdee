package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Typed batches: a handler that gets what its worker has claimed as one slice.
//
// A worker claims as it does for single tasks, up to WithBatch at a time, and then begins
// all that it has in hand at once. Nobody takes over part of a batch, so a lane or a
// hand is emptied as soon as it is filled. Everything else is the engine's: keys (all tasks
// of a key that were claimed are in one hand, so in one slice, in order), weights
// (one task at a time), the bound, Wait, the end.
//
// Linger. Without it a worker that is free takes what there is. With it tasks stay in the
// queue, which is where they are collected, until there are as many as make a batch, or the
// oldest has waited so long, or the intake has ended: then they are ripe. What is not ripe is no
// work: a submission wakes nobody for it, a claim leaves it alone, a worker parks beside it.
// A submission arms the timer, unless it is armed, and so does a worker whose claim leaves something
// behind. When the timer fires all that is there is due, and stays so until a worker
// finds the ring empty. So the oldest waits as long as WithLinger says, and others less.

// collecting is what the engine has for typed batches that linger.
type collecting struct {
	full  uint64 // how many tasks make a batch
	due   atomic.Bool
	armed atomic.Bool
	timer *time.Timer
}

// NewTypedBatch returns a pool whose handler gets many jobs at a time: up to [WithBatch], in the
// order of submission. For bulk inserts, and for work that is faster on many than on
// one after the other.
//
// A worker that is free takes what waits, so batches are small while there is little to do, and
// nothing waits for others to come. What was submitted together ([Typed.SubmitBatch],
// [TypedBatcher]), 32 jobs or more, is not joined with other submissions, unless WithBatch is above
// 64 or there is WithLinger. With [WithLinger] jobs wait until there are [WithBatch] of
// them, or the oldest has waited that long, or the pool is closed. Jobs with keys come up to 64 at
// a time, and one by one under [PerWorker]; jobs that tasks have submitted under [WorkStealing] up
// to 16; and one by one if there are weights.
//
// The slice and its jobs belong to the handler until it returns, and to the pool then, which
// uses it again: copy what is to be kept. An error counts for each job of the slice, and is
// reported once; so is a panic. [Typed.Leftover] returns single jobs. A submission that runs at once, under
// [CallerRuns] or inside a task of the full pool, is a slice of one.
//
// It backfires when a batch takes long: jobs behind it wait for all of it. Choose
// WithBatch such that it takes less than about 10 ms.
func NewTypedBatch[T any](handle func(context.Context, []T) error, opts ...Option) (*Typed[T], error) {
	if handle == nil {
		return nil, errors.New("pool: NewTypedBatch: handler is nil")
	}
	p := new(Typed[T])
	p.handleAll = handle
	one := func(ctx context.Context, job T) error { return handle(ctx, []T{job}) }
	if err := p.init(one, opts); err != nil {
		return nil, err
	}
	return p, nil
}

// openCollecting prepares a pool for typed batches.
func (e *engine[T]) openCollecting() {
	if e.handleAll == nil || !e.hasLinger {
		return
	}
	e.collects = true
	e.collecting.full = uint64(min(e.batch, e.buffer))
	e.collecting.timer = time.AfterFunc(time.Hour, e.ripened)
	e.collecting.timer.Stop()
}

// lingers reports whether there are tasks in the ring that are not ripe yet, and sees to it that
// they will be.
func (e *engine[T]) lingers() bool {
	c := &e.collecting
	if !e.collects || e.ripe() {
		return false
	}
	if e.unclaimed() > 0 && c.armed.CompareAndSwap(false, true) {
		c.timer.Reset(e.linger)
	}
	return true
}

// ripe reports whether what is in the ring may be claimed.
func (e *engine[T]) ripe() bool {
	c := &e.collecting
	return !e.collects || c.due.Load() || e.ctl.Load()&ctlClosed != 0 || e.unclaimed() >= c.full
}

// unclaimed returns how many tasks are in the ring that nobody has claimed.
func (e *engine[T]) unclaimed() uint64 {
	claimed := e.ring().Claimed()
	return e.ring().Accepted() - claimed
}

// ripened makes what is in the ring due.
func (e *engine[T]) ripened() {
	c := &e.collecting
	c.armed.Store(false)
	if e.unclaimed() > 0 {
		c.due.Store(true)
		e.wakeMore()
	}
}

// claimRipe is called before a claim. It reports whether there may be something to claim.
func (w *worker[T]) claimRipe() bool {
	e := w.e
	if e.seated() && e.ctl.Load()&ctlKeyed != 0 && w.seat.Load() == nil {
		w.changeSeat() // others may have to wait for the key of a task of its last one
	}
	if c := &e.collecting; c.due.Load() && e.unclaimed() == 0 {
		c.due.Store(false)
	}
	if !e.lingers() || e.sorter.turns.Load() > 0 {
		return true
	}
	s := w.seat.Load()
	return s != nil && s.waiting() > 0
}

// collect runs all that w has in hand as one batch.
func (w *worker[T]) collect() {
	e := w.e
	w.slice = w.slice[:0]
	if e.ctl.Load()&ctlStop != 0 {
		return
	}
	if q := w.from; q != nil {
		w.collectItems(q)
	} else if w.lane != nil {
		w.collectLane()
	}
	if len(w.slice) > 0 {
		w.call()
	}
}

func (w *worker[T]) collectItems(q *workerQueue[T]) {
	var zero T
	for {
		c := q.cursor.Load()
		next, end := c>>8&255, c&255
		if next == end || w.has.Load() != q {
			break
		}
		if !q.cursor.CompareAndSwap(c, c+(end-next)<<8) {
			continue
		}
		if w.jobs != nil {
			w.slice = append(w.slice, w.jobs[next:end]...)
			clear(w.jobs[next:end])
		} else {
			for i := next; i < end; i++ {
				w.slice = append(w.slice, w.items[i].job)
				w.items[i].job = zero
			}
		}
		w.end += end - next
	}
	w.from, w.items, w.jobs = nil, nil, nil
	if w.e.ctl.Load()&ctlRoom != 0 {
		q.mu.Lock()
		w.e.gatherFrom(q)
		q.mu.Unlock()
		w.e.roomMade()
	}
}

func (w *worker[T]) collectLane() {
	for w.lane.Len() > 0 {
		pos, ok := w.lane.Next(w.pos)
		if !ok {
			return
		}
		w.end = pos + 1
		w.slice = append(w.slice, w.take(pos))
		if w.e.ctl.Load()&(ctlRoom|ctlCounted) != 0 {
			w.startsInLane(pos)
		}
	}
}

// call gives the batch to the handler.
func (w *worker[T]) call() {
	w.size = uint64(len(w.slice))
	if err := w.e.handleAll(w.ctx, w.slice); err != nil {
		w.fail(err)
	}
	if w.sit.Load() != nil {
		w.outlived()
	}
}

// called forgets the batch.
func (w *worker[T]) called() {
	clear(w.slice)
	w.slice, w.size = w.slice[:0], 1
}

// agesOf returns the ages of the tasks that w runs, whose mark was m when they called Wait: one,
// that of the youngest, but for a typed batch. e.mu is held.
func (w *worker[T]) agesOf(m uint64, youngest uint64) []uint64 {
	if w.e.handleAll == nil {
		return []uint64{youngest}
	}
	if m == w.waitMark {
		return w.waitAges // it may have lost what it had in hand meanwhile
	}
	w.waitMark, w.waitKeys, w.waitAges = w.mark.Load(), nil, []uint64{youngest}
	q := w.has.Load()
	if markSingle(m) || m&markItems != 0 && q == nil {
		return w.waitAges
	}
	w.waitAges = nil
	for i := range w.begunOf(m) {
		age := ageOf(markPos(m)+uint64(i)) + ageStep - 1
		if m&markItems != 0 {
			q.mu.Lock()
			age = q.ageAtLocked(int(markPos(m)&255) + int(i))
			q.mu.Unlock()
		}
		w.waitAges = append(w.waitAges, age)
	}
	return w.waitAges
}
