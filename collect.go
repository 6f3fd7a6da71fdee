package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Typed batches: a handler that gets what its worker has claimed as one slice.
//
// A worker claims as it does for single tasks, up to WithBatch at a time, and then starts all that
// it has in hand at once. Nobody takes over part of a batch that has an owner. Everything else is
// the engine's: keys (all tasks of a key that were claimed are in one batch, so in one slice, in
// order), weights (a heavy task is alone), the bound, Wait, the end.
//
// Linger. Without it a free worker takes what there is. With it tasks stay in the queue, which is
// where they are collected, until they are ripe: there are enough for a full batch, or the oldest
// has waited for the linger time, or the intake has ended. Tasks that are not ripe are no work: a
// submission wakes no worker for them, a claim leaves them alone, a worker parks beside them. A
// submission arms the timer, unless it is armed, and so does a worker whose claim leaves something
// behind. When the timer fires everything in the queue is due, and stays so until a worker finds
// the queue empty. So the oldest waits as long as WithLinger says, and others less.

// lingering is what the engine keeps for WithLinger.
type lingering struct {
	after time.Duration
	full  uint64 // how many jobs make a batch; 0: they do not linger in the queue
	due   atomic.Bool
	armed atomic.Bool
	timer *time.Timer
}

// NewTypedBatch returns a pool whose handler gets many jobs at a time, in the order of submission.
// It is for bulk inserts, and for work that is faster on many jobs at once.
//
// A free worker takes what is queued, so slices are short while there is little to do, and no job
// waits for others to come. With [WithLinger] jobs wait until there are [WithBatch] of them, or the
// oldest has waited that long, or the pool is closed. The largest slice depends on where the jobs
// come from:
//
//	jobs                                        largest slice
//	from outside, with or without keys          WithBatch
//	that jobs submit, under WorkStealing        16, or WithBatch if that is less
//	of a weight above 1                         1
//	that run at once, under CallerRuns or       1
//	inside a job of the full pool
//
// The jobs of a key that are in one slice are in their order. The slice belongs to the handler
// until it returns. Then the pool uses it again: copy what you keep. An error counts for each job
// of the slice and is reported once, and so is a panic. [Typed.Leftover] returns single jobs.
//
// It backfires when a batch takes long: jobs behind it wait for all of it. Choose WithBatch such
// that a batch takes less than about 10 ms.
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

// openLinger prepares a pool for typed batches that linger.
func (e *engine[T]) openLinger() {
	l := &e.linger
	l.after = e.config.lingerFor
	if e.handleAll == nil || !e.hasLinger {
		return
	}
	l.full = uint64(max(1, min(e.batch, e.buffer)))
	l.timer = time.AfterFunc(time.Hour, e.ripened)
	l.timer.Stop()
}

// collects reports whether jobs linger in the queue.
func (e *engine[T]) collects() bool { return e.linger.full > 0 }

// lingers reports whether the queue has jobs that are not ripe yet, and makes sure that they will
// be.
func (e *engine[T]) lingers() bool {
	l := &e.linger
	if !e.collects() || e.ripe() {
		return false
	}
	if e.main.queue.Len() > 0 && l.armed.CompareAndSwap(false, true) {
		l.timer.Reset(l.after)
	}
	return true
}

// ripe reports whether what is in the queue may be claimed.
func (e *engine[T]) ripe() bool {
	l := &e.linger
	return !e.collects() || l.due.Load() || e.main.queue.IsClosed() || uint64(e.main.queue.Len()) >= l.full
}

// ripened makes what is in the queue due.
func (e *engine[T]) ripened() {
	l := &e.linger
	l.armed.Store(false)
	if e.main.queue.Len() > 0 {
		l.due.Store(true)
		e.wakeMore()
	}
}

// claimRipe is called before a claim. It reports whether there may be something to claim.
func (e *engine[T]) claimRipe() bool {
	if l := &e.linger; l.due.Load() && e.main.queue.Len() == 0 {
		l.due.Store(false)
	}
	return !e.lingers() || e.main.turns.Load() > 0
}

// collect runs all that w has in hand as one batch.
func (w *worker[T]) collect() {
	e := w.e
	if !e.mayBegin() {
		return
	}
	if w.slice = w.b.BeginAll(); len(w.slice) == 0 {
		return
	}
	w.size = uint64(len(w.slice))
	if err := w.timedAll(w.slice); err != nil {
		w.fail(err)
	}
}
