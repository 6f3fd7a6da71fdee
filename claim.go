package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/batch"
)

// What a worker takes in hand, where it looks for it, how much it claims at a time, and how long it
// waits for more.

// hold takes in hand the batch b of the cell c, which was just filled. l is the lane from which it
// was taken over, or nil. The claim lock is held.
func (w *worker[T]) hold(c *cell[T], b *batch.Batch[T], cs *batch.Counters, l *lane[T]) {
	w.before = b.Load().Begun()
	w.last = b.Load().Left()
	w.cell, w.counters = c, cs
	if b != w.b {
		w.b = b
		w.cur.Store(b)
	}
	if tag := uint32(b.Tag()); tag != w.tag.Load() {
		w.tag.Store(tag)
	}
	w.weigh(b.Next())
	w.stamped(b.Marks())
	w.grantedLocked(c, l)
}

// batchFor returns the batch into which w claims up to limit jobs of c, and its limit. The claim
// lock is held, and w has nothing in hand.
func (w *worker[T]) batchFor(c *cell[T], limit int) (*batch.Batch[T], *batch.Counters, int) {
	if h := c.home; h != nil {
		l := &c.lanes[0]
		return &l.Batch, &l.Counters, limit
	}
	if limit == 1 && w.e.kids == nil || !w.enterLane() {
		if w.e.handleAll == nil {
			limit = 1
		}
		return &w.own, &c.singles, limit
	}
	return &w.lane.Batch, &w.lane.Counters, limit
}

// enterLane makes w the owner of a lane, if one is free. The claim lock is held.
func (w *worker[T]) enterLane() bool {
	if w.lane != nil {
		return true
	}
	ls := w.e.main.lanes
	for i := range ls {
		l := &ls[(w.seed+i)%len(ls)]
		if l.Load().Left() == 0 && l.Acquire() {
			w.lane = l
			w.kids.Store(l.kids)
			return true
		}
	}
	return false
}

// leaveLane gives up w's lane, with what is left in it.
func (w *worker[T]) leaveLane() {
	if w.lane == nil {
		return
	}
	if w.b == &w.lane.Batch {
		w.b = &w.own
		w.cur.Store(w.b)
	}
	if w.kids.Load() != nil {
		w.kids.Store(nil)
	}
	w.lane.Release()
	w.lane = nil
}

// claim takes up to limit jobs in hand.
func (w *worker[T]) claim() bool {
	e := w.e
	if e.weights.Active() && !w.enterWeighed() {
		return false
	}
	if e.homes.n == 0 {
		return w.claimMain()
	}
	w.looks++
	mainFirst := w.looks%mainEvery == 0
	if !mainFirst && w.claimHome() {
		return true
	}
	w.leaveHome()
	return w.claimMain() || mainFirst && w.claimHome()
}

// claimMain is claim of what is not in homes.
func (w *worker[T]) claimMain() bool {
	e := w.e
	if e.collects() && !e.claimRipe() {
		return false
	}
	if e.kids != nil && w.claimChildren() {
		return true
	}
	return w.claimFrom(&e.main) || e.kids != nil && w.takeKids(false)
}

// claimFrom claims jobs of the cell c.
func (w *worker[T]) claimFrom(c *cell[T]) bool {
	e := w.e
	// What others have claimed is older than what is in the queue. Under load no worker runs dry
	// and steals, so look now and then whether claimed jobs are stuck behind a long task, or have
	// lost their owner.
	if w.looked++; int(w.looked) >= w.limit && c.home == nil {
		w.looked = 0
		if c.steal(w, true) || e.kids != nil && w.stealKids(true) {
			return true
		}
	}
	if c.turns.Load() == 0 && !c.queue.Ready() {
		return false
	}
	e.lock(&c.mu)
	if e.flags.word.Load()&flagStop != 0 || e.weights.waiting.Load() {
		c.mu.Unlock()
		return false
	}
	w.endGrantLocked()
	b, cs, limit := w.batchFor(c, w.limit)
	n := c.take(b, limit)
	if n > 0 {
		w.hold(c, b, cs, nil)
	}
	late := e.routes && c.fair.Late()
	c.mu.Unlock()
	if late {
		if e.tellExpired(c); n > 0 && w.expired() { // meanwhile
			w.putBack()
			w.settleFair()
			return false
		}
	}
	if e.routes {
		e.wakeMore() // what was put into the table may be seen by nobody else
	}
	return n > 0
}

// lock takes a lock that is held for a moment only. Sleeping costs more than trying again. And if
// the holder of a mutex is preempted while a thousand workers sleep on it, the mutex is handed over
// from one to the next, with a switch of goroutines for each, as long as more keep coming: tasks
// that sleep in 20,000 workers took twice as long. So a worker yields before it sleeps.
func (e *engine[T]) lock(mu *sync.Mutex) {
	for i := 0; i < lockTries+lockYields && e.parallel.Load(); i++ {
		switch {
		case mu.TryLock():
			return
		case i < lockTries:
			pause(lockPause)
		default:
			runtime.Gosched()
		}
	}
	mu.Lock()
}

const (
	lockTries  = 20
	lockYields = 20
	lockPause  = 300
)

// steal takes in hand jobs that another worker has claimed and not started.
func (w *worker[T]) steal() bool {
	e := w.e
	if e.flags.word.Load()&flagStop != 0 || e.weights.waiting.Load() || e.weights.Active() && w.units.Load() == 0 {
		return false
	}
	return e.main.steal(w, false) || e.kids != nil && w.stealKids(false)
}

const (
	budget    = 5 * time.Microsecond // of work in a batch
	tinyTake  = 32                   // jobs; a worker that may take that many has tiny ones
	smallTake = 32                   // jobs; a smaller take is worth waiting for more
	// pollRounds is about 1 µs.
	pollRounds = 2500
	maxBackoff = 256
)

// pace adapts the number of jobs to claim to how long they take: one after a batch that took more
// than four times the budget, half after one that took more than the budget, twice as many after
// two that took less. After a batch that it took over, whose size it did not choose, it is as many
// as take the budget.
func (w *worker[T]) pace(n int, took time.Duration) {
	w.e.thin(&w.cell.queue, w.limit >= tinyTake)
	if long := took > 4*budget && n == 1; long != w.e.long.Load() {
		w.e.long.Store(long)
	}
	switch {
	case n > w.limit && took > budget:
		w.limit, w.streak = max(1, int(int64(n)*int64(budget)/int64(took))), 0
	case took > 4*budget:
		w.limit, w.streak = 1, 0
	case took > budget:
		w.limit, w.streak = max(1, w.limit/2), 0
	default:
		if w.streak++; w.streak >= 2 && w.limit < w.e.batch {
			w.limit, w.streak = min(2*w.limit, w.e.batch), 0
		}
	}
}

// coalesce waits about 1 µs before the next claim, when tasks are tiny and the last claim was
// small, and claims. A worker that looks again at once takes one or two jobs each time, and drags
// the slots' cache line from the producer and back for each of them. When waiting brought nothing,
// the worker leaves it out for a growing number of claims: a lone submitter that waits for each
// task would pay for it each time.
func (w *worker[T]) coalesce() bool {
	if w.limit < tinyTake || w.last >= smallTake || w.last == 0 || !w.e.parallel.Load() {
		return false
	}
	if w.skip > 0 {
		w.skip--
		return false
	}
	pause(pollRounds)
	if !w.claim() {
		w.grow()
		return false
	}
	if w.last >= 4 {
		w.backoff = 0
	} else {
		w.grow()
	}
	return true
}

func (w *worker[T]) grow() {
	w.backoff = min(max(8, 2*w.backoff), maxBackoff)
	w.skip = w.backoff
}

// patience leaves out waiting that was in vain, for a growing number of times.
type patience struct {
	skip, miss atomic.Int64
}

// worth reports whether to wait.
func (p *patience) worth() bool {
	n := p.skip.Load()
	if n > 0 {
		p.skip.Store(n - 1) // of those who do so at once, one is enough
	}
	return n == 0
}

// inVain leaves out waiting for a while.
func (p *patience) inVain() {
	n := min(max(8, 2*p.miss.Load()), maxBackoff)
	p.miss.Store(n)
	p.skip.Store(n)
}
