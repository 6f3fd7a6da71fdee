// Package span keeps ranges of queue positions that a worker has claimed and not
// yet begun, so that others can take them over.
//
// A lane holds one range in one word: the next position, an owned bit, and how
// many positions follow. The owner takes the first position, thieves take the
// far half, each with one compare-and-swap, and a word never comes back once its
// positions are used up, so there is no ABA and nothing to copy before the swap
// has succeeded.
//
//	position (low 47 bits) << 17 | owned << 16 | count
//
// A set has a fixed number of lanes, a few for each core rather than one for
// each worker: a searcher has to look at all of them before it may park, and
// only running workers hold short tasks, whose batches are worth a lane.
package span

import (
	"sync/atomic"

	"github.com/headrace-go/pool/internal/seam"
)

const (
	countMask = 1<<16 - 1
	owned     = 1 << 16
	posShift  = 17
	posMask   = 1<<(64-posShift) - 1

	// MaxCount is the longest range a lane holds.
	MaxCount = countMask
)

// Lane is one range. The zero value is free.
type Lane struct {
	word atomic.Uint64
	seen atomic.Uint64 // what word was when StealStuck last looked
	_    [112]byte
}

// Set is a fixed number of lanes.
type Set struct {
	lanes []Lane
}

// NewSet returns a set of n free lanes.
func NewSet(n int) *Set { return &Set{lanes: make([]Lane, n)} }

// Size returns the number of lanes.
func (s *Set) Size() int { return len(s.lanes) }

// Acquire returns a free lane, now owned by the caller and empty, or nil.
func (s *Set) Acquire() *Lane {
	for i := range s.lanes {
		if l := &s.lanes[i]; l.word.Load() == 0 && l.word.CompareAndSwap(0, owned) {
			return l
		}
	}
	return nil
}

// Put gives the owner's empty lane the n positions from pos.
func (l *Lane) Put(pos uint64, n int) {
	l.word.Store(pos<<posShift | owned | uint64(n))
}

// Next takes the first position of the owner's lane; near is any full position
// fewer than 2^46 away from it.
func (l *Lane) Next(near uint64) (pos uint64, ok bool) {
	for {
		w := l.word.Load()
		if w&countMask == 0 {
			return 0, false
		}
		seam.Yield()
		if l.word.CompareAndSwap(w, w+1<<posShift-1) {
			return widen(w>>posShift, near), true
		}
	}
}

// Front returns the first position of the owner's lane; near is as for Next.
func (l *Lane) Front(near uint64) uint64 { return widen(l.word.Load()>>posShift, near) }

// Begun returns how many positions from start on have left the front of the lane.
func (l *Lane) Begun(start uint64) int64 {
	d := (l.word.Load()>>posShift - start) & posMask
	return int64(d<<posShift) >> posShift
}

// Release frees the owner's lane. What is left in it stays there for thieves.
func (l *Lane) Release() {
	for {
		w := l.word.Load()
		next := w &^ owned
		if w&countMask == 0 {
			next = 0
		}
		if l.word.CompareAndSwap(w, next) {
			return
		}
	}
}

// Len returns how many positions wait in the lane.
func (l *Lane) Len() int { return int(l.word.Load() & countMask) }

// Len returns how many positions wait in all lanes.
func (s *Set) Len() int {
	n := 0
	for i := range s.lanes {
		n += s.lanes[i].Len()
	}
	return n
}

// Empty reports whether no position waits in any lane.
func (s *Set) Empty() bool {
	for i := range s.lanes {
		if s.lanes[i].word.Load()&countMask != 0 {
			return false
		}
	}
	return true
}

// Steal takes the far half, at most limit positions, of the first lane at or
// after from that has any; of a lane without an owner it takes the near ones,
// which are older. near is as for Next.
func (s *Set) Steal(from int, limit int, near uint64) (pos uint64, n int) {
	for i := range s.lanes {
		if pos, n = s.lanes[(from+i)%len(s.lanes)].steal(limit, near); n > 0 {
			break
		}
	}
	return pos, n
}

// StealStuck steals only from lanes that have no owner, or in which nothing has
// moved since StealStuck last looked at them.
func (s *Set) StealStuck(limit int, near uint64) (pos uint64, n int) {
	return s.stealIf(limit, near, func(l *Lane, w uint64) bool { return w&owned == 0 || l.seen.Swap(w) == w })
}

// StealFree steals only from lanes that have no owner.
func (s *Set) StealFree(limit int, near uint64) (pos uint64, n int) {
	return s.stealIf(limit, near, func(_ *Lane, w uint64) bool { return w&owned == 0 })
}

func (s *Set) stealIf(limit int, near uint64, from func(*Lane, uint64) bool) (pos uint64, n int) {
	for i := range s.lanes {
		l := &s.lanes[i]
		if w := l.word.Load(); w&countMask == 0 || !from(l, w) {
			continue
		}
		if pos, n = l.steal(limit, near); n > 0 {
			break
		}
	}
	return pos, n
}

func (l *Lane) steal(limit int, near uint64) (pos uint64, n int) {
	for {
		w := l.word.Load()
		have := w & countMask
		if have == 0 {
			return 0, 0
		}
		if w&owned == 0 {
			k := min(have, uint64(limit))
			next := uint64(0)
			if k < have {
				next = w + k<<posShift - k
			}
			if l.word.CompareAndSwap(w, next) {
				return widen(w>>posShift, near), int(k)
			}
			continue
		}
		k := min((have+1)/2, uint64(limit))
		seam.Yield()
		if l.word.CompareAndSwap(w, w-k) {
			return widen(w>>posShift+have-k, near), int(k)
		}
	}
}

// widen returns the full position with the given low bits that is nearest to near.
func widen(low, near uint64) uint64 {
	d := (low - near) & posMask
	return near + uint64(int64(d<<posShift)>>posShift)
}
