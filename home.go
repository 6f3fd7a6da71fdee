package pool

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// PerWorker: jobs with keys wait in cells of their own, one for each worker.
//
// A key is hashed to a home, a cell with one lane. Only the owner of the lane claims from it, so
// the jobs of a home run one after the other, in the order of acceptance, and nothing else has to
// know of keys. A home belongs to a worker, which looks there first. Jobs without a key are in the
// main cell, as under Shared: they never wait while a worker is idle.
//
// New fixes the number of homes, so a key never moves; Resize changes only who serves them. A home
// whose worker has ended, or was never started, becomes an orphan when jobs come. Any worker serves
// an orphan, for one batch at a time, and the next worker that is started makes it its own.
//
// A goroutine that puts a job into a home then looks whether its worker is parked, and wakes it; a
// worker marks itself parked, and then looks at its home. A worker that has served a home looks at
// it again after it has released the lane. So one of the two always sees the other.

const (
	// maxHomes bounds the number of homes.
	maxHomes = 1 << 12
	// mainEvery is how often a worker looks at the main cell before its home, so that a stream of
	// jobs with keys does not starve those without.
	mainEvery = 8
)

// homes is all homes of a pool.
type homes[T any] struct {
	n       int
	all     []atomic.Pointer[home[T]] // made when they are first used
	made    atomic.Pointer[home[T]]   // the last one; next leads to the others; written under e.mu
	orphans atomic.Int64              // homes with jobs that nobody serves
	mu      sync.Mutex                // guards list; may be taken under e.mu
	list    []*home[T]
	free    int // below it all homes have a worker; guarded by e.mu
	taken   []bool

	reserving atomic.Int64 // calls of Reserve that wait, see reserve.go
}

// home is where the jobs of some keys wait.
type home[T any] struct {
	cell[T]
	index  int
	next   *home[T]                  // made before it
	worker atomic.Pointer[worker[T]] // whose home it is; written under e.mu
	orphan atomic.Bool               // it is in the list
}

// openHomes prepares a pool for keys.
func (e *engine[T]) openHomes() {
	if e.strategy != PerWorker || e.routes {
		return
	}
	h := &e.homes
	h.n = min(e.target, maxHomes)
	h.all = make([]atomic.Pointer[home[T]], h.n)
	h.taken = make([]bool, h.n)
}

// homeOf returns the home of a key.
func (e *engine[T]) homeOf(key uint64) *home[T] {
	hi, _ := bits.Mul64(key*0x9e3779b97f4a7c15, uint64(e.homes.n))
	if h := e.homes.all[hi].Load(); h != nil {
		return h
	}
	return e.makeHome(int(hi))
}

func (e *engine[T]) makeHome(i int) *home[T] {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.homes.all[i].Load(); h != nil {
		return h
	}
	h := &home[T]{index: i}
	h.init(e, 1, max(1, e.buffer/e.homes.n))
	h.home = h
	h.width.Store(1)
	h.splitsLike(&e.main)
	if e.closeErr != nil {
		h.queue.Close()
	}
	h.next = e.homes.made.Load()
	e.homes.made.Store(h)
	e.homes.all[i].Store(h)
	for _, w := range e.workers {
		if w.homeIndex == i+1 {
			w.home.Store(h)
			h.worker.Store(w)
		}
	}
	return h
}

// takeHomeLocked gives the new worker w a home: h, if it is not nil, or an orphan, or otherwise a
// free one. e.mu is held.
func (e *engine[T]) takeHomeLocked(w *worker[T], h *home[T]) {
	hs := &e.homes
	if hs.n == 0 {
		return
	}
	if h == nil {
		h = hs.first()
	}
	i := -1
	if h != nil && !hs.taken[h.index] {
		i = h.index
	} else {
		for hs.free < hs.n && hs.taken[hs.free] {
			hs.free++
		}
		if hs.free == hs.n {
			return
		}
		i = hs.free
	}
	hs.taken[i] = true
	w.homeIndex = i + 1
	if h := hs.all[i].Load(); h != nil {
		w.home.Store(h)
		h.worker.Store(w)
	}
}

// dropHomeLocked takes w's home away. e.mu is held.
func (w *worker[T]) dropHomeLocked() {
	if w.homeIndex == 0 {
		return
	}
	hs := &w.e.homes
	i := w.homeIndex - 1
	hs.taken[i] = false
	hs.free = min(hs.free, i)
	w.homeIndex = 0
	w.home.Store(nil)
	if h := hs.all[i].Load(); h != nil {
		h.worker.Store(nil)
		h.look()
	}
}

// ready reports whether the owner of its lane would find something in h.
func (h *home[T]) ready() bool {
	return h.lanes[0].Load().Left() > 0 || h.turns.Load() > 0 || h.queue.Ready()
}

// pushed makes sure that a worker takes a job that was just put into h.
func (h *home[T]) pushed() {
	if h.e.idle.Load().Stopped() {
		h.e.discard()
		return
	}
	w := h.worker.Load()
	switch {
	case w == nil:
		if h.e.startFor(h) {
			return
		}
		h.look()
		if h.orphan.Load() {
			h.e.wakeOne()
		}
	case w.parked.Load():
		h.e.wake(w)
	case h.e.idle.Load().Looks():
		h.e.lookAfter()
	}
}

// look makes h an orphan, if it has jobs and no worker serves it.
func (h *home[T]) look() {
	if h.worker.Load() != nil || h.lanes[0].Load().Owned() || !h.ready() || !h.orphan.CompareAndSwap(false, true) {
		return
	}
	hs := &h.e.homes
	hs.mu.Lock()
	hs.list = append(hs.list, h)
	hs.mu.Unlock()
	hs.orphans.Add(1)
}

// first returns the first orphan, or nil.
func (hs *homes[T]) first() *home[T] {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if len(hs.list) == 0 {
		return nil
	}
	return hs.list[0]
}

// pop takes an orphan off the list.
func (hs *homes[T]) pop() *home[T] {
	if hs.orphans.Load() == 0 {
		return nil
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if len(hs.list) == 0 {
		return nil
	}
	h := hs.list[0]
	hs.list[0] = nil
	hs.list = hs.list[1:]
	hs.orphans.Add(-1)
	h.orphan.Store(false)
	return h
}

// wake wakes w, if it is parked.
func (e *engine[T]) wake(w *worker[T]) {
	e.mu.Lock()
	parked := w.parked.Load() && w.Queued
	if parked {
		e.unparkLocked(w)
		e.idle.TakeOr()
	}
	e.mu.Unlock()
	if parked {
		w.wake <- struct{}{}
	} else {
		e.wakeMore() // it may have been dismissed, and its home be an orphan
	}
}

// startFor starts a worker for the home h, if the pool has fewer workers than places and h belongs
// to none.
func (e *engine[T]) startFor(h *home[T]) bool {
	if e.idle.Load().Idle() == 0 {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished || e.homes.taken[h.index] || e.unborn() == 0 || !e.idle.Take() {
		return false
	}
	e.newWorkerLocked(h).start()
	return true
}

// lendHomeLocked lets any worker serve the home of w, whose task is inside a wait, except for the
// batch that w has in hand. e.mu is held.
func (w *worker[T]) lendHomeLocked() {
	if h := w.home.Load(); h != nil {
		h.worker.Store(nil)
		h.look()
	}
}

// regainHomeLocked ends lendHomeLocked.
func (w *worker[T]) regainHomeLocked() {
	if h := w.home.Load(); h != nil {
		h.worker.Store(w)
	}
}

// claimHome claims jobs of w's home, or of an orphan.
func (w *worker[T]) claimHome() bool {
	if h := w.home.Load(); h != nil && w.serve(h) {
		return true
	}
	w.leaveHome()
	for h := w.e.homes.pop(); h != nil; h = w.e.homes.pop() {
		if o := h.worker.Load(); o != nil { // it has got a worker meanwhile
			if o.parked.Load() {
				w.e.wake(o)
			}
			continue
		}
		if w.serve(h) {
			return true
		}
		w.leaveHome()
		if h.orphan.Load() {
			break // its jobs wait for capacity
		}
	}
	return false
}

// serve claims jobs of h.
func (w *worker[T]) serve(h *home[T]) bool {
	if w.serves != h {
		w.leaveHome()
		if !h.ready() || !h.acquire() {
			return false
		}
		w.serves = h
	}
	if l := &h.lanes[0]; l.Load().Left() > 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		w.hold(&h.cell, &l.Batch, &l.Counters, nil)
		return true
	}
	return w.claimFrom(&h.cell)
}

// wakeHomes wakes a worker for each home that has jobs, after none were claimed for a while.
func (e *engine[T]) wakeHomes() {
	for h := e.homes.made.Load(); h != nil; h = h.next {
		if h.ready() {
			h.pushed()
		}
	}
}

func (h *home[T]) acquire() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lanes[0].Acquire()
}

// leaveHome releases the lane of the home that w serves.
func (w *worker[T]) leaveHome() {
	h := w.serves
	if h == nil {
		return
	}
	w.serves = nil
	if w.b == &h.lanes[0].Batch {
		w.b = &w.own
		w.cur.Store(w.b)
	}
	h.lanes[0].Release()
	if o := h.worker.Load(); o == nil {
		if h.look(); h.orphan.Load() {
			w.e.wakeOne()
		}
	} else if o != w && h.ready() && o.parked.Load() {
		w.e.wake(o)
	}
}

// eachCell calls f for each cell. More may come while e.mu is not held.
func (e *engine[T]) eachCell(f func(*cell[T])) {
	f(&e.main)
	for h := e.homes.made.Load(); h != nil; h = h.next {
		f(&h.cell)
	}
}
