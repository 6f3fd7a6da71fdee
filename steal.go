package pool

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/queue"
)

// WorkStealing: a queue for each worker at work.
//
// What comes from outside is accepted into the main queue, as under every strategy. A child, a task
// that is submitted with the context of a running one, goes to the local queue (kids) of its
// parent's worker, and to the main queue when that is full. The worker takes the youngest first.
// Idle workers take the older half from the other end, into their own (R. Blumofe, C. Leiserson,
// "Scheduling Multithreaded Computations by Work Stealing", JACM 46(5), 1999; half: D. Hendler, N.
// Shavit, "Non-Blocking Steal-Half Work Queues", PODC 2002).
//
// Each lane has a local queue, so there is a fixed number of them. A worker owns a lane from its
// first claim until it parks or ends. Then the queue is free, and what is left in it is for thieves
// and for its next owner. A worker without a lane has no local queue, and the children of its tasks
// go to the main queue. A task may have started goroutines that submit too, even after its end:
// what they submit goes to the queue that their worker has then, if any.
//
// Wake-ups. A push puts the child in and then loads the idle word, as a submission publishes its
// job and then loads the idle word; a worker that parks gives its place up there and then looks at
// the lengths of the queues. So one of the two sees the other (see park.go).
//
// Nothing is lost or run twice: a child changes hands only under the mutex of its queue. A thief
// holds both mutexes, its own and the victim's, in the order of their indexes. After a stop a thief
// finds flagStop under them, so discard, which visits the queues one by one, misses nothing that is
// moved.
//
// Acceptance. Whether the pool is closed is read under the queue's mutex. A goroutine that closes
// the pool takes every such mutex once: what was accepted before is in the queue by then, and
// counted.
//
// Nobody starves: see ringAfter.
//
// Rejected: the deque of D. Chase and Y. Lev (SPAA 2005). Its thieves read a slot before they know
// whether they own it. That is a data race in Go for any job that is not one word, and with a
// sequence word for each slot it costs what the mutex costs. Also rejected: a queue for each of all
// workers, since a thief would have to look at those of ten thousand that sleep.

const (
	// maxKids is how many children wait in a local queue at most.
	maxKids = 256
	// kidsTake is how many children a worker takes at a time at most.
	kidsTake = 16
	// After ringAfter children, or fewer if they are long, a worker looks at the main queue first,
	// and at every oldEvery-th such look it takes its oldest child. The oldest may be the root of a
	// large tree. If it starts before the last one is done the queue grows, so that is rare. 61 is
	// a prime, as in the Go scheduler, so that it does not fall in with the tasks' own rhythm.
	ringAfter = 61
	oldEvery  = 16
)

// kid is a child that waits.
type kid[T any] struct {
	job T
	tag int
	at  time.Duration // its stamp, or 0
}

// kids is a local queue.
type kids[T any] struct {
	index    int
	len      atomic.Int32     // written under mu
	moves    atomic.Uint64    // batches that the owner took; written under mu
	seen     atomic.Uint64    // moves, when a thief last looked
	accepted [2]atomic.Uint64 // with each tag; written under mu
	_        [64]byte

	mu   sync.Mutex
	jobs deque.Deque[kid[T]]
}

// changedLocked makes len say how many there are.
func (k *kids[T]) changedLocked() { k.len.Store(int32(k.jobs.Len())) }

// openKids makes the local queues.
func (e *engine[T]) openKids() {
	if e.strategy != WorkStealing || e.routes {
		return
	}
	e.inherits = true
	e.kids = make([]kids[T], max(8, 4*runtime.GOMAXPROCS(0)))
	for i := range e.main.lanes {
		e.kids[i].index = i
		e.main.lanes[i].kids = &e.kids[i]
	}
}

// pushKids accepts a prefix of vs, children of the task that w runs, into w's local queue, and
// returns its length.
func (w *worker[T]) pushKids(vs []T) (n int) {
	e := w.e
	k := w.kids.Load()
	if k == nil || e.weights.Active() {
		return 0 // with weights there is one order for all, that of the main queue
	}
	k.mu.Lock()
	tag := e.main.queue.TagFor(int(w.tag.Load()))
	if !e.main.queue.IsClosed() {
		pos := k.accepted[0].Load() + k.accepted[1].Load()
		for n < len(vs) && k.jobs.Len() < maxKids {
			it := kid[T]{job: vs[n], tag: tag}
			if e.main.queue.Sampled(pos + uint64(n)) {
				it.at = max(1, e.now())
			}
			k.jobs.PushBack(it)
			n++
		}
		k.accepted[tag].Add(uint64(n))
		k.changedLocked()
	}
	k.mu.Unlock()
	if n > 0 && e.idle.Load().Concerns() {
		e.pushed()
	}
	return n
}

// claimChildren claims children, unless it is the main queue's turn.
func (w *worker[T]) claimChildren() bool {
	if int(w.children) < min(ringAfter, w.limit) && w.takeKids(false) {
		return true
	}
	w.children = 0
	w.looks++
	return w.looks%oldEvery == 0 && w.takeKids(true)
}

// takeKids takes children of w's queue in hand: the youngest, or the oldest one.
func (w *worker[T]) takeKids(oldest bool) bool {
	k := w.queueOfKids()
	return k != nil && w.takeFrom(k, oldest)
}

// queueOfKids returns w's queue. If w has none, and there are children, w becomes the owner of a
// free lane.
func (w *worker[T]) queueOfKids() *kids[T] {
	if w.lane == nil && w.e.kidsWaiting() > 0 {
		c := &w.e.main
		w.e.lock(&c.mu)
		w.enterLane()
		c.mu.Unlock()
	}
	return w.kids.Load()
}

// takeFrom is takeKids from the queue k.
func (w *worker[T]) takeFrom(k *kids[T], oldest bool) bool {
	if k.len.Load() == 0 {
		return false
	}
	limit := min(w.limit, kidsTake)
	if w.e.handleAll != nil {
		limit = min(w.e.batch, kidsTake)
	}
	c := &w.e.main
	w.e.lock(&c.mu) // against thieves of the batch
	defer c.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.e.flags.word.Load()&flagStop != 0 {
		return false
	}
	b, cs, limit := w.batchFor(c, limit)
	jobs, _ := b.Buffer(limit, false)
	b.Mark(nil)
	n, tag := 0, 0
	take, most := k.jobs.PopBack, limit
	if oldest {
		take, most = k.jobs.PopFront, 1
	}
	for n < most {
		it, ok := take()
		if ok && n > 0 && it.tag != tag {
			k.jobs.PushBack(it)
			break
		}
		if !ok {
			break
		}
		jobs[n], tag = it.job, it.tag
		if it.at != 0 {
			b.AddMark(queue.Stamped{Index: n, At: it.at})
		}
		n++
	}
	k.changedLocked()
	if n == 0 {
		return false
	}
	k.moves.Store(k.moves.Load() + 1)
	b.Fill(n, tag)
	w.hold(c, b, cs, nil)
	w.children += int32(n)
	return true
}

// stealKids takes children of another queue: half of them, or the oldest one if w has no queue,
// since all lanes may belong to workers whose tasks wait. With stuck it takes only from queues that
// have no owner, or whose owner has taken nothing since the last look.
func (w *worker[T]) stealKids(stuck bool) bool {
	e := w.e
	if e.kidsWaiting() == 0 {
		return false
	}
	own := w.queueOfKids()
	first := rand.IntN(len(e.kids))
	for i := range e.kids {
		k := &e.kids[(first+i)%len(e.kids)]
		if k == own || k.len.Load() == 0 || stuck && !k.idles() {
			continue
		}
		if own == nil {
			if w.takeFrom(k, true) {
				return true
			}
		} else if w.stealFrom(k, own) && w.takeKids(false) {
			w.e.wakeMore() // a look may have missed what was on its way
			return true
		}
	}
	return false
}

// idles reports whether the owner has taken nothing since the last call.
func (k *kids[T]) idles() bool {
	m := k.moves.Load()
	return k.seen.Swap(m) == m
}

// stealFrom moves the older half of the queue k to w's own queue.
func (w *worker[T]) stealFrom(k, own *kids[T]) bool {
	a, b := own, k
	if a.index > b.index {
		a, b = b, a
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.e.flags.word.Load()&flagStop != 0 {
		return false
	}
	n := min((k.jobs.Len()+1)/2, maxKids-own.jobs.Len())
	for range n {
		it, _ := k.jobs.PopFront()
		own.jobs.PushBack(it)
	}
	k.changedLocked()
	own.changedLocked()
	return n > 0
}

// eachKids calls f for every local queue, with its mutex held.
func (e *engine[T]) eachKids(f func(*kids[T])) {
	for i := range e.kids {
		k := &e.kids[i]
		k.mu.Lock()
		f(k)
		k.mu.Unlock()
	}
}

// kidsWaiting returns how many children wait in local queues.
func (e *engine[T]) kidsWaiting() (n uint64) {
	for i := range e.kids {
		n += uint64(e.kids[i].len.Load())
	}
	return n
}

// kidsWith returns how many children were ever accepted into local queues with the tag.
func (e *engine[T]) kidsWith(tag int) (n uint64) {
	for i := range e.kids {
		n += e.kids[i].accepted[tag].Load()
	}
	return n
}

func (e *engine[T]) kidsAccepted() uint64 {
	if e.kids == nil {
		return 0
	}
	return e.kidsWith(0) + e.kidsWith(1)
}
