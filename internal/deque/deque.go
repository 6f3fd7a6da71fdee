// Package deque is a growing double-ended queue in a circular buffer. It keeps nothing of an
// element that was taken. When it becomes empty it keeps a buffer of up to keepMost elements, if it
// held that many at a time since it was last empty, and otherwise one of keepSize.
package deque

// Deque is the queue. The zero value is empty. It is not safe for concurrent use.
type Deque[E any] struct {
	buf  []E // a power of two, or nil
	head int
	len  int
	peak int // of len, since it was empty
}

const (
	minSize  = 8
	keepSize = 64
	keepMost = 512
)

// Len returns the number of elements.
func (d *Deque[E]) Len() int { return d.len }

// PushBack adds an element at the back.
func (d *Deque[E]) PushBack(e E) {
	if d.len == len(d.buf) {
		d.grow()
	}
	d.buf[(d.head+d.len)&(len(d.buf)-1)] = e
	d.len++
	d.peak = max(d.peak, d.len)
}

// PushFront adds an element at the front.
func (d *Deque[E]) PushFront(e E) {
	if d.len == len(d.buf) {
		d.grow()
	}
	d.head = (d.head - 1) & (len(d.buf) - 1)
	d.buf[d.head] = e
	d.len++
	d.peak = max(d.peak, d.len)
}

func (d *Deque[E]) grow() {
	buf := make([]E, max(minSize, 2*len(d.buf)))
	n := copy(buf, d.buf[d.head:])
	copy(buf[n:], d.buf[:d.head])
	d.buf, d.head = buf, 0
}

// PopFront removes the element at the front. It reports false if there is none.
func (d *Deque[E]) PopFront() (e E, ok bool) {
	if d.len == 0 {
		return e, false
	}
	e = d.take(d.head)
	d.head = (d.head + 1) & (len(d.buf) - 1)
	d.shrink()
	return e, true
}

// PopBack removes the element at the back. It reports false if there is none.
func (d *Deque[E]) PopBack() (e E, ok bool) {
	if d.len == 0 {
		return e, false
	}
	e = d.take((d.head + d.len - 1) & (len(d.buf) - 1))
	d.shrink()
	return e, true
}

func (d *Deque[E]) take(i int) E {
	var zero E
	e := d.buf[i]
	d.buf[i] = zero
	return e
}

func (d *Deque[E]) shrink() {
	if d.len--; d.len == 0 {
		d.head = 0
		if size := len(d.buf); size > keepMost || size > keepSize && d.peak < size/4 {
			d.buf = nil
		}
		d.peak = 0
	}
}

// At returns the element with index i from the front, 0 <= i < Len.
func (d *Deque[E]) At(i int) *E { return &d.buf[(d.head+i)&(len(d.buf)-1)] }
