package pool

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/keymap"
	"github.com/headrace-go/pool/internal/ring"
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
// and a key costs a look into a table, when its task is claimed, and another one when
// the worker comes back for the next batch and gives the keys up of the last one. Of
// a key that is given up the strand, if there is one, is made ready. Ready strands
// are claimed in turn with the ring, by any worker. A key without an owner and without
// a strand is idle: the table forgets it when it needs the room.
//
// A hot or slow key takes nobody's turn, only room in the buffer. What is behind a slow
// task in a hand, with other keys, others take over: half of what was not begun goes
// back to the strands of its keys, to their front, and those of which the owner has
// none left are ready. Who is about to park sees to that, and who claims looks now
// and then for a hand in which nothing has moved.
//
// A key is given up late, at the end of its batch. If somebody waits for it that is
// too late: the batch may go on with a slow task. So who puts a task into the strand of
// a key with an owner sets wanted, and gives the keys up itself that the owner has
// done with; and the owner looks at wanted whenever it has begun a task.
//
//	claimer: set wanted;                then look how far the owner is
//	owner:   begin the next task;       then look at wanted
//
// One of the two sees the other.
//
// Rejected: an object for each key at work, with a count that the claimer and the
// runner change (half of the cost of a task was in it); tasks of a key that its own
// claimer puts behind each other, since a batch is in order anyway; a table that
// submissions look into (its lines would travel between producers and workers with
// every task), and buckets of keys instead of keys (a slow key would delay those that
// share its bucket).

// note is the record of a task with a key or a weight.
type note struct {
	key    uint64
	weight int64 // 0: the task has a key
}

func (n *note) keyed() bool { return n.weight == 0 }

// strand is the queue of a key whose earlier tasks are in a hand, or of a task without a
// key that was taken out of one.
type strand[T any] struct {
	keyed bool
	key   uint64
	jobs  deque.Deque[item[T]]
}

// keyState is what the sorter knows of a key.
type keyState[T any] struct {
	owner  *hand[T]   // has the tasks that were claimed; nil under PerWorker
	strand *strand[T] // later ones, or nil. Without an owner it is ready
	seat   *seat[T]   // see perworker.go
	last   int32      // where in the owner's batch the last one is
	count  int32      // see perworker.go
}

func idleKey[T any](k *keyState[T]) bool { return k.owner == nil && k.strand == nil && k.count == 0 }

// hand is a batch of tasks that were claimed with their keys.
//
// There is a fixed number of large ones, a few for each core, which workers own while they
// are at work: those who look for something to take over have to look at all. A worker
// whose tasks are long, or which finds none free, takes one task at a time into a small
// one of its own.
type hand[T any] struct {
	owner    atomic.Pointer[worker[T]] // of a large one
	seen     atomic.Uint64             // cursor, when somebody last looked whether it moves
	released int                       // of the tasks before it the keys were given up; guarded by sorter.mu
	_        [64]byte
	workerQueue[T]
	_ [64]byte
}

// handSize is how many tasks a hand holds.
const handSize = 64

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
	n := note{key: key}
	if e.ring().Push(v, &n, false) == ring.OK {
		if e.needsLook(e.gate.Load()) {
			e.pushed()
		}
		return nil
	}
	return e.submitSlow(ctx, v, &n)
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
		if !e.seated() {
			d.hands = make([]hand[T], e.lanes.Size())
		}
	}
	d.mu.Unlock()
	e.ctl.Or(ctlSorted | ctlKeyed)
	return nil
}

// draft is a batch that is being claimed. sorter.mu and the hand's mutex are held.
type draft[T any] struct {
	h        *hand[T]
	limit, n int
}

// fits reports whether there is room for a task with the tag.
func (f *draft[T]) fits(tag uint64) bool {
	return f.n < f.limit && (f.n == 0 || markTag(f.h.batch[0].mark) == tag)
}

func (f *draft[T]) add(it item[T]) {
	f.h.batch[f.n] = it
	f.n++
}

// enterLocked takes the keyed task at pos of the ring into the hand, or puts it behind
// its key.
func (d *sorter[T]) enterLocked(f *draft[T], r *ring.Ring[T, note], pos uint64) {
	key := r.Record(pos).key
	k := d.keys.At(key)
	if h := k.owner; h != nil && h != f.h && !h.wanted.Load() {
		h.wanted.Store(true)
		d.releaseKeysLocked(h, h.begun()-1)
	}
	v, tag, _ := r.Take(pos)
	it := item[T]{v, markOf(pos, tag, true), key}
	if k.strand == nil && (k.owner == nil || k.owner == f.h) {
		k.owner, k.last = f.h, int32(f.n)
		f.add(it)
		return
	}
	d.strandLocked(k, key).jobs.PushBack(it)
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

// giveUpLocked makes a key one without an owner.
func (d *sorter[T]) giveUpLocked(k *keyState[T]) {
	if k.owner = nil; k.strand != nil {
		d.readyLocked(k.strand)
	}
}

func (d *sorter[T]) readyLocked(s *strand[T]) {
	d.ready.PushBack(s)
	d.turns.Add(1)
}

// releaseKeysLocked gives the keys up of the tasks before end in the batch of h, which
// have ended.
func (d *sorter[T]) releaseKeysLocked(h *hand[T], end int) {
	for ; h.released < end; h.released++ {
		it := &h.batch[h.released]
		if !it.keyed() {
			continue
		}
		if k := d.keys.Get(it.key); k != nil && k.owner == h && int(k.last) < end {
			d.giveUpLocked(k)
		}
	}
}

// doneLocked gives up the keys of what w has run.
func (w *worker[T]) doneLocked() {
	d := &w.e.sorter
	for _, h := range w.hands() {
		if h != nil {
			d.releaseKeysLocked(h, h.begun())
		}
	}
	w.doneSeatLocked()
	w.keysHeld = false
}

// hands returns the hands that w has, some of which may be nil.
func (w *worker[T]) hands() [2]*hand[T] { return [2]*hand[T]{w.large.Load(), w.small.Load()} }

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

// wantedKeys is called by w, which has begun a task of its batch in q and has seen that
// somebody waits for one of its keys.
func (w *worker[T]) wantedKeys(q *workerQueue[T]) {
	d := &w.e.sorter
	d.mu.Lock()
	q.wanted.Store(false)
	for _, h := range w.hands() {
		if h != nil && &h.workerQueue == q {
			d.releaseKeysLocked(h, h.begun()-1)
		}
	}
	w.doneSeatLocked()
	awake := d.takeAwakeLocked()
	d.mu.Unlock()
	w.e.wakeSeats(awake)
	w.e.wakeMore()
}

// claimSorted is claim for a pool with keys or weights.
func (w *worker[T]) claimSorted(limit int) bool {
	e, d := w.e, &w.e.sorter
	for _, h := range w.hands() {
		if h != nil && h.left() > 0 && w.takeUp(h) { // it was interrupted
			return true
		}
	}
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
		f = draft[T]{w.handFor(limit), min(limit, handSize), 0}
		if f.h == w.small.Load() {
			f.limit = 1
		}
		f.h.mu.Lock()
	}
	if w.strandFirst = !w.strandFirst; w.strandFirst {
		d.claimStrandsLocked(w, &f)
	}
	pos, n = w.claimRingLocked(&f, limit)
	if n == 0 {
		d.claimStrandsLocked(w, &f)
	}
	if f.n == 0 && n == 0 {
		d.releaseLocked(w)
	}
	if f.h != nil {
		if f.n > 0 {
			f.h.released = 0
			f.h.wanted.Store(false)
			f.h.reset(f.n)
			w.begin(&f.h.workerQueue)
			w.keysHeld = true
		}
		f.h.mu.Unlock()
	}
	d.mu.Unlock()
	e.deferred()
	if n > 0 {
		w.hold(pos, n)
	}
	if blocked || f.n > 1 {
		e.wakeMore() // others may help, or what w held before may be enough for another one
	}
	return f.n > 0 || n > 0
}

// handFor returns a hand for up to limit tasks.
func (w *worker[T]) handFor(limit int) *hand[T] {
	if limit > 1 {
		if h := w.large.Load(); h != nil {
			return h
		}
		hs := w.e.sorter.hands
		for i := range hs {
			if h := &hs[(w.seed+i)%len(hs)]; h.owner.Load() == nil && h.owner.CompareAndSwap(nil, w) {
				if h.batch == nil {
					h.batch = make([]item[T], handSize)
				}
				w.large.Store(h)
				return h
			}
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

// takeUp goes on with what is left in h.
func (w *worker[T]) takeUp(h *hand[T]) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left() == 0 || w.e.ctl.Load()&ctlStop != 0 {
		return false
	}
	w.begin(&h.workerQueue)
	return true
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
		d.ready.PopFront()
		d.turns.Add(-1)
		for s.jobs.Len() > 0 && f.fits(markTag(s.jobs.At(0).mark)) {
			it, _ := s.jobs.PopFront()
			if s.keyed {
				k := d.keys.Get(s.key)
				k.owner, k.last = f.h, int32(f.n)
			}
			f.add(it)
		}
		if s.jobs.Len() == 0 {
			if s.keyed {
				d.keys.Get(s.key).strand = nil
			}
			d.dropStrandLocked(s)
		}
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
		front, special, ok := r.Front()
		if !ok {
			return 0, 0
		}
		keyed := special && r.Record(front).keyed()
		if f.n > 0 && (!keyed || !f.fits(r.Tag(front))) || !d.admitLocked(w, w.weightAt(r, front, special)) {
			return 0, 0
		}
		switch {
		case !special:
			// Workers that do not know yet that tasks have records may be claiming too.
			if pos, n = r.Claim(limit); n > 0 {
				return pos, n
			}
		case !keyed:
			r.Skip(front, 1)
			return front, 1
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

// weightAt returns the weight of the task at front.
func (w *worker[T]) weightAt(r *ring.Ring[T, note], front uint64, special bool) int64 {
	if special {
		return max(1, r.Record(front).weight)
	}
	return 1
}

// claimRangeLocked takes keyed and plain tasks in hand, and puts those behind their keys
// that have to wait.
func (d *sorter[T]) claimRangeLocked(f *draft[T], r *ring.Ring[T, note], front uint64) {
	seen := 0
	for seen < maxSeen {
		p := front + uint64(seen)
		special, ok := r.Look(p)
		if !ok || special && !r.Record(p).keyed() || !f.fits(r.Tag(p)) {
			break
		}
		seen++
		if special {
			d.enterLocked(f, r, p)
			continue
		}
		v, tag, _ := r.Take(p)
		f.add(item[T]{v, markOf(p, tag, false), 0})
	}
	r.Skip(front, seen)
}

// handsLeft reports whether there is something in a large hand that was not begun.
func (e *engine[T]) handsLeft() bool {
	if e.ctl.Load()&ctlKeyed == 0 {
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
	if e.ctl.Load()&ctlKeyed == 0 {
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
	end := int(h.cursor.Load() & 255)
	begun := max(0, h.begun()-1)
	for i := begun; i < end; i++ {
		if it := &h.batch[i]; it.keyed() {
			d.keys.Get(it.key).last = int32(i)
		}
	}
	for _, it := range cut[:k] { // from the last to the first
		s := (*strand[T])(nil)
		if it.keyed() {
			s = d.strandLocked(d.keys.Get(it.key), it.key)
		} else {
			s = d.newStrandLocked()
		}
		if s.jobs.PushFront(it); !s.keyed {
			d.readyLocked(s)
		}
	}
	h.wanted.Store(true)
	d.releaseKeysLocked(h, h.begun()-1)
	for _, it := range cut[:k] {
		if !it.keyed() {
			continue
		}
		if k := d.keys.Get(it.key); k.owner == h && int(k.last) >= end {
			d.giveUpLocked(k)
		}
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
		end := h.begun()
		if running && w.has.Load() == &h.workerQueue {
			end--
		}
		d.releaseKeysLocked(h, end)
		h.mu.Unlock()
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

// leaveSorter gives up what w has of the sorter, when it ends. e.mu is held.
func (w *worker[T]) leaveSorter() {
	w.leaveHandsLocked()
	d := &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	w.doneLocked()
	d.releaseLocked(w)
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

// behind returns a function that adds how many tasks of each tag wait behind the one with a
// key that w runs. It returns nil if that has no key. e.mu is held.
func (w *worker[T]) behind(m uint64) func(*[ring.Tags]int64) {
	d := &w.e.sorter
	q := w.has.Load()
	if m&markItems == 0 || q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	i := max(1, q.begun()) - 1
	if i >= len(q.batch) || !q.batch[i].keyed() {
		return nil
	}
	key := q.batch[i].key
	return func(n *[ring.Tags]int64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		k := d.keys.Get(key)
		if k == nil || k.strand == nil {
			return
		}
		for i := range k.strand.jobs.Len() {
			n[markTag(k.strand.jobs.At(i).mark)]++
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
