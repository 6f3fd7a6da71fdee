package fair

import "github.com/headrace-go/pool/internal/list"

// How the places in which jobs may wait are shared. As long as there are any, anybody gets one. When they are taken, a flow that has less than an equal part of
// them gets one beyond, as long as there are less than twice as many jobs as places; and a flow of which fewer than fewPlaces wait gets one as long as there
// are no morePlaces than that. So a flow that has little to do is not kept out by those that have much.
//
// A submitter that finds no place waits, first come first served, for its flow (flow.blocked), or, if nothing of that waits, for any place (crowd). Whoever
// takes a job out of a flow signals the first of those that wait for it, and the first of the crowd; the first stays the first until it has got its
// place or has given up, and then signals the next one. All that is under the claim lock, so no signal is lost.

// Waiter is a submitter that waits for a place.
type Waiter struct {
	list.Link[Waiter]
	Ready chan struct{} // of one signal
	queue *waiters      // in which it waits
}

type waiters = list.List[Waiter, *Waiter]

func (w *Waiter) signal() {
	if w == nil {
		return
	}
	select {
	case w.Ready <- struct{}{}:
	default:
	}
}

// Room reports whether there is a place for a job of f, if there are so many in all. w is its submitter, if that waits already.
func (t *Table[T]) Room(f *Flow[T], places int, w *Waiter) bool {
	first := t.queueOf(f).First
	return (first == nil || first == w) && t.fits(f.waiting, places)
}

// Places returns how many places there are at least, of so many, beside those of what was claimed.
func (t *Table[T]) Places(all int) int { return all - t.inHand }

// queueOf returns where submitters of f wait.
func (t *Table[T]) queueOf(f *Flow[T]) *waiters {
	if f.waiting > 0 {
		return &f.blocked
	}
	return &t.crowd
}

// Wait makes w wait for a place.
func (t *Table[T]) Wait(f *Flow[T], w *Waiter) {
	q := t.queueOf(f)
	if w.queue == q {
		return
	}
	t.Leave(w)
	if w.join(q, false); q == &f.blocked && !f.Queued {
		t.lines.Push(f, false)
	}
}

// fits reports whether there is a place for a flow of which so many jobs wait.
func (t *Table[T]) fits(waiting, places int) bool {
	switch {
	case places <= 0:
		return false
	case t.waiting < places:
		return true
	case waiting < min(places, fewPlaces):
		return t.waiting < 2*places+morePlaces
	}
	return t.waiting < 2*places && waiting < places/t.active
}

func (w *Waiter) join(q *waiters, front bool) {
	w.queue = q
	q.Push(w, front)
}

// Leave ends the wait of w for a place.
func (t *Table[T]) Leave(w *Waiter) {
	if q := w.queue; q != nil {
		w.queue = nil
		q.Remove(w)
		q.First.signal()
	}
}

// left is called when a job has left f: there may be a place. Nobody waits for a flow that has nothing.
func (t *Table[T]) left(f *Flow[T]) {
	for w := f.blocked.Last; f.waiting == 0 && w != nil; w = f.blocked.Last {
		f.blocked.Remove(w)
		w.join(&t.crowd, true) // they were there before they joined the flow's
	}
	f.blocked.First.signal()
	t.crowd.First.signal()
}

// Blocked reports whether a submitter waits for a place.
func (t *Table[T]) Blocked() bool {
	for f := t.lines.First; f != nil && f.blocked.First == nil; f = t.lines.First {
		t.lines.Remove(f)
	}
	return t.crowd.First != nil || t.lines.First != nil
}

// SignalOne makes the first of the crowd look for a place, and that of a flow, each in turn: there is one place more. A flow that is passed over
// has something waiting, and is signalled when that leaves.
func (t *Table[T]) SignalOne(places int) {
	t.crowd.First.signal()
	for range min(maxLooks, t.lines.Len) {
		f := t.lines.First
		t.lines.Remove(f)
		t.lines.Push(f, false)
		if t.fits(f.waiting, places) {
			f.blocked.First.signal()
			return
		}
	}
}

const maxLooks = 4

// BlockedBesideRoom reports whether a submitter waits though there is a place for it. It is for tests.
func (t *Table[T]) BlockedBesideRoom(places int) bool {
	if w := t.crowd.First; w != nil && t.fits(0, places) {
		return true
	}
	if f := t.lines.First; f != nil && t.lines.Len == 1 {
		if f.blocked.First != nil && t.fits(f.waiting, places) {
			return true
		}
	}
	return false
}

// Signal makes all submitters that come next look for a place: there may be many places more.
func (t *Table[T]) Signal() {
	t.crowd.First.signal()
	for f := t.lines.First; f != nil; f = f.Next {
		f.blocked.First.signal()
	}
}
