package pool

import "sync/atomic"

// Hands: batches of claimed tasks that others may take over. How keys go through them is
// told in keyed.go.

// hand is a batch of tasks that were claimed with their keys.
//
// There is a fixed number of large ones, a few for each core, which workers own while they
// are at work: those who look for something to take over have to look at all. A worker
// whose tasks are long, or which finds none free, takes one task at a time into a small
// one of its own.
type hand[T any] struct {
	owner atomic.Pointer[worker[T]] // of a large one
	seen  atomic.Uint64             // cursor, when somebody last looked whether it moves
	_     [64]byte
	workerQueue[T]
	chunk *[chunkSize]T // that jobs is part of
	_     [64]byte
}

// handSize is how many tasks a hand holds: as many as awaited has bits.
const handSize = 64

// openHandsLocked makes the large hands. e.mu is held too.
func (e *engine[T]) openHandsLocked() {
	if d := &e.sorter; d.hands == nil && !e.seated() {
		d.hands = make([]hand[T], e.lanes.Size())
	}
}

// close ends the filling of h, of which nothing is left.
func (h *hand[T]) close(e *engine[T]) {
	if h.cursor.Load()&(1<<16-1) == 0 && h.jobs == nil {
		return
	}
	h.mu.Lock()
	e.gatherFrom(&h.workerQueue)
	h.reset(0)
	h.jobs = nil
	h.mu.Unlock()
}

// hands returns the hands that w has, some of which may be nil.
func (w *worker[T]) hands() [2]*hand[T] { return [2]*hand[T]{w.large.Load(), w.small.Load()} }

// handFor returns a hand for up to limit tasks.
func (w *worker[T]) handFor(limit int) *hand[T] {
	if limit > 1 {
		if h := w.largeHand(); h != nil {
			if h.batch == nil {
				h.batch = make([]item[T], handSize)
			}
			return h
		}
	}
	h := w.small.Load()
	if h == nil {
		h = new(hand[T])
		h.batch = make([]item[T], 1)
		w.small.Store(h)
	}
	return h
}

// largeHand returns w's large hand, or nil if it has none and none is free.
func (w *worker[T]) largeHand() *hand[T] {
	if h := w.large.Load(); h != nil {
		return h
	}
	hs := w.e.sorter.hands
	for i := range hs {
		if h := &hs[(w.seed+i)%len(hs)]; h.owner.Load() == nil && h.owner.CompareAndSwap(nil, w) {
			w.large.Store(h)
			return h
		}
	}
	return nil
}

// takeUp goes on with a batch that was interrupted.
func (w *worker[T]) takeUp() bool {
	for _, h := range w.hands() {
		if h == nil || h.left() == 0 {
			continue
		}
		h.mu.Lock()
		left := h.left() > 0 && w.e.ctl.Load()&ctlStop == 0
		if left {
			w.takeBatch(&h.workerQueue)
		}
		h.mu.Unlock()
		if left {
			return true
		}
	}
	return false
}

// handsLeft reports whether there is something in a large hand that was not begun.
func (e *engine[T]) handsLeft() bool {
	if e.ctl.Load()&(ctlKeyed|ctlChunked) == 0 {
		return false
	}
	hs := e.sorter.hands
	for i := range hs {
		if hs[i].left() > 0 {
			return true
		}
	}
	return false
}

// stealHand takes over what another worker has in hand, or makes its keys ready. stuck:
// only of hands in which nothing has moved since somebody last looked.
func (w *worker[T]) stealHand(stuck bool) bool {
	e, d := w.e, &w.e.sorter
	if e.ctl.Load()&(ctlKeyed|ctlChunked) == 0 || e.handleAll != nil {
		return false
	}
	for i := range d.hands {
		h := &d.hands[(w.seed+1+i)%len(d.hands)]
		n := h.left()
		if n == 0 {
			continue
		}
		if c := h.cursor.Load(); stuck && h.seen.Swap(c) != c {
			continue
		}
		w.lockSorter()
		if e.ctl.Load()&ctlStop == 0 {
			h.mu.Lock()
			d.spillLocked(h, (n+1)/2)
			h.mu.Unlock()
		}
		d.mu.Unlock()
		return w.claimSorted(w.limit)
	}
	return false
}

// spillLocked puts the last n tasks of the batch of h back to the front of the strands of
// their keys, as far as they were not begun. h.mu is held too.
func (d *sorter[T]) spillLocked(h *hand[T], n int) {
	var cut [handSize]item[T]
	k := 0
	for ; k < n; k++ {
		it, ok := h.cut()
		if !ok {
			break
		}
		cut[k] = it
	}
	c := h.cursor.Load()
	filling, end := c>>16, int(c&255)
	for i := max(0, h.begun()-1); h.jobs == nil && i < end; i++ {
		if it := &h.batch[i]; it.keyed() {
			d.keys.Get(it.key).claim = filling<<8 | uint64(i)
		}
	}
	var plain *strand[T]
	for _, it := range cut[:k] { // from the last to the first
		if !it.keyed() {
			if plain == nil {
				plain = d.newStrandLocked()
			}
			plain.jobs.PushFront(it)
			continue
		}
		key := d.keys.Get(it.key)
		d.strandLocked(key, it.key).jobs.PushFront(it)
		if i := key.claim & 255; int(i) < end {
			h.awaited.Or(1 << i) // the owner has more of it
		}
	}
	if plain != nil {
		d.readyLocked(plain)
	}
	for _, it := range cut[:k] {
		if it.keyed() {
			if key := d.keys.Get(it.key); key.owner == &h.workerQueue && int(key.claim&255) >= end {
				key.owner, key.claim = nil, 0
				d.readyLocked(key.strand)
			}
		}
	}
	if begun := h.begun(); begun > 0 {
		d.releaseLocked(h, 1<<(begun-1)-1) // what was over before its bit was set
	}
	clear(cut[:k])
}

// emptyHandsLocked takes from w what it has in hand and has not begun. Its task may still
// run: then its key stays w's. e.mu is held.
func (w *worker[T]) emptyHandsLocked(running bool) {
	e, d := w.e, &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range w.hands() {
		if h == nil {
			continue
		}
		h.mu.Lock()
		if e.stopCause != nil {
			e.discardHandLocked(h)
		} else if h.left() > 0 {
			d.spillLocked(h, handSize)
		}
		e.gatherFrom(&h.workerQueue)
		h.mu.Unlock()
		if !running || w.has.Load() != &h.workerQueue {
			h.close(e)
			d.releaseLocked(h, ^uint64(0))
		}
	}
}

// leaveHandsLocked gives up what w has in hand when it parks or ends. e.mu is held.
func (w *worker[T]) leaveHandsLocked() {
	w.emptyHandsLocked(false)
	w.keysHeld = false
	if h := w.large.Load(); h != nil {
		w.large.Store(nil)
		h.owner.Store(nil)
	}
}

func (e *engine[T]) discardHandLocked(h *hand[T]) {
	for it, ok := h.cut(); ok; it, ok = h.cut() {
		e.giveBackLocked(markPos(it.mark), it.job)
	}
}

// eachHandLocked calls f for every hand, with its mutex held. e.mu is held, and sorter.mu
// if there are keys.
func (e *engine[T]) eachHandLocked(f func(*hand[T])) {
	do := func(h *hand[T]) {
		h.mu.Lock()
		f(h)
		h.mu.Unlock()
	}
	for i := range e.sorter.hands {
		do(&e.sorter.hands[i])
	}
	for _, w := range e.workers {
		if h := w.small.Load(); h != nil {
			do(h)
		}
	}
}
