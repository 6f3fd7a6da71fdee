package pool

import (
	"cmp"
	"slices"

	"github.com/headrace-go/pool/internal/ring"
)

// PerWorker: a queue for each worker.
//
// Tasks are accepted into the ring, as under every strategy, so that acceptance,
// its bound, its order with Close and what Wait waits for are one mechanism. From
// there they are distributed, in order and under sorter.mu, to seats. A seat is a
// queue with at most one worker, which runs its tasks one after the other; a
// worker keeps its seat until it ends, or waits inside a task. A key belongs to a
// seat from its first task until none is left, and then to the seat that its hash selects. A task without a key goes
// to the first seat that rests, or to the less loaded of two random ones (Y. Lu et
// al., "Join-Idle-Queue", Performance Evaluation 68(11), 2011; M. Mitzenmacher, "The
// Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001). The
// first that rests, and not any, so that few workers are used for little work.
//
// Whoever comes by distributes: a worker whose seat is empty, and a submitter when
// places are idle and nobody searches. It appends to the seat and then looks
// whether that rests; a worker lets its seat rest and then looks whether there is
// something in it. So one of the two sees the other, and wakes, or goes on.
//
// Keys. The table of keys (keyed.go) says how many tasks of a key are in its seat or run there,
// and which seat that is. They may be several: one worker runs them, in order. A task that
// ends is counted late, when its worker comes to the sorter for something else: its key is noted in
// the seat (done) until then. A task goes behind its key, into a strand, when there is
// no seat for it: its seat is closed, or a task of the key has left its seat, being
// inside a Wait. It gets a seat when the last task of the key is counted, and who puts it there
// asks the seat's worker to do so soon (awaited). Who leaves a seat counts what is noted there, and
// pays for the task that it takes along when that has ended (owes).
//
// A worker takes its tasks a few at a time (workerqueue.go), the more the shorter they
// are, and several tiny ones go to a seat at a time. Once a worker's tasks are tiny,
// below about 80 ns, and its seat is empty, it claims straight from the ring, as
// under Shared, and idle workers take over what it has claimed (takeTiny): the way
// through a seat would cost four times what it costs to claim.
//
// After a grow, tasks without a key that wait are distributed anew.
//
// A seat that loses its worker with tasks in it (the pool shrinks, or the worker
// waits inside a task) gets another one if there is a place; a seat that is no
// more gives its tasks to those that are, in order. Nothing of it runs then, so
// the order of a key is kept.
//
// With weights there is one order for all, that of the ring, so tasks without a
// key stay there and are taken one at a time by whoever is free.
//
// Rejected: a ring for each worker that submitters choose between (two cache
// misses for each submission, and a bound on all of them together is not exact),
// and seats without workers of their own (a key's worker would change with every
// idle moment, and its caches and state with it).

// seated reports whether workers have seats.
func (e *engine[T]) seated() bool { return e.strategy == PerWorker && !e.direct() }

// distributed is how many keyed tasks are distributed at a time.
const distributed = 64

const (
	seatChunk = 64
	seatBits  = 32 // of an index in seats.idle
)

// keySeatLocked returns the seat of a key that is not at work.
func (d *sorter[T]) keySeatLocked(key uint64) *seat[T] {
	key *= 0x9e3779b97f4a7c15
	return d.seats.atLocked(int(key >> 32 * uint64(d.seats.open.Load()) >> 32))
}

// anySeatLocked returns a seat that rests, or the less loaded of two.
func (d *sorter[T]) anySeatLocked() (s *seat[T], rests bool) {
	open := d.seats.open.Load()
	idle := d.seats.idle.Load()
	i := int64(idle & (1<<seatBits - 1))
	for ; i < open; i++ {
		if t := d.seats.atLocked(int(i)); t.waiting() == 0 && t.resting.Load() { // in this order, see fill
			s = t
			break
		}
	}
	// None before i, and not the one at i from now on, unless one begins to rest.
	d.seats.idle.CompareAndSwap(idle, idle>>seatBits<<seatBits|uint64(min(i+1, open)))
	if s != nil {
		return s, true
	}
	x := &d.seats.rnd // xorshift64 (G. Marsaglia, 2003)
	if *x == 0 {
		*x = 88172645463325252
	}
	*x ^= *x << 13
	*x ^= *x >> 7
	*x ^= *x << 17
	n := uint64(open)
	k := *x >> 32 * n >> 32
	a := d.seats.atLocked(int(k))
	if n > 1 {
		j := *x & (1<<32 - 1) * (n - 1) >> 32
		if j >= k {
			j++
		}
		if b := d.seats.atLocked(int(j)); b.load() < a.load() {
			return b, false
		}
	}
	return a, false
}

// giveLocked puts tasks into a seat.
func (d *sorter[T]) giveLocked(s *seat[T], its ...item[T]) {
	s.push(its...)
	if s.resting.Load() {
		d.seats.awake = append(d.seats.awake, s)
	}
}

// redistributeLocked gives the tasks without a key that wait in seats to others,
// after seats were added.
func (d *sorter[T]) redistributeLocked() {
	var all []item[T]
	d.seats.eachLocked(func(s *seat[T]) {
		s.mu.Lock()
		for range s.items.Len() {
			it, _ := s.items.PopFront()
			if it.keyed() {
				s.items.PushBack(it)
				continue
			}
			s.count.Add(-1)
			all = append(all, it)
		}
		s.mu.Unlock()
	})
	slices.SortFunc(all, func(a, b item[T]) int { return cmp.Compare(a.mark, b.mark) })
	for _, it := range all {
		s, _ := d.anySeatLocked()
		d.giveLocked(s, it)
	}
}

// distributeLocked takes what is in the ring to the seats.
func (e *engine[T]) distributeLocked() {
	d, r := &e.sorter, e.ring()
	for e.ctl.Load()&ctlStop == 0 {
		pos, kind, ok := r.Front()
		switch {
		case !ok:
			return
		case kind == ring.Keyed:
			d.giveKeyedLocked(r, pos)
		case d.weighs || e.handleAll != nil: // a typed batch is claimed by whoever is free
			return
		default:
			var its [batchSize]item[T]
			s, rests := d.anySeatLocked()
			run := max(1, d.seats.run)
			if rests || s.waiting() == 0 {
				run = 1
			}
			pos, n := r.Claim(run)
			if n == 0 { // somebody else was faster
				d.seats.mayRest(s)
				continue
			}
			for i := range n {
				v, tag, _ := r.Take(pos + uint64(i))
				its[i] = item[T]{job: v, mark: markOf(pos+uint64(i), tag, false)}
			}
			d.giveLocked(s, its[:n]...)
			for rests && n == 1 && !s.resting.Load() && s.takeBack(its[0]) {
				// Its worker has found something else meanwhile.
				s, rests = d.anySeatLocked()
				d.giveLocked(s, its[0])
			}
		}
	}
}

// giveKeyedLocked takes keyed tasks from pos on to their keys' seats, or puts them behind
// their keys.
func (d *sorter[T]) giveKeyedLocked(r *ring.Ring[T], pos uint64) {
	ss := &d.seats
	if ss.its == nil {
		ss.its, ss.to = make([]item[T], distributed), make([]*seat[T], distributed)
	}
	tag := r.Tag(pos)
	n := r.Run(pos, distributed)
	r.Skip(pos, n)
	its, to := ss.its[:n], ss.to[:n]
	for i := range its {
		p := pos + uint64(i)
		v, key, keyed := r.Move(p)
		its[i] = item[T]{v, markOf(p, tag, keyed), key}
	}
	r.Free(pos, n)
	for i := range its {
		if its[i].keyed() {
			to[i] = d.keyedSeatLocked(its[i])
		} else {
			s, _ := d.anySeatLocked()
			d.giveLocked(s, its[i])
			to[i] = nil
		}
	}
	for i, s := range to {
		if s == nil {
			continue
		}
		group := ss.group[:0]
		for j := i; j < n; j++ {
			if to[j] == s {
				group = append(group, its[j])
				to[j] = nil
			}
		}
		d.giveLocked(s, group...)
		clear(group)
		ss.group = group
	}
	clear(its)
}

// keyedSeatLocked returns the seat that a keyed task goes to, or puts the task behind its
// key and returns nil.
func (d *sorter[T]) keyedSeatLocked(it item[T]) *seat[T] {
	k := d.keys.At(it.key)
	if k.claim == 0 {
		k.owner = &d.keySeatLocked(it.key).workerQueue
	}
	q := k.owner
	if q != nil && k.strand == nil && q.seat.index < int(d.seats.open.Load()) {
		k.claim++
		return q.seat
	}
	d.behindLocked(k, it)
	if q != nil {
		q.awaited.Store(^uint64(0))
	}
	return nil
}

// doneSeatLocked takes into account what has ended of the keyed tasks of s, which has begun
// so many more.
func (d *sorter[T]) doneSeatLocked(s *seat[T], running int) {
	s.mu.Lock()
	s.awaited.Store(0)
	s.collect(s.begun() - running)
	done := s.done
	s.done = nil
	s.mu.Unlock()
	for _, key := range done {
		d.doneKeyLocked(key)
	}
	s.mu.Lock()
	if s.done == nil {
		s.done = done[:0]
	}
	s.mu.Unlock()
}

// doneKeyLocked takes into account that a task with a key has ended.
func (d *sorter[T]) doneKeyLocked(key uint64) {
	k := d.keys.Get(key)
	if k.claim--; k.claim == 0 {
		d.reseatLocked(k, key)
	}
}

// payLocked is doneKeyLocked for the key of the task for which w left its seat. e.mu is held
// too.
func (w *worker[T]) payLocked() {
	if w.owes {
		w.owes = false
		w.e.sorter.doneKeyLocked(w.owed)
	}
}

// reseatLocked makes a key, of which no task is in a seat or runs, one of the seat that its
// hash selects, which gets what waits behind it.
func (d *sorter[T]) reseatLocked(k *keyState[T], key uint64) {
	k.owner = &d.keySeatLocked(key).workerQueue
	s := k.strand
	if s == nil {
		return
	}
	k.strand = nil
	for it, ok := s.jobs.PopFront(); ok; it, ok = s.jobs.PopFront() {
		k.claim++
		d.giveLocked(k.owner.seat, it)
	}
	d.dropStrandLocked(s)
}

// leaveKeyLocked takes the key of w's task, which is about to lend its place, out of w's
// seat: what comes next has to wait for this very task, and not in another worker's
// queue. e.mu is held.
func (w *worker[T]) leaveKeyLocked() {
	d, s := &w.e.sorter, w.seat.Load()
	if s == nil || w.has.Load() != &s.workerQueue {
		return
	}
	s.emptyBatch(w.e)
	d.mu.Lock()
	defer d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.begun() - 1
	s.collect(i)
	s.counted = i + 1
	if i < 0 || !s.batch[i].keyed() {
		return
	}
	key := s.batch[i].key
	w.owes, w.owed = true, key
	k := d.keys.Get(key)
	k.owner = nil
	var behind []item[T]
	for range s.items.Len() {
		it, _ := s.items.PopFront()
		if it.keyed() && it.key == key {
			behind = append(behind, it)
		} else {
			s.items.PushBack(it)
		}
	}
	k.claim -= uint64(len(behind))
	s.count.Add(-int64(len(behind)))
	for _, it := range slices.Backward(behind) {
		d.strandLocked(k, key).jobs.PushFront(it)
	}
}

// distribute takes what is in the ring to the seats and wakes those that rest.
func (e *engine[T]) distribute() {
	d := &e.sorter
	d.mu.Lock()
	e.distributeLocked()
	awake := d.takeAwakeLocked()
	d.mu.Unlock()
	e.wakeSeats(awake)
	e.deferred()
}

func (d *sorter[T]) takeAwakeLocked() []*seat[T] {
	awake := d.seats.awake
	d.seats.awake = nil
	return awake
}

// wakeSeats wakes or starts workers for seats that have something to do.
func (e *engine[T]) wakeSeats(ss []*seat[T]) {
	if len(ss) == 0 {
		return
	}
	var woken, born []*worker[T]
	e.mu.Lock()
	changed := e.followLocked()
	for _, s := range ss {
		switch w := s.w; {
		case s.waiting() == 0:
		case w != nil && !w.unpark():
			// It is about to look, or was woken by somebody else.
		case w != nil:
			woken = append(woken, w)
		case s.index >= e.target:
		case e.unborn() > 0:
			if e.debt == 0 && e.takeToken() {
				born = append(born, e.newWorkerLocked(s))
			}
		default:
			// Somebody without a seat has the place. See whether another one rests.
			if w := e.idleWorkerLocked(); w != nil {
				woken = append(woken, w)
				w.vacateLocked()
				w.sitDownLocked(s)
			}
		}
	}
	e.mu.Unlock()
	signal(woken)
	for _, w := range born {
		go w.main()
	}
	if changed {
		e.mendSeats()
	}
}

// idleWorkerLocked unparks a worker whose seat is empty.
func (e *engine[T]) idleWorkerLocked() *worker[T] {
	for _, w := range e.parked {
		if s := w.seat.Load(); (s == nil || s.waiting() == 0) && w.unpark() {
			return w
		}
	}
	return nil
}

// unpark takes w off the parked ones, if it is there and a place is idle.
func (w *worker[T]) unpark() bool {
	e := w.e
	for i, o := range e.parked {
		if o == w && e.takeToken() {
			e.parked = append(e.parked[:i], e.parked[i+1:]...)
			return true
		}
	}
	return false
}

// mendSeats finds workers for seats with work that have none at work, and empties
// those that are closed.
func (e *engine[T]) mendSeats() {
	if !e.seated() {
		return
	}
	d := &e.sorter
	var awake []*seat[T]
	e.mu.Lock()
	grown := e.grown
	e.grown = false
	d.mu.Lock()
	d.seats.eachLocked(func(s *seat[T]) {
		switch {
		case s.w != nil && !s.resting.Load() || s.waiting() == 0:
		case s.w != nil || s.index < int(d.seats.open.Load()):
			awake = append(awake, s)
		default:
			for it, ok := s.pop(); ok; it, ok = s.pop() {
				d.rehomeLocked(it)
			}
		}
	})
	if grown {
		d.redistributeLocked()
	}
	awake = append(awake, d.takeAwakeLocked()...)
	d.mu.Unlock()
	e.mu.Unlock()
	e.wakeSeats(awake)
}

// rehomeLocked gives a task of a closed seat to another one.
func (d *sorter[T]) rehomeLocked(it item[T]) {
	s, _ := d.anySeatLocked()
	if it.keyed() {
		s = d.keySeatLocked(it.key)
		d.keys.Get(it.key).owner = &s.workerQueue
	}
	d.giveLocked(s, it)
}

// claimSeat is claim for a worker with a seat.
func (w *worker[T]) claimSeat() bool {
	e, d := w.e, &w.e.sorter
	if s := w.seat.Load(); s == nil || s.index >= int(d.seats.open.Load()) {
		w.changeSeat()
	}
	if e.ctl.Load()&ctlWeighs == 0 && (e.ctl.Load()&ctlKeyed == 0 || !w.seatWanted()) && (w.takeItems() || e.ctl.Load()&ctlKeyed == 0 && w.takeTiny()) {
		return true
	}
	w.lockSorter()
	if s := w.seat.Load(); s != nil && e.ctl.Load()&ctlKeyed != 0 {
		d.doneSeatLocked(s, 0)
	}
	if e.ctl.Load()&ctlStop != 0 { // nothing may be distributed any more
		d.mu.Unlock()
		return false
	}
	blocked := d.blocked.Swap(false)
	d.seats.run = min(w.limit, batchSize)
	e.distributeLocked()
	var pos uint64
	n, found := 0, false
	if s := w.seat.Load(); s != nil && s.waiting() > 0 && d.admitLocked(w, 1) {
		found = w.takeItems()
	}
	if !found && d.weighs {
		pos, n = w.claimRingLocked(&draft[T]{}, 1)
	}
	if !found && n == 0 {
		d.freeWeightLocked(w)
	}
	awake := d.takeAwakeLocked()
	d.mu.Unlock()
	e.wakeSeats(awake)
	e.deferred()
	if !found {
		found = w.hold(pos, n) || e.handleAll != nil && w.takeTiny()
	}
	if blocked {
		e.wakeMore() // what w held before may be enough for another one
	}
	return found
}

// takeTiny claims tasks without a key as under Shared, when tasks are tiny and w's
// seat is empty: for them the way through a seat costs more than they do, and whose
// seat is empty is the least loaded of all.
func (w *worker[T]) takeTiny() bool {
	if w.limit < tinyTake && w.e.handleAll == nil {
		return false
	}
	return w.aside(w.claimShared)
}

// aside takes a task with f, past w's seat. The seat does not rest meanwhile, lest a
// task is put behind the one that f takes: who puts one there looks then whether
// the seat still rests (see distributeLocked), and here it is the other way round.
func (w *worker[T]) aside(f func() bool) bool {
	s := w.seat.Load()
	if s == nil || w.e.ctl.Load()&ctlWeighs != 0 {
		return f()
	}
	rested := s.resting.Swap(false)
	if s.waiting() > 0 && w.takeItems() || f() {
		return true
	}
	if rested {
		w.e.rests(s)
	}
	return false
}

// takeItems takes the first tasks of w's seat in hand.
func (w *worker[T]) takeItems() bool {
	s := w.seat.Load()
	if s == nil || s.waiting() == 0 {
		return false
	}
	limit := min(w.limit, batchSize)
	if w.e.ctl.Load()&ctlWeighs != 0 || w.e.handleAll != nil {
		limit = 1
	}
	s.mu.Lock()
	n := s.fill(limit)
	if n > 0 {
		w.begin(&s.workerQueue)
	}
	s.mu.Unlock()
	if n > 0 && s.resting.Load() {
		s.resting.Store(false)
	}
	return n > 0
}

// hasWork reports whether there is something for w.
func (w *worker[T]) hasWork() bool {
	if s := w.seat.Load(); s != nil && s.waiting() > 0 {
		return !w.e.sorter.blocked.Load()
	}
	return w.e.hasWork()
}

// dropSeatedLocked removes the oldest task of all seats.
func (d *sorter[T]) dropSeatedLocked() (it item[T], ok bool) {
	var oldest *seat[T]
	least := ^uint64(0)
	d.seats.eachLocked(func(s *seat[T]) {
		s.mu.Lock()
		if s.items.Len() > 0 && s.items.At(0).mark < least {
			least, oldest = s.items.At(0).mark, s
		}
		s.mu.Unlock()
	})
	if oldest == nil {
		return it, false
	}
	return oldest.pop()
}

// discardSeatsLocked hands back what is in the seats. e.mu and sorter.mu are held.
func (e *engine[T]) discardSeatsLocked() {
	e.sorter.seats.eachLocked(func(s *seat[T]) {
		s.emptyBatch(e)
		for it, ok := s.pop(); ok; it, ok = s.pop() {
			e.giveBackLocked(markPos(it.mark), it.job)
		}
	})
}

// seatsEmpty reports whether no task is in a seat.
func (d *sorter[T]) seatsEmpty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	empty := true
	d.seats.eachLocked(func(s *seat[T]) { empty = empty && s.waiting() == 0 })
	return empty
}
