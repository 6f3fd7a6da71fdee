package queue

import (
	"runtime"
	"sync/atomic"
)

// Reserved places: room that only PushReserved uses.
//
// A push that is not one of these stops before limit, and limit is raised to
//
//	bound - reserved
//
// at most. Position and reserved together never get above bound: a plain push wins a position
// before limit; Reserve adds to reserved only what is left; and PushReserved wins a position before
// its caller takes the place off reserved, so for a moment the place is counted twice. All three
// depend on limit being no higher than that when reserved grows. So Reserve lowers limit first, if
// it is higher, and then counts a turn in the tail:
//
//	push:     load the tail;   load limit;      compare-and-swap of the tail
//	Reserve:  lower limit;     compare-and-swap of the tail;     add to reserved
//
// A push that has read the higher limit has read the tail before that, and loses.
//
// Turns are counted modulo 256. A push would take the tail for unchanged after 256 turns at one
// position. There are never that many: Reserve lowers limit to the position itself, so a producer
// has to raise it before the next turn; the one that raises it pushes next; and after maxTurns
// turns Reserve waits for that push.
//
// PushReserved obeys no limit but that of the ring, which is free. It changes as limit does, under
// mu, and Trim takes it back.
type reserves struct {
	reserved atomic.Int64  // grows under mu
	free     atomic.Uint64 // up to which position the ring has room; written under mu
	turnedAt uint64        // the position of the last turn of Reserve; guarded by mu
	turned   int           // how many there were at that position; guarded by mu
}

// maxTurns leaves turns for Trim: there is at most one of those at a position.
const maxTurns = 250

// turned returns the tail t with another turn.
func turned(t uint64) uint64 { return t&^(turns-turn) | (t+turn)&(turns-turn) }

// less returns the bound for callers that have nothing reserved.
func (q *Queue[T]) less(bound uint64) uint64 {
	return bound - min(bound, uint64(q.reserved.Load()))
}

// Reserve reserves up to most places before the position that bound returns, and returns how many.
// For each of them the caller has to call Unreserve, after PushReserved or without it. Reserve
// looks at what is reserved and then calls bound, which may thus depend on pushes of reserved
// elements to other queues. The status is OK, Full or Closed. While the queue is held only the
// holder gets any.
func (q *Queue[T]) Reserve(bound func() uint64, most int, holder bool) (n int, s Status) {
	for {
		n, s, waits := q.reserve(bound, most, holder)
		if !waits {
			return n, s
		}
		runtime.Gosched()
	}
}

// reserve is Reserve. It reports whether it has to wait for a push that is about to come.
func (q *Queue[T]) reserve(boundNow func() uint64, most int, holder bool) (n int, s Status, waits bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		reserved := q.reserved.Load() // before the tail: a place used meanwhile counts twice
		bound := boundNow()
		t := q.tail.Load()
		pos := t & posMask
		room := int64(bound) - int64(pos) - reserved
		switch {
		case t >= closed:
			return 0, Closed, false
		case room <= 0 || q.held && !holder:
			return 0, Full, false
		}
		n := min(room, int64(most))
		if int64(q.limit.Load()) <= int64(bound)-reserved-n {
			q.reserved.Add(n)
			return int(n), OK, false
		}
		if q.turnedAt != pos {
			q.turnedAt, q.turned = pos, 0
		}
		if q.turned == maxTurns {
			return 0, Full, true
		}
		q.limit.Store(pos)
		if q.tail.CompareAndSwap(t, turned(t)) {
			q.turned++
		}
	}
}

// Unreserve ends the reservation of n places.
func (q *Queue[T]) Unreserve(n int) { q.reserved.Add(int64(-n)) }

// Reserved returns how many places are reserved.
func (q *Queue[T]) Reserved() int { return int(q.reserved.Load()) }

// PushReserved is Push for a caller that has a place reserved, so there is room. It returns Full
// only at the last position.
func (q *Queue[T]) PushReserved(v T, a *Attr, tag int) Status {
	for {
		t := q.tail.Load()
		if t >= split {
			if s := q.flagged(t, tag); s != OK {
				return s
			}
			if t&frozen != 0 {
				continue
			}
		}
		pos := t & posMask
		if pos >= q.free.Load() {
			if !q.extend() {
				return Full
			}
			continue
		}
		if q.tail.CompareAndSwap(t, t+1) {
			return q.fill(pos, v, a, t, tag)
		}
	}
}

// extend makes free what the ring allows, and reports whether there is room.
func (q *Queue[T]) extend() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.allowed(MaxPos) > q.tail.Load()&posMask
}
