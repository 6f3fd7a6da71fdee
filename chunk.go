package pool

import (
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
)

// Chunks: many tasks under one synchronisation.
//
// Tasks that are submitted together (SubmitBatch, a Batcher) go through the ring as one
// element, a slice that changes hands. A worker claims it with one compare-and-swap,
// as its hand (see keyed.go), and runs one task after the other. So the words
// that producers and workers share are touched once for a chunk, and a task costs its
// worker a compare-and-swap of the hand's cursor, which nobody else touches, unless others
// have nothing to do: then they take over half of what was not begun.
//
// The bound is counted in credit (see credit.go) from the first chunk on. A chunk takes its credit
// from the bank. When there is little, as when the queue is full and tasks are not tiny, small
// chunks would cost more than tasks one by one, and so tasks go one by one then.
//
// Acceptance. The ring's tail counts a chunk as one. What it has beyond that is counted under
// batching.mu, together with the push: who closes the ring, or begins an epoch of
// Wait, changes the tail and then takes that mutex once (fence), so all that was accepted
// by the old word is counted then.
//
// PerWorker does without, since there a task has to find its worker, and so do pools with
// weights, whose tasks are admitted one by one, and DropOldest, which drops them one by one; and
// handlers of batches that are larger than a chunk, or linger in the ring until they are full.
// A chunk that is met by weights, since the first heavy task came after it, is taken apart.
//
// Rejected: a chunk of slots, published by the first one. Each slot has its sequence
// word, so that half of what travels between the cores is not tasks, and to free it is a
// store that waits for its cache line.

const (
	// chunkSize is how many tasks are in a chunk at most.
	chunkSize = handSize
	minChunk  = 4 // see leastChunk
	// goodChunk is from how many on a chunk costs no more than tasks one by one.
	goodChunk = 32
	// maxBuffers is how many buffers of chunks are kept for reuse.
	maxBuffers = 64
)

// chunkAge is the age of a task of the chunk at pos, see ageOf.
func chunkAge(pos, index uint64) uint64 { return ageOf(pos) + ageStep - chunkSize + index }

// chunking is what the engine has for chunks.
type chunking[T any] struct {
	mu       sync.Mutex
	accepted uint64            // tasks in chunks, but one for each
	epoch    [ring.Tags]uint64 // of these, with each tag, and not collected

	_       [64]byte
	buffers [maxBuffers]atomic.Pointer[[chunkSize]T] // for reuse
}

// chunks reports whether tasks that are submitted together make chunks.
func (e *engine[T]) chunks() bool {
	switch c := e.ctl.Load(); {
	case c&ctlWeighs != 0:
		return false
	case c&ctlChunked != 0:
		return true
	case e.batch < minChunk || e.overflow == DropOldest || e.strategy == PerWorker:
		return false
	case e.handleAll != nil && (e.collects || e.batch > chunkSize):
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.countLocked()
	e.sorter.mu.Lock()
	e.openHandsLocked()
	e.sorter.mu.Unlock()
	e.ctl.Or(ctlChunked)
	return true
}

// leastChunk returns from how many tasks on that are submitted together they make a chunk. A
// handler gets a chunk as it is, but single tasks of many submissions as one batch.
func (e *engine[T]) leastChunk() int {
	if e.handleAll != nil {
		return min(e.batch, goodChunk)
	}
	return minChunk
}

// pushChunk pushes a prefix of vs as a chunk, as much as there is room for, and returns its
// length. late is as for pushAll.
//
// It takes no credit while there is no slot for it. To give it back is to tell those who wait that there is room, and
// a batcher that asks for room is one of them: it would be told by its own attempt, and try for ever.
func (e *engine[T]) pushChunk(vs []T, late bool) (int, ring.Status) {
	if r := e.ring(); !r.Room() || r.IsReserved() {
		return 0, ring.Full
	}
	e.moves.Add(moveBegins) // the credit is given back if there is no slot any more
	n := e.takeCredit(min(len(vs), chunkSize, e.batch))
	if n == 0 {
		e.moves.Add(moveEnds)
		return 0, ring.Full
	}
	c := &e.chunking
	buf := append(c.buffer(), vs[:n]...)
	c.mu.Lock()
	_, tag, s := e.ring().PushChunk(buf, late)
	if s == ring.OK {
		c.accepted += uint64(n - 1)
		c.epoch[tag] += uint64(n - 1)
	}
	c.mu.Unlock()
	if s != ring.OK {
		clear(buf)
		c.putBack(buf)
		e.bank.Add(int64(n))
		n = 0
	}
	e.moves.Add(moveEnds)
	if e.ctl.Load()&ctlRoom != 0 {
		e.roomMade() // credit was nowhere to be found while it was on its way
	}
	return n, s
}

// worthChunk reports whether there is credit for a chunk that costs less than so many tasks one by
// one.
func (e *engine[T]) worthChunk(n int) bool {
	want := int64(min(n, e.batch, goodChunk))
	return e.bank.Load() >= want || e.patience.wait(e.parallel.Load(), &e.bank, want)
}

// takeCredit takes up to n units of credit out of the bank.
func (e *engine[T]) takeCredit(n int) int {
	for {
		b := e.bank.Load()
		k := min(b, int64(n))
		if k <= 0 {
			return 0
		}
		if e.bank.CompareAndSwap(b, b-k) {
			return int(k)
		}
	}
}

// buffer returns an empty slice for a chunk.
func (c *chunking[T]) buffer() []T {
	for i := range c.buffers {
		if b := &c.buffers[i]; b.Load() != nil {
			if a := b.Swap(nil); a != nil {
				return a[:0]
			}
		}
	}
	return new([chunkSize]T)[:0]
}

// putBack keeps the slice of a chunk, all of whose tasks were taken, for reuse.
func (c *chunking[T]) putBack(s []T) {
	a := (*[chunkSize]T)(s[:chunkSize])
	for i := range c.buffers {
		if b := &c.buffers[i]; b.Load() == nil && b.CompareAndSwap(nil, a) {
			return
		}
	}
}

// claimChunk takes the chunk at the front of the ring in hand.
func (w *worker[T]) claimChunk() bool {
	w.giveUpKeys()
	var h *hand[T]
	if w.limit > 1 {
		h = w.largeHand()
	}
	if h == nil { // one task at a time, of the strand that it is made
		return w.claimSorted(w.limit)
	}
	jobs, pos, tag := w.e.ring().ClaimChunk()
	if jobs == nil {
		return false
	}
	h.load(w.e, jobs, pos, tag)
	w.takeBatch(&h.workerQueue)
	w.e.wakeMore()
	return true
}

// load makes the chunk the batch of h, of which nothing is left.
func (h *hand[T]) load(e *engine[T], jobs []T, pos, tag uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reset(len(jobs))
	if h.credit >= payment/2 {
		e.gatherFrom(&h.workerQueue)
	}
	h.fillLocked(e, jobs, pos, tag)
}

// fillLocked copies the chunk, so that its buffer is free at once. It also costs less: the buffer's
// lines come from another core, all of them at the same time while it is copied, and one after the
// other, each twice, if they are read and cleared with a compare-and-swap in between. h.mu is held.
func (h *hand[T]) fillLocked(e *engine[T], jobs []T, pos, tag uint64) {
	if h.chunk == nil {
		h.chunk = new([chunkSize]T)
	}
	h.jobs, h.jobsPos, h.jobsTag = h.chunk[:len(jobs)], pos, tag
	copy(h.jobs, jobs)
	clear(jobs)
	e.chunking.putBack(jobs)
}

// claimChunkLocked takes the chunk at the front of the ring into the draft or, if that is
// not for so many, makes a strand of it. sorter.mu is held.
func (w *worker[T]) claimChunkLocked(f *draft[T]) {
	d := &w.e.sorter
	jobs, pos, tag := w.e.ring().ClaimChunk()
	if jobs == nil {
		return
	}
	if f.h != nil && f.n == 0 && f.h == w.large.Load() {
		f.h.mu.Lock()
		f.h.fillLocked(w.e, jobs, pos, tag)
		f.h.mu.Unlock()
		f.n = len(jobs)
		f.limit = f.n
		return
	}
	seam.Yield() // nobody sees them
	s := d.newStrandLocked()
	for i, v := range jobs {
		s.jobs.PushBack(item[T]{v, markOf(chunkAge(pos, uint64(i)), tag, false) | markItems, 0})
	}
	clear(jobs)
	w.e.chunking.putBack(jobs)
	d.readyLocked(s)
}

// giveBackAllLocked hands back the tasks of a chunk.
func (e *engine[T]) giveBackAllLocked(vs []T) {
	e.bank.Add(int64(len(vs)))
	e.leftover = append(e.leftover, vs...)
	e.unrun += uint64(len(vs))
}

// fence returns when everything that was accepted before, by the ring's tail, is counted.
func (e *engine[T]) fence() {
	e.eachLocal(func(*local[T]) {})
	e.chunking.mu.Lock()
	defer e.chunking.mu.Unlock()
}

// collectUncounted returns how many tasks were accepted with the tag that the ring's tail did
// not count, and forgets that if told to.
func (e *engine[T]) collectUncounted(tag uint64, forget bool) (n uint64) {
	e.eachLocal(func(l *local[T]) {
		n += l.epoch[tag]
		if forget {
			l.epoch[tag] = 0
		}
	})
	c := &e.chunking
	c.mu.Lock()
	defer c.mu.Unlock()
	n += c.epoch[tag]
	if forget {
		c.epoch[tag] = 0
	}
	return n
}

// uncountedAccepted returns how many tasks were ever accepted that the ring's tail did not
// count.
func (e *engine[T]) uncountedAccepted() (n uint64) {
	e.eachLocal(func(l *local[T]) { n += l.accepted })
	e.chunking.mu.Lock()
	defer e.chunking.mu.Unlock()
	return n + e.chunking.accepted
}
