package pool

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/keymap"
	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
)

// Keyed tasks. Equal keys never overlap and start in the order of acceptance.
//
// A keyed task is accepted like any other, into the ring, with its key in the
// record beside its slot, so producers share nothing more than they do without
// keys. The order is made where tasks are claimed, under sorter.mu, in the order of
// the ring. What follows is about Shared, WorkStealing and Elastic; for PerWorker see
// perworker.go.
//
// A worker claims a batch of tasks into its hand and runs them one after the other. All
// tasks of a key that were claimed and have not ended are in one hand, the key's
// owner, in their order. So a task that is claimed goes
//
//	into the hand   if nobody owns its key, or the claimer itself does, from this batch
//	behind its key  else: into the key's strand, a queue of its own
//
// and a key costs one look into a table. Ownership ends by itself: a claim has the number
// of the filling of its hand, and the place in it, and is over when the owner's cursor
// is past that. A key that is not owned and has no strand is idle: the table
// forgets it when it needs the room.
//
// A key with a strand is given up when its task in hand is over: then the strand is made
// ready. Ready strands are claimed in turn with the ring, by any worker. Who puts a task
// into the strand of an owned key tells the owner to do so, in a word with a bit
// for each task of the batch:
//
//	claimer: set the bit in awaited;    then look how far the owner's cursor is
//	owner:   begin the next task;       then look for bits of what is over
//
// One of the two sees the other. The owner also looks when it has closed its hand: that
// is before each claim, and before it goes on with anything else.
//
// A hot or slow key takes nobody's turn, only room in the buffer. What is behind a slow
// task in a hand, with other keys, others take over: half of what was not begun goes
// back to the strands of its keys, to their front, and those of which the owner has
// none left are ready. Who is about to park sees to that, and who claims looks now
// and then for a hand in which nothing has moved.
//
// Rejected: an object for each key at work, with a count that the claimer and the
// runner change (half of the cost of a task was in it); tasks of a key that its own
// claimer puts behind each other, since a batch is in order anyway; a table that
// submissions look into (its lines would travel between producers and workers with
// every task), and buckets of keys instead of keys (a slow key would delay those that
// share its bucket).

// strand is the queue of a key whose earlier tasks are in a hand, or of tasks without a
// key that were taken out of one.
type strand[T any] struct {
	keyed bool
	key   uint64
	jobs  deque.Deque[item[T]]
}

// keyState is what the sorter knows of a key.
type keyState[T any] struct {
	owner  *workerQueue[T] // the hand, or seat, that has the key's tasks; nil: nobody
	claim  uint64          // in a hand: of the last one, see over; in a seat: how many, see perworker.go
	strand *strand[T]      // those behind it, or nil. Without an owner it is ready
}

func idleKey[T any](k *keyState[T]) bool {
	switch {
	case k.strand != nil:
		return false
	case k.owner == nil || k.owner.seat != nil:
		return k.claim == 0
	}
	return over(k.owner.cursor.Load(), k.claim)
}

const wholeBatch = 128

// over reports whether the task has ended that was claimed as the one with that index in a
// filling of a hand, filling<<8|index, when the hand's cursor is at c. With wholeBatch the tasks
// of the filling end together.
func over(c, claim uint64) bool { return c>>16 != claim>>8 || claim&255+1 < c>>8&255 }

// sorter is what claims share when tasks have keys or weights. Its mutex may be
// taken under e.mu, and a hand's, or a seat's, under it.
type sorter[T any] struct {
	mu    sync.Mutex
	keys  keymap.Map[keyState[T]]
	ready deque.Deque[*strand[T]]
	spare []*strand[T]
	hands []hand[T] // made with the first key
	// For those who look without the lock: how many strands are ready, and whether
	// the task at the front of the ring has to wait for capacity.
	turns   atomic.Int64
	blocked atomic.Bool
	admission
	seats seats[T]
}

const maxSpare = 1024 // strands kept for reuse

// submitKeyed is submit for a job with a key.
func (e *engine[T]) submitKeyed(ctx context.Context, key uint64, v T) error {
	if ctx == nil {
		return e.reject(errNilContext)
	}
	if err := ctx.Err(); err != nil {
		return e.reject(err)
	}
	if e.ctl.Load()&ctlKeyed == 0 {
		if err := e.useKeys(); err != nil {
			return e.reject(err)
		}
	}
	n := ring.Record{Kind: ring.Keyed, Bits: key}
	if e.ring().Push(v, &n, false) == ring.OK {
		seam.Yield()
		if e.needsLook(e.gate.Load()) {
			e.pushed()
		}
		return nil
	}
	return e.reject(e.submitSlow(ctx, v, &n))
}

// useKeys prepares the pool for keyed tasks.
func (e *engine[T]) useKeys() error {
	switch {
	case e.direct():
		return fmt.Errorf("pool: SubmitKeyed contradicts WithBuffer(0): a task behind another one with its key needs a place to wait")
	case e.overflow == DropOldest:
		return fmt.Errorf("pool: SubmitKeyed contradicts WithOverflow(DropOldest): the tasks of a key would be run with gaps")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.countLocked()
	d := &e.sorter
	d.mu.Lock()
	if e.ctl.Load()&ctlKeyed == 0 {
		d.keys = keymap.New(idleKey[T])
		e.openHandsLocked()
	}
	d.mu.Unlock()
	e.ctl.Or(ctlSorted | ctlKeyed)
	return nil
}

// draft is a batch that is being claimed, by the owner of the hand, under sorter.mu.
// Until it is done the hand is empty for all others.
type draft[T any] struct {
	h        *hand[T]
	limit, n int
	filling  uint64
	whole    uint64          // wholeBatch, or 0
	other    *workerQueue[T] // the last one whose cursor was looked at, which was
	cursor   uint64
}

// claim is the claim of the task with that index, see over.
func (f *draft[T]) claim(index int) uint64 { return f.filling<<8 | f.whole | uint64(index) }

// fits reports whether there is room for a task with the tag.
func (f *draft[T]) fits(tag uint64) bool {
	return f.n < f.limit && (f.n == 0 || markTag(f.h.batch[0].mark) == tag)
}

// ownLocked makes the hand the owner of a key for the next task in it, if the task need
// not wait.
func (f *draft[T]) ownLocked(k *keyState[T]) bool {
	q := &f.h.workerQueue
	if k.strand != nil || k.owner != nil && !(k.owner == q && k.claim>>8 == f.filling) && !f.overLocked(k) {
		return false
	}
	k.owner, k.claim = q, f.claim(f.n)
	return true
}

// overLocked reports whether a claim of another hand is over. If it is not, the owner
// will give the key up.
func (f *draft[T]) overLocked(k *keyState[T]) bool {
	h := k.owner
	if f.other != h {
		f.other, f.cursor = h, h.cursor.Load()
	}
	if over(f.cursor, k.claim) {
		return true
	}
	bit := uint64(1) << (k.claim & (handSize - 1))
	if h.awaited.Load()&bit == 0 {
		seam.Yield()
		h.awaited.Or(bit)
		f.cursor = h.cursor.Load()
	}
	return over(f.cursor, k.claim)
}

// behindLocked puts a task behind its key.
func (d *sorter[T]) behindLocked(k *keyState[T], it item[T]) {
	d.strandLocked(k, it.key).jobs.PushBack(it)
}

// strandLocked returns the strand of a key.
func (d *sorter[T]) strandLocked(k *keyState[T], key uint64) *strand[T] {
	if k.strand == nil {
		k.strand = d.newStrandLocked()
		k.strand.keyed, k.strand.key = true, key
	}
	return k.strand
}

func (d *sorter[T]) newStrandLocked() *strand[T] {
	n := len(d.spare)
	if n == 0 {
		return new(strand[T])
	}
	s := d.spare[n-1]
	d.spare = d.spare[:n-1]
	return s
}

func (d *sorter[T]) dropStrandLocked(s *strand[T]) {
	if s.keyed = false; len(d.spare) < maxSpare {
		d.spare = append(d.spare, s)
	}
}

// readyLocked makes a strand ready, unless a stop has emptied it.
func (d *sorter[T]) readyLocked(s *strand[T]) {
	switch {
	case s.jobs.Len() == 0:
		return
	case s.keyed:
		d.ready.PushBack(s)
	default:
		d.ready.PushFront(s)
	}
	d.turns.Add(1)
}

// releaseLocked gives the keys up of the tasks in the mask of h's batch that are over, if
// somebody waits for them.
func (d *sorter[T]) releaseLocked(h *hand[T], mask uint64) {
	if h.awaited.Load()&mask == 0 {
		return
	}
	mask &= h.awaited.And(^mask)
	c := h.cursor.Load()
	for ; mask != 0; mask &= mask - 1 {
		key := h.batch[bits.TrailingZeros64(mask)].key
		if k := d.keys.Get(key); k != nil && k.owner == &h.workerQueue && k.strand != nil && over(c, k.claim) {
			k.owner, k.claim = nil, 0
			d.readyLocked(k.strand)
		}
	}
}

// doneLocked closes w's hands, and gives up the keys of what it has run.
func (w *worker[T]) doneLocked() {
	for _, h := range w.hands() {
		if h != nil {
			h.close(w.e)
			w.e.sorter.releaseLocked(h, ^uint64(0))
		}
	}
	w.keysHeld = false
}

// giveUpKeys is doneLocked for a worker that goes on with something else.
func (w *worker[T]) giveUpKeys() {
	if !w.keysHeld {
		return
	}
	w.lockSorter()
	w.doneLocked()
	w.e.sorter.mu.Unlock()
	w.e.wakeMore()
}

// awaitedKeys is called by w, which has begun the task with that index of its batch in q and
// has seen that somebody waits for the key of an earlier one.
func (w *worker[T]) awaitedKeys(q *workerQueue[T], index uint64) {
	d := &w.e.sorter
	d.mu.Lock()
	for _, h := range w.hands() {
		if h != nil && &h.workerQueue == q {
			d.releaseLocked(h, 1<<index-1)
		}
	}
	if s := w.seat.Load(); s != nil {
		d.doneSeatLocked(s, 1)
	}
	awake := d.takeAwakeLocked()
	d.mu.Unlock()
	w.e.wakeSeats(awake)
	w.e.wakeMore()
}

// claimSorted is claim for a pool with keys or weights.
func (w *worker[T]) claimSorted(limit int) bool {
	e, d := w.e, &w.e.sorter
	w.lockSorter()
	w.doneLocked()
	if e.ctl.Load()&ctlStop != 0 { // nothing may be put behind its key any more
		d.mu.Unlock()
		return false
	}
	if d.weighs {
		limit = 1
	}
	var f draft[T]
	var pos uint64
	n := 0
	blocked := d.blocked.Swap(false)
	if d.hands != nil {
		f.h = w.handFor(limit)
		f.limit = min(limit, len(f.h.batch))
		f.filling = f.h.cursor.Load() >> 16
		if e.handleAll != nil {
			f.whole = wholeBatch
		}
	}
	// Tasks without a key that wait there were taken out of the ring before.
	if w.strandFirst = !w.strandFirst; w.strandFirst || d.ready.Len() > 0 && !(*d.ready.At(0)).keyed {
		d.claimStrandsLocked(w, &f)
	}
	pos, n = w.claimRingLocked(&f, limit)
	if n == 0 {
		d.claimStrandsLocked(w, &f)
	}
	if f.n == 0 && n == 0 {
		d.freeWeightLocked(w)
	}
	if f.n > 0 {
		f.h.cursor.Store(f.filling<<16 | uint64(f.n))
		w.takeBatch(&f.h.workerQueue)
		w.keysHeld = f.h.jobs == nil
	}
	ready := d.turns.Load() > 0
	d.mu.Unlock()
	e.deferred()
	if n > 0 {
		w.hold(pos, n)
	} else if f.n > 0 {
		e.lingers()
	}
	if blocked || f.n > 1 || ready {
		e.wakeMore() // others may help, or what w held before may be enough for another one
	}
	return f.n > 0 || n > 0
}

// lockSorter locks sorter.mu. While tasks are tiny it is not held for long, and to
// sleep costs more than to try again.
func (w *worker[T]) lockSorter() {
	mu := &w.e.sorter.mu
	if w.limit >= tinyTake && w.e.parallel.Load() {
		for range lockTries {
			if mu.TryLock() {
				return
			}
			pause(lockPause)
		}
	}
	mu.Lock()
}

// maxSeen is how many tasks are looked at in one claim.
const maxSeen = 64

const (
	lockTries = 20
	lockPause = 300
)

// claimStrandsLocked takes tasks of ready strands in hand.
func (d *sorter[T]) claimStrandsLocked(w *worker[T], f *draft[T]) {
	for f.h != nil && d.ready.Len() > 0 {
		s := *d.ready.At(0)
		if !f.fits(markTag(s.jobs.At(0).mark)) || !d.admitLocked(w, 1) {
			return
		}
		for s.jobs.Len() > 0 && f.fits(markTag(s.jobs.At(0).mark)) {
			f.h.batch[f.n], _ = s.jobs.PopFront()
			f.n++
		}
		if !s.keyed && s.jobs.Len() > 0 {
			continue // it stays ready
		}
		d.ready.PopFront()
		d.turns.Add(-1)
		if s.keyed {
			k := d.keys.Get(s.key)
			k.owner, k.claim = &f.h.workerQueue, f.claim(f.n-1)
			if s.jobs.Len() > 0 {
				f.h.awaited.Or(1 << (f.n - 1))
				continue
			}
			k.strand = nil
		}
		d.dropStrandLocked(s)
	}
}

// claimRingLocked claims tasks of the ring that may run now: up to limit plain ones, or
// one with a weight, whose position it returns, or keyed ones, into the hand.
func (w *worker[T]) claimRingLocked(f *draft[T], limit int) (pos uint64, n int) {
	d, r := &w.e.sorter, w.e.ring()
	if len(d.again) > 0 && f.n == 0 {
		if !d.admitLocked(w, d.again[0].weight) {
			return 0, 0
		}
		pos, _ := d.popAgainLocked()
		return pos, 1
	}
	if limit > 1 && !w.haveLane() {
		limit = 1
	}
	for {
		front, kind, ok := r.Front()
		if !ok || f.n > 0 && (kind != ring.Keyed || !f.fits(r.Tag(front))) {
			return 0, 0
		}
		weight := int64(1)
		if kind == ring.Weighted {
			weight = int64(r.Record(front))
		}
		if !d.admitLocked(w, weight) {
			return 0, 0
		}
		switch {
		case kind == ring.Plain:
			// Workers that do not know yet that tasks have records may be claiming too.
			if pos, n = r.Claim(limit); n > 0 {
				return pos, n
			}
		case kind == ring.Weighted:
			r.Skip(front, 1)
			return front, 1
		case kind == ring.Chunk:
			if w.claimChunkLocked(f); f.n > 0 {
				return 0, 0
			}
			d.claimStrandsLocked(w, f)
			return 0, 0
		case w.e.seated():
			return 0, 0 // it has just come, and is to be distributed
		default:
			// Nobody else claims while the front is special.
			if d.claimRangeLocked(f, r, front); f.n > 0 {
				return 0, 0
			}
		}
	}
}

// claimRangeLocked takes keyed and plain tasks in hand, and puts those behind their keys
// that have to wait. The one at front is keyed, and fits.
func (d *sorter[T]) claimRangeLocked(f *draft[T], r *ring.Ring[T], front uint64) {
	tag := r.Tag(front)
	n := r.Run(front, f.limit-f.n)
	r.Skip(front, n)
	first := f.n
	its := f.h.batch[first : first+n]
	for i := range its {
		pos := front + uint64(i)
		v, key, keyed := r.Move(pos)
		its[i] = item[T]{v, markOf(pos, tag, keyed), key}
	}
	r.Free(front, n)
	for i := range its {
		it := &its[i]
		if it.keyed() {
			if k := d.keys.At(it.key); !f.ownLocked(k) {
				d.behindLocked(k, *it)
				continue
			}
		}
		if to := &f.h.batch[f.n]; to != it {
			*to = *it
		}
		f.n++
	}
	clear(f.h.batch[f.n : first+n]) // what was put behind its key
}

// leaveSorter gives up what w has of the sorter, when it ends. e.mu is held.
func (w *worker[T]) leaveSorter() {
	w.leaveHandsLocked()
	d := &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := w.seat.Load(); s != nil {
		d.doneSeatLocked(s, 0)
	}
	w.payLocked()
	d.freeWeightLocked(w)
}

// discardStrandsLocked hands back what waits behind keys and in hands. e.mu is held.
func (e *engine[T]) discardStrandsLocked() {
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	discard := func(s *strand[T]) {
		for it, ok := s.jobs.PopFront(); ok; it, ok = s.jobs.PopFront() {
			e.giveBackLocked(markPos(it.mark), it.job)
		}
	}
	d.keys.All(func(k *keyState[T]) {
		if k.strand != nil {
			discard(k.strand)
		}
	})
	for d.ready.Len() > 0 {
		s, _ := d.ready.PopFront()
		discard(s)
		d.turns.Add(-1)
	}
	e.eachHandLocked(e.discardHandLocked)
	e.discardSeatsLocked()
	for pos, ok := d.popAgainLocked(); ok; pos, ok = d.popAgainLocked() {
		if v, _, ok := e.ring().Take(pos); ok {
			e.giveBackLocked(pos, v)
		}
	}
}

// behind returns a function that adds how many tasks of each tag wait behind the one with a
// key that w runs, whose mark was m when it called Wait, or nil if that has no key. e.mu is
// held.
func (w *worker[T]) behind(m uint64) func(*[ring.Tags]int64) {
	d := &w.e.sorter
	var keys []uint64
	if m == w.waitMark {
		keys = w.waitKeys
	} else if q := w.has.Load(); m&markItems != 0 && q != nil {
		q.mu.Lock()
		if last := q.begun(); q.jobs == nil && last <= len(q.batch) {
			first := max(0, last-1)
			if w.e.handleAll != nil {
				first = 0
			}
			for _, it := range q.batch[first:last] {
				if it.keyed() && !slices.Contains(keys, it.key) {
					keys = append(keys, it.key)
				}
			}
		}
		q.mu.Unlock()
	}
	if len(keys) == 0 {
		return nil
	}
	// It may lose its seat now, and call Wait again.
	w.waitKeys, w.waitMark = keys, w.mark.Load()
	return func(n *[ring.Tags]int64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, key := range keys {
			k := d.keys.Get(key)
			if k == nil || k.strand == nil {
				continue
			}
			for i := range k.strand.jobs.Len() {
				n[markTag(k.strand.jobs.At(i).mark)]++
			}
		}
	}
}

// trimLocked gives memory back, if no key is in use and no worker at work.
func (d *sorter[T]) trimLocked() {
	d.keys.Trim()
	d.spare = nil
	for i := range d.hands {
		d.hands[i].batch = nil
	}
}

// KeyOf returns a key for [Pool.SubmitKeyed] from any comparable value, without
// allocating. Equal values have equal keys. Different values have different keys,
// but for one pair in 2^64, whose tasks would not overlap either. The keys of a
// value differ from one run of the program to the next. It may be called by any
// goroutine.
//
// It backfires for a large value: it is hashed at every call. Use the part that
// identifies it.
func KeyOf[K comparable](key K) uint64 { return maphash.Comparable(keySeed, key) }

var keySeed = maphash.MakeSeed()
