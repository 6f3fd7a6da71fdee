package queue

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stamps. A producer whose position is a multiple of a power of two puts the time into a cell
// beside the ring's slots, and then publishes its slot. The consumer looks into the cells of the
// positions that it has popped. A cell says whose stamp it has, since producers may leave any of
// them out.

// Stamped is an element that has a stamp: its index among those that were popped, and the time of
// its push since the start.
type Stamped struct {
	Index int
	At    time.Duration // never 0
}

// stamper is what a queue knows of stamps.
type stamper struct {
	mask  atomic.Uint64 // a position that has none of these bits gets a stamp
	every uint64        // no others have a cell; 0: there are none
	shift uint8         // of a position, to divide by every
	start time.Time
}

type stamp struct {
	pos uint64 // plus one
	at  time.Duration
}

// never is the mask of a queue without stamps: only position 0 has none of these bits.
const never = 1<<63 - 1

// Stamp makes the queue stamp each element whose position is a multiple of every, a power of two,
// with the time since start of its push. Call it after Init and before the first push.
func (q *Queue[T]) Stamp(every int, start time.Time) {
	q.every, q.shift, q.start = uint64(every), uint8(bits.Len(uint(every))-1), start
	q.mask.Store(q.every - 1)
	q.last.Load().stamps = q.newStamps(q.small)
}

// Thin makes the queue stamp only one in n of those; n is a power of two.
func (q *Queue[T]) Thin(n int) {
	if m := q.every*uint64(n) - 1; q.every > 0 && q.mask.Load() != m {
		q.mask.Store(m)
	}
}

// Sampled reports whether an element of the position would be stamped.
func (q *Queue[T]) Sampled(pos uint64) bool { return pos&q.mask.Load() == 0 && q.every > 0 }

// Stamps returns the stamped elements among those that Pop has just taken, in their order. It is
// for the consumer, until the next Pop.
func (q *Queue[T]) Stamps() []Stamped { return q.taken }

func (q *Queue[T]) newStamps(size int) []stamp {
	if q.every == 0 {
		return nil
	}
	return make([]stamp, max(1, size>>q.shift))
}

// sampled returns how far apart the positions are that get stamps, and the first of them from pos
// on.
func (q *Queue[T]) sampled(pos uint64) (apart, first uint64) {
	m := q.mask.Load()
	return m + 1, (pos + m) &^ m
}

// stampOf returns the cell of pos.
func (q *Queue[T]) stampOf(r *ring[T], pos uint64) *stamp {
	return &r.stamps[pos>>q.shift&uint64(len(r.stamps)-1)]
}

// stamp stamps pos, whose slot is in r.
func (q *Queue[T]) stamp(r *ring[T], pos uint64) {
	if q.every > 0 {
		*q.stampOf(r, pos) = stamp{pos + 1, max(1, time.Since(q.start))}
	}
}

// takeStamps adds the stamps of the positions from from to to, in r, to those that were taken; to
// is that of the element with index n.
func (q *Queue[T]) takeStamps(r *ring[T], from, to uint64, n int) {
	if q.every == 0 {
		return
	}
	for p := (from + q.every - 1) &^ (q.every - 1); p < to; p += q.every {
		if s := q.stampOf(r, p); s.pos == p+1 {
			q.taken = append(q.taken, Stamped{n - int(to-p), s.at})
		}
	}
}
