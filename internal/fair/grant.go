package fair

import "time"

// Grant is a claim, until its jobs have ended.
type Grant[T any] struct {
	class *class[T]
	flow  *Flow[T] // nil: of several
	attr  Attr     // of a job that was claimed alone; of others what they have in common
	start time.Duration
	owed  bool // it was claimed for the credit of its class
	est   float64
}

// Held reports whether there is something to end.
func (g *Grant[T]) Held() bool { return g.class != nil }

// Mixed reports whether it is for jobs of several flows.
func (g *Grant[T]) Mixed() bool { return g.flow == nil }

// Alone reports whether it is for a job that was claimed alone, and that nobody else may take over.
func (g *Grant[T]) Alone() bool { return g.class != nil && g.attr.alone() }

// Late reports whether the job must not start any more.
func (g *Grant[T]) Late(now time.Duration) bool {
	return g.attr.Deadline != 0 && g.attr.Deadline <= now
}

// Attr returns the attributes of the jobs.
func (g *Grant[T]) Attr() Attr { return g.attr }

func (g *Grant[T]) units() float64 { return float64(max(1, g.attr.Units)) }

// begin counts the claim as running, or as ended with d -1.
func (t *Table[T]) begin(g *Grant[T], d int) {
	f := g.flow
	f.running += d
	f.started += time.Duration(d) * g.start
	f.means += float64(d) * g.est
	f.tenant.running += uint32(d)
	if f.tenant.limit > 0 {
		t.placeAll(f.tenant)
	}
}

// Adopt is a claim of jobs that were claimed with g and that another worker takes over.
func (t *Table[T]) Adopt(g Grant[T], now time.Duration) Grant[T] {
	if !g.Held() { // they were put back before
		return g
	}
	g.start, g.est, g.owed = now, 0, false
	if t.running++; g.flow != nil {
		t.begin(&g, 1)
	}
	return g
}

// Done ends a claim of which ran jobs have run, in the time took together. It reports whether there
// is something to claim now.
func (t *Table[T]) Done(g *Grant[T], took time.Duration, ran int, now time.Duration) bool {
	if t.running--; t.running == 0 {
		t.inHand = 0
	} else {
		t.inHand -= ran
	}
	if ran > 0 {
		t.mean = smooth(t.mean, float64(took)/float64(ran))
		g.class.Busy += took
	}
	if g.flow != nil {
		t.end(g, took, ran, now)
	}
	*g = Grant[T]{}
	return t.Ready()
}

// end is Done for the jobs of one flow.
func (t *Table[T]) end(g *Grant[T], took time.Duration, ran int, now time.Duration) {
	f := g.flow
	real := float64(took) * g.units()
	t.begin(g, -1)
	left := 0.
	if f.running > 0 {
		left = max(f.means, float64(time.Duration(f.running)*now-f.started))
	} else {
		f.means = 0 // it is, except for rounding
	}
	t.charge(f, real-(f.charged-left))
	f.charged = left
	if g.owed {
		f.class.credit -= real - g.est
		f.class.lose()
	}
	if ran > 0 {
		f.mean = max(1, smooth(f.mean, float64(took)/float64(ran)))
		f.tenant.busy += took
		f.tenant.ended += uint64(ran)
	}
	if g.attr.Keyed {
		t.release(g.attr.Key)
	}
	t.place(f)
	t.Rest(f)
}

// Return puts a job of a claim, which was not begun, back to the front of its flow. The jobs of a
// claim are returned in reverse order.
func (t *Table[T]) Return(g *Grant[T], job T, tag int, at time.Duration) {
	n := t.newNode()
	n.job, n.attr, n.tag, n.at, n.flow = job, g.attr, tag, at, g.flow
	t.inHand--
	n.again = true
	if t.rate.per > 0 {
		t.rate.tokens++
	}
	g.attr.Keyed = false // it still has its key
	t.count(n.flow, 1)
	if n.attr.Deadline != 0 {
		t.due.push(n)
	}
	t.enqueue(n, true)
}
