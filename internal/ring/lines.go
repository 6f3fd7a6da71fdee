package ring

import "unsafe"

// Cache lines. A slot's line comes from the core that had it last, and where the cores
// do not share a cache that takes about 100 ns, in which the next locked instruction waits. So
// the lines come several at a time, for which no more is needed than plain loads and stores
// without a locked instruction in between: a producer looks at slots before their turn, and
// a consumer writes to the slots that it has claimed. BenchmarkPipe measures what it gains.

const (
	lineSize = 64
	// ahead is after how many pushes a producer looks at as many of the next slots. With 16, or 64,
	// or those behind the next ones, it gains less.
	ahead = 32
	// ownMin is for how many claimed elements it is worth to write to their slots.
	ownMin = 4
)

// lookAhead brings the slots from pos on into the cache.
//
//go:noinline
func (r *Ring[T]) lookAhead(pos uint64) {
	if r.size < 4*ahead {
		return
	}
	n := uint64(slotsInLine[T]())
	for p := pos + ahead - 1; p >= pos && r.at(p).seq.Load() == free(p); p -= n {
	}
}

// own makes the lines of n claimed slots from pos on the caller's alone, if that does not take
// more than a store for each.
func (r *Ring[T]) own(pos uint64, n int) {
	if unsafe.Sizeof(slot[T]{}) > lineSize {
		return
	}
	first := r.slots[r.index(pos):]
	first = first[:min(n, len(first))]
	touch(first, first)
	if n -= len(first); n > 0 {
		touch(r.slots[:n], r.slots[:n])
	}
}

// touch writes to each line of the slots in to what stands there. It is told twice where that
// is, so that the compiler does not leave it out.
//
//go:noinline
func touch[T any](to, from []slot[T]) {
	for i := 0; i < len(to) && i < len(from); i += slotsInLine[T]() {
		to[i].val = from[i].val
	}
}

func slotsInLine[T any]() int { return max(1, lineSize/int(unsafe.Sizeof(slot[T]{}))) }
