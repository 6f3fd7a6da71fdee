package deque

import (
	"slices"
	"sync"
	"testing"
)

// FuzzChunked compares two queues, between which elements move, with slices.
func FuzzChunked(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 2, 3, 0, 1, 2, 3, 2, 2, 2})
	long := make([]byte, 1000)
	for i := range long {
		long[i] = byte([]int{0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3}[i%11] + i/500)
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, ops []byte) {
		chunks := new(sync.Pool)
		var q, to Chunked[int]
		var model, moved []int
		for i, op := range ops {
			switch op % 8 {
			case 1:
				e, ok := q.PopFront(chunks)
				if ok != (len(model) > 0) || ok && e != model[0] {
					t.Fatalf("PopFront: got %d, %v of %v", e, ok, model)
				}
				model = model[min(1, len(model)):]
			case 2:
				e, ok := q.PopBack(chunks)
				if ok != (len(model) > 0) || ok && e != model[len(model)-1] {
					t.Fatalf("PopBack: got %d, %v of %v", e, ok, model)
				}
				model = model[:max(0, len(model)-1)]
			case 3:
				n := to.Len()
				q.MoveHalf(&to, 1+i%3, chunks)
				n = to.Len() - n
				if len(model) > 0 && n == 0 || n > (len(model)+1)/2+ChunkSize {
					t.Fatalf("MoveHalf: moved %d of %d", n, len(model))
				}
				moved = append(moved, model[:n]...)
				model = model[n:]
			default:
				for range 1 + int(op)/8 {
					q.PushBack(i, chunks)
					model = append(model, i)
				}
			}
			if q.Len() != len(model) || to.Len() != len(moved) {
				t.Fatalf("Len: got %d and %d, want %d and %d", q.Len(), to.Len(), len(model), len(moved))
			}
			if len(model) > 0 && (*q.Front() != model[0] || *q.Back() != model[len(model)-1]) {
				t.Fatalf("Front and Back: got %d and %d of %v", *q.Front(), *q.Back(), model)
			}
		}
		var got []int
		for e, ok := to.PopFront(chunks); ok; e, ok = to.PopFront(chunks) {
			got = append(got, e)
		}
		if !slices.Equal(got, moved) {
			t.Fatalf("moved: got %v, want %v", got, moved)
		}
	})
}

// A chunk that is used again, and one that was given back, hold nothing.
func TestChunksKeepNothing(t *testing.T) {
	chunks := new(sync.Pool)
	var q, to Chunked[*int]
	for range 1000 {
		q.PushBack(new(int), chunks)
	}
	for range 300 {
		q.PopFront(chunks)
		q.PopBack(chunks)
	}
	q.MoveHalf(&to, 2, chunks)
	for _, q := range []*Chunked[*int]{&q, &to} {
		held := 0
		for i := range q.full.Len() {
			held += holds(*q.full.At(i))
		}
		if held += holds(q.tail); held != q.Len() {
			t.Fatalf("holds %d of %d elements", held, q.Len())
		}
		for q.Len() > 0 {
			q.PopBack(chunks)
		}
		if q.tail != nil {
			t.Fatal("an empty queue keeps a chunk")
		}
	}
	for c, _ := chunks.Get().(*Chunk[*int]); c != nil; c, _ = chunks.Get().(*Chunk[*int]) {
		if n := holds(c); n > 0 {
			t.Fatalf("a free chunk holds %d elements", n)
		}
	}
}

func holds(c *Chunk[*int]) (n int) {
	for _, p := range c.items {
		if p != nil {
			n++
		}
	}
	return n
}
