package pool

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/goroutine"
	"github.com/headrace-go/pool/internal/list"
	"github.com/headrace-go/pool/internal/seam"
)

// worker is one goroutine of the pool. (Another goroutine takes the struct over when a task ends
// this one with Goexit.)
//
// It claims jobs into a batch and starts them one after the other. A single job goes into the batch
// own. Several go into a lane, where others may take over the far half while the worker is busy
// with the near one.
type worker[T any] struct {
	e     *engine[T]
	ctx   taskContext[T] // of the tasks that it runs
	inner taskContext[T] // of those that run inside one of these
	core[T]
	remote[T]
}

// core belongs to the worker's goroutine.
type core[T any] struct {
	b         *batch.Batch[T] // in hand: own, or that of lane
	counters  *batch.Counters // where its jobs are counted
	cell      *cell[T]        // where they come from
	lane      *lane[T]
	before    uint64   // begun in b, when the worker last accounted for it
	limit     int      // how many to claim
	last      int      // how many were claimed last
	streak    int32    // good batches since limit last changed
	looked    int32    // claims since the last look at the lanes
	looks     int      // at the main queue
	children  int32    // claimed since the last look at the queue
	backoff   int32    // claims without waiting after the next waited one in vain
	skip      int32    // of which still to come
	searching bool     // counted in the idle word
	inHook    bool     // inside the error handler, or a method of the error
	owned     bool     // the panic or Goexit that unwinds belongs to a call, see call.go
	gone      bool     // off the books: only its state is still to be closed
	ending    bool     // which it does
	serves    *home[T] // whose lane it owns, see home.go
	weight    int64    // of the job in hand
	asks      bool     // it has to be admitted, see weight.go
	slice     []T      // the batch that the handler of a typed batch gets
	size      uint64   // how many tasks the running call is for
	carry     error    // failure of the task that ended the goroutine before
	warm      chan<- error
	marked
	grant fair.Grant[T] // see fair.go; changed under the claim lock
	ran   int           // of it, as far as was accounted for
	took  time.Duration // for these
}

// remote is what others look at, or change.
type remote[T any] struct {
	own     batch.Batch[T]
	tag     atomic.Uint32                  // of the jobs in hand
	cur     atomic.Pointer[batch.Batch[T]] // b
	born    time.Duration                  // for these three see sample.go
	since   atomic.Int64                   // when it began what it has in hand, or ended it
	idle    atomic.Int64                   // for how long it had nothing in hand
	runs    atomic.Pointer[call]           // the innermost one
	blocked atomic.Pointer[block]          // the running task is inside a wait; changed under e.mu
	units   atomic.Int64                   // of the capacity, see weight.go
	parked  atomic.Bool                    // changed under e.mu
	kids    atomic.Pointer[kids[T]]        // of lane, see steal.go; changed by w's goroutine
	home    atomic.Pointer[home[T]]        // its own, see home.go; changed under e.mu
	wake    chan struct{}                  // of one signal
	state   state                          // under its own mutex

	list.Link[worker[T]] // in e.parked or e.leaving; guarded by e.mu, as what follows
	restsSince           time.Duration
	dismissed            bool // to end instead of being woken
	index                int  // in e.workers
	homeIndex            int  // of its home, plus one; 0: it has none
	seed                 int  // where to look first for something to steal
}

// newWorkerLocked makes a worker for the home h, or for none if h is nil.
func (e *engine[T]) newWorkerLocked(h *home[T]) *worker[T] {
	w := &worker[T]{e: e, remote: remote[T]{born: e.now()}}
	w.since.Store(int64(w.born))
	w.wake = make(chan struct{}, 1)
	w.limit, w.size, w.searching = 1, 1, true
	w.index, w.seed = len(e.workers), len(e.workers)
	if e.handleAll != nil {
		w.limit = e.batch
	}
	w.ctx = taskContext[T]{Context: e.base, e: e, w: w}
	w.inner = taskContext[T]{Context: e.base, e: e, w: w, inner: true}
	w.own.Acquire()
	w.b, w.counters, w.cell = &w.own, &e.main.singles, &e.main
	w.cur.Store(w.b)
	e.workers = append(e.workers, w)
	e.live++
	e.starts++
	e.takeHomeLocked(w, h)
	return w
}

// taskContext is the context that tasks get: the pool's, which also tells whose task it is. Each
// worker makes it once.
type taskContext[T any] struct {
	context.Context
	e      *engine[T]
	w      *worker[T] // nil for a callerRun
	caller *callerRun
	inner  bool // the job is not the worker's own, but runs inside that
}

// Value implements context.Context.
func (c *taskContext[T]) Value(key any) any {
	switch key {
	case c.e:
		if c.w == nil {
			return c.caller
		}
		return c.w
	case stateKey{}:
		if c.w != nil && c.e.hasState {
			return c.w
		}
		return nil
	case attrsKey{}:
		if c.w != nil && c.e.routes {
			return c.w.attrs()
		}
	}
	return c.Context.Value(key)
}

// start starts w's goroutine, whose stack says whose it is, see workerHere.
func (w *worker[T]) start() {
	go goroutine.Run(w.main, [2]uintptr{w.mark()})
}

func (w *worker[T]) mark() uintptr { return reflect.ValueOf(w).Pointer() }

// main is the worker's goroutine.
func (w *worker[T]) main() {
	w.lock()
	w.label()
	clean := false
	defer func() {
		if clean {
			return
		}
		if r := recover(); r != nil {
			// No handler, or the handler itself: the program ends. Nothing has
			// been unwound yet, so the trace shows the task's own frames.
			panic(r)
		}
		w.goexit()
	}()
	if w.carry != nil {
		err := w.carry
		w.carry = nil
		w.flow(err)
	}
	if w.warm != nil {
		w.warmUp()
	}
	if w.b.Load().Running() > 0 { // the task that ended the goroutine before
		w.account()
	}
	for w.next() {
		if !w.run() {
			w.move()
			clean = true
			return
		}
	}
	w.finish()
	clean = true
}

// next returns with a batch in hand, or false when the worker has ended.
func (w *worker[T]) next() bool {
	e := w.e
	for {
		if f := e.flags.word.Load(); f&(flagStop|flagShed) != 0 && w.mustEnd(f) {
			return false
		}
		switch {
		case w.b.Load().Left() > 0: // left by a task that ended the goroutine
			w.found()
			return true
		case !w.searching && (w.coalesce() || w.claim() || w.steal()):
			if w.last > 1 || w.weight > 1 {
				e.wakeMore() // others can help, or the task behind the heavy one would be admitted
			}
			return true
		case w.search():
			w.began()
			return true
		case w.gone:
			return false
		}
	}
}

// mustEnd is called when the pool has stopped, or has too many workers. It reports whether w has
// ended.
func (w *worker[T]) mustEnd(f uint32) bool {
	if (w.b == &w.own || w.grant.Held()) && w.b.Load().Left() > 0 {
		w.putBack()
	}
	if w.grant.Held() {
		w.settleFair()
	}
	if f&flagStop != 0 {
		w.e.discard()
		return false
	}
	return w.shed()
}

// run runs the batch in hand. It reports false if another goroutine has to run the rest, because a
// panic may have left this one's thread in any state.
func (w *worker[T]) run() bool {
	if w.e.plain {
		w.batch()
	} else if !w.watched() {
		return false
	}
	w.account()
	return true
}

// batch runs what is in hand until it is done, others have taken it over, or the pool stops.
func (w *worker[T]) batch() {
	e := w.e
	if w.asks {
		if !w.admit() {
			return
		}
		w.began() // the wait for units was none of work
		if w.expired() {
			w.putBack() // the next claim finds that out
			return
		}
	}
	if e.handleAll != nil {
		w.collect()
		return
	}
	var err error
	until := w.until
	w.until = noMark // nothing more is timed of a batch in which a job panics
	for e.mayBegin() {
		if w.blocked.Load() != nil {
			w.account()
		}
		v, ok := w.b.Begin()
		if !ok {
			break
		}
		if w.limit < tinyTake && e.flags.word.Load() >= flagRoom { // else it is soon done
			w.cell.roomMade()
		}
		if w.b.Due() {
			w.release()
		}
		if until--; until >= 0 {
			err = e.handle(&w.ctx, v)
		} else {
			err = w.timed(v)
			until, w.until = w.until, noMark
		}
		if err != nil {
			w.until = until // for the next goroutine, if a handler ends this one
			w.fail(err)
			w.until = noMark
		}
	}
	w.until = until
}

// timed handles a job that has a stamp.
func (w *worker[T]) timed(v T) error {
	e := w.e
	m := w.stamps[w.stamp]
	if w.stamp++; w.stamp < len(w.stamps) {
		w.until = int32(w.stamps[w.stamp].Index - m.Index - 1)
	} else {
		w.until = noMark
	}
	var err error
	call, begun := isCall(v), e.now()
	if !call {
		e.samples.wait.Add(begun - m.At)
	}
	defer func() { // also after a panic
		if !timed(err) {
			return
		}
		if call { // only now it is known whether it was this one who ran it
			e.samples.wait.Add(begun - m.At)
		}
		e.ran(begun)
	}()
	err = e.handle(&w.ctx, v)
	return err
}

// mayBegin reports whether a worker may begin a job.
func (e *engine[T]) mayBegin() bool {
	if e.outer != nil && e.base.Err() != nil { // as obey, without a method of the user's
		e.contextEnded()
	}
	f := e.flags.word.Load()
	return f&(flagStop|flagShed) == 0 || f&flagStop == 0 && !e.overfull()
}

// release makes the jobs ready that waited for the keys of jobs that w has run.
func (w *worker[T]) release() {
	c := w.cell
	c.mu.Lock()
	any := c.keys != nil && c.keys.Release(w.b)
	c.turnsLocked()
	c.mu.Unlock()
	if any {
		w.e.wakeMore()
	}
}

// account counts what was run of the batch.
func (w *worker[T]) account() {
	e := w.e
	n := w.b.End(w.before, w.counters)
	w.before += uint64(n)
	seam.Yield()
	if w.blocked.Load() != nil {
		w.outlived()
	}
	if w.slice != nil {
		clear(w.slice)
		w.slice, w.size = nil, 1
	}
	if w.b.Due() {
		w.release()
	}
	switch f := e.flags.word.Load(); {
	case f&flagSplit != 0:
		e.evaluate()
		fallthrough
	case f >= flagRoom:
		if e.flags.word.Load() >= flagRoom {
			w.cell.roomMade()
		}
	}
	if e.batchers.holding.Load() > 0 && e.idle.Load().Idle() > 0 {
		e.pull()
	}
	took := w.lap()
	if w.grant.Held() {
		w.noteGrant(n, took)
	}
	if e.handleAll == nil { // else the user has chosen the size
		w.pace(n, took)
	}
	if !w.warmed {
		w.warmed = true
		if n == 1 && e.sampling > 0 {
			e.samples.first.Add(took)
		}
	}
}
