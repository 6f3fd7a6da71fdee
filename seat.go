package pool

import (
	"sync/atomic"

	"github.com/headrace-go/pool/internal/deque"
)

// Seats: the queues of PerWorker, and who sits there. What goes where is told in perworker.go.

// seat is the queue of a worker.
type seat[T any] struct {
	index   int
	w       *worker[T]   // guarded by e.mu; nil: nobody's
	resting atomic.Bool  // its worker is not at work, or there is none
	count   atomic.Int64 // len(items), or more

	workerQueue[T]
	items   deque.Deque[item[T]]
	counted int      // of the batch: those before it are noted in done, if they have keys
	done    []uint64 // keys of tasks that have ended, to be taken into account
}

// seats is what the sorter has for PerWorker.
type seats[T any] struct {
	chunks []*[seatChunk]seat[T] // made when a seat in it is used, under sorter.mu
	open   atomic.Int64          // tasks go to seats below; changed under e.mu and sorter.mu
	idle   atomic.Uint64         // how often a seat began to rest, and the first that may
	rnd    uint64
	run    int        // how many tasks without a key go to a seat at a time
	awake  []*seat[T] // seats that rest and got something, until they are woken
	its    []item[T]  // that are being distributed, and
	to     []*seat[T] // where to
	group  []item[T]
}

func (s *seat[T]) push(its ...item[T]) {
	s.count.Add(int64(len(its)))
	s.mu.Lock()
	for _, it := range its {
		s.items.PushBack(it)
	}
	s.mu.Unlock()
}

func (s *seat[T]) pop() (it item[T], ok bool) {
	if s.count.Load() == 0 {
		return it, false
	}
	s.mu.Lock()
	it, ok = s.items.PopFront()
	s.mu.Unlock()
	if ok {
		s.count.Add(-1)
	}
	return it, ok
}

// takeBack removes it, if it is still the last task that waits.
func (s *seat[T]) takeBack(it item[T]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.items.Len(); n == 0 || s.items.At(n-1).mark != it.mark {
		return false
	}
	s.items.PopBack()
	s.count.Add(-1)
	return true
}

// waiting returns how many tasks wait in the seat.
func (s *seat[T]) waiting() int { return int(s.count.Load()) + s.left() }

// fill takes up to limit tasks of one tag into the batch, if nothing is left of it,
// and returns how many there are. s.mu is held, by its worker.
func (s *seat[T]) fill(limit int) (n int) {
	if n := s.left(); n > 0 {
		return n
	}
	s.collect(s.begun())
	s.room()
	for n < limit && s.items.Len() > 0 && (n == 0 || markTag(s.items.At(0).mark) == markTag(s.batch[0].mark)) {
		s.batch[n], _ = s.items.PopFront()
		n++
	}
	s.counted = 0
	s.reset(n) // first: a task on its way from items to batch counts twice, not never
	s.count.Add(-int64(n))
	return n
}

// emptyBatch puts what is left of the batch back. e.mu is held.
func (s *seat[T]) emptyBatch(e *engine[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.left() > 0 {
		s.count.Add(1)
		if it, ok := s.cut(); ok {
			s.items.PushFront(it)
		} else {
			s.count.Add(-1)
		}
	}
	e.gatherFrom(&s.workerQueue) // last: nothing more is begun
}

// load is how much is to be done before a new task.
func (s *seat[T]) load() int64 {
	n := int64(s.waiting())
	if !s.resting.Load() {
		n++
	}
	return n
}

// openSeatsLocked makes n seats the ones that tasks are distributed to. e.mu is held.
func (e *engine[T]) openSeatsLocked(n int) {
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	if more := (n+seatChunk-1)/seatChunk - len(d.seats.chunks); more > 0 {
		d.seats.chunks = append(d.seats.chunks, make([]*[seatChunk]seat[T], more)...)
	}
	d.seats.open.Store(int64(n))
}

// atLocked returns the seat with the index i.
func (ss *seats[T]) atLocked(i int) *seat[T] {
	c := &ss.chunks[i/seatChunk]
	if *c == nil {
		*c = new([seatChunk]seat[T])
		for k := range *c {
			s := &(*c)[k]
			s.index = i - i%seatChunk + k
			s.workerQueue.seat = s
			s.resting.Store(true)
		}
	}
	return &(*c)[i%seatChunk]
}

// eachLocked calls f for all seats that were used.
func (ss *seats[T]) eachLocked(f func(*seat[T])) {
	for _, c := range ss.chunks {
		if c == nil {
			continue
		}
		for i := range c {
			f(&c[i])
		}
	}
}

// restSeat lets w's seat rest, until w finds something to do.
func (w *worker[T]) restSeat() {
	if s := w.seat.Load(); s != nil {
		w.e.rests(s)
	}
}

// rests lets s rest.
func (e *engine[T]) rests(s *seat[T]) {
	s.resting.Store(true)
	e.sorter.seats.mayRest(s)
}

// mayRest lets s be found by anySeatLocked.
func (ss *seats[T]) mayRest(s *seat[T]) {
	for {
		v := ss.idle.Load()
		next := v>>seatBits<<seatBits + 1<<seatBits | min(v&(1<<seatBits-1), uint64(s.index))
		if ss.idle.CompareAndSwap(v, next) {
			return
		}
	}
}

// collect notes the keys of the tasks of the batch before end, which have ended. s.mu is
// held.
func (s *seat[T]) collect(end int) {
	for ; s.counted < end; s.counted++ {
		if it := &s.batch[s.counted]; it.keyed() {
			s.done = append(s.done, it.key)
		}
	}
}

// takeSeatLocked gives w a seat that nobody has, with work if possible, else the
// first. e.mu is held.
func (w *worker[T]) takeSeatLocked() {
	e := w.e
	d := &e.sorter
	d.mu.Lock()
	defer d.mu.Unlock()
	var free *seat[T]
	for i := range e.target {
		if i%seatChunk == 0 && d.seats.chunks[i/seatChunk] == nil && free != nil {
			break // nothing from here on was ever used
		}
		if s := d.seats.atLocked(i); s.w == nil && (free == nil || s.waiting() > 0) {
			if free = s; s.waiting() > 0 {
				break
			}
		}
	}
	if free != nil {
		w.sitDownLocked(free)
	}
}

func (w *worker[T]) sitDownLocked(s *seat[T]) {
	w.seat.Store(s)
	w.e.rests(s)
	s.w = w
	w.e.seatsTaken++
}

// vacateLocked takes w's seat away. e.mu is held; mendSeats has to follow.
func (w *worker[T]) vacateLocked() {
	if s := w.seat.Load(); s != nil {
		s.emptyBatch(w.e)
		d := &w.e.sorter
		d.mu.Lock()
		d.doneSeatLocked(s, 0)
		d.mu.Unlock()
		s.mu.Lock()
		s.batch = nil // w may still read what it has begun
		w.has.CompareAndSwap(&s.workerQueue, nil)
		s.mu.Unlock()
		w.seat.Store(nil)
		s.w = nil
		w.e.seatsTaken--
		w.e.rests(s)
	}
}

// moveLocked gives w, which is about to rest, a seat with work that nobody has, if
// somebody without a seat keeps it from having a worker of its own.
func (w *worker[T]) moveLocked() {
	e := w.e
	s := w.seat.Load()
	switch {
	case !e.seated():
	case s == nil:
		w.takeSeatLocked()
	case s.waiting() == 0 && e.active() > e.seatsTaken:
		w.vacateLocked()
		w.takeSeatLocked()
	}
}

// seatWanted reports whether a task waits for a key that w's seat has, or there are many to
// be taken into account.
func (w *worker[T]) seatWanted() bool {
	s := w.seat.Load()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaited.Load() != 0 || len(s.done) >= maxSeen
}

// changeSeat gives w a seat that is open.
func (w *worker[T]) changeSeat() {
	w.e.mu.Lock()
	w.e.sorter.mu.Lock()
	w.payLocked()
	w.e.sorter.mu.Unlock()
	w.vacateLocked()
	w.takeSeatLocked()
	w.e.mu.Unlock()
	w.e.mendSeats()
}
