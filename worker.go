package pool

import (
	"context"
	"math/bits"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
	"github.com/headrace-go/pool/internal/span"
)

// worker is one goroutine of the pool (another one takes the struct over when a
// task ends its goroutine with Goexit).
//
// Jobs come in batches: claimed at once, in place, begun one after the other. A
// batch of one is kept in pos; a longer one lies in the worker's lane, where
// others may take the far half while the worker is busy with the near one.
//
// The fields above restsSince belong to the worker's goroutine. mark and the counters
// are written by it, without being contended, and read by Stats and Wait.
type worker[T any] struct {
	// What a single task needs is on as few cache lines as possible: with thousands of workers
	// whose tasks sleep, all of them are cold. TestWorkerLines knows where they begin.
	e     *engine[T]
	ctx   context.Context
	pos   uint64 // of a batch of one, and where a longer one began
	end   uint64 // behind the last job begun
	tag   uint64 // of the batch, see wait.go
	clock time.Duration
	lane  *span.Lane

	from         *workerQueue[T]         // whose batch is in hand
	large, small atomic.Pointer[hand[T]] // see keyed.go; changed by w's goroutine
	limit        int                     // how many to claim
	stolen       int                     // from another queue, the last time
	streak       int32                   // good batches since limit last changed
	looked       int32                   // claims since the last look at the lanes
	untimed      uint8                   // batches before the next one whose time is measured, see pace.go
	slow         uint8                   // how many to leave out after the next long one
	single       bool                    // pos is still to be run
	item         bool                    // given is a single item
	handed       bool                    // given is to be run (WithBuffer(0))
	searching    bool                    // counted in gate
	keysHeld     bool                    // there may be keys to be given up
	inHook       bool                    // inside the error handler
	given        T                       // the next job, if it is not in the ring

	wake        chan struct{} // of one signal
	backoff     int           // claims without waiting after the next waited one in vain
	skip        int           // of which still to come
	owned       bool          // the panic or Goexit that unwinds belongs to a call, see call.go
	strandFirst bool          // ready strands and the ring take turns
	ending      bool          // only its state is still to be closed
	carry       error         // failure of the task that ended the goroutine before
	held        int64         // see weight.go, guarded by sorter.mu
	jobs        []T
	items       []item[T]             // its tasks
	batches     uint64                // and single items that were in hand
	age         atomic.Uint64         // of it
	group       atomic.Pointer[Group] // of the innermost call, see group.go
	children    int                   // claimed since the last look at the ring
	looks       int                   // at the ring
	slice       []T                   // the batch that the handler of a typed batch gets
	size        uint64                // how many tasks the running call is for
	state       state
	warm        chan<- error // the warm-up's results, until w has run it

	restsSince time.Duration // guarded by e.mu, as what follows
	waitKeys   []uint64      // of what has the mark waitMark
	waitAges   []uint64
	waitMark   uint64
	owes       bool // owed is the key of a task of a seat that it has left
	dismissed  bool // to end instead of being woken
	owed       uint64
	index      int // in e.workers
	seed       int // where to look first for something to steal

	shown    atomic.Pointer[span.Lane] // lane, for Stats and Wait
	goid     atomic.Uint64
	failed   atomic.Uint64
	panicked atomic.Uint64
	goexited atomic.Uint64

	_ [88]byte
	workerLine[T]
	taken    [BatchSizes]atomic.Uint64 // batches by size
	_        [16]byte
	finished [ring.Tags]atomic.Uint64 // jobs done, and tallied; see wait.go
}

// workerLine is what those read who look for credit, and what a worker itself reads for each
// task. With the first word behind it, it is one line.
type workerLine[T any] struct {
	mark    atomic.Uint64                  // see markOf; 0 between batches
	settled atomic.Uint64                  // up to which position of its lane it has what it earned
	pocket  atomic.Int64                   // see credit.go
	has     atomic.Pointer[workerQueue[T]] // from, for others; nil: it was taken away
	seat    atomic.Pointer[seat[T]]        // see perworker.go; changed under e.mu
	local   atomic.Pointer[local[T]]       // see steal.go; changed by w's goroutine
	sit     atomic.Pointer[sitting]        // of the running task, written under e.mu
}

// markOf says what a worker is busy with: the position from which on its jobs
// are not yet accounted for, and their tag. single: there is just one.
func markOf(pos, tag uint64, single bool) uint64 {
	m := (pos+1)<<5 | tag
	if single {
		m |= markOne
	}
	return m
}

const (
	markOne = 8
	// markItems in a mark says that its jobs come from a worker's queue. They have no
	// positions; in their place is itemPos, a number for the batch, and what of it was
	// begun. See workerqueue.go.
	markItems = 16
)

func markPos(m uint64) uint64  { return m>>5 - 1 }
func markTag(m uint64) uint64  { return m & 7 }
func markSingle(m uint64) bool { return m&markOne != 0 }

// newWorkerLocked makes a worker, for the seat s if it is not nil.
func (e *engine[T]) newWorkerLocked(s *seat[T]) *worker[T] {
	w := &worker[T]{e: e, wake: make(chan struct{}, 1), limit: 1, searching: true, index: len(e.workers), seed: len(e.workers), size: 1}
	if e.handleAll != nil {
		w.limit = e.batch
	}
	w.ctx = &taskContext[T]{e.base, e, w, w}
	w.settled.Store(inCash)
	for tag := range w.finished {
		if e.left[tag].watched {
			w.finished[tag].Store(watchBit)
		}
	}
	e.workers = append(e.workers, w)
	e.live++
	switch {
	case s != nil:
		w.sitDownLocked(s)
	case e.seated():
		w.takeSeatLocked()
	}
	return w
}

// taskContext is the context that tasks get: the pool's, which also tells whose
// task it is. It is made once for a worker.
type taskContext[T any] struct {
	context.Context
	e    *engine[T]
	seat any        // a worker, or a callerRun
	w    *worker[T] // nil for a callerRun
}

// Value implements context.Context.
func (c *taskContext[T]) Value(key any) any {
	switch key {
	case c.e:
		return c.seat
	case stateKey{}:
		if c.w != nil && c.e.hasState {
			return c.w
		}
		return nil
	}
	return c.Context.Value(key)
}

// main is the worker's goroutine.
func (w *worker[T]) main() {
	w.lock()
	w.label()
	w.goid.Store(goid())
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
	if w.sit.Load() != nil {
		w.outlived()
	}
	if w.warm != nil {
		w.warmUp()
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

// goexit runs while the worker's goroutine is being ended by a task, or by a
// handler. Another goroutine goes on with the rest of the batch.
func (w *worker[T]) goexit() {
	switch {
	case w.ending: // while it closed its state
		w.ended()
		return
	case w.mark.Load() == 0: // in the warm-up
	case w.inHook:
		w.inHook = false
	default:
		w.goexited.Add(w.size)
		if !w.owned {
			w.carry = ErrGoexit
		}
		w.owned = false
	}
	w.move()
}

// next returns with work in hand, or false when the worker has ended.
func (w *worker[T]) next() bool {
	e := w.e
	if w.mark.Load() != 0 {
		return true // left by a task that ended the goroutine
	}
	if w.handed {
		return w.awaitHandOver()
	}
	switch c := e.ctl.Load(); {
	case c&ctlStop != 0:
		e.discard()
		return w.searchStopped()
	case c&ctlShed != 0:
		if w.shed() {
			return false
		}
	}
	if e.direct() {
		return w.awaitHandOver()
	}
	if w.searching { // it has just been started
		if !w.employed() && !w.search() {
			return false
		}
		w.began()
		return true
	}
	if w.resume() || w.claimFirst() || w.claim() || w.steal() {
		return true
	}
	if !w.search() {
		return false
	}
	w.began()
	return true
}

// resume goes on with a batch that was interrupted to look whether the worker
// has to end.
func (w *worker[T]) resume() bool {
	if w.lane == nil || w.lane.Len() == 0 {
		return false
	}
	w.pos = w.lane.Front(w.pos)
	w.end, w.single = w.pos, false
	w.mark.Store(markOf(w.pos, w.tag, false))
	return true
}

// searchStopped parks until the worker can end.
func (w *worker[T]) searchStopped() bool {
	for w.park() {
		if w.handed {
			return w.awaitHandOver()
		}
		w.e.discard()
	}
	return false
}

// claim takes up to limit jobs from the queue.
func (w *worker[T]) claim() bool {
	e := w.e
	c := e.ctl.Load()
	if c&ctlStop != 0 {
		return false
	}
	switch {
	case w.takeUp():
		return true
	case e.collects && !w.claimRipe():
		return false
	case e.seated():
		return w.claimSeat()
	case e.locals != nil:
		return w.claimStealing()
	}
	return w.claimShared()
}

// claimShared takes up to limit jobs from the ring, or from the strands.
func (w *worker[T]) claimShared() bool {
	e := w.e
	c := e.ctl.Load()
	limit := w.limit
	if c&ctlWeighs != 0 || limit > 1 && !w.haveLane() {
		limit = 1
	}
	// What others have claimed is older than what is in the queue. Under load
	// nobody runs dry and steals, so look now and then whether it is stuck
	// behind a long task, or has no owner any more.
	if w.looked++; int(w.looked) >= w.limit && c&ctlWeighs == 0 {
		w.looked = 0
		if w.keysHeld && !(e.lanes.Empty() && e.listed.Load() == 0 && !e.handsLeft()) {
			w.giveUpKeys()
		}
		if pos, n := w.stealStuck(limit); n > 0 {
			return w.hold(pos, n)
		}
		if w.stealLocal(true) || w.stealHand(true) {
			return true
		}
	}
	if c&ctlSorted != 0 || c&ctlChunked != 0 && e.sorter.turns.Load() > 0 {
		return w.claimSorted(limit)
	}
	pos, n := e.ring().Claim(limit)
	if n == 0 && c&ctlChunked != 0 {
		return w.claimChunk()
	}
	return w.hold(pos, n)
}

// steal takes jobs that another worker has claimed and not begun.
func (w *worker[T]) steal() bool {
	e := w.e
	if e.ctl.Load()&ctlStop != 0 {
		return false
	}
	if w.stealHand(false) {
		return true
	}
	return (!e.lanes.Empty() || e.listed.Load() > 0) && w.aside(w.stealAny)
}

func (w *worker[T]) stealAny() bool {
	e := w.e
	c := e.ctl.Load()
	limit := e.batch
	if c&ctlWeighs != 0 || !w.haveLane() {
		limit = 1
	}
	if c&ctlWeighs != 0 && !w.admitted() {
		return false
	}
	var pos uint64
	n := 0
	if e.handleAll == nil {
		pos, n = e.lanes.Steal(w.seed, limit, e.ring().Claimed())
	} else {
		pos, n = w.stealStuck(limit)
	}
	if n == 0 && w.stealLocal(false) {
		return true
	}
	if n == 0 && c&ctlWeighs != 0 && w.release() {
		e.wakeMore()
	}
	return w.hold(pos, n)
}

// stealStuck takes claimed tasks of lanes that have no owner or, unless that is about to run all of
// them, one that is stuck.
func (w *worker[T]) stealStuck(limit int) (pos uint64, n int) {
	e := w.e
	if e.handleAll != nil {
		return e.lanes.StealFree(limit, e.ring().Claimed())
	}
	return e.lanes.StealStuck(limit, e.ring().Claimed())
}

func (w *worker[T]) haveLane() bool {
	if w.lane == nil {
		if w.lane = w.e.lanes.Acquire(); w.lane == nil {
			return false
		}
		w.shown.Store(w.lane)
	}
	return true
}

// hold takes n claimed jobs from pos on into the worker's hands.
func (w *worker[T]) hold(pos uint64, n int) bool {
	if n == 0 {
		return false
	}
	if w.e.collects {
		w.e.lingers() // what is left behind
	}
	w.pos, w.end, w.single, w.stolen = pos, pos, n == 1, 0
	w.tag = w.e.ring().Tag(pos)
	w.hasNone()
	m := markOf(pos, w.tag, n == 1)
	if n == 1 {
		w.mark.Store(m)
		return true
	}
	w.settled.Store(pos)
	// With the mark, the lane tells others what was begun, so it comes first.
	w.lane.Put(pos, n)
	w.mark.Store(m)
	w.e.wakeMore()
	return true
}

// run runs the batch in hand. It reports false if the rest has to be run by another
// goroutine, because a panic may have left this one's thread in any state.
func (w *worker[T]) run() bool {
	if w.e.plain {
		w.batch()
	} else if !w.watched() {
		return false
	}
	w.flush()
	return true
}

// guarded runs the batch in hand, and deals with panics if there is a handler for them. It returns as run does.
func (w *worker[T]) guarded() bool {
	if w.e.onPanic == nil {
		w.batch()
		return true
	}
	for {
		p := w.protect(nil)
		if p == nil {
			return true
		}
		w.panic(p)
		if w.e.locked {
			return false
		}
	}
}

// protect runs the batch, or reports err if it is not nil, and returns the panic
// that ended it. There is one deferred call for a batch, not one for a task.
func (w *worker[T]) protect(err error) (p *PanicError) {
	normal := false
	defer func() {
		if normal {
			return
		}
		if r := recover(); r != nil {
			p, w.owned = asPanicError(r)
		}
	}()
	if err != nil {
		w.report(err)
	} else {
		w.batch()
	}
	normal = true
	return nil
}

// panic deals with a panic of a task or of the error handler. A panic of the
// panic handler is not recovered.
func (w *worker[T]) panic(p *PanicError) {
	if w.inHook {
		w.inHook = false
		w.e.onPanic(p)
		w.e.keep(p)
		return
	}
	if w.sit.Load() != nil {
		w.outlived()
	}
	w.panicked.Add(w.size)
	owned := w.owned
	if w.inHook, w.owned = true, false; !owned {
		w.carry = p // in case the handler calls Goexit
	}
	w.e.onPanic(p)
	w.inHook, w.carry = false, nil
	if !owned {
		w.flow(p)
	}
}

// flow reports a failure outside of a batch.
func (w *worker[T]) flow(err error) {
	if w.e.onPanic == nil {
		w.report(err)
	} else if p := w.protect(err); p != nil {
		w.inHook = false
		w.e.onPanic(p)
		w.e.keep(p)
	}
}

// batch runs what is in hand until it is done, taken by others, or the pool stops.
func (w *worker[T]) batch() {
	e := w.e
	switch {
	case w.item:
		w.runItem()
		return
	case e.handleAll != nil && !w.handed && !w.single:
		w.collect()
		return
	case w.from != nil:
		w.runItems()
		return
	case w.handed:
		w.handed = false
		w.runGiven()
		return
	}
	if w.single {
		if e.ctl.Load()&ctlShed != 0 && w.putBack() {
			return
		}
		w.single = false
		w.given = w.take(w.pos)
		w.runGiven()
		return
	}
	if w.lane == nil {
		return
	}
	for e.ctl.Load()&(ctlStop|ctlShed) == 0 {
		pos, ok := w.lane.Next(w.pos)
		if !ok {
			return
		}
		w.end = pos + 1
		v := w.take(pos)
		if c := e.ctl.Load(); c&(ctlRoom|ctlCounted) != 0 {
			w.startsInLane(pos)
		}
		if err := e.handle(w.ctx, v); err != nil {
			w.fail(err)
		}
		if w.sit.Load() != nil {
			w.outlived()
		}
	}
}

// take takes the claimed job at pos out of the ring.
func (w *worker[T]) take(pos uint64) T {
	v, _, _ := w.e.ring().Take(pos)
	return v
}

// runGiven runs the job in hand, or hands it back if the pool has stopped.
func (w *worker[T]) runGiven() {
	var zero T
	v := w.given
	w.given = zero
	seam.Yield()
	switch c := w.e.ctl.Load(); {
	case c&ctlStop != 0:
		w.e.giveBack(w.pos, v)
		return
	case c&(ctlRoom|ctlCounted) != 0:
		w.starts(w.pos)
	}
	w.end = w.pos + 1
	w.exec(v)
}

// putBack puts the job in hand where others can take it, if w has to end.
func (w *worker[T]) putBack() bool {
	w.e.mu.Lock()
	over := w.e.overfullLocked()
	w.e.mu.Unlock()
	if !over {
		return false
	}
	if w.e.ctl.Load()&ctlWeighs != 0 {
		w.putBackWeighed()
	} else if w.haveLane() {
		w.lane.Put(w.pos, 1)
	} else {
		return false
	}
	w.single = false
	return true
}

func (w *worker[T]) exec(v T) {
	if w.e.handleAll != nil {
		w.slice = append(w.slice[:0], v)
		w.call()
		return
	}
	if err := w.e.handle(w.ctx, v); err != nil {
		w.fail(err)
	}
	if w.sit.Load() != nil {
		w.outlived()
	}
}

func (w *worker[T]) fail(err error) {
	w.failed.Add(w.size)
	if err != errOwned {
		w.report(err)
	}
}

// report gives a failure to the error mode and to the handler.
func (w *worker[T]) report(err error) {
	w.e.keep(err)
	if f := w.e.onError; f != nil {
		w.inHook = true
		f(err)
		w.inHook = false
	}
}

// flush accounts for the batch.
func (w *worker[T]) flush() {
	m := w.mark.Swap(0)
	seam.Yield()
	n := w.end - markPos(m)
	if n > 0 {
		w.taken[min(bits.Len64(n), BatchSizes)-1].Add(1)
	}
	if m&(markOne|markItems) == 0 {
		if from := w.settled.Swap(inCash); from < w.end {
			w.earn(from, w.end)
		}
		if w.e.ctl.Load()&ctlRoom != 0 {
			w.makeRoom()
		}
	}
	w.tally(m, w.end)
	if w.e.handleAll != nil {
		w.called()
		return // the user has chosen the size
	}
	w.measure(int(n))
}

func (w *worker[T]) tally(m, end uint64) {
	if n := end - markPos(m); n > 0 {
		if v := w.finished[markTag(m)].Add(n); v&watchBit != 0 {
			w.e.tallied(markTag(m), n)
		}
	}
}

// goid returns the number of the calling goroutine. It is read once in the life
// of a worker and by calls that would otherwise wait for the very task they are
// part of, never on the way of a task.
func goid() uint64 {
	var buf [64]byte
	s := strings.TrimPrefix(string(buf[:runtime.Stack(buf[:], false)]), "goroutine ")
	s, _, _ = strings.Cut(s, " ")
	id, _ := strconv.ParseUint(s, 10, 64)
	return id
}
