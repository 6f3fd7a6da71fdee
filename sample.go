package pool

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/hist"
	"github.com/headrace-go/pool/internal/queue"
)

// Sampling: how long tasks wait for room, wait in the queue, and run.
//
// Every n-th position of a queue is stamped with the time of its push (internal/queue), so a
// submission pays one test of a bit. The stamp goes with the job: beside the slot, in the marks of
// the batch into which it is claimed, behind its key, and with it when it is taken over or put
// back. The worker that holds the batch counts down to the next marked job, and times that one
// alone. The wait ends when the task's function is called, wherever the task has waited: in the
// queue, behind its key, for its units, or in a batch behind others.
//
// A look at the clock costs as much as an empty task. So while tasks are so short that a worker
// claims many at a time, only one in thinned of those positions is stamped.
//
// A submitter that waits for room is blocked anyway, so each of these waits is measured.
//
// Apart from samples, a worker reads the clock at the end of each batch, and after a search. That
// gives, exactly, how long it has been idle and so how long it was busy, and when it took in hand
// what it runs now.
type samples struct {
	room, wait, run hist.Live
	first           hist.Live     // the first task of each worker
	nested          atomic.Uint64 // jobs that ran on a submitter's goroutine
	clock           time.Duration // that a look at the clock takes
}

const (
	// DefaultSampling is the default of [WithSampling].
	DefaultSampling = 64
	maxSampling     = 1 << 20
	thinned         = 8
	noMark          = math.MaxInt32
)

// marked is what a worker knows of the stamped jobs that it has in hand.
type marked struct {
	until  int32 // how many jobs it begins before the next one of them
	stamp  int   // of stamps: that one
	warmed bool  // it has run something
	stamps []queue.Stamped
}

// WithSampling makes the pool measure one task in every, for Room, Wait and Run of [Stats]: how
// long tasks wait for room, are queued, and run. 1 measures each task; 0 measures none, and Stats
// then has counters only. every must be between 0 and 1<<20, and is rounded up to a power of two.
// The default is [DefaultSampling], 64.
//
// While tasks take less than about 300 ns the pool measures one in 8*every, because a look at the
// clock costs as much as such a task; with 1 it still measures each. It measures every wait for
// room, unless every is 0.
//
// 1 backfires for tasks below about 10 µs: an empty task takes 3.5 to 5 times as long, while 64
// costs nothing measurable (go test -bench Sampling; two virtual processors of an AMD EPYC,
// 2026-12-01).
func WithSampling(every int) Option { return func(c *config) { c.sampling = every } }

// stamps is a queue that can stamp what is pushed.
type stamps interface {
	Stamp(every int, start time.Time)
	Thin(n int)
}

// openSamples prepares a queue for sampling.
func (e *engine[T]) openSamples(q stamps) {
	if e.sampling > 0 {
		q.Stamp(e.sampling, e.start)
	}
}

// openClock finds out how long a look at the clock takes, which is no part of what runs between
// two.
func (e *engine[T]) openClock() {
	e.samples.clock = time.Hour
	for last, i := e.now(), 0; i < 3; i++ {
		now := e.now()
		e.samples.clock = min(e.samples.clock, now-last)
		last = now
	}
}

// ran counts what has run since begun.
func (e *engine[T]) ran(begun time.Duration) {
	e.samples.run.Add(e.now() - begun - e.samples.clock)
}

// thin makes the pool sample fewer tasks while they are tiny.
func (e *engine[T]) thin(q stamps, tiny bool) {
	switch {
	case e.sampling <= 1:
	case tiny:
		q.Thin(thinned)
	default:
		q.Thin(1)
	}
}

// now returns the time since the start of the pool, in which everything is measured.
func (e *engine[T]) now() time.Duration { return time.Since(e.start) }

// stamped notes which jobs of the batch that w takes in hand are to be timed. The claim lock is
// held.
func (w *worker[T]) stamped(marks []queue.Stamped, begun int) {
	w.until = noMark
	for len(marks) > 0 && marks[0].Index < begun {
		marks = marks[1:]
	}
	if len(marks) == 0 {
		return
	}
	w.stamps = append(w.stamps[:0], marks...)
	w.stamp, w.until = 0, int32(marks[0].Index-begun)
}

// timedAll is timed for all jobs in hand, which run together.
func (w *worker[T]) timedAll(vs []T) error {
	e := w.e
	if w.until == noMark {
		return e.handleAll(&w.ctx, vs)
	}
	first, n := w.stamps[0].Index-int(w.until), 0
	begun := e.now()
	for _, m := range w.stamps {
		if m.Index-first < len(vs) { // else it was dropped meanwhile
			e.samples.wait.Add(begun - m.At)
			n++
		}
	}
	defer func() {
		for range n {
			e.ran(begun)
		}
	}()
	return e.handleAll(&w.ctx, vs)
}

// timedInline is timed for a job that runs on its submitter's goroutine, at once.
func (e *engine[T]) timedInline(run func() error) {
	if e.sampling == 0 || (e.samples.nested.Add(1)-1)%uint64(e.sampling) != 0 {
		_ = run()
		return
	}
	var err error
	begun := e.now()
	defer func() {
		if timed(err) {
			e.samples.wait.Add(0)
			e.ran(begun)
		}
	}()
	err = run()
}

// timed reports whether a job that has ended with err is measured.
func timed(err error) bool { return err != errSkipped && err != errUntimed }

// lap returns how long w has had in hand what it has just ended. It is called at the end of each
// batch.
func (w *worker[T]) lap() time.Duration {
	now := w.e.now()
	took := now - time.Duration(w.since.Load())
	w.since.Store(int64(now))
	return took
}

// began notes that w begins a batch after a search. Stats may read idle and since in between: then
// w looks less busy than it was, never more, and Stats keeps Busy from falling.
func (w *worker[T]) began() {
	now := int64(w.e.now())
	w.idle.Add(now - w.since.Load())
	w.since.Store(now)
}

// busyFor returns how long w has had something in hand until now. e.mu is held.
func (w *worker[T]) busyFor(now time.Duration) time.Duration {
	until := time.Duration(w.since.Load())
	if w.cur.Load().Load().Running() > 0 {
		until = now
	}
	return max(0, until-w.born-time.Duration(w.idle.Load()))
}
