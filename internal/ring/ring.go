// Package ring is a bounded multi-producer multi-consumer FIFO whose consumers
// claim several elements at once and release each slot when they take its value.
//
// The layout is D. Vyukov's bounded MPMC queue: every slot carries a sequence
// word that says whose turn it is. Three things are added.
//
// Claim and Take are apart. Claim moves head over n published slots with one
// compare-and-swap and from then on the claimer owns those positions; the values
// stay where they are until Take, which empties one slot and gives it back to
// the producers. So a ring of n slots bounds the elements that nobody has taken
// yet, claimed or not, and a claimed position can be handed to another goroutine
// as a number, without copying the value.
//
// The tail word carries more than the position: Close and Reserve set a bit in
// it, so that a push and a close are ordered by one word and a push pays nothing
// for the check. Advance changes a small tag in it, which every later element
// carries: the elements accepted before and after are told apart exactly.
//
// Who owns a slot is told by its sequence word alone:
//
//	pos<<tagBits+1              free, the producer that wins position pos fills it
//	pos<<tagBits+1 | tag<<1 | 1 full, the consumer that claims pos empties it
//
// A producer owns the slot between its compare-and-swap of tail and its store of
// the full word; a consumer owns it between its claim and its store of the free
// word for pos+size. Positions have 59 bits and never wrap in practice.
package ring

import (
	"fmt"
	"sync/atomic"
)

const (
	tagBits = 3
	// Tags is the number of distinct tags.
	Tags = 1 << tagBits

	tagShift = 59
	posMask  = 1<<tagShift - 1
	closed   = 1 << 63
	reserved = 1 << 62

	// MaxSize is the largest number of slots.
	MaxSize = 1 << 26
)

// Status is the outcome of a push.
type Status uint8

// The outcomes of a push.
const (
	OK     Status = iota // the element is in the ring
	Full                 // no slot is free, or the ring is reserved for another
	Closed               // the ring takes no more elements
)

type slot[T any] struct {
	seq atomic.Uint64
	val T
}

// Ring is the queue. Use New.
//
// tail and head stand 128 bytes apart from everything else: 64-byte lines are
// fetched in pairs. The slots are not padded, because a batch reads them in
// line order.
type Ring[T any] struct {
	_     [128]byte
	tail  atomic.Uint64 // closed | reserved | tag | position of the next push
	_     [120]byte
	head  atomic.Uint64 // position of the next claim
	_     [120]byte
	slots []slot[T]
	size  uint64
	mask  uint64 // size-1 when size is a power of two, else 0
}

// New returns a ring of exactly size slots, 0 <= size <= MaxSize. A ring without
// slots only counts: see Ticket.
func New[T any](size int) *Ring[T] {
	if size < 0 || size > MaxSize {
		panic(fmt.Sprintf("ring: size %d out of range", size))
	}
	r := &Ring[T]{slots: make([]slot[T], size), size: uint64(size)}
	if size > 0 && size&(size-1) == 0 {
		r.mask = uint64(size - 1)
	}
	r.preset(0)
	return r
}

// preset makes pos the next position of an empty ring.
func (r *Ring[T]) preset(pos uint64) {
	r.tail.Store(pos)
	r.head.Store(pos)
	for i := range r.size {
		r.at(pos + i).seq.Store(free(pos + i))
	}
}

func free(pos uint64) uint64 { return pos << (tagBits + 1) }

func (r *Ring[T]) at(pos uint64) *slot[T] {
	if r.mask != 0 {
		return &r.slots[pos&r.mask]
	}
	return &r.slots[pos%r.size]
}

// Push appends v. holder says that the caller is the one for whom the ring was
// reserved.
func (r *Ring[T]) Push(v T, holder bool) Status {
	for {
		t := r.tail.Load()
		if t >= reserved {
			if t >= closed {
				return Closed
			}
			if !holder {
				return Full
			}
		}
		pos := t & posMask
		s := r.at(pos)
		if s.seq.Load() == free(pos) {
			if r.tail.CompareAndSwap(t, t+1) {
				s.val = v
				s.seq.Store(free(pos) | tagOf(t)<<1 | 1)
				return OK
			}
		} else if r.tail.Load() == t {
			return Full
		}
	}
}

// PushAll appends a prefix of vs, as long as there is room for, with one
// compare-and-swap, and returns its length.
func (r *Ring[T]) PushAll(vs []T, holder bool) (int, Status) {
	for {
		t := r.tail.Load()
		if t >= reserved {
			if t >= closed {
				return 0, Closed
			}
			if !holder {
				return 0, Full
			}
		}
		pos, n := t&posMask, uint64(0)
		for n < uint64(len(vs)) && r.at(pos+n).seq.Load() == free(pos+n) {
			n++
		}
		if n == 0 {
			if r.tail.Load() == t {
				return 0, Full
			}
			continue
		}
		if r.tail.CompareAndSwap(t, t+n) {
			for i := range n {
				s := r.at(pos + i)
				s.val = vs[i]
				s.seq.Store(free(pos+i) | tagOf(t)<<1 | 1)
			}
			return int(n), OK
		}
	}
}

// Ticket counts an element that takes no slot and returns its position and tag.
// It is for rings of size 0, whose elements are handed over elsewhere.
func (r *Ring[T]) Ticket() (pos, tag uint64, s Status) {
	for {
		t := r.tail.Load()
		if t >= closed {
			return 0, 0, Closed
		}
		if r.tail.CompareAndSwap(t, t+1) {
			r.head.Add(1)
			return t & posMask, tagOf(t), OK
		}
	}
}

// Claim takes possession of up to limit published elements, the oldest ones, and
// returns the first position and how many. The caller, or whoever it hands a
// position to, must Take each.
func (r *Ring[T]) Claim(limit int) (pos uint64, n int) {
	if r.size == 0 {
		return 0, 0
	}
	for {
		h := r.head.Load()
		n := 0
		for n < limit && r.full(h+uint64(n)) {
			n++
		}
		if n == 0 {
			if r.head.Load() == h {
				return 0, 0
			}
			continue
		}
		if r.head.CompareAndSwap(h, h+uint64(n)) {
			return h, n
		}
	}
}

func (r *Ring[T]) full(pos uint64) bool {
	seq := r.at(pos).seq.Load()
	return seq>>(tagBits+1) == pos && seq&1 != 0
}

// Ready reports whether a Claim would find something.
func (r *Ring[T]) Ready() bool {
	return r.size > 0 && r.full(r.head.Load())
}

// Tag returns the tag of a claimed element.
func (r *Ring[T]) Tag(pos uint64) uint64 {
	return r.at(pos).seq.Load() >> 1 & (Tags - 1)
}

// Take removes the claimed element at pos and frees its slot.
func (r *Ring[T]) Take(pos uint64) (v T, tag uint64) {
	s := r.at(pos)
	tag = s.seq.Load() >> 1 & (Tags - 1)
	v = s.val
	var zero T
	s.val = zero
	s.seq.Store(free(pos + r.size))
	return v, tag
}

// Room reports whether a push by the holder would find a slot.
func (r *Ring[T]) Room() bool {
	pos := r.tail.Load() & posMask
	return r.size > 0 && r.at(pos).seq.Load() == free(pos)
}

// Reserve keeps every push but the holder's out until Release.
func (r *Ring[T]) Reserve() { r.tail.Or(reserved) }

// Release ends Reserve.
func (r *Ring[T]) Release() { r.tail.And(^uint64(reserved)) }

// Close makes every later push fail. It reports whether this call did it.
func (r *Ring[T]) Close() bool { return r.tail.Or(closed)&closed == 0 }

// IsClosed reports whether Close was called.
func (r *Ring[T]) IsClosed() bool { return r.tail.Load()&closed != 0 }

// Advance gives later elements the tag next, which must be below Tags, and
// returns how many elements had been accepted by then.
func (r *Ring[T]) Advance(next uint64) (accepted uint64) {
	for {
		t := r.tail.Load()
		if r.tail.CompareAndSwap(t, t&^((Tags-1)<<tagShift)|next<<tagShift) {
			return t & posMask
		}
	}
}

// CurrentTag returns the tag that the next element gets.
func (r *Ring[T]) CurrentTag() uint64 { return tagOf(r.tail.Load()) }

func tagOf(tail uint64) uint64 { return tail >> tagShift & (Tags - 1) }

// Accepted returns how many elements were ever pushed or ticketed.
func (r *Ring[T]) Accepted() uint64 { return r.tail.Load() & posMask }

// Claimed returns how many elements were ever claimed or ticketed.
func (r *Ring[T]) Claimed() uint64 { return r.head.Load() }

// Drained reports whether every element that was accepted has been claimed.
func (r *Ring[T]) Drained() bool { return r.head.Load() == r.Accepted() }

// Size returns the number of slots.
func (r *Ring[T]) Size() int { return int(r.size) }
