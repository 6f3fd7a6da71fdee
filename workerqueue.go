package pool

import (
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/seam"
)

// workerQueue is what the queues of WorkStealing (local) and PerWorker (seat) have in
// common: the batch that their worker has in hand.
//
// The worker fills the batch under mu, when it is empty, and then begins its tasks
// one after the other by moving next, without mu. Others take tasks off its end
// under mu. Both change one word, so each task has one taker, and since filling
// needs mu too, who has taken tasks off the end can read them before they are
// overwritten.
//
// A seat may be taken away from a worker at any time, by another goroutine of its task
// that calls Wait, and be given to another worker. The first one may be about to
// begin the next task of the batch then: its compare-and-swap fails, since each
// filling has a number of its own in cursor, or it was faster, and reads a task of a
// batch that nobody fills again, since the next worker gets a new one.
//
// The batch gives back its credit (see credit.go) in arrears: what was begun is seen
// in cursor, and settled says how much of that has been taken into account.
type workerQueue[T any] struct {
	cursor atomic.Uint64 // filling<<16 | next<<8 | end, both indexes of batch
	seat   *seat[T]      // it belongs to, or nil
	_      [48]byte

	mu      sync.Mutex
	settled int
	credit  int64
	batch   []item[T]     // nil if there was none, or the worker has changed
	awaited atomic.Uint64 // bits of tasks whose keys somebody waits for, see keyed.go

	jobs             []T // what the batch consists of if it is a chunk, see chunk.go
	jobsPos, jobsTag uint64
}

// batchSize is how many tasks a worker takes out of its queue at most at a time.
const batchSize = 16

// itemPos makes what stands for the position of a task in a worker's queue, while it
// runs, larger than any position in the ring.
const itemPos = 1 << 57

// item is a task in a worker's queue.
type item[T any] struct {
	job  T
	mark uint64 // markOf its position or, of a child, its age; itemKeyed: it has a key
	key  uint64
}

const itemKeyed = markOne

func (it *item[T]) keyed() bool { return it.mark&itemKeyed != 0 }

func (it item[T]) removed() removed[T] {
	return removed[T]{it.job, markPos(it.mark), markTag(it.mark)}
}

// age returns the age of the task, see ageOf. It reads nothing but mark.
func (it *item[T]) age() uint64 {
	if it.mark&markItems != 0 {
		return markPos(it.mark)
	}
	return ageOf(markPos(it.mark)) + ageStep - 1
}

// settle takes back the credit of the tasks that were begun. q.mu is held.
func (q *workerQueue[T]) settle() {
	next := q.begun()
	q.credit += int64(next - q.settled)
	q.settled = next
}

// begun returns how many tasks of the batch were begun.
func (q *workerQueue[T]) begun() int { return int(q.cursor.Load() >> 8 & 255) }

// gatherFrom takes the credit out of q. q.mu is held.
func (e *engine[T]) gatherFrom(q *workerQueue[T]) {
	q.settle()
	if q.credit != 0 {
		e.bank.Add(q.credit)
		q.credit = 0
	}
}

// left returns how many tasks of the batch were not begun.
func (q *workerQueue[T]) left() int {
	c := q.cursor.Load()
	return int(c&255) - int(c>>8&255)
}

// cut takes the last task off the batch, if there is one that was not begun. q.mu is
// held.
func (q *workerQueue[T]) cut() (it item[T], ok bool) {
	for {
		c := q.cursor.Load()
		end := c & 255
		if c>>8&255 == end {
			return it, false
		}
		seam.Yield()
		if q.cursor.CompareAndSwap(c, c-1) {
			if q.jobs != nil {
				it.mark = markOf(chunkAge(q.jobsPos, end-1), q.jobsTag, false) | markItems
				var zero T
				it.job, q.jobs[end-1] = q.jobs[end-1], zero
				return it, true
			}
			it, q.batch[end-1] = q.batch[end-1], it
			return it, true
		}
	}
}

// reset makes the batch, of which nothing is left, one of n tasks. q.mu is held, by
// q's worker.
func (q *workerQueue[T]) reset(n int) {
	q.settle()
	q.settled = 0
	q.cursor.Store((q.cursor.Load()>>16+1)<<16 | uint64(n))
}

// room makes room for a batch. q.mu is held.
func (q *workerQueue[T]) room() {
	if q.batch == nil {
		q.batch = make([]item[T], batchSize)
	}
}

// begin takes the batch of q, of which something is left, in hand. q.mu is held.
func (w *worker[T]) begin(q *workerQueue[T]) {
	if q.credit >= payment {
		w.e.gatherFrom(q)
	}
	w.takeBatch(q)
}

func (w *worker[T]) takeBatch(q *workerQueue[T]) {
	w.batches++
	next := q.begun()
	w.pos, w.tag = itemPos|w.batches<<8|uint64(next), q.jobsTag
	if q.jobs == nil {
		w.tag = markTag(q.batch[next].mark)
	}
	w.end, w.from, w.items, w.jobs = w.pos, q, q.batch, q.jobs
	w.has.Store(q)
	w.mark.Store(markOf(w.pos, w.tag, false) | markItems)
}

// beginOne takes a single task in hand.
func (w *worker[T]) beginOne(it item[T]) {
	w.batches++
	w.pos, w.tag = itemPos|w.batches<<8, markTag(it.mark)
	w.end, w.given, w.item = w.pos, it.job, true
	w.age.Store(it.age())
	w.hasNone()
	w.mark.Store(markOf(w.pos, w.tag, true) | markItems)
}

// hasNone says that w has no batch of a queue in hand.
func (w *worker[T]) hasNone() {
	if w.has.Load() != nil {
		w.has.Store(nil)
	}
}

// runItem runs the task in hand.
func (w *worker[T]) runItem() {
	w.item = false
	w.runGiven()
}

// runItems runs the batch in hand, until it is done, taken by others, or the pool
// stops. What is left stays there.
func (w *worker[T]) runItems() {
	e, q := w.e, w.from
	var zero T
	for e.ctl.Load()&(ctlStop|ctlShed) == 0 {
		c := q.cursor.Load()
		next := c >> 8 & 255
		if next == c&255 || w.has.Load() != q { // or it was taken away
			break
		}
		seam.Yield()
		if !q.cursor.CompareAndSwap(c, c+1<<8) {
			continue
		}
		if e.ctl.Load()&ctlRoom != 0 { // after cursor was moved, which makes room
			q.mu.Lock()
			e.gatherFrom(q)
			q.mu.Unlock()
			e.roomMade()
		}
		var p *T
		if w.jobs != nil {
			p = &w.jobs[next]
		} else {
			if q.awaited.Load()&(1<<next-1) != 0 {
				w.awaitedKeys(q, next)
			}
			p = &w.items[next].job
		}
		w.end++
		v := *p
		*p = zero
		if err := e.handle(w.ctx, v); err != nil {
			w.fail(err)
		}
		if w.sit.Load() != nil {
			w.outlived()
		}
	}
	w.from, w.items, w.jobs = nil, nil, nil
}

// queue returns w's own queue, nil if it has none.
func (w *worker[T]) queue() *workerQueue[T] {
	if l := w.local.Load(); l != nil {
		return &l.workerQueue
	}
	if s := w.seat.Load(); s != nil {
		return &s.workerQueue
	}
	return nil
}

// itemAge returns the age of the task of a worker's queue that w runs, whose mark is
// m.
func (w *worker[T]) itemAge(m uint64) uint64 {
	q := w.has.Load()
	if q == nil || markSingle(m) {
		return w.age.Load()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ageLocked()
}

// ageLocked returns the age of the task of the batch that runs. q.mu is held.
func (q *workerQueue[T]) ageLocked() uint64 {
	n := q.begun()
	if n == 0 || q.jobs == nil && q.batch == nil {
		return 0
	}
	return q.ageAtLocked(n - 1)
}

// ageAtLocked returns the age of the task of the batch with that index. q.mu is held.
func (q *workerQueue[T]) ageAtLocked(i int) uint64 {
	if q.jobs != nil {
		return chunkAge(q.jobsPos, uint64(i))
	}
	return q.batch[i].age()
}

// alone makes the task that w runs, whose mark is m, one that is not part of a
// batch: w is about to leave its queue.
func (w *worker[T]) alone(m, age uint64) {
	if m&markItems != 0 && !markSingle(m) {
		w.age.Store(age)
		w.mark.CompareAndSwap(m, m|markOne)
	}
}

// claimFirst takes what is in w's own queue, or waits for a larger claim.
func (w *worker[T]) claimFirst() bool {
	if l := w.local.Load(); l != nil && l.listed.Load() && w.claim() {
		return true
	}
	if s := w.seat.Load(); s != nil && s.waiting() > 0 && w.claim() {
		return true
	}
	return w.coalesce()
}
