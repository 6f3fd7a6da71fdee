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
// local queue of its parent's worker. That is a double-ended queue under a mutex
// of its own: the worker takes the youngest, thieves take the older half from the
// other end, up to stealMax, into their own (R. Blumofe, C. Leiserson, "Scheduling
// Multithreaded Computations by Work Stealing", JACM 46(5), 1999; half: D. Hendler,
// N. Shavit, "Non-Blocking Steal-Half Work Queues", PODC 2002).
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
// unlisted until somebody finds it empty: its owner at its next take, or the thief
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
// Nothing is lost or run twice: a child changes hands only under the mutex of the
// queue it is in, and a thief holds both, its own and the victim's, in the order of
// their indexes. After a stop a thief finds ctlStop under them, so discard, which
// visits the queues one by one, misses nothing that is moved.
//
// Acceptance. The word that orders acceptance, the ring's tail, is read under the
// queue's mutex. Closing, and Wait when it begins a new epoch, change that word and
// then take every such mutex once: what was accepted by the old word is in the
// queue by then, and counted. The bound is counted in credit (see credit.go) from the
// first child on: until then the ring is the bound.
//
// Nobody starves. A worker looks at the ring after agedAfter of its children, and if
// that is empty takes its oldest child instead of the youngest. Who is busy with
// the ring looks now and then for queues whose owner did not move, and takes from
// these.
//
// Rejected: the deque of D. Chase and Y. Lev (SPAA 2005), whose thieves read a
// slot before they know whether they own it: that is a data race in Go for any
// job that is not one word, and with a sequence word for each slot it costs what
// the mutex costs. A ring for each core for what comes from outside: with two cores
// one ring is faster than four (each worker that runs dry has to look at all), and
// its tail is what orders acceptance; with many cores, where the tail would become
// the bottleneck, it is the tail that would have to be divided. A queue for each of
// all workers: a thief would have to look at those of ten thousand that sleep.
// Running a child at once when the queue is long: it runs when the buffer is full.

const (
	// stealMax is how many children a thief takes at most.
	stealMax = 256
	// agedAfter is how many children a worker takes before it looks at older tasks;
	// a prime, as in the Go scheduler, so that it does not fall in with the tasks'
	// own rhythm.
	agedAfter = 61
	// payment is how much credit a worker takes from the bank at a time.
	payment = 64
)

// local is the queue of a worker at work.
type local[T any] struct {
	index  int
	owner  atomic.Pointer[worker[T]] // cleared under mu
	listed atomic.Bool               // changed under mu
	moves  atomic.Uint64             // what the owner took; written under mu
	seen   atomic.Uint64             // what moves was when stealLocal last looked

	mu       sync.Mutex
	jobs     deque.Deque[child[T]]
	epoch    [ring.Tags]uint64 // accepted with each tag, and not collected
	accepted uint64            // in all
	_        [64]byte
}

// child is a task in a local queue.
type child[T any] struct {
	job T
	age uint64 // and tag, as in a mark
}

// openLocals makes the local queues.
func (e *engine[T]) openLocals() {
	if e.strategy != WorkStealing || e.direct() {
		return
	}
	e.locals = make([]local[T], max(8, 4*runtime.GOMAXPROCS(0)))
	for i := range e.locals {
		e.locals[i].index = i
	}
}

// pushLocal accepts v into the local queue of the worker that runs the task of
// ctx. It reports false if there is no such queue, or no room.
func (e *engine[T]) pushLocal(ctx context.Context, v T) bool {
	w, ok := ctx.Value(e).(*worker[T])
	if !ok {
		return false
	}
	l := w.local.Load()
	c := e.ctl.Load()
	if l == nil || c&ctlWeighs != 0 {
		return false // with weights there is one order for all, that of the ring
	}
	if c&ctlCounted == 0 {
		e.mu.Lock()
		e.countLocked()
		e.mu.Unlock()
	}
	if !w.pay() {
		return false
	}
	l.mu.Lock()
	m := w.mark.Load()
	accepted, tag, open := e.ring().Current()
	if !open || m == 0 || l.owner.Load() != w {
		l.mu.Unlock()
		w.refund()
		return false
	}
	age := max(w.lastAge, ageOf(accepted))
	if markIsChild(m) {
		age = max(age, markPos(m))
	}
	age++
	w.lastAge = age
	l.epoch[tag]++
	l.accepted++
	l.jobs.PushBack(child[T]{v, markChild(age, tag)})
	if !l.listed.Load() {
		l.listed.Store(true)
		e.listed.Add(1)
	}
	l.mu.Unlock()
	if e.needsLook(e.gate.Load()) {
		e.pushed()
	}
	return true
}

// pay takes a unit of credit. It reports false if there is none.
func (w *worker[T]) pay() bool {
	e := w.e
	for {
		if n := w.pocket.Load(); n > 0 {
			if w.pocket.CompareAndSwap(n, n-1) {
				return true
			}
			continue
		}
		b := e.bank.Load()
		if b <= 0 {
			if b = int64(e.ring().Revoke()); b > 0 {
				e.bank.Add(b)
			} else if !e.gather() {
				return false
			}
			continue
		}
		k := min(b, payment)
		if e.bank.CompareAndSwap(b, b-k) {
			w.pocket.Add(k - 1)
			if e.ctl.Load()&ctlRoom != 0 {
				e.roomMade() // it was nowhere to be found while it was moved
			}
			return true
		}
	}
}

// refund gives back what pay took.
func (w *worker[T]) refund() {
	w.e.bank.Add(1)
	if w.e.ctl.Load()&ctlRoom != 0 {
		w.e.roomMade()
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
	w.local.Store(nil)
	l.mu.Lock()
	w.e.unlist(l)
	l.owner.Store(nil)
	l.mu.Unlock()
}

// unlist takes l off the list if it is empty. l.mu is held.
func (e *engine[T]) unlist(l *local[T]) {
	if l.jobs.Len() == 0 && l.listed.Load() {
		l.listed.Store(false)
		e.listed.Add(-1)
	}
}

// claimFirst is what a worker tries before it waits for a larger claim.
func (w *worker[T]) claimFirst() bool {
	if l := w.local.Load(); l != nil && l.listed.Load() && w.claim() {
		return true
	}
	return w.coalesce()
}

// claimStealing is claim under WorkStealing.
func (w *worker[T]) claimStealing() bool {
	if w.local.Load() == nil {
		w.enterLocal()
	}
	w.taken++
	aged := w.taken >= agedAfter
	if aged {
		w.taken = 0
	} else if w.claimChild(false) {
		return true
	}
	return w.claimShared() || aged && w.claimChild(true)
}

// claimChild takes a task of w's queue in hand: the youngest or the oldest.
func (w *worker[T]) claimChild(oldest bool) bool {
	if l := w.local.Load(); l == nil || !l.listed.Load() {
		return false
	}
	weighs := w.e.ctl.Load()&ctlWeighs != 0
	if weighs && !w.admitted() {
		return false
	}
	if w.takeChild(oldest) {
		return true
	}
	if weighs && w.release() {
		w.e.wakeMore()
	}
	return false
}

// takeChild takes a task of w's queue in hand.
func (w *worker[T]) takeChild(oldest bool) bool {
	l := w.local.Load()
	if l == nil || !l.listed.Load() || w.taken >= agedAfter {
		return false
	}
	w.taken++
	l.mu.Lock()
	take := l.jobs.PopBack
	if oldest {
		take = l.jobs.PopFront
	}
	c, ok := take()
	if ok {
		l.moves.Store(l.moves.Load() + 1)
	} else {
		w.e.unlist(l)
	}
	l.mu.Unlock()
	if ok {
		w.begin(c)
	}
	return ok
}

// begin takes c in hand.
func (w *worker[T]) begin(c child[T]) {
	pos := markPos(c.age)
	w.given, w.pos, w.end, w.tag, w.itemStrand = c.job, pos, pos, markTag(c.age), nil
	w.item, w.turns = true, 0
	w.mark.Store(c.age)
}

// stealLocal takes tasks of other queues, of one. stuck: only of queues whose owner
// has taken nothing since somebody last looked, or that have none. The caller is
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
		if l == own || !l.listed.Load() {
			continue
		}
		if m := l.moves.Load(); stuck && l.owner.Load() != nil && l.seen.Swap(m) != m {
			continue
		}
		if w.stealFrom(l, own) {
			return true
		}
	}
	return false
}

// stealFrom takes half of what is in the queue l, and begins with the oldest. own is
// w's queue, nil if it has none.
func (w *worker[T]) stealFrom(l, own *local[T]) bool {
	e := w.e
	if e.ctl.Load()&ctlWeighs != 0 {
		own = nil
	}
	if own != nil && own.index < l.index {
		own.mu.Lock()
		defer own.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if own != nil && own.index > l.index {
		own.mu.Lock()
		defer own.mu.Unlock()
	}
	if e.ctl.Load()&ctlStop != 0 {
		return false
	}
	n := min((l.jobs.Len()+1)/2, stealMax)
	c, ok := l.jobs.PopFront()
	if ok {
		w.begin(c)
	}
	for ; own != nil && n > 1; n-- {
		c, _ := l.jobs.PopFront()
		own.jobs.PushBack(c)
		if !own.listed.Load() {
			own.listed.Store(true)
			e.listed.Add(1)
		}
	}
	e.unlist(l)
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

// fenceLocals returns when every child that was accepted before is in a queue.
func (e *engine[T]) fenceLocals() { e.eachLocal(func(*local[T]) {}) }

// collectChildren returns how many children were accepted with the tag, and
// forgets that if told to.
func (e *engine[T]) collectChildren(tag uint64, forget bool) (n uint64) {
	e.eachLocal(func(l *local[T]) {
		n += l.epoch[tag]
		if forget {
			l.epoch[tag] = 0
		}
	})
	return n
}

// childrenAccepted returns how many children were ever accepted.
func (e *engine[T]) childrenAccepted() (n uint64) {
	e.eachLocal(func(l *local[T]) { n += l.accepted })
	return n
}

// oldestChild removes the oldest child, unless the ring has an older task.
func (e *engine[T]) oldestChild() (old deferred[T], ok bool) {
	var from *local[T]
	least := ^uint64(0)
	if pos, _, ok := e.ring().Front(); ok {
		least = ageOf(pos)
	}
	e.eachLocal(func(l *local[T]) {
		if l.jobs.Len() > 0 && markPos(l.jobs.At(0).age) < least {
			least, from = markPos(l.jobs.At(0).age), l
		}
	})
	if from == nil {
		return old, false
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	c, ok := from.jobs.PopFront()
	return deferred[T]{c.job, markPos(c.age), markTag(c.age)}, ok
}

// discardLocalsLocked hands back what is in the local queues.
func (e *engine[T]) discardLocalsLocked() {
	e.eachLocal(func(l *local[T]) {
		for c, ok := l.jobs.PopFront(); ok; c, ok = l.jobs.PopFront() {
			e.giveBackLocked(markPos(c.age), c.job)
		}
		e.unlist(l)
	})
}
