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
// keys. The order is made where tasks are claimed. Tasks with a record are claimed
// under sorter.mu, in the order of the ring, and each is either
//
//	free      no other task with its key is claimed, runs or waits: it stays in
//	          its slot and is claimed like a plain one, or
//	deferred  it is moved out of the ring to the end of its key's strand.
//
// A strand is a key at work. It exists from the claim of a key's task until no
// task of the key is left, so a key that is idle costs nothing. strand.pending
// counts the task that is claimed or runs, if there is one, and the deferred ones.
// It goes up only under sorter.mu, and down when a task has ended. Who brings it
// to zero leaves the strand idle. An idle one stays in the table until maxIdle others
// are. Who does not
// owes it a runner: while tasks are short it goes on with the strand itself, else
// it makes the strand ready. Ready strands are claimed in turn with the ring, by
// any worker.
//
//	sorter:  append to strand.jobs;  pending+1, if that is 1, make it ready
//	runner:  pending-1; if that is not 0, take the first of strand.jobs
//
// Either the runner sees the deferred task, or the sorter sees that it has gone. A
// task behind its key's is passed by: a hot or slow key takes nobody's turn, only
// room in the buffer.
//
// The positions of deferred tasks are gaps in a claimed range; who comes to one
// finds the slot taken, and goes on.
//
// Rejected: a table that submissions look into (its lines would travel between
// producers and workers with every task), and buckets of keys instead of keys (a
// slow key would delay those that share its bucket).

// note is the record of a task with a key or a weight.
type note[T any] struct {
	keyed  bool
	key    uint64
	weight int64
	strand *strand[T] // of a free keyed task that was claimed
}

// strand is a key at work.
type strand[T any] struct {
	key     uint64
	pending atomic.Int64
	listed  atomic.Bool // in sorter.idle; changed under sorter.mu
	live    bool        // in sorter.keys; guarded by sorter.mu, as is
	seat    *seat[T]    // see perworker.go

	mu   sync.Mutex
	jobs deque.Deque[deferred[T]]
}

// deferred is a task that waits behind another one with its key.
type deferred[T any] struct {
	job      T
	pos, tag uint64
}

func (s *strand[T]) pop() (deferred[T], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs.PopFront()
}

// sorter is what claims share when tasks have keys or weights. Its mutex may be
// taken under e.mu, and a strand's under it.
type sorter[T any] struct {
	mu    sync.Mutex
	keys  keymap.Map[strand[T]]
	ready deque.Deque[*strand[T]]
	idle  deque.Deque[*strand[T]] // some of keys, among them all that are idle and no worker knows
	spare []*strand[T]
	// For those who look without the lock: how many strands are ready, and whether
	// the task at the front of the ring has to wait for capacity.
	turns   atomic.Int64
	blocked atomic.Bool
	admission
	seats seats[T]
}

const (
	maxIdle  = 1024 // idle strands that stay in the table, since their keys may come again
	maxSpare = 1024 // strands kept for reuse
)

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
	n := note[T]{keyed: true, key: key, weight: 1}
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
	e.ctl.Or(ctlSorted | ctlKeyed)
	return nil
}

// enterLocked makes the keyed task at pos free or defers it. It reports whether it
// is free.
func (d *sorter[T]) enterLocked(r *ring.Ring[T, note[T]], pos uint64) bool {
	n := r.Record(pos)
	s := d.keys.Get(n.key)
	if s == nil {
		s = d.newStrandLocked(n.key)
	}
	if s.pending.Load() == 0 {
		s.pending.Store(1)
		n.strand = s
		return true
	}
	v, tag, _ := r.Take(pos)
	s.mu.Lock()
	s.jobs.PushBack(deferred[T]{v, pos, tag})
	s.mu.Unlock()
	if s.pending.Add(1) == 1 {
		d.readyLocked(s)
	}
	return false
}

func (d *sorter[T]) newStrandLocked(key uint64) *strand[T] {
	var s *strand[T]
	if n := len(d.spare); n > 0 {
		s, d.spare = d.spare[n-1], d.spare[:n-1]
	} else {
		s = new(strand[T])
	}
	s.key, s.live = key, true
	d.keys.Put(key, s)
	return s
}

// listLocked lists a strand that was left idle, and forgets those that have been
// longest in the list and are idle. One that is not is taken off the list, and who
// leaves it idle sees that: it brings pending to zero and then looks at listed, here
// listed is cleared and then pending looked at.
func (d *sorter[T]) listLocked(s *strand[T]) {
	if s.live && !s.listed.Load() && s.pending.Load() == 0 {
		s.listed.Store(true)
		d.idle.PushBack(s)
	}
	for d.idle.Len() > maxIdle {
		d.forgetLocked()
	}
}

func (d *sorter[T]) forgetLocked() {
	s, _ := d.idle.PopFront()
	s.listed.Store(false)
	if s.pending.Load() != 0 {
		return
	}
	s.live, s.seat = false, nil
	d.keys.Delete(s.key)
	if len(d.spare) < maxSpare {
		d.spare = append(d.spare, s)
	}
}

// forgetAllLocked gives the memory of the table back, if no key is at work.
func (d *sorter[T]) forgetAllLocked() {
	for d.idle.Len() > 0 {
		d.forgetLocked()
	}
	if d.keys.Len() == 0 {
		d.spare = nil
	}
}

func (d *sorter[T]) readyLocked(s *strand[T]) {
	if s.seat != nil {
		d.readySeatLocked(s)
		return
	}
	d.ready.PushBack(s)
	d.turns.Add(1)
}

// ready makes s, which has deferred tasks and no runner, ready. When the pool stops
// that is of no use: the deferred tasks of all strands are handed back.
func (e *engine[T]) ready(s *strand[T]) {
	e.sorter.mu.Lock()
	if e.ctl.Load()&ctlStop == 0 {
		e.sorter.readyLocked(s)
	}
	awake := e.sorter.takeAwakeLocked()
	e.sorter.mu.Unlock()
	e.wakeSeats(awake)
}

// claimSorted is claim for a pool with keys or weights.
func (w *worker[T]) claimSorted(limit int) bool {
	d := &w.e.sorter
	w.lockSorter()
	w.tidyLocked()
	if w.e.ctl.Load()&ctlStop != 0 { // nothing may be deferred any more
		d.mu.Unlock()
		return false
	}
	if d.weighs {
		limit = 1
	}
	blocked := d.blocked.Swap(false)
	w.strandFirst = !w.strandFirst
	if w.strandFirst {
		w.claimStrandLocked()
	}
	var pos uint64
	n := 0
	if w.turn == nil {
		if pos, n = w.claimRingLocked(limit); n == 0 && !w.strandFirst {
			w.claimStrandLocked()
		}
	}
	found := w.turn != nil || n > 0
	if !found {
		d.releaseLocked(w)
	}
	d.mu.Unlock()
	w.e.deferred()
	switch {
	case w.turn != nil:
		found = w.beginTurn()
	case n > 0:
		w.hold(pos, n)
	}
	if blocked {
		w.e.wakeMore() // what w held before may be enough for another one
	}
	return found
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

// tidyLocked lists the strands that w left idle.
func (w *worker[T]) tidyLocked() {
	for i, s := range w.idle {
		w.e.sorter.listLocked(s)
		w.idle[i] = nil
	}
	w.idle = w.idle[:0]
}

func (w *worker[T]) claimStrandLocked() {
	d := &w.e.sorter
	if d.ready.Len() == 0 || !d.admitLocked(w, 1) {
		return
	}
	w.turn, _ = d.ready.PopFront()
	d.turns.Add(-1)
}

// claimRingLocked claims up to limit tasks that may run now.
func (w *worker[T]) claimRingLocked(limit int) (pos uint64, n int) {
	d, r := &w.e.sorter, w.e.ring()
	if len(d.again) > 0 {
		if !d.admitLocked(w, d.again[0].weight) {
			return 0, 0
		}
		pos, _ := d.popAgainLocked()
		return pos, 1
	}
	for {
		front, special, ok := r.Front()
		if !ok || !d.admitLocked(w, w.weightAt(r, front, special)) {
			return 0, 0
		}
		switch {
		case !special:
			// Workers that do not know yet that tasks have records may be claiming too.
			if pos, n = r.Claim(limit); n > 0 {
				return pos, n
			}
		case !r.Record(front).keyed:
			r.Skip(front, 1)
			return front, 1
		case w.e.seated():
			return 0, 0 // it has just come, and is to be distributed
		default:
			// Nobody else claims while the front is special.
			if pos, n = d.claimRangeLocked(r, front, limit); n > 0 {
				return pos, n
			}
		}
	}
}

// weightAt returns the weight of the task at front.
func (w *worker[T]) weightAt(r *ring.Ring[T, note[T]], front uint64, special bool) int64 {
	if special {
		return r.Record(front).weight
	}
	return 1
}

// claimRangeLocked claims a range of keyed and plain tasks, of which up to limit
// are free, and defers the others. It returns the range from the first free one.
func (d *sorter[T]) claimRangeLocked(r *ring.Ring[T, note[T]], front uint64, limit int) (pos uint64, n int) {
	seen, free := 0, 0
	for free < limit && seen < maxSeen {
		p := front + uint64(seen)
		special, ok := r.Look(p)
		if !ok || special && !r.Record(p).keyed {
			break
		}
		seen++
		if special && !d.enterLocked(r, p) {
			continue
		}
		if free++; free == 1 {
			pos = p
		}
	}
	r.Skip(front, seen)
	if free == 0 {
		return 0, 0
	}
	return pos, int(front + uint64(seen) - pos)
}

// leave is called when the job of w.strand has ended. It reports whether another
// one is pending, which then has no runner but w.
func (w *worker[T]) leave() (s *strand[T], more bool) {
	s, w.strand = w.strand, nil
	if s.pending.Add(-1) != 0 {
		return s, true
	}
	if !s.listed.Load() {
		w.idle = append(w.idle, s)
	}
	return s, false
}

// follow sees to what is deferred behind the job of w.strand, which came from
// a batch and has ended. It reports whether w is to run it next.
func (w *worker[T]) follow() bool {
	s, more := w.leave()
	if !more {
		return false
	}
	if w.limit > 1 {
		w.turn = s
		return true
	}
	w.e.ready(s)
	w.e.wakeMore()
	return false
}

// beginTurn takes the first job of the strand w.turn in hand.
func (w *worker[T]) beginTurn() bool {
	job, ok := w.turn.pop()
	if !ok {
		w.turn = nil // the pool has stopped
		return false
	}
	w.given, w.pos, w.end, w.tag = job.job, job.pos, job.pos, job.tag
	w.turns = 0
	w.mark.Store(markOf(w.pos, w.tag, true))
	return true
}

// runTurn runs the jobs of the strand w.turn, up to w.limit of them.
func (w *worker[T]) runTurn() {
	for {
		if w.strand != nil && !w.nextOfTurn() {
			return
		}
		w.strand = w.turn
		if !w.runGiven() {
			w.turn = nil
			return
		}
	}
}

// nextOfTurn is called when a job of the turn has ended. It takes the next one in
// hand, or ends the turn.
func (w *worker[T]) nextOfTurn() bool {
	turn := w.turn
	w.turn = nil
	if _, more := w.leave(); !more {
		return false
	}
	if w.turns++; w.turns >= w.limit || w.e.ctl.Load()&(ctlStop|ctlShed) != 0 {
		w.e.ready(turn)
		w.e.wakeMore()
		return false
	}
	job, ok := turn.pop()
	if !ok {
		return false
	}
	w.turn = turn
	w.tally(w.mark.Swap(markOf(job.pos, job.tag, true)), w.end)
	w.given, w.pos, w.end, w.tag = job.job, job.pos, job.pos, job.tag
	return true
}

// leaveSorter gives up what w has of the sorter, when it ends.
func (w *worker[T]) leaveSorter() {
	d := &w.e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.turn != nil && w.e.ctl.Load()&ctlStop == 0 {
		d.readyLocked(w.turn)
	}
	w.turn = nil
	w.tidyLocked()
	d.releaseLocked(w)
}

// discardStrandsLocked hands back what is deferred. e.mu is held.
func (e *engine[T]) discardStrandsLocked() {
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys.All(func(s *strand[T]) {
		for job, ok := s.pop(); ok; job, ok = s.pop() {
			e.giveBackLocked(job.pos, job.job)
		}
	})
	e.discardSeatsLocked()
	for pos, ok := d.popAgainLocked(); ok; pos, ok = d.popAgainLocked() {
		if v, _, ok := e.ring().Take(pos); ok {
			e.giveBackLocked(pos, v)
		}
	}
	for d.ready.Len() > 0 {
		d.ready.PopFront()
		d.turns.Add(-1)
	}
}

// behind adds to n how many tasks of each tag wait behind the running task of s.
func (s *strand[T]) behind(n *[ring.Tags]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.jobs.Len() {
		n[s.jobs.At(i).tag]++
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
