package queue

import "time"

// Pass counts an element as pushed and popped at once: the caller, which is the consumer, has a
// place for it. If there is something in the queue, which has to be popped first, Pass does nothing
// and returns Full. Otherwise it returns as Push does, with the element's tag and its stamp, or 0.
func (q *Queue[T]) Pass(tag int) (s Status, got int, at time.Duration) {
	for {
		t := q.tail.Load()
		if t >= split {
			if s := q.flagged(t, tag); s != OK {
				return s, 0, 0
			}
			if t&frozen != 0 {
				continue
			}
		}
		pos := t & posMask
		if pos != q.head.Load() {
			return Full, 0, 0
		}
		if !q.tail.CompareAndSwap(t, t+1) {
			continue
		}
		if q.Sampled(pos) {
			at = max(1, time.Since(q.start))
		}
		for next := q.first.Load().newer.Load(); next != nil && next.from <= pos; next = next.newer.Load() {
			next.older.Store(nil)
			q.first.Store(next)
		}
		q.head.Store(pos + 1)
		if got = int(tagOf(t, tag)); got != Tag(t) {
			return Other, got, at
		}
		return OK, got, at
	}
}
