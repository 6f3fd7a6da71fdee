package deque

import "sync"

// ChunkSize is how many elements a chunk holds at most.
const ChunkSize = 64

// Chunked is a double-ended queue in chunks. They change hands as a whole, so that
// a thief does not read, while it holds the victim's lock, what lies in the caches
// of the victim's core. The zero value is empty. It is not safe for concurrent use.
type Chunked[E any] struct {
	full Deque[*Chunk[E]] // older than tail; none is empty
	tail *Chunk[E]        // nil, or not empty
	len  int
}

// Chunk is a part of a queue.
type Chunk[E any] struct {
	head, end int
	items     [ChunkSize]E
}

func (c *Chunk[E]) len() int { return c.end - c.head }

// Len returns the number of elements.
func (q *Chunked[E]) Len() int { return q.len }

// PushBack adds an element at the back. A new chunk comes from the pool of
// *Chunk[E], if there is one.
func (q *Chunked[E]) PushBack(e E, chunks *sync.Pool) {
	c := q.tail
	if c == nil || c.end == ChunkSize {
		if c != nil {
			q.full.PushBack(c)
		}
		if c, _ = chunks.Get().(*Chunk[E]); c == nil {
			c = new(Chunk[E])
		}
		q.tail = c
	}
	c.items[c.end] = e
	c.end++
	q.len++
}

// PopBack removes the element at the back. It reports false if there is none.
func (q *Chunked[E]) PopBack(chunks *sync.Pool) (e E, ok bool) {
	c := q.tail
	if c == nil {
		return e, false
	}
	c.end--
	q.len--
	e, c.items[c.end] = c.items[c.end], e
	q.tidy(chunks)
	return e, true
}

// Back returns the element at the back of a queue that is not empty.
func (q *Chunked[E]) Back() *E { return &q.tail.items[q.tail.end-1] }

// Front returns the element at the front of a queue that is not empty.
func (q *Chunked[E]) Front() *E {
	c := q.first()
	return &c.items[c.head]
}

func (q *Chunked[E]) first() *Chunk[E] {
	if q.full.Len() > 0 {
		return *q.full.At(0)
	}
	return q.tail
}

// PopFront removes the element at the front. It reports false if there is none.
func (q *Chunked[E]) PopFront(chunks *sync.Pool) (e E, ok bool) {
	c := q.first()
	if c == nil {
		return e, false
	}
	e, c.items[c.head] = c.items[c.head], e
	c.head++
	q.len--
	if c != q.tail && c.len() == 0 {
		q.full.PopFront()
		free(c, chunks)
	}
	q.tidy(chunks)
	return e, true
}

// tidy makes a chunk that is not empty the tail.
func (q *Chunked[E]) tidy(chunks *sync.Pool) {
	if q.tail.len() == 0 {
		free(q.tail, chunks)
		q.tail, _ = q.full.PopBack()
	}
}

func free[E any](c *Chunk[E], chunks *sync.Pool) {
	c.head, c.end = 0, 0
	chunks.Put(c)
}

// MoveHalf moves about half of the elements, the older ones, to the back of to, in
// their order: whole chunks if there are several, up to limit, else elements. It
// moves at least one, if there is one.
func (q *Chunked[E]) MoveHalf(to *Chunked[E], limit int, chunks *sync.Pool) {
	if n := min((q.full.Len()+1)/2, limit); n > 0 {
		for range n {
			c, _ := q.full.PopFront()
			if to.tail != nil {
				to.full.PushBack(to.tail)
			}
			to.tail = c
			to.len += c.len()
			q.len -= c.len()
		}
		return
	}
	for range (q.len + 1) / 2 {
		e, _ := q.PopFront(chunks)
		to.PushBack(e, chunks)
	}
}
