// Package strand keeps jobs with equal keys in order, and apart.
//
// A job with a key is claimed like any other, in the order of the queue, under the claim lock. All
// jobs of a key that were claimed and have not ended are in one batch, in their order: its owner
// runs them one after the other. So a job that is claimed
//
//	stays in the batch      if no job of its key is in another one,
//	goes behind its key     otherwise: into the key's strand, a queue of its own,
//
// and a key costs one look into a table. The table holds the batch and the position of the key's
// last claimed job. When the job at that position has ended the key is free: so the end of a job
// costs nothing, unless another job waits for its key.
//
// When a job is put behind its key, the key's batch is watched: its owner is told when the job at
// that position has ended, and makes the strand ready (Release). Any worker claims ready strands,
// in turn with the queue. The claimer sets the batch's watch and then looks how far the batch is;
// the owner ends a job and then looks at the watch: one of the two sees the other.
//
// A thief that takes the far half of a batch may get jobs of keys of which the victim keeps earlier
// ones: these go to the front of the key's strand (Adopt).
package strand

import (
	"time"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/keymap"
	"github.com/headrace-go/pool/internal/queue"
)

// Item is a job that waits behind its key.
type Item[T any] struct {
	Job T
	Key uint64
	Tag int
	At  time.Duration // its stamp, or 0
}

// strand is the queue of a key.
type strand[T any] struct {
	key  uint64
	jobs deque.Deque[Item[T]]
}

// state is what the table knows of a key.
type state[T any] struct {
	owner  *batch.Batch[T] // where the key's last claimed job is; nil: nowhere
	pos    uint64          // of that job
	strand *strand[T]      // what waits behind it, or nil. Without an owner it is ready
}

func (s *state[T]) free() bool { return s.owner == nil || s.owner.Over(s.pos) }

// leave leaves the last job without an owner. The position counts no more, but a value in the table
// must not become zero.
func (s *state[T]) leave() { s.owner, s.pos = nil, 1 }

// Table is the table of keys. Everything but New is called under the claim lock.
type Table[T any] struct {
	keys    keymap.Map[state[T]]
	ready   deque.Deque[*strand[T]]
	watched map[*batch.Batch[T]][]uint64 // the keys for which each batch is watched
	spare   []*strand[T]
	len     int
}

const maxSpare = 1024 // strands kept for reuse

// New returns an empty table.
func New[T any]() *Table[T] {
	return &Table[T]{
		keys:    keymap.New(func(s *state[T]) bool { return s.strand == nil && s.free() }),
		watched: make(map[*batch.Batch[T]][]uint64),
	}
}

// Len returns how many jobs wait behind keys.
func (t *Table[T]) Len() int { return t.len }

// Most returns the key behind which most jobs wait, and how many these are.
func (t *Table[T]) Most() (key uint64, n int) {
	look := func(s *strand[T]) {
		if k := s.jobs.Len(); k > n {
			key, n = s.key, k
		}
	}
	for i := range t.ready.Len() {
		look(*t.ready.At(i))
	}
	for _, keys := range t.watched {
		for _, k := range keys {
			if s := t.keys.Get(k); s != nil && s.strand != nil {
				look(s.strand)
			}
		}
	}
	return key, n
}

// Keys returns how many keys are in use.
func (t *Table[T]) Keys() int { return t.keys.Len() }

// Ready reports whether Take would find something.
func (t *Table[T]) Ready() bool { return t.ready.Len() > 0 }

// Sort keeps, of the first n jobs in the buffer of b, those that may be in the batch, with what
// stands beside them, and puts the others behind their keys. It returns how many it kept. The jobs
// were just popped, with the tag; the batch is filled next.
func (t *Table[T]) Sort(b *batch.Batch[T], jobs []T, attrs []queue.Attr, n, tag int) int {
	kept := 0
	for i := range n {
		if attrs[i].Keyed && !t.stays(b, attrs[i].Key, kept) {
			t.behind(Item[T]{jobs[i], attrs[i].Key, tag, attrs[i].At}, false)
			continue
		}
		if kept != i {
			jobs[kept], attrs[kept] = jobs[i], attrs[i]
		}
		kept++
	}
	clear(jobs[kept:n])
	return kept
}

// stays reports whether a job with the key may be the one at that index of the batch.
func (t *Table[T]) stays(b *batch.Batch[T], key uint64, index int) bool {
	s := t.keys.At(key)
	if s.strand != nil || s.owner != nil && s.owner != b && !s.free() {
		return false
	}
	s.owner, s.pos = b, b.Pos(index)
	return true
}

// behind puts a job behind its key, whose batch is then watched.
func (t *Table[T]) behind(it Item[T], front bool) {
	s := t.keys.At(it.Key)
	t.len++
	if s.strand != nil {
		if !front {
			s.strand.jobs.PushBack(it)
			return
		}
		s.strand.jobs.PushFront(it)
		if s.owner != nil { // else it is ready
			t.await(s) // for an earlier job than before
		}
		return
	}
	s.strand = t.newStrand(it.Key)
	s.strand.jobs.PushBack(it)
	t.await(s)
}

// await makes the strand of a key ready, now or when the key's last job has ended.
func (t *Table[T]) await(s *state[T]) {
	if s.owner != nil && s.owner.Watch(s.pos) {
		t.watched[s.owner] = append(t.watched[s.owner], s.strand.key)
		return
	}
	s.leave()
	t.ready.PushBack(s.strand)
}

// Release makes the strands ready that waited for jobs of b that have ended, and reports whether
// there are any.
func (t *Table[T]) Release(b *batch.Batch[T]) (any bool) {
	keys := t.watched[b]
	delete(t.watched, b)
	b.Unwatch()
	for _, key := range keys {
		s := t.keys.Get(key)
		if s == nil || s.strand == nil || s.owner == nil {
			continue // it is ready, or was
		}
		t.await(s)
		any = any || s.owner == nil
	}
	return any
}

// Take moves jobs of ready strands into the buffer of b, which is empty, as long as they fit and
// have one tag, and returns how many there are then, and their tag.
func (t *Table[T]) Take(b *batch.Batch[T], jobs []T, attrs []queue.Attr) (n, tag int) {
	for n < len(jobs) && t.ready.Len() > 0 {
		st := *t.ready.At(0)
		first := st.jobs.At(0)
		if n > 0 && first.Tag != tag {
			break
		}
		tag = first.Tag
		s := t.keys.Get(st.key)
		for n < len(jobs) && st.jobs.Len() > 0 && st.jobs.At(0).Tag == tag {
			it, _ := st.jobs.PopFront()
			jobs[n], attrs[n] = it.Job, queue.Attr{Key: st.key, Keyed: true, At: it.At}
			s.owner, s.pos = b, b.Pos(n)
			n++
			t.len--
		}
		t.ready.PopFront()
		if st.jobs.Len() == 0 {
			s.strand = nil
			t.drop(st)
		} else {
			t.await(s)
		}
	}
	return n, tag
}

// Adopt sorts n jobs that were stolen from the batch from into the buffer of b, which is filled
// next. It returns how many stay there.
func (t *Table[T]) Adopt(from, b *batch.Batch[T], jobs []T, attrs []queue.Attr, n, tag int) int {
	kept := 0
	var back []Item[T] // jobs of keys of which from has earlier ones
	w := from.Load()   // once, since it moves on: jobs of a key have to be dealt with alike
	for i := range n {
		if attrs[i].Keyed {
			key := attrs[i].Key
			s := t.keys.At(key)
			if pos, ok := from.LastOf(w, key); ok && s.owner == from {
				s.pos = pos
				back = append(back, Item[T]{jobs[i], key, tag, attrs[i].At})
				continue
			}
			if s.owner == from && s.strand != nil {
				t.watched[b] = append(t.watched[b], key) // what was behind it now is behind this one
				s.owner, s.pos = b, b.Pos(kept)
				b.Watch(s.pos)
			}
			s.owner, s.pos = b, b.Pos(kept)
		}
		if kept != i {
			jobs[kept], attrs[kept] = jobs[i], attrs[i]
		}
		kept++
	}
	clear(jobs[kept:n])
	for i := len(back) - 1; i >= 0; i-- {
		t.behind(back[i], true)
	}
	return kept
}

// Return puts a job that was taken out of the batch from, the last one of its key there, to the
// front of its key.
func (t *Table[T]) Return(from *batch.Batch[T], it Item[T]) {
	s := t.keys.At(it.Key)
	if pos, ok := from.LastOf(from.Load(), it.Key); ok {
		s.pos = pos
	} else if s.leave(); s.strand != nil {
		t.ready.PushBack(s.strand)
	}
	t.behind(it, true)
}

func (t *Table[T]) newStrand(key uint64) *strand[T] {
	n := len(t.spare)
	if n == 0 {
		return &strand[T]{key: key}
	}
	s := t.spare[n-1]
	t.spare = t.spare[:n-1]
	s.key = key
	return s
}

func (t *Table[T]) drop(s *strand[T]) {
	if len(t.spare) < maxSpare {
		t.spare = append(t.spare, s)
	}
}

// Drain gives everything that waits behind keys to give, and forgets it.
func (t *Table[T]) Drain(give func(Item[T])) {
	t.keys.All(func(s *state[T]) {
		if s.strand == nil {
			return
		}
		for it, ok := s.strand.jobs.PopFront(); ok; it, ok = s.strand.jobs.PopFront() {
			give(it)
			t.len--
		}
		s.strand = nil
	})
	for t.ready.Len() > 0 {
		t.ready.PopFront()
	}
	clear(t.watched)
}

// Trim gives memory back, if no key is in use.
func (t *Table[T]) Trim() {
	t.keys.Trim()
	t.spare = nil
}
