package fair

import "github.com/headrace-go/pool/internal/list"

// How flows share the places: a place is room for one job that waits. As long as there are free
// places, any flow gets one. When all are taken, a flow that has less than an equal part of them
// gets one more, as long as there are fewer than twice as many jobs as places; and a flow of which
// fewer than fewPlaces wait gets one as long as there are no morePlaces than that. So flows that
// have much do not keep out a flow that has little.
//
// A submitter that finds no place waits, first come first served, for its flow (flow.blocked), or,
// if nothing of that waits, for any place (crowd). One at a time is called. It looks for its place,
// and then the next one for which there is a place is called. So a worker that has made many places
// pays for one wake. A submitter that was called takes several of them, one after the other, since
// a submitter that has not waited may overtake. One that was called in vain misses times lets
// nobody pass any more.
//
// No call is lost. All this is under the claim lock, and Call is called after everything that may
// make a place: when jobs have come from the queue into the table; before a worker begins a job that
// it has claimed, and when it has ended one; when jobs have expired; when a called submitter has
// looked or has given up; when one more waits; and when there are more places.

// Waiter is a submitter that waits for a place.
type Waiter struct {
	list.Link[Waiter]
	Ready  chan struct{} // of one signal
	queue  *waiters      // in which it waits
	missed int
}

type waiters = list.List[Waiter, *Waiter]

const misses = 3

// Room reports whether there is a place for a job of f, if there are places of them in all. w is
// its submitter, if that waits already.
func (t *Table[T]) Room(f *Flow[T], places int, w *Waiter) bool {
	first := t.queueOf(f).First
	return (first == nil || first == w || first.missed < misses) && t.fits(f.waiting, places)
}

// Places returns how many of all places are free at least, apart from those of claimed jobs.
func (t *Table[T]) Places(all int) int { return all - t.inHand }

// queueOf returns where submitters of f wait.
func (t *Table[T]) queueOf(f *Flow[T]) *waiters {
	if f.waiting > 0 {
		return &f.blocked
	}
	return &t.crowd
}

// fits reports whether there is a place for a flow of which waiting jobs wait.
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

// Wait makes w wait for a place.
func (t *Table[T]) Wait(f *Flow[T], w *Waiter) {
	if t.called == w {
		t.called = nil
		w.missed++
	}
	q := t.queueOf(f)
	if w.queue == q {
		return
	}
	t.quit(w)
	t.join(w, q, false)
	if q == &f.blocked && f.line == 0 {
		t.lines.push((*liner[T])(f))
	}
}

func (t *Table[T]) join(w *Waiter, q *waiters, front bool) {
	w.queue = q
	if q.Push(w, front); q != &t.crowd {
		t.blocked++
	}
}

func (t *Table[T]) quit(w *Waiter) {
	q := w.queue
	if q == nil {
		return
	}
	if q.Remove(w); q != &t.crowd {
		t.blocked--
	}
	w.queue = nil
}

// Leave ends the wait of w for a place.
func (t *Table[T]) Leave(w *Waiter) {
	if t.called == w {
		t.called = nil
	}
	w.missed = 0
	t.quit(w)
}

// left is called when a job has left f. Nobody waits for a flow that has nothing.
func (t *Table[T]) left(f *Flow[T]) {
	for w := f.blocked.Last; f.waiting == 0 && w != nil; w = f.blocked.Last {
		t.quit(w)
		t.join(w, &t.crowd, true) // they were there before they joined the flow's
	}
}

// Blocked reports whether a submitter waits for a place.
func (t *Table[T]) Blocked() bool { return t.crowd.First != nil || t.blocked > 0 }

// Call calls a submitter for which there is a place, if there are places of them in all. It does
// nothing if a submitter was called and has not looked yet.
func (t *Table[T]) Call(places int) {
	if t.called != nil {
		return
	}
	if t.called = t.pick(places); t.called != nil {
		select {
		case t.called.Ready <- struct{}{}:
		default:
		}
	}
}

// pick returns the first of the crowd or, in turn with it, that of the flow of which least waits:
// if there is no place for that, there is none for another.
func (t *Table[T]) pick(places int) *Waiter {
	w := t.crowd.First
	if w != nil && !t.fits(0, places) {
		w = nil
	}
	if t.crowdFirst = !t.crowdFirst; t.crowdFirst && w != nil {
		return w
	}
	for t.lines.len() > 0 {
		l := t.lines.all[0]
		first := l.blocked.First
		if first == nil {
			t.lines.remove(l)
			continue
		}
		if !t.fits(l.waiting, places) {
			break
		}
		t.turn++
		l.called = t.turn
		t.lines.fix(l)
		return first
	}
	return w
}

// BlockedBesideRoom reports whether a submitter waits though there is a place for it, or has not
// looked though it was called. It is for tests, at a moment at which nothing moves.
func (t *Table[T]) BlockedBesideRoom(places int) bool {
	return t.called != nil || t.pick(places) != nil
}
