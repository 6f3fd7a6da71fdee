package queue

import (
	"sync/atomic"

	"github.com/headrace-go/pool/internal/seam"
)

type slot[T any] struct {
	seq atomic.Uint64 // position | run-1 | alone | attr | tag | full
	val T
}

// ring has the slots of the positions from from on.
type ring[T any] struct {
	from   uint64
	mask   uint64
	slots  []slot[T]
	stamps []stamp
	attrs  atomic.Pointer[[]Attr]
	older  atomic.Pointer[ring[T]] // until all of it was taken
	newer  atomic.Pointer[ring[T]]
}

func (q *Queue[T]) newRing(from uint64, size int) *ring[T] {
	return &ring[T]{from: from, mask: uint64(size - 1), slots: make([]slot[T], size), stamps: q.newStamps(size)}
}

func (r *ring[T]) at(pos uint64) *slot[T] { return &r.slots[pos&r.mask] }

// attr returns what stands beside the slot of pos.
func (r *ring[T]) attr(pos uint64) *Attr {
	all := r.attrs.Load()
	if all == nil {
		made := make([]Attr, len(r.slots))
		r.attrs.CompareAndSwap(nil, &made)
		all = r.attrs.Load()
	}
	return &(*all)[pos&r.mask]
}

// holding returns the ring of a position that was won and not popped.
func (q *Queue[T]) holding(pos uint64) *ring[T] {
	r := q.last.Load()
	for pos < r.from {
		r = r.older.Load()
	}
	return r
}

// allowed returns the position before which bound and the ring allow a push. It replaces the ring
// by a larger one if only the ring keeps a push out. mu is held.
func (q *Queue[T]) allowed(bound uint64) uint64 {
	pos := q.tail.Load() & posMask
	r := q.last.Load()
	room := max(r.from, q.head.Load()) + uint64(len(r.slots))
	if pos >= room && bound > room {
		size := len(r.slots)
		if size < quickSize {
			size *= quickGrow
		} else {
			size *= 2
		}
		room = q.replace(size)
	}
	q.free.Store(room)
	return min(bound, room)
}

// replace continues with a ring of another size, and returns the position up to which that has
// room. mu is held.
func (q *Queue[T]) replace(size int) uint64 {
	from := q.tail.Or(frozen) & posMask
	seam.Yield()
	old, r := q.last.Load(), q.newRing(from, size)
	r.older.Store(old)
	q.last.Store(r)
	old.newer.Store(r)
	q.tail.And(^uint64(frozen))
	return from + uint64(size)
}

// Trim gives memory back, if the queue is empty and its ring large.
func (q *Queue[T]) Trim() {
	if len(q.last.Load().slots) <= q.small {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tail.Load()
	if t&posMask != q.head.Load() || !q.tail.CompareAndSwap(t, turned(t)|frozen) {
		return
	}
	pos := t & posMask
	r := q.newRing(pos, q.small)
	q.last.Store(r)
	q.first.Store(r)
	q.limit.Store(0) // the next push raises it
	q.free.Store(0)
	q.tail.And(^uint64(frozen))
}

// Large reports whether Trim might give memory back that is worth it.
func (q *Queue[T]) Large() bool { return len(q.last.Load().slots) > quickSize }
