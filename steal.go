package pool

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/ring"
)

// WorkStealing: a queue for each worker at work.
//
// What comes from outside is accepted into the ring, as under every strategy. A
// child, a task that is submitted with the context of a running one, goes to the
// local queue of its parent's worker. The worker takes the youngest first, up to
// batchSize at a time, and idle workers take the older half from the other end, up to
// stealMax, into their own (R. Blumofe, C. Leiserson, "Scheduling Multithreaded
// Computations by Work Stealing", JACM 46(5), 1999; half: D. Hendler, N. Shavit,
// "Non-Blocking Steal-Half Work Queues", PODC 2002). A queue consists of chunks, and
// whole chunks are stolen if there are several: a thief that copied tasks one by
// one would hold the victim's mutex while their cache lines travel.
//
// States. There is a fixed number of local queues, a few for each core. A worker
// owns one from its first claim until it parks or ends; then the queue is free, with
// whatever is left in it for thieves and for its next owner. A worker that found
// none free has none, and the children of its tasks go to the ring. Only the
// owner's goroutine makes it the owner and ends that, and a push checks the owner
// under the mutex, because a task may have started goroutines that submit too,
// even after its end.
//
// A queue is listed while it may hold something: from the push that finds it
// unlisted until somebody finds it empty: its owner at its next claim, or the thief
// that took the last. So a worker that puts in one child and takes it out again
// writes no shared word. e.listed counts the listed ones, for who is about to park.
//
// Wake-ups. A push lists the queue and then loads gate, as a submission publishes
// its job in the ring and then loads gate; a worker that parks gives its place up
// in gate and then looks at e.listed. Both are sequentially consistent, so one of the
// two sees the other (see park.go), and at most one worker searches, and wakes
// the next. A listed queue that is empty can keep a searcher from parking only until
// it has looked into it: it takes it off the list.
//
// Nothing is lost or run twice. A child changes hands only under the mutex of the
// queue it is in, or, in the owner's batch, by a compare-and-swap of one word (see
// workerqueue.go). A thief holds both mutexes, its own and the victim's, in the
// order of their indexes. After a stop a thief finds ctlStop under them, so discard,
// which visits the queues one by one, misses nothing that is moved.
//
// Acceptance. The word that orders acceptance, the ring's tail, is read under the
// queue's mutex. Closing, and Wait when it begins a new epoch, change that word and
// then take every such mutex once: what was accepted by the old word is in the
// queue by then, and counted. The bound is counted in credit (see credit.go) from the
// first child on: until then the ring is the bound. A child for which there is no
// room runs at once, inside its parent's call. To find out that there is none means
// to look everywhere, so that is believed for the next few pushes.
//
// Nobody starves: see ringAfter. Who is busy with the ring looks now and then for
// queues whose owner did not move, and takes from these.
//
// Tiny tasks. A worker that has stolen few of them waits about 4 µs before it steals
// again: each theft costs the victim up to 1 µs.
//
// Rejected: the deque of D. Chase and Y. Lev (SPAA 2005), whose thieves read a
// slot before they know whether they own it: that is a data race in Go for any
// job that is not one word, and with a sequence word for each slot it costs what
// the mutex costs. A ring for each core for what comes from outside: with two cores
// one ring is faster than four (each worker that runs dry has to look at all), and
// its tail is what orders acceptance; with many cores, where the tail would become
// the bottleneck, it is the tail that would have to be divided. A queue for each of
// all workers: a thief would have to look at those of ten thousand that sleep.

const (
	// stealMax is how many children a thief takes at most.
	stealMax = 256
	// After ringAfter children, or fewer if they are long, a worker looks at the ring
	// first, and at every oldEvery-th such look it takes its oldest child. The oldest may
	// be the root of a large tree, and one that is begun before the last one is done
	// makes the queue longer, so that is rare. 61 is a prime, as in the Go scheduler,
	// so that it does not fall in with the tasks' own rhythm.
	ringAfter = 61
	oldEvery  = 16
	// dryPushes is how many pushes do not look for credit elsewhere after one has
	// found none. Meanwhile children run at once.
	dryPushes = 64
)

// local is the queue of a worker at work.
type local[T any] struct {
	index  int
	chunks *sync.Pool                // the same for all
	owner  atomic.Pointer[worker[T]] // cleared under mu
	listed atomic.Bool               // changed under mu
	moves  atomic.Uint64             // batches that the owner took; written under mu
	seen   atomic.Uint64             // see idles
	_      [64]byte

	workerQueue[T]
	jobs     deque.Chunked[item[T]]
	lastAge  uint64            // of the children that were put in
	dry      int               // pushes that do not look for credit elsewhere
	epoch    [ring.Tags]uint64 // accepted with each tag, and not collected
	accepted uint64            // in all
	_        [64]byte
}

// openLocals makes the local queues.
func (e *engine[T]) openLocals() {
	if e.strategy != WorkStealing || e.direct() {
		return
	}
	e.locals = make([]local[T], max(8, 4*runtime.GOMAXPROCS(0)))
	chunks := new(sync.Pool)
	for i := range e.locals {
		e.locals[i].index, e.locals[i].chunks = i, chunks
	}
}

// parent returns the worker whose local queue gets the children of ctx's task, or nil.
func (e *engine[T]) parent(ctx context.Context) *worker[T] {
	if e.locals == nil {
		return nil
	}
	if c, ok := ctx.(*taskContext[T]); ok && c.e == e {
		return c.w
	}
	w, _ := ctx.Value(e).(*worker[T])
	return w
}

// pushLocal accepts a prefix of vs, children of the task that w runs, into w's local
// queue, and returns its length. full says that there was no room for more; that the
// buffer is full is believed for the next dryPushes.
func (w *worker[T]) pushLocal(vs []T) (n int, full bool) {
	e := w.e
	l := w.local.Load()
	c := e.ctl.Load()
	if l == nil || c&ctlWeighs != 0 {
		return 0, false // with weights there is one order for all, that of the ring
	}
	if c&ctlCounted == 0 {
		e.mu.Lock()
		e.countLocked()
		e.mu.Unlock()
	}
	for n < len(vs) {
		l.mu.Lock()
		m := w.mark.Load()
		accepted, tag, open := e.ring().Current()
		if !open || m == 0 || l.owner.Load() != w {
			l.mu.Unlock()
			break
		}
		if l.credit == 0 {
			if l.settle(); l.credit == 0 && w.pocket.Load() != 0 {
				l.credit = w.pocket.Swap(0)
			}
		}
		if full = l.credit == 0 && l.dry > 0; full {
			l.dry--
			l.mu.Unlock()
			break
		}
		k := min(len(vs)-n, int(l.credit))
		l.credit -= int64(k)
		l.lastAge = max(l.lastAge, ageOf(accepted))
		if m&markItems != 0 {
			if markSingle(m) {
				l.lastAge = max(l.lastAge, w.age.Load())
			} else {
				l.lastAge = max(l.lastAge, l.ageLocked())
			}
		}
		for _, v := range vs[n : n+k] {
			l.lastAge++
			l.jobs.PushBack(item[T]{job: v, mark: markOf(l.lastAge, tag, false) | markItems}, l.chunks)
		}
		l.epoch[tag] += uint64(k)
		l.accepted += uint64(k)
		if k > 0 && !l.listed.Load() {
			l.listed.Store(true)
			e.listed.Add(1)
		}
		l.mu.Unlock()
		if n += k; n < len(vs) && !e.payInto(l) {
			full = true
			break
		}
	}
	if n > 0 && e.needsLook(e.gate.Load()) {
		e.pushed()
	}
	return n, full
}

// payInto gives l credit. It reports false if there is none.
func (e *engine[T]) payInto(l *local[T]) bool {
	for {
		b := e.bank.Load()
		if b <= 0 {
			e.moves.Add(moveBegins)
			b = int64(e.ring().Revoke())
			e.bank.Add(b)
			e.moves.Add(moveEnds)
			if b == 0 && !e.gather() {
				l.mu.Lock()
				l.dry = dryPushes
				l.mu.Unlock()
				return false
			}
			continue
		}
		k := min(b, payment)
		e.moves.Add(moveBegins)
		taken := e.bank.CompareAndSwap(b, b-k)
		if taken {
			l.mu.Lock()
			l.credit += k
			l.mu.Unlock()
		}
		e.moves.Add(moveEnds)
		if taken {
			if e.ctl.Load()&ctlRoom != 0 {
				e.roomMade() // it was nowhere to be found while it was moved
			}
			return true
		}
	}
}

// enterLocal makes w the owner of a free queue, if there is one.
func (w *worker[T]) enterLocal() {
	ls := w.e.locals
	for i := range ls {
		l := &ls[(w.seed+i)%len(ls)]
		if l.owner.Load() == nil && l.owner.CompareAndSwap(nil, w) {
			w.local.Store(l)
			return
		}
	}
}

// leaveLocal makes w's queue free, with what is in it.
func (w *worker[T]) leaveLocal() {
	l := w.local.Load()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.emptyBatch()
	w.e.gatherFrom(&l.workerQueue)
	w.e.unlist(l)
	w.local.Store(nil)
	l.owner.Store(nil)
	l.mu.Unlock()
}

// emptyBatch puts what is left of the batch back. l.mu is held.
func (l *local[T]) emptyBatch() {
	for it, ok := l.cut(); ok; it, ok = l.cut() {
		l.jobs.PushBack(it, l.chunks)
	}
}

// unlist takes l off the list if it is empty. l.mu is held.
func (e *engine[T]) unlist(l *local[T]) {
	if l.jobs.Len() == 0 && l.left() == 0 && l.listed.Load() {
		l.listed.Store(false)
		e.listed.Add(-1)
	}
}

// claimStealing is claim under WorkStealing.
func (w *worker[T]) claimStealing() bool {
	if w.local.Load() == nil {
		w.enterLocal()
	}
	if w.children < min(ringAfter, w.limit) && w.claimChildren(false) {
		return true
	}
	w.children = 0
	if w.looks++; w.looks%oldEvery == 0 && w.claimChildren(true) {
		return true
	}
	return w.claimShared() || w.claimChildren(false)
}

// claimChildren takes tasks of w's queue in hand: the youngest, or the oldest one.
func (w *worker[T]) claimChildren(oldest bool) bool {
	l := w.local.Load()
	if l == nil || !l.listed.Load() {
		return false
	}
	e := w.e
	w.giveUpKeys()
	limit := min(w.limit, batchSize)
	weighs := e.ctl.Load()&ctlWeighs != 0
	if oldest || weighs {
		limit = 1
	}
	if weighs && !w.admitted() {
		return false
	}
	l.mu.Lock()
	n := l.fill(limit, oldest)
	if n == 0 {
		e.unlist(l)
	} else {
		w.begin(&l.workerQueue)
	}
	l.mu.Unlock()
	w.children += n
	if n == 0 && weighs && w.release() {
		e.wakeMore()
	}
	return n > 0
}

// fill takes up to limit tasks of one tag into the batch, if nothing is left of it,
// and returns how many there are. l.mu is held, by the owner.
func (l *local[T]) fill(limit int, oldest bool) (n int) {
	if n := l.left(); n > 0 {
		return n
	}
	l.room()
	for n < limit && l.jobs.Len() > 0 {
		if n > 0 && markTag(l.jobs.Back().mark) != markTag(l.batch[0].mark) {
			break
		}
		if oldest {
			l.batch[n], _ = l.jobs.PopFront(l.chunks)
		} else {
			l.batch[n], _ = l.jobs.PopBack(l.chunks)
		}
		n++
	}
	l.reset(n)
	l.moves.Store(l.moves.Load() + 1)
	return n
}

// stealLocal takes tasks of another queue. stuck: only of queues whose owner has
// taken nothing since somebody last looked, or that have none. The caller is
// admitted, if there are weights.
func (w *worker[T]) stealLocal(stuck bool) bool {
	e := w.e
	if e.listed.Load() == 0 {
		return false
	}
	own := w.local.Load()
	first := rand.IntN(len(e.locals))
	for i := range e.locals {
		l := &e.locals[(first+i)%len(e.locals)]
		if l == own || !l.listed.Load() || stuck && !l.idles() {
			continue
		}
		if w.stealFrom(l, own) {
			return true
		}
	}
	return false
}

// idles reports whether the owner has taken nothing since the last call.
func (l *local[T]) idles() bool {
	m := l.moves.Load()<<8 | uint64(l.begun())
	return l.seen.Swap(m) == m || l.owner.Load() == nil
}

// stealFrom takes half of what is in the queue l, the older half, and has it in
// hand then. own is w's queue; if it has none, or with weights, it takes one.
func (w *worker[T]) stealFrom(l, own *local[T]) bool {
	if own == nil || w.e.ctl.Load()&ctlWeighs != 0 {
		return w.stealOne(l)
	}
	a, b := own, l
	if a.index > b.index {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.Lock()
	if w.e.ctl.Load()&ctlStop == 0 {
		l.moveHalf(own)
		w.stolen = own.jobs.Len()
	}
	if own.jobs.Len() > 0 && !own.listed.Load() {
		own.listed.Store(true)
		w.e.listed.Add(1)
	}
	w.e.unlist(l)
	b.mu.Unlock()
	a.mu.Unlock()
	return w.claimChildren(false)
}

// moveHalf moves the older half of l's tasks to the queue to. If there is nothing but
// the owner's batch, it takes of that. The mutexes of both are held.
func (l *local[T]) moveHalf(to *local[T]) {
	if l.jobs.Len() > 0 {
		l.jobs.MoveHalf(&to.jobs, stealMax/deque.ChunkSize, l.chunks)
		return
	}
	for range (l.left() + 1) / 2 {
		if it, ok := l.cut(); ok {
			to.jobs.PushBack(it, to.chunks)
		}
	}
}

// stealOne takes the oldest task of l in hand.
func (w *worker[T]) stealOne(l *local[T]) (ok bool) {
	var it item[T]
	l.mu.Lock()
	if w.e.ctl.Load()&ctlStop == 0 {
		if it, ok = l.jobs.PopFront(l.chunks); !ok {
			it, ok = l.cut()
		}
		w.e.unlist(l)
	}
	l.mu.Unlock()
	if ok {
		w.beginOne(it)
	}
	return ok
}

// eachLocal calls f for every local queue, with its mutex held.
func (e *engine[T]) eachLocal(f func(*local[T])) {
	for i := range e.locals {
		l := &e.locals[i]
		l.mu.Lock()
		f(l)
		l.mu.Unlock()
	}
}

// eachQueue calls f for the queue of every worker that has one, with its mutex held.
func (e *engine[T]) eachQueue(f func(*workerQueue[T])) {
	e.eachLocal(func(l *local[T]) { f(&l.workerQueue) })
	if e.seated() {
		e.sorter.mu.Lock()
		e.sorter.seats.eachLocked(func(s *seat[T]) {
			s.mu.Lock()
			f(&s.workerQueue)
			s.mu.Unlock()
		})
		e.sorter.mu.Unlock()
	}
}

// oldestChild removes the oldest child, unless the ring has an older task.
func (e *engine[T]) oldestChild() (old removed[T], ok bool) {
	var from *local[T]
	least := ^uint64(0)
	if pos, _, ok := e.ring().Front(); ok {
		least = ageOf(pos)
	}
	e.eachLocal(func(l *local[T]) {
		if l.jobs.Len() > 0 && markPos(l.jobs.Front().mark) < least {
			least, from = markPos(l.jobs.Front().mark), l
		}
	})
	if from == nil {
		return old, false
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	it, ok := from.jobs.PopFront(from.chunks)
	return it.removed(), ok
}

// claimedItem removes a task of a batch.
func (e *engine[T]) claimedItem() (old removed[T], ok bool) {
	e.eachQueue(func(q *workerQueue[T]) {
		if !ok {
			var it item[T]
			it, ok = q.cut()
			old = it.removed()
		}
	})
	return old, ok
}

// discardLocalsLocked hands back what is in the local queues.
func (e *engine[T]) discardLocalsLocked() {
	e.eachLocal(func(l *local[T]) {
		l.emptyBatch()
		for it, ok := l.jobs.PopFront(l.chunks); ok; it, ok = l.jobs.PopFront(l.chunks) {
			e.giveBackLocked(markPos(it.mark), it.job)
		}
		e.unlist(l)
	})
}
