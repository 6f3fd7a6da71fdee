// Package queue is a first-in-first-out queue for many producers and one consumer at a time. Its
// memory follows what waits in it.
//
// A producer wins a position with one compare-and-swap of tail, fills the slot of that position,
// and publishes it in the slot's word. The consumer holds a lock of its own, reads published slots
// in order, and moves head once for all that it took. So no goroutine writes a slot's word to free
// it: a position may be won only below limit, and limit follows head and the caller's bound.
// Producers read limit and write it only when they have reached it (the gating sequence of the LMAX
// Disruptor).
//
// A producer can win several positions at once. Then only the first of their slots is published,
// with their number in its word.
//
// The slots are in a ring, which is replaced by one of another size when it is too small, and at
// rest when it is too large. The old ring stays until all of it was taken. The tail is frozen
// meanwhile, so each position belongs to one ring: the youngest that starts at or before it.
//
// The tail word carries more than the position. Close sets a bit in it, so that one word orders a
// push and a close and a push pays nothing for the check. Split changes a one-bit tag in it, which
// every later element carries: this tells apart exactly the elements accepted before and after, and
// a push has to say which tag its element gets until Join. Trim and Reserve, which lower the room
// behind a position, count a turn: a push that has looked at limit before then loses its
// compare-and-swap, see reserve.go.
//
// The elements of every n-th position can be stamped with the time at which they were pushed, see
// stamp.go.
package queue

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/seam"
)

const (
	closed = 1 << 63
	frozen = 1 << 62 // the ring is being replaced
	split  = 1 << 61
	tagBit = 1 << 60
	turns  = turn << 8
	turn   = 1 << 51 // counted, modulo 256, in the bits below turns

	posMask = turn - 1

	// MaxPos is the largest position.
	MaxPos = posMask

	maxRun    = 1 << 8 // positions that one word publishes
	fullBit   = 1
	tagShift  = 1
	attrBit   = 1 << 2
	aloneBit  = 1 << 3
	runShift  = 4
	seqShift  = runShift + 8
	quickSize = 1024 // up to here rings grow by quickGrow, and are kept at rest
	quickGrow = 4
)

// Status is the outcome of a push.
type Status uint8

// The outcomes of a push.
const (
	OK     Status = iota // the element is in the queue
	Other                // it is, and its tag is not the current one
	Full                 // tail has reached limit: see Raise
	Closed               // the queue takes no more elements
	Untold               // the queue is split: the push has to say the tag
)

// Others splits s: it returns OK and 1 for Other, and otherwise s and 0.
func (s Status) Others() (Status, int) {
	if s == Other {
		return OK, 1
	}
	return s, 0
}

// Tags of a push, besides 0 and 1, which count only while the queue is split.
const (
	Any     = -1 // the current one, unless the queue is split
	Current = 2  // the current one
)

// Attr is what stands beside an element that is not plain.
type Attr struct {
	Key    uint64
	Weight int64
	Keyed  bool
	Class  uint8
	Share  uint32
	At     time.Duration // its stamp, once it was popped, or 0
}

// Alone reports whether the element is popped alone.
func (a *Attr) alone() bool { return a.Weight > 1 }

// Queue is the queue. Call Init before anything else. Any goroutine may call Push, PushAll, Raise
// and the methods that only look; one goroutine at a time, the consumer, may call Pop and Trim.
//
// tail, limit and head stand 128 bytes apart: 64-byte lines are fetched in pairs.
type Queue[T any] struct {
	_     [128]byte
	tail  atomic.Uint64 // flags | tag | turns | position of the next push
	_     [120]byte
	limit atomic.Uint64 // pushes stop before this position; written under mu
	reserves
	last  atomic.Pointer[ring[T]]
	small int
	stamper
	_     [56]byte
	head  atomic.Uint64 // position of the next pop, written by the consumer
	first atomic.Pointer[ring[T]]
	taken []Stamped // the consumer's, see Stamps
	_     [88]byte
	mu    sync.Mutex // guards limit and the choice of the ring
	held  bool       // only the holder may push, see Hold
}

// Init prepares the queue. small is how many slots it has at rest, a power of two.
func (q *Queue[T]) Init(small int) {
	q.small = small
	q.mask.Store(never)
	r := q.newRing(0, small)
	q.first.Store(r)
	q.last.Store(r)
}

// Push appends v, with a beside it if a is not nil. tag is 0 or 1, or Any.
func (q *Queue[T]) Push(v T, a *Attr, tag int) Status {
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
		if pos >= q.limit.Load() {
			if q.tail.Load() == t {
				return Full
			}
			continue
		}
		if q.tail.CompareAndSwap(t, t+1) {
			seam.Yield() // the position is won and its slot not yet published
			return q.fill(pos, v, a, t, tag)
		}
	}
}

// fill publishes the slot of pos, which the caller has won from the tail t.
func (q *Queue[T]) fill(pos uint64, v T, a *Attr, t uint64, tag int) Status {
	r := q.holding(pos)
	if pos&q.mask.Load() == 0 {
		q.stamp(r, pos)
	}
	s := r.at(pos)
	s.val = v
	w := pos<<seqShift | tagOf(t, tag)<<tagShift | fullBit
	if a != nil {
		*r.attr(pos) = *a
		w |= attrBit
		if a.alone() {
			w |= aloneBit
		}
	}
	s.seq.Store(w)
	if tagOf(t, tag) != uint64(Tag(t)) {
		return Other
	}
	return OK
}

// flagged returns why a push fails in a state with a flag, or OK if it does not. If the ring is
// being replaced, it returns when that is done.
func (q *Queue[T]) flagged(t uint64, tag int) Status {
	switch {
	case t >= closed:
		return Closed
	case t&frozen != 0:
		q.mu.Lock() // the goroutine that froze the tail holds it
		q.mu.Unlock()
	case tag == Any:
		return Untold
	}
	return OK
}

func tagOf(t uint64, tag int) uint64 {
	if t&split != 0 && (tag == 0 || tag == 1) {
		return uint64(tag)
	}
	return uint64(Tag(t))
}

// Tag returns the tag in the tail word t.
func Tag(t uint64) int { return int(t >> 60 & 1) }

// PushAll appends a prefix of vs, as far as there is room, with one compare-and-swap for up to 256
// elements, and returns its length. others is how many of them do not have the current tag. late
// says that vs was accepted elsewhere before the queue was closed: then neither that nor limit
// keeps it out.
func (q *Queue[T]) PushAll(vs []T, tag int, late bool) (n, others int, s Status) {
	for n < len(vs) {
		t := q.tail.Load()
		if t >= split && !(late && t&frozen == 0 && tag != Any) {
			if s := q.flagged(t, tag); s != OK && !(late && s == Closed) {
				return n, others, s
			}
			if t&frozen != 0 {
				continue
			}
		}
		pos, limit := t&posMask, q.limit.Load()
		if late && pos+maxRun > limit {
			q.Raise(MaxPos, true)
			limit = q.limit.Load()
		}
		if pos >= limit {
			if q.tail.Load() == t && !late {
				return n, others, Full
			}
			continue
		}
		k := min(uint64(len(vs)-n), limit-pos, maxRun)
		seam.Yield() // with a limit that Trim may lower
		if !q.tail.CompareAndSwap(t, t+k) {
			continue
		}
		r := q.holding(pos)
		for i := range k {
			r.at(pos + i).val = vs[n+int(i)]
		}
		for m, p := q.sampled(pos); p < pos+k; p += m {
			q.stamp(r, p)
		}
		r.at(pos).seq.Store(pos<<seqShift | (k-1)<<runShift | tagOf(t, tag)<<tagShift | fullBit)
		n += int(k)
		if tagOf(t, tag) != uint64(Tag(t)) {
			others += int(k)
		}
		if k < maxRun && n < len(vs) && !late {
			return n, others, Full // what others push meanwhile does not come between
		}
	}
	return n, others, OK
}

// Raise sets limit to what bound and the ring allow. It replaces the ring by a larger one if only
// the ring keeps elements out. It reports whether a push may succeed now. Unless holder is set it
// does nothing while the queue is held.
func (q *Queue[T]) Raise(bound uint64, holder bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held && !holder {
		return q.open()
	}
	if limit := q.allowed(q.less(bound)); limit != q.limit.Load() {
		q.limit.Store(limit)
	}
	return q.open()
}

func (q *Queue[T]) open() bool { return q.tail.Load()&posMask < q.limit.Load() }

// PushHeld is Push for the holder. bound is as for Raise.
func (q *Queue[T]) PushHeld(v T, a *Attr, tag int, bound uint64) Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := q.allowed(q.less(bound))
	for {
		t := q.tail.Load()
		switch {
		case t >= closed:
			return Closed
		case t&split != 0 && tag == Any:
			return Untold
		case t&posMask >= limit:
			return Full
		}
		if q.tail.CompareAndSwap(t, t+1) {
			return q.fill(t&posMask, v, a, t, tag)
		}
	}
}

// Hold keeps every Push out, until Release: only PushHeld appends.
func (q *Queue[T]) Hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = true
	q.limit.Store(0)
}

// Release ends Hold.
func (q *Queue[T]) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = false
}

// IsHeld reports whether Hold was called, and Release was not.
func (q *Queue[T]) IsHeld() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

// Pop takes the oldest elements, as long as they were published, have one tag, and fit into vals,
// and returns how many and their tag. What stands beside them goes to attrs, if that is not nil. An
// element that is to be alone is popped alone.
func (q *Queue[T]) Pop(vals []T, attrs []Attr) (n int, tag int) {
	var zero T
	h, r := q.head.Load(), q.first.Load()
	q.taken = q.taken[:0]
	looked := h // up to where the stamps were
	for n < len(vals) {
		w := r.at(h).seq.Load()
		if w>>seqShift != h || w&fullBit == 0 {
			next := r.newer.Load()
			if next == nil || next.from != h {
				break
			}
			q.takeStamps(r, looked, h, n)
			looked = h
			next.older.Store(nil)
			q.first.Store(next)
			r = next
			continue
		}
		if n > 0 && (int(w>>tagShift&1) != tag || w&aloneBit != 0) {
			break
		}
		tag = int(w >> tagShift & 1)
		run := w>>runShift&(maxRun-1) + 1
		k := min(run, uint64(len(vals)-n))
		for i := range k {
			s := r.at(h + i)
			vals[n+int(i)] = s.val
			s.val = zero
		}
		if attrs != nil {
			if w&attrBit != 0 {
				a := r.attr(h)
				attrs[n], *a = *a, Attr{}
			} else {
				clear(attrs[n : n+int(k)])
			}
		}
		h, n = h+k, n+int(k)
		if k < run {
			r.at(h).seq.Store(h<<seqShift | (run-k-1)<<runShift | w&(1<<tagShift|fullBit))
		}
		if w&aloneBit != 0 {
			break
		}
	}
	if n > 0 {
		q.takeStamps(r, looked, h, n)
		q.head.Store(h)
	}
	return n, tag
}

// Next returns what stands beside the element that Pop would take next, if there is something. It
// is for the consumer.
func (q *Queue[T]) Next() (a Attr) {
	h, r := q.head.Load(), q.first.Load()
	if next := r.newer.Load(); next != nil && next.from == h {
		r = next
	}
	if w := r.at(h).seq.Load(); w>>seqShift == h && w&fullBit != 0 && w&attrBit != 0 {
		a = *r.attr(h)
	}
	return a
}

// Ready reports whether Pop would find something.
func (q *Queue[T]) Ready() bool {
	for {
		h, r := q.head.Load(), q.first.Load()
		if w := r.at(h).seq.Load(); w>>seqShift == h && w&fullBit != 0 {
			return true
		}
		if next := r.newer.Load(); next != nil && next.from == h {
			if w := next.at(h).seq.Load(); w>>seqShift == h && w&fullBit != 0 {
				return true
			}
		}
		if q.head.Load() == h { // else the next one may be there
			return false
		}
	}
}

// Close makes every later push fail. It reports whether this call did it.
func (q *Queue[T]) Close() bool { return q.tail.Or(closed)&closed == 0 }

// IsClosed reports whether Close was called.
func (q *Queue[T]) IsClosed() bool { return q.tail.Load()&closed != 0 }

// Split gives later elements the other tag, and returns how many were accepted by
// then. From now on a push has to say its tag.
func (q *Queue[T]) Split() (accepted uint64) {
	for {
		t := q.tail.Load()
		if q.tail.CompareAndSwap(t, (t^tagBit)|split) {
			return t & posMask
		}
	}
}

// Join ends the need to say the tag.
func (q *Queue[T]) Join() { q.tail.And(^uint64(split)) }

// IsSplit reports whether a push has to say its tag.
func (q *Queue[T]) IsSplit() bool { return q.tail.Load()&split != 0 }

// CurrentTag returns the tag of later elements that have no other.
func (q *Queue[T]) CurrentTag() int { return Tag(q.tail.Load()) }

// TagFor returns the tag of an element that is pushed now with tag.
func (q *Queue[T]) TagFor(tag int) int { return int(tagOf(q.tail.Load(), tag)) }

// Accepted returns how many elements were ever pushed.
func (q *Queue[T]) Accepted() uint64 { return q.tail.Load() & posMask }

// Popped returns how many elements were ever popped.
func (q *Queue[T]) Popped() uint64 { return q.head.Load() }

// Len returns how many elements were accepted and not popped.
func (q *Queue[T]) Len() int {
	h := q.head.Load()
	return int(q.Accepted() - h)
}
