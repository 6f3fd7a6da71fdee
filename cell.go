package pool

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/strand"
)

// cell is where accepted jobs wait: a queue, the batches that workers have claimed from it and not
// started, which others may take over, and the submitters that wait for room in it.
//
// Submitting takes no lock. Claiming takes mu, the claim lock: it makes the order of keys, and it
// keeps a batch from being filled while a thief copies from it. A claim takes as many jobs as a
// worker runs in a few microseconds, so it takes the lock once for all of them.
//
// A job is counted three times: the queue's tail counts it when it is accepted; the word of its
// batch, or singles, counts it when it starts and when it ends. So the number of unfinished jobs is
// one subtraction, wherever they are.
type cell[T any] struct {
	e      *engine[T]
	home   *home[T] // whose cell it is, nil for the main one
	queue  queue.Queue[T]
	buffer int          // how many may wait
	width  atomic.Int64 // how many may run
	lanes  []lane[T]
	room   room[T]

	mu          sync.Mutex
	special     atomic.Bool      // there have been jobs with keys or weights
	keyed       atomic.Bool      // there is keys
	keys        *strand.Table[T] // nil until there was a key
	fair        *fair.Table[T]   // nil, or see fair.go
	granted     fair.Grant[T]    // what was just claimed from it
	timer       fairTimer
	again       deque.Deque[returned[T]]
	turns       atomic.Int32 // claims besides those from the queue; written under mu
	strandFirst bool         // ready strands and the queue take turns

	_       [64]byte
	singles batch.Counters // of the workers' own batches, and of jobs that never ran
	past    [2]uint64      // accepted with each tag, in past epochs; guarded by e.mu, see wait.go
	since   uint64         // accepted when the current epoch began; as past
}

// lane is a batch of several jobs. A worker owns it while it is at work.
type lane[T any] struct {
	batch.Batch[T]
	_ [16]byte
	batch.Counters
	kids  *kids[T]      // see steal.go
	grant fair.Grant[T] // of the batch, see fair.go
	_     [56]byte
}

// returned is a job that was claimed and put back. It is the next to be claimed.
type returned[T any] struct {
	job  T
	attr queue.Attr
	tag  int
}

// init prepares a cell with lanes lanes.
func (c *cell[T]) init(e *engine[T], lanes, buffer int) {
	c.e, c.buffer = e, buffer
	c.queue.Init(smallQueue)
	e.openSamples(&c.queue)
	c.lanes = make([]lane[T], lanes)
}

// smallQueue is how many slots a queue has at rest.
const smallQueue = 16

// ended returns how many of the cell's jobs have ended, modulo batch.CountMask+1.
func (c *cell[T]) ended() uint64 {
	n := c.singles.Done(0) + c.singles.Done(1)
	for i := range c.lanes {
		n += c.lanes[i].Load().Ended()
	}
	return n
}

// unfinished returns how many of the cell's jobs were accepted and have not ended.
func (c *cell[T]) unfinished() uint64 {
	ended := c.ended()
	return (c.queue.Accepted() + c.e.kidsAccepted() - ended) & batch.CountMask
}

// bound returns the position of the queue up to which jobs may be accepted: a submission is
// rejected when all workers are busy and as many jobs wait as there may.
func (c *cell[T]) bound() uint64 {
	waiting := c.e.kidsWaiting() // they have a bound of their own
	ended := c.ended()
	pos := c.queue.Accepted()
	unfinished := (pos + c.e.kidsAccepted() - ended) & batch.CountMask
	room := int64(c.buffer) - int64(unfinished-waiting)
	if w := c.width.Load(); room > math.MaxInt64-w {
		room = math.MaxInt64
	} else {
		room += w
	}
	if room <= 0 {
		return pos
	}
	return min(pos+uint64(room), queue.MaxPos)
}

// raise lets submissions into the queue, if there is room. It reports whether there is.
func (c *cell[T]) raise() bool {
	bound := c.bound()
	return bound > c.queue.Accepted() && c.queue.Raise(bound, false)
}

// hasRoom reports whether there is room.
func (c *cell[T]) hasRoom() bool { return c.bound() > c.queue.Accepted()+uint64(c.queue.Reserved()) }

// disposed counts jobs that will never run.
func (c *cell[T]) disposed(tag, n int) { c.singles.Add(tag, uint64(n)) }

// take fills the batch b with up to limit jobs that may run now, and returns how many. The caller
// owns b, which is empty. mu is held.
func (c *cell[T]) take(b *batch.Batch[T], limit int) (n int) {
	special := c.special.Load()
	jobs, attrs := b.Buffer(limit, special)
	b.Mark(nil)
	tag := 0
	switch {
	case c.again.Len() > 0:
		a, _ := c.again.PopFront()
		if a.attr != (queue.Attr{}) {
			jobs, attrs = b.Buffer(limit, true)
			attrs[0] = a.attr
		} else if attrs != nil {
			attrs[0] = queue.Attr{}
		}
		jobs[0], tag, n = a.job, a.tag, 1
	case c.fair != nil:
		n, tag = c.takeFair(jobs, attrs)
	case c.keys == nil:
		n, tag = c.pop(jobs, attrs)
		b.Mark(c.queue.Stamps())
	default:
		n, tag = c.takeKeyed(b, jobs, attrs)
	}
	if special || c.turns.Load() > 0 {
		c.turnsLocked()
	}
	if n == 0 {
		return 0
	}
	b.Fill(n, tag)
	return n
}

// takeKeyed takes jobs of ready strands or, in turn with these, of the queue.
func (c *cell[T]) takeKeyed(b *batch.Batch[T], jobs []T, attrs []queue.Attr) (n, tag int) {
	if c.strandFirst = !c.strandFirst; c.strandFirst {
		n, tag = c.keys.Take(b, jobs, attrs)
	}
	for n == 0 {
		k := 0
		if k, tag = c.pop(jobs, attrs); k == 0 {
			break
		}
		n = c.keys.Sort(b, jobs, attrs, k, tag)
	}
	if n == 0 {
		n, tag = c.keys.Take(b, jobs, attrs)
	}
	return n, tag
}

// pop takes jobs out of the queue, with their stamps in attrs, if that is not nil. mu is held.
func (c *cell[T]) pop(jobs []T, attrs []queue.Attr) (n, tag int) {
	n, tag = c.queue.Pop(jobs, attrs)
	if attrs != nil {
		for _, s := range c.queue.Stamps() {
			attrs[s.Index].At = s.At
		}
	}
	return n, tag
}

// turnsLocked makes turns say what there is. mu is held.
func (c *cell[T]) turnsLocked() {
	n := c.again.Len()
	if c.keys != nil && c.keys.Ready() {
		n++
	}
	if c.fair != nil {
		if c.fair.Ready() {
			n++
		}
		c.setTimerLocked()
	}
	if t := int32(n); t != c.turns.Load() {
		c.turns.Store(t)
	}
}

// steal takes in hand of the worker w jobs that were claimed and not started, and reports whether
// there were any. With stuck it takes only from lanes that have no owner, or where nothing has
// moved since the last look.
func (c *cell[T]) steal(w *worker[T], stuck bool) bool {
	for i := range c.lanes {
		l := &c.lanes[(w.seed+i)%len(c.lanes)]
		if l == w.lane || l.Load().Left() == 0 || stuck && !l.Stuck() || c.e.handleAll != nil && l.Load().Owned() {
			continue
		}
		if w.grant.Held() {
			w.settleFair()
		}
		c.e.lock(&c.mu)
		n := c.stealFrom(w, l)
		c.mu.Unlock()
		if n > 0 {
			return true
		}
	}
	return false
}

// stealFrom is steal from one lane. mu is held.
func (c *cell[T]) stealFrom(w *worker[T], l *lane[T]) int {
	if a := l.Next(); c.e.flags.word.Load()&flagStop != 0 || c.e.weights.waiting.Load() || a != nil && a.Weight > 1 && l.Load().Owned() || l.grant.Alone() {
		return 0
	}
	if w.lane == nil && l.Acquire() { // it had no owner
		w.lane = l
		w.kids.Store(l.kids)
		if n := l.Load().Left(); n > 0 {
			w.hold(c, &l.Batch, &l.Counters, l)
			return n
		}
		return 0
	}
	b, cs, limit := w.batchFor(c, c.e.batch)
	n := l.Steal(b, limit)
	tag := l.Tag()
	jobs, attrs := b.Buffer(n, c.special.Load())
	if n > 0 && attrs != nil { // what was claimed before there was any has its stamps apart
		marks, _ := b.Marks()
		for _, m := range marks {
			attrs[m.Index].At = m.At
		}
	}
	if n > 0 && attrs != nil && c.keys != nil {
		n = c.keys.Adopt(&l.Batch, b, jobs, attrs, n, tag)
		c.turnsLocked()
	}
	if n > 0 {
		b.Fill(n, tag)
		w.hold(c, b, cs, l)
	}
	return n
}

// spread reports whether a lane other than but has a job that was claimed and not started.
func (c *cell[T]) spread(but *lane[T]) bool {
	for i := range c.lanes {
		if l := &c.lanes[i]; l != but && l.Load().Left() > 0 {
			return true
		}
	}
	return false
}

// ready reports whether a worker would find something to claim, or to take over from a lane other
// than but.
func (c *cell[T]) ready(but *lane[T]) bool {
	return c.turns.Load() > 0 || c.queue.Ready() && c.e.ripe() && c.admits() || c.spread(but)
}

// putBack puts what is left of the batch in hand where the next claim finds it.
func (w *worker[T]) putBack() {
	c, b := w.cell, w.b
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emptyLocked(b, func(job T, a queue.Attr, tag int) {
		if w.grant.Held() && !w.grant.Mixed() {
			c.fair.Return(&w.grant, job, tag, a.At)
		} else if a.Keyed && c.keys != nil {
			c.keys.Return(b, strand.Item[T]{Job: job, Key: a.Key, Tag: tag, At: a.At})
		} else {
			c.again.PushFront(returned[T]{job, a, tag})
		}
	})
	c.turnsLocked()
}

// emptyLocked takes everything that is left out of the batch b, the youngest first. mu is held.
func (c *cell[T]) emptyLocked(b *batch.Batch[T], give func(T, queue.Attr, int)) {
	var to batch.Batch[T]
	for n := b.Steal(&to, 1); n > 0; n = b.Steal(&to, 1) {
		jobs, attrs := to.Buffer(1, c.special.Load())
		a := queue.Attr{}
		if attrs != nil {
			a = attrs[0]
		}
		if m, _ := to.Marks(); len(m) > 0 {
			a.At = m[0].At
		}
		give(jobs[0], a, b.Tag())
	}
}

// oldest takes out the oldest job that waits in the queue, or otherwise one that was claimed and
// not started.
func (c *cell[T]) oldest() (job T, tag int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.again.PopFront(); ok {
		c.turnsLocked()
		return a.job, a.tag, true
	}
	if c.fair != nil {
		c.pour()
		job, tag, ok = c.fair.Oldest()
		if c.turnsLocked(); ok {
			return job, tag, ok
		}
	}
	var jobs [1]T
	var attrs [1]queue.Attr
	if n, tag := c.queue.Pop(jobs[:], attrs[:]); n > 0 {
		return jobs[0], tag, true
	}
	var to batch.Batch[T]
	for i := range c.lanes {
		l := &c.lanes[i]
		if l.Steal(&to, 1) > 0 {
			jobs, _ := to.Buffer(1, true)
			return jobs[0], l.Tag(), true
		}
	}
	return job, 0, false
}

// drain hands back everything that waits. e.mu is held.
func (c *cell[T]) drain(give func(job T, tag int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	each := func(job T, _ queue.Attr, tag int) { give(job, tag) }
	for a, ok := c.again.PopFront(); ok; a, ok = c.again.PopFront() {
		give(a.job, a.tag)
	}
	for i := range c.lanes {
		var all []returned[T]
		c.emptyLocked(&c.lanes[i].Batch, func(job T, a queue.Attr, tag int) { all = append(all, returned[T]{job, a, tag}) })
		for j := len(all) - 1; j >= 0; j-- {
			give(all[j].job, all[j].tag)
		}
	}
	if c.keys != nil {
		c.keys.Drain(func(it strand.Item[T]) { give(it.Job, it.Tag) })
	}
	if c.fair != nil {
		c.fair.Drain(give)
		c.fair.Look(c.e.now())
	}
	var jobs [64]T
	var attrs [64]queue.Attr
	for n, tag := c.queue.Pop(jobs[:], attrs[:]); n > 0; n, tag = c.queue.Pop(jobs[:], attrs[:]) {
		for _, job := range jobs[:n] {
			each(job, queue.Attr{}, tag)
		}
		clear(jobs[:n])
	}
	c.turnsLocked()
}
