// Package batch keeps what a worker has claimed and not yet begun, so that others can take it over.
//
// A batch is a buffer of jobs and one word. The owner begins the jobs one after the other, and a
// thief takes some off the far end, each with a compare-and-swap of the word:
//
//	begun (46 bits) << 18 | whole | owned | running | left (15 bits)
//
// begun counts the jobs that were ever begun out of the batch. It only grows, so the word never
// recurs while a thief looks at it, and the sum over all batches is how many tasks have started.
// running says that the job begun last has not ended. So begun less running is how many have ended,
// at every moment. With whole all jobs that are left run together; they count as begun when they
// end.
//
// The buffer is filled, and stolen from, under a lock that the caller holds (the claim lock): a
// thief copies the jobs out before the owner can fill the buffer again. A job's slot belongs to the
// goroutine that has moved the word past it.
//
// There is a fixed number of batches, a few for each core rather than one for each worker: a
// searching worker has to look at all of them before it may park, and only running workers hold
// short tasks, of which they claim several.
package batch

import (
	"math/bits"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

const (
	leftMask = 1<<15 - 1
	running  = 1 << 15
	owned    = 1 << 16
	whole    = 1 << 17
	shift    = 18
	one      = 1 << shift

	// CountMask is the exactness of counts of begun and ended jobs: take their differences modulo
	// CountMask+1.
	CountMask = 1<<(64-shift) - 1
	// MaxLen is the largest batch.
	MaxLen = 1 << 14
	// Sizes is the number of counters of batches by size.
	Sizes = 15
)

// Word is the state of a batch at one moment.
type Word uint64

// Left returns how many jobs others may take.
func (w Word) Left() int {
	if w&whole != 0 {
		return 0
	}
	return int(w & leftMask)
}

// Running returns how many jobs run.
func (w Word) Running() int {
	switch {
	case w&whole != 0:
		return int(w & leftMask)
	case w&running != 0:
		return 1
	}
	return 0
}

// Begun returns how many jobs were begun, modulo CountMask+1.
func (w Word) Begun() uint64 {
	n := uint64(w >> shift)
	if w&whole != 0 {
		n += uint64(w & leftMask)
	}
	return n & CountMask
}

// Ended returns how many jobs have ended, modulo CountMask+1.
func (w Word) Ended() uint64 {
	n := uint64(w >> shift)
	if w&whole == 0 && w&running != 0 {
		n--
	}
	return n & CountMask
}

// Owned reports whether the batch has an owner.
func (w Word) Owned() bool { return w&owned != 0 }

// Counters counts what has ended. Batches may share one.
type Counters struct {
	done  [2]atomic.Uint64 // jobs with each tag, without those of batches at work
	taken [Sizes]atomic.Uint64
	many  atomic.Uint64 // jobs of the batches that taken counts
	_     [48]byte
}

// Done returns how many jobs with the tag have ended in batches that have.
func (c *Counters) Done(tag int) uint64 { return c.done[tag].Load() }

// Add counts n jobs with the tag that ended in no batch.
func (c *Counters) Add(tag int, n uint64) { c.done[tag].Add(n) }

// Taken returns how many batches of 1<<i to 1<<(i+1)-1 jobs have ended.
func (c *Counters) Taken(i int) uint64 {
	n := c.taken[i].Load()
	if i == 0 { // batches of one are not counted apart
		many := c.many.Load()
		n += c.done[0].Load() + c.done[1].Load() - many
	}
	return n
}

func (c *Counters) ended(tag, n int) {
	if n > 1 {
		c.taken[min(bits.Len(uint(n)), Sizes)-1].Add(1)
		c.many.Add(uint64(n))
	}
	c.done[tag].Add(uint64(n))
}

// Batch is one batch. The zero value is free.
type Batch[T any] struct {
	word  atomic.Uint64
	watch atomic.Uint64 // see Watch
	seen  atomic.Uint64 // what word was when Stuck last looked
	tag   int           // of the jobs; changed under the claim lock while nothing is left
	first uint64        // begun when the job at index 0 was next; guarded as tag
	jobs  []T
	attrs []queue.Attr    // beside the jobs; nil while there are none
	marks []queue.Stamped // the jobs that have stamps; guarded as tag
}

// Load returns the state.
func (b *Batch[T]) Load() Word { return Word(b.word.Load()) }

// Acquire makes the caller the owner, if the batch is free. The claim lock is held.
func (b *Batch[T]) Acquire() bool { return b.word.Or(owned)&owned == 0 }

// Release ends the ownership. What is left stays there for thieves.
func (b *Batch[T]) Release() { b.word.And(^uint64(owned)) }

// Buffer returns room for n jobs, and for what stands beside them if attrs is set. The caller owns
// the batch, which is empty, and holds the claim lock.
func (b *Batch[T]) Buffer(n int, attrs bool) ([]T, []queue.Attr) {
	if len(b.jobs) < n {
		b.jobs = make([]T, n)
	}
	if !attrs {
		b.attrs = nil
		return b.jobs[:n], nil
	}
	if len(b.attrs) < n {
		b.attrs = make([]queue.Attr, n)
	}
	return b.jobs[:n], b.attrs[:n]
}

// Fill makes the first n jobs of the buffer the batch. Their stamps are in what stands beside them
// or, if there is nothing, those of Mark. The claim lock is held.
func (b *Batch[T]) Fill(n, tag int) {
	w := b.word.Load()
	b.tag, b.first = tag, w>>shift
	if b.attrs != nil {
		b.marks = b.marks[:0]
		for i := range b.attrs[:n] {
			if at := b.attrs[i].At; at != 0 {
				b.AddMark(queue.Stamped{Index: i, At: at})
			}
		}
	}
	b.word.Store(w&^leftMask | uint64(n))
}

// Mark says which of the jobs in the buffer have stamps, in their order; the batch is filled next.
// The claim lock is held.
func (b *Batch[T]) Mark(marks []queue.Stamped) { b.marks = append(b.marks[:0], marks...) }

// AddMark adds one to those of Mark, the last.
func (b *Batch[T]) AddMark(m queue.Stamped) { b.marks = append(b.marks, m) }

// Marks returns the jobs of the batch that have stamps, by their index when it was filled, and how
// many of its jobs have begun since. The claim lock is held.
func (b *Batch[T]) Marks() (marks []queue.Stamped, begun int) {
	return b.marks, int((b.word.Load()>>shift - b.first) & CountMask)
}

// Tag returns the tag of the jobs. It is for the owner, and for the holder of the claim lock.
func (b *Batch[T]) Tag() int { return b.tag }

// Begin begins the next job and takes it. It is for the owner.
func (b *Batch[T]) Begin() (job T, ok bool) {
	for {
		w := b.word.Load()
		if w&leftMask == 0 {
			return job, false
		}
		seam.Yield()
		if b.word.CompareAndSwap(w, (w|running)+one-1) {
			p := &b.jobs[(w>>shift-b.first)&CountMask]
			var zero T
			job, *p = *p, zero
			return job, true
		}
	}
}

// Next returns what stands beside the next job, nil if there is nothing. The claim lock is held.
func (b *Batch[T]) Next() *queue.Attr {
	w := b.word.Load()
	if b.attrs == nil || Word(w).Left() == 0 {
		return nil
	}
	return &b.attrs[(w>>shift-b.first)&CountMask]
}

// Current returns what stands beside the job that runs, or the first of those that run together,
// nil if there is nothing. The claim lock is held.
func (b *Batch[T]) Current() *queue.Attr {
	w := b.word.Load()
	if b.attrs == nil || Word(w).Running() == 0 {
		return nil
	}
	at := w>>shift - b.first
	if w&whole == 0 {
		at--
	}
	return &b.attrs[at&CountMask]
}

// BeginAll begins all jobs that are left, to run together, and returns them. The owner
// has to clear them before End.
func (b *Batch[T]) BeginAll() []T {
	for {
		w := b.word.Load()
		n := w & leftMask
		if n == 0 {
			return nil
		}
		if b.word.CompareAndSwap(w, w|running|whole) {
			at := (w>>shift - b.first) & CountMask
			return b.jobs[at : at+n]
		}
	}
}

// End says that what was begun has ended, and counts in c the jobs that were begun since the
// batch's count of begun jobs was before. It is for the owner.
func (b *Batch[T]) End(before uint64, c *Counters) (n int) {
	for {
		w := b.word.Load()
		next := w &^ (running | whole)
		if w&whole != 0 {
			next = next&^leftMask + (w&leftMask)<<shift
		}
		if b.word.CompareAndSwap(w, next) {
			n := int((next>>shift - before) & CountMask)
			c.ended(b.tag, n)
			return n
		}
	}
}

// Steal moves about half of what is left, the younger half, at most limit jobs, to the buffer of
// the empty batch to, which the caller owns, and returns how many. It takes all of a batch without
// an owner. The claim lock is held. to is not filled yet: the caller may change what is in its
// buffer.
func (b *Batch[T]) Steal(to *Batch[T], limit int) (n int) {
	for {
		w := b.word.Load()
		left := Word(w).Left()
		if left == 0 {
			return 0
		}
		k := min((left+1)/2, limit)
		if w&owned == 0 {
			k = min(left, limit)
		}
		at := int((w>>shift-b.first)&CountMask) + left - k
		seam.Yield()
		if !b.word.CompareAndSwap(w, w-uint64(k)) {
			continue
		}
		jobs, attrs := to.Buffer(k, b.attrs != nil)
		copy(jobs, b.jobs[at:at+k])
		clear(b.jobs[at : at+k])
		to.marks = to.marks[:0]
		for _, m := range b.marks {
			if m.Index -= at; 0 <= m.Index && m.Index < k {
				to.marks = append(to.marks, m)
			}
		}
		if attrs != nil {
			copy(attrs, b.attrs[at:at+k])
		}
		return k
	}
}

// Stuck reports whether others should take over what is left: it has no owner, or the owner has
// begun nothing since the last call of Stuck.
func (b *Batch[T]) Stuck() bool {
	w := b.word.Load()
	if Word(w).Left() == 0 {
		return false
	}
	return w&owned == 0 || b.seen.Swap(w) == w
}

// Pos returns the position of the job at index i of the buffer, when the batch is filled now. The
// position tells when the job has ended: see Over.
func (b *Batch[T]) Pos(i int) uint64 { return (b.word.Load()>>shift + uint64(i)) & CountMask }

// Over reports whether the job at the position has ended.
func (b *Batch[T]) Over(pos uint64) bool { return after(b.Load().Ended(), pos) }

// after reports whether a > b, for counts whose difference is small.
func after(a, b uint64) bool { return int64((a-b-1)<<shift) >= 0 }

// LastOf returns the position of the last job with the key that was left or ran when the state was
// w. The caller has held the claim lock since before it loaded w.
func (b *Batch[T]) LastOf(w Word, key uint64) (pos uint64, ok bool) {
	begun := uint64(w >> shift)
	from, end := begun-uint64(w.Running()), begun+uint64(w.Left())
	if w&whole != 0 {
		from, end = begun, begun+uint64(w.Running())
	}
	for p := end; p != from; {
		p--
		if i := (p - b.first) & CountMask; i < uint64(len(b.attrs)) && b.attrs[i].Keyed && b.attrs[i].Key == key {
			return p & CountMask, true
		}
	}
	return 0, false
}

// Watch makes Due report true once the job at the position has ended. There is one such position,
// the first. The claim lock is held. Watch reports false if the job has ended already.
func (b *Batch[T]) Watch(pos uint64) bool {
	if w := b.watch.Load(); w == 0 || after(w>>1, pos) {
		b.watch.Store(pos<<1 | 1)
	}
	seam.Yield()
	return !b.Over(pos)
}

// Unwatch makes Due report false. The claim lock is held.
func (b *Batch[T]) Unwatch() { b.watch.Store(0) }

// Due reports whether the job at the watched position has ended.
func (b *Batch[T]) Due() bool {
	w := b.watch.Load()
	return w != 0 && b.Over(w>>1)
}
