package fair

// heap is a binary heap of elements that know their place in it, so that one can be moved or taken
// out.
type heap[E any, P element[E]] struct{ all []*E }

type element[E any] interface {
	*E
	before(*E) bool
	place() *int // its index plus one, 0 in no heap
}

func (h *heap[E, P]) len() int { return len(h.all) }

func (h *heap[E, P]) push(e *E) {
	h.all = append(h.all, e)
	h.set(len(h.all)-1, e)
	h.up(len(h.all) - 1)
}

// remove takes e out, which is in the heap.
func (h *heap[E, P]) remove(e *E) {
	i, last := *P(e).place()-1, len(h.all)-1
	moved := h.all[last]
	h.all[last] = nil
	h.all = h.all[:last]
	if *P(e).place() = 0; i < last {
		h.set(i, moved)
		h.fix(moved)
	}
}

// fix moves e to where it belongs.
func (h *heap[E, P]) fix(e *E) {
	i := *P(e).place() - 1
	if h.up(i) == i {
		h.down(i)
	}
}

func (h *heap[E, P]) set(i int, e *E) {
	h.all[i] = e
	*P(e).place() = i + 1
}

func (h *heap[E, P]) up(i int) int {
	e := h.all[i]
	for i > 0 && P(e).before(h.all[(i-1)/2]) {
		h.set(i, h.all[(i-1)/2])
		i = (i - 1) / 2
	}
	h.set(i, e)
	return i
}

func (h *heap[E, P]) down(i int) {
	e := h.all[i]
	for {
		c := 2*i + 1
		if c+1 < len(h.all) && P(h.all[c+1]).before(h.all[c]) {
			c++
		}
		if c >= len(h.all) || !P(h.all[c]).before(e) {
			break
		}
		h.set(i, h.all[c])
		i = c
	}
	h.set(i, e)
}
