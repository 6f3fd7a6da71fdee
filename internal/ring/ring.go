// Package ring is a bounded multi-producer multi-consumer FIFO whose consumers
// claim several elements at once and release each slot when they take its value.
//
// The layout is D. Vyukov's bounded MPMC queue: every slot carries a sequence
// word that says whose turn it is. These things are added.
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
// The tail word may also hold credit. Once Count was called, each push spends one
// unit and fails without one, so that a bound can be shared with elements that
// wait elsewhere, and still be exact: credit is granted and revoked on the very
// word that a push changes.
//
// An element may be special: it has a record beside it, and only those claim it who
// ask for such elements. The records are allocated with the first one. One kind of
// them, a Chunk, stands for many values, in a slice that changes hands with it.
//
// A ring at rest can be retired, which gives its slots back to the collector; the
// next push finds that out and has it renewed. It goes on at the same position.
//
// Who owns a slot is told by its sequence word alone:
//
//	pos<<6                              free, the producer that wins pos fills it
//	pos<<6 | kind<<4 | tag<<1 | 1       full, the consumer that claims pos empties it
//
// A producer owns the slot between its compare-and-swap of tail and its store of
// the full word; a consumer owns it between its claim and its store of the free
// word for pos+size. Positions have 52 bits: a hundred million pushes a second
// use them up in more than a year.
package ring

import (
	"fmt"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/seam"
)

const (
	tagBits = 3
	// Tags is the number of distinct tags.
	Tags = 1 << tagBits

	closed   = 1 << 63
	reserved = 1 << 62
	retired  = 1 << 61

	tagShift    = 58
	creditShift = 52
	creditOne   = 1 << creditShift
	creditMask  = 63 << creditShift // all ones: nobody counts
	posMask     = 1<<creditShift - 1

	kindShift = tagBits + 1
	kindMask  = 3 << kindShift
	seqShift  = kindShift + 2

	// MaxCredit is how much credit a ring holds at most.
	MaxCredit = 62

	// MaxSize is the largest number of slots.
	MaxSize = 1 << 26
)

// Status is the outcome of a push.
type Status uint8

// The outcomes of a push.
const (
	OK      Status = iota // the element is in the ring
	Full                  // no slot is free, or the ring is reserved for another
	Closed                // the ring takes no more elements
	Broke                 // the ring has no credit left
	Retired               // the ring has no slots: it has to be renewed
)

// Kind says which record an element has.
type Kind uint8

// The kinds of elements.
const (
	Plain Kind = iota // none
	Keyed
	Weighted
	Chunk // a slice of values
)

// Record is what stands beside a special element.
type Record struct {
	Kind Kind // Keyed or Weighted
	Bits uint64
}

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
	_       [128]byte
	tail    atomic.Uint64 // flags | tag | credit | position of the next push
	_       [120]byte
	head    atomic.Uint64 // position of the next claim
	_       [120]byte
	slots   []slot[T] // nil when size is 0, or the ring is retired
	size    uint64
	mask    uint64 // size-1 when size is a power of two, else 0
	records atomic.Pointer[[]uint64]
	chunks  atomic.Pointer[[][]T]
}

// New returns a ring of exactly size slots, 0 <= size <= MaxSize. A ring without
// slots only counts: see Ticket.
func New[T any](size int) *Ring[T] {
	return NewRetired[T](size).Renew()
}

// NewRetired returns a ring that allocates nothing until it is renewed.
func NewRetired[T any](size int) *Ring[T] {
	if size < 0 || size > MaxSize {
		panic(fmt.Sprintf("ring: size %d out of range", size))
	}
	r := &Ring[T]{size: uint64(size)}
	if size > 0 && size&(size-1) == 0 {
		r.mask = uint64(size - 1)
	}
	r.tail.Store(creditMask | retired)
	return r
}

// Renew returns a ring with slots that goes on where the retired ring r ended.
// Nobody else may change r meanwhile.
func (r *Ring[T]) Renew() *Ring[T] {
	n := r.copy()
	if r.size > 0 {
		n.slots = make([]slot[T], r.size)
	}
	n.preset(r.tail.Load() &^ retired)
	return n
}

// Retire ends the use of a ring from which every element was taken. It returns a
// ring without slots to put in its place, or nil if the ring is in use, reserved
// or closed. Nobody may hold a claim.
func (r *Ring[T]) Retire() *Ring[T] {
	t := r.tail.Load()
	if t >= retired || t&posMask != r.head.Load() || !r.tail.CompareAndSwap(t, t|retired) {
		return nil
	}
	n := r.copy()
	n.tail.Store(t | retired)
	n.head.Store(t & posMask)
	return n
}

func (r *Ring[T]) copy() *Ring[T] { return &Ring[T]{size: r.size, mask: r.mask} }

// preset makes tail the state of an empty ring.
func (r *Ring[T]) preset(tail uint64) {
	pos := tail & posMask
	r.tail.Store(tail)
	r.head.Store(pos)
	for i := range r.size {
		r.at(pos + i).seq.Store(free(pos + i))
	}
}

func free(pos uint64) uint64 { return pos << seqShift }

func (r *Ring[T]) index(pos uint64) uint64 {
	if r.mask != 0 {
		return pos & r.mask
	}
	return pos % r.size
}

func (r *Ring[T]) at(pos uint64) *slot[T] { return &r.slots[r.index(pos)] }

// Push appends v. holder says that the caller is the one for whom the ring was
// reserved. With a record the element is special.
func (r *Ring[T]) Push(v T, rec *Record, holder bool) Status {
	for {
		t := r.tail.Load()
		if t >= retired {
			if s := refused(t, holder); s != OK {
				return s
			}
		}
		pos, next := t&posMask, t+1
		if t&creditMask != creditMask {
			if t&creditMask == 0 {
				return Broke
			}
			next -= creditOne
		}
		s := r.at(pos)
		if s.seq.Load() == free(pos) {
			if r.tail.CompareAndSwap(t, next) {
				seam.Yield() // the slot is taken and not yet published
				s.val = v
				seq := free(pos) | tagOf(t)<<1 | 1
				if rec != nil {
					*r.record(pos) = rec.Bits
					seq |= uint64(rec.Kind) << kindShift
				}
				s.seq.Store(seq)
				if pos%ahead == 0 {
					r.lookAhead(pos + ahead)
				}
				return OK
			}
		} else if r.tail.Load() == t {
			return Full
		}
	}
}

// refused tells why a push fails in a state with a flag, or OK if it does not.
func refused(t uint64, holder bool) Status {
	switch {
	case t >= closed:
		return Closed
	case t&retired != 0:
		return Retired
	case !holder:
		return Full
	}
	return OK
}

// PushAll appends a prefix of vs, as long as there is room for, with one
// compare-and-swap, and returns its length. late says that vs was accepted elsewhere
// before the ring was closed.
func (r *Ring[T]) PushAll(vs []T, late bool) (int, Status) {
	for {
		t := r.tail.Load()
		if t >= retired && (!late || t&(retired|reserved) != 0) {
			if late {
				t &^= closed
			}
			return 0, refused(t, false)
		}
		pos, n, most := t&posMask, uint64(0), uint64(len(vs))
		counts := t&creditMask != creditMask
		if counts {
			if t&creditMask == 0 {
				return 0, Broke
			}
			most = min(most, t&creditMask>>creditShift)
		}
		for n < most && r.at(pos+n).seq.Load() == free(pos+n) {
			n++
		}
		if n == 0 {
			if r.tail.Load() == t {
				return 0, Full
			}
			continue
		}
		next := t + n
		if counts {
			next -= n * creditOne
		}
		if r.tail.CompareAndSwap(t, next) {
			for i := range n {
				s := r.at(pos + i)
				s.val = vs[i]
				s.seq.Store(free(pos+i) | tagOf(t)<<1 | 1)
			}
			return int(n), OK
		}
	}
}

// PushChunk appends vs, which is the ring's until it is claimed, as one element that costs no
// credit, and returns the position and the tag. late is as for PushAll.
func (r *Ring[T]) PushChunk(vs []T, late bool) (pos, tag uint64, s Status) {
	for {
		t := r.tail.Load()
		if t >= retired && (!late || t&(retired|reserved) != 0) {
			if late {
				t &^= closed
			}
			return 0, 0, refused(t, false)
		}
		pos = t & posMask
		s := r.at(pos)
		if s.seq.Load() == free(pos) {
			if r.tail.CompareAndSwap(t, t+1) {
				*aside(r, &r.chunks, pos) = vs
				s.seq.Store(free(pos) | uint64(Chunk)<<kindShift | tagOf(t)<<1 | 1)
				return pos, tagOf(t), OK
			}
		} else if r.tail.Load() == t {
			return 0, 0, Full
		}
	}
}

// ClaimChunk claims and takes the oldest element, if it is a Chunk.
func (r *Ring[T]) ClaimChunk() (vs []T, pos, tag uint64) {
	if r.slots == nil {
		return nil, 0, 0
	}
	for {
		h := r.head.Load()
		seq := r.at(h).seq.Load()
		switch {
		case full(seq, h) && kindOf(seq) == Chunk:
			if r.head.CompareAndSwap(h, h+1) {
				return r.TakeChunk(h), h, tagIn(seq)
			}
		case r.head.Load() == h:
			return nil, 0, 0
		}
	}
}

// TakeChunk takes the claimed element at pos, if it is a Chunk, else it returns nil.
func (r *Ring[T]) TakeChunk(pos uint64) []T {
	s := r.at(pos)
	if kindOf(s.seq.Load()) != Chunk {
		return nil
	}
	c := aside(r, &r.chunks, pos)
	vs := *c
	*c = nil
	s.seq.Store(free(pos + r.size))
	return vs
}

// aside returns what stands beside the slot of pos.
func aside[T, V any](r *Ring[T], all *atomic.Pointer[[]V], pos uint64) *V {
	vs := all.Load()
	if vs == nil {
		made := make([]V, r.size)
		all.CompareAndSwap(nil, &made)
		vs = all.Load()
	}
	return &(*vs)[r.index(pos)]
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
// position to, must Take each. It stops at a special element, and at one with another tag.
func (r *Ring[T]) Claim(limit int) (pos uint64, n int) { return r.claim(limit, kindMask) }

// ClaimAny is Claim for special elements too. No two calls may overlap.
func (r *Ring[T]) ClaimAny(limit int) (pos uint64, n int) { return r.claim(limit, 0) }

func (r *Ring[T]) claim(limit int, stop uint64) (pos uint64, n int) {
	if r.slots == nil {
		return 0, 0
	}
	for {
		h := r.head.Load()
		n := 0
		for first := r.at(h).seq.Load(); n < limit; n++ {
			p := h + uint64(n)
			if seq := r.at(p).seq.Load(); !full(seq, p) || seq&stop != 0 || tagIn(seq) != tagIn(first) {
				break
			}
		}
		if n == 0 {
			if r.head.Load() == h {
				return 0, 0
			}
			continue
		}
		seam.Yield()
		if r.head.CompareAndSwap(h, h+uint64(n)) {
			if n >= ownMin {
				r.own(h, n)
			}
			return h, n
		}
	}
}

// tagIn returns the tag in the sequence word of a slot that is full.
func tagIn(seq uint64) uint64 { return seq >> 1 & (Tags - 1) }

func full(seq, pos uint64) bool { return seq>>seqShift == pos && seq&1 != 0 }

// Ready reports whether a ClaimAny would find something.
func (r *Ring[T]) Ready() bool {
	if r.slots == nil {
		return false
	}
	for {
		h := r.head.Load()
		if full(r.at(h).seq.Load(), h) {
			return true
		}
		if r.head.Load() == h { // else the next one may be there
			return false
		}
	}
}

// Front looks at the oldest element that nobody has claimed. While it is special,
// only callers of ClaimAny and Skip can take it away.
func (r *Ring[T]) Front() (pos uint64, kind Kind, ok bool) {
	if r.slots == nil {
		return 0, Plain, false
	}
	for {
		pos = r.head.Load()
		seq := r.at(pos).seq.Load()
		if ok = full(seq, pos); ok || r.head.Load() == pos {
			return pos, kindOf(seq), ok
		}
	}
}

func kindOf(seq uint64) Kind { return Kind(seq & kindMask >> kindShift) }

// Run returns how many elements, from the published one at pos on and up to limit, were
// published, have the tag of the first, and are Plain or Keyed.
func (r *Ring[T]) Run(pos uint64, limit int) (n int) {
	tag := r.Tag(pos)
	for n < limit {
		p := pos + uint64(n)
		seq := r.at(p).seq.Load()
		if !full(seq, p) || seq>>1&(Tags-1) != tag || kindOf(seq) > Keyed {
			break
		}
		n++
	}
	return n
}

// Move takes the value of the claimed element at pos, and its record if it is Keyed. The slot is
// empty then, but in use until Free.
func (r *Ring[T]) Move(pos uint64) (v T, key uint64, keyed bool) {
	s := r.at(pos)
	v = s.val
	var zero T
	s.val = zero
	if keyed = kindOf(s.seq.Load()) == Keyed; keyed {
		key = *r.record(pos)
	}
	return v, key, keyed
}

// Free frees the slots of n elements from pos on, whose values were moved. To do so for many
// at once is faster than to Take each: the stores of Move do not wait for each other's
// cache lines, those of the sequence words do.
func (r *Ring[T]) Free(pos uint64, n int) {
	for i := range uint64(n) {
		r.at(pos + i).seq.Store(free(pos + i + r.size))
	}
}

// Skip claims the n published elements from pos on, where Front is at pos and
// special. No two calls of Skip and ClaimAny may overlap.
func (r *Ring[T]) Skip(pos uint64, n int) { r.head.Store(pos + uint64(n)) }

// Tag returns the tag of a claimed element.
func (r *Ring[T]) Tag(pos uint64) uint64 {
	return tagIn(r.at(pos).seq.Load())
}

// Record returns the record of the special element at pos, which the caller has
// claimed, or may claim, and not taken.
func (r *Ring[T]) Record(pos uint64) uint64 { return *r.record(pos) }

func (r *Ring[T]) record(pos uint64) *uint64 { return aside(r, &r.records, pos) }

// Take removes the claimed element at pos and frees its slot. It reports false if
// the element was taken already.
func (r *Ring[T]) Take(pos uint64) (v T, tag uint64, ok bool) {
	s := r.at(pos)
	seq := s.seq.Load()
	if !full(seq, pos) {
		return v, 0, false
	}
	v = s.val
	var zero T
	s.val = zero
	s.seq.Store(free(pos + r.size))
	return v, tagIn(seq), true
}

// Room reports whether a push by the holder would find a slot, given credit.
func (r *Ring[T]) Room() bool {
	for {
		t := r.tail.Load()
		if t&retired != 0 {
			return r.size > 0
		}
		pos := t & posMask
		if r.slots != nil && r.at(pos).seq.Load() == free(pos) {
			return true
		}
		if r.tail.Load() == t { // else the next slot may be free
			return false
		}
	}
}

// Reserve keeps every push but the holder's out until Release.
func (r *Ring[T]) Reserve() { r.tail.Or(reserved) }

// Release ends Reserve.
func (r *Ring[T]) Release() { r.tail.And(^uint64(reserved)) }

// IsReserved reports whether Reserve was called, and Release was not.
func (r *Ring[T]) IsReserved() bool { return r.tail.Load()&reserved != 0 }

// Close makes every later push fail. It reports whether this call did it.
func (r *Ring[T]) Close() bool { return r.tail.Or(closed)&closed == 0 }

// IsClosed reports whether Close was called.
func (r *Ring[T]) IsClosed() bool { return r.tail.Load()&closed != 0 }

// IsRetired reports whether the ring has to be renewed before a push.
func (r *Ring[T]) IsRetired() bool { return r.tail.Load()&retired != 0 }

// Count makes pushes cost credit from now on, of which there is none yet. It
// returns how many elements were accepted before.
func (r *Ring[T]) Count() (accepted uint64) { return r.tail.And(^uint64(creditMask)) & posMask }

// Grant adds up to n units of credit, none to a retired ring, and returns how many.
func (r *Ring[T]) Grant(n int) int {
	for {
		t := r.tail.Load()
		k := min(uint64(n), MaxCredit-min(MaxCredit, t&creditMask>>creditShift))
		if t&retired != 0 {
			k = 0
		}
		if k == 0 || r.tail.CompareAndSwap(t, t+k*creditOne) {
			return int(k)
		}
	}
}

// Revoke takes the unused credit away and returns it.
func (r *Ring[T]) Revoke() int {
	for {
		t := r.tail.Load()
		c := t & creditMask
		if c == 0 || c == creditMask || t&retired != 0 {
			return 0
		}
		if r.tail.CompareAndSwap(t, t-c) {
			return int(c >> creditShift)
		}
	}
}

// Credit returns the unused credit.
func (r *Ring[T]) Credit() int {
	if c := r.tail.Load() & creditMask; c != creditMask {
		return int(c >> creditShift)
	}
	return 0
}

// Waiting returns how many elements accepted before position end were not taken.
func (r *Ring[T]) Waiting(end uint64) int {
	n := 0
	for pos := end - min(end, uint64(len(r.slots))); pos < end; pos++ {
		if r.at(pos).seq.Load() < free(pos+r.size) {
			n++
		}
	}
	return n
}

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

// Current returns how many elements were accepted and the tag that the next one
// gets. It reports whether a push would not be refused because of a flag.
func (r *Ring[T]) Current() (accepted, tag uint64, open bool) {
	t := r.tail.Load()
	return t & posMask, tagOf(t), t < retired
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
