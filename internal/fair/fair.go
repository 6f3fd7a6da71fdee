// Package fair chooses, among the jobs that wait, which is next: by their tenants, classes,
// deadlines, keys, and a rate.
//
// Jobs of one tenant and one class are a flow, first in, first out. A flow has a virtual time: the
// run time of its jobs, divided by its share. The flow with the least virtual time is next
// (start-time fair queuing: P. Goyal, H. Vin, H. Cheng, IEEE/ACM Transactions on Networking 5(5),
// 1997). When a job is claimed nobody knows how long it will run. So the flow is first charged the
// average of its jobs, then what the job has already taken if that is more, and in the end the
// job's real run time: what runs now counts. While no job of the flow has ended, its jobs are
// claimed one at a time: many that were claimed at once, as if they were short, could be long.
//
// A flow that comes back after it had nothing starts at the virtual time of its class, which is
// that of the flow that was claimed from last: an idle flow saves nothing up. If it is ahead of
// that, because its last job was long, it stays there. So a flow that has nothing, but took more
// than its share, is remembered until the others have caught up (debts), though never more than
// maxDebts of these.
//
// Classes are in strict order, but each has a credit: its share of all run time that is charged
// while it waits. A class whose credit is enough for its next job is next. Run time that it gets in
// the strict order is not taken from its credit, and it loses credit above zero when nothing of it
// waits. While limits and keys keep out all that waits of it, the credit rises to what one job
// takes.
//
// A flow is in the heap of its class while one of its jobs may be claimed: there is one that waits
// for no key, and its tenant is not at its limit. Of jobs with equal keys one is in its flow or
// runs; the others stand behind it and come into their flows when it has ended.
//
// All calls are under one lock, the claim lock of the cell.
package fair

import (
	"time"

	"github.com/headrace-go/pool/internal/queue"
)

// New returns an empty table for classes with these shares, and a rate in jobs a second if it is
// not 0.
func New[T any](shares []float64, perSecond float64, burst int) *Table[T] {
	t := &Table[T]{tenants: make(map[uint64]*tenant[T]), classes: make([]class[T], max(1, len(shares)))}
	for i, s := range shares {
		t.classes[i].share = s
	}
	t.rate = rate{per: perSecond / float64(time.Second), burst: float64(burst), tokens: float64(burst)}
	return t
}

// Len returns how many jobs wait.
func (t *Table[T]) Len() int { return t.waiting }

// Push adds a job to its flow. at is its stamp.
func (t *Table[T]) Push(f *Flow[T], job T, a *Attr, tag int, at time.Duration) {
	n := t.newNode()
	n.job, n.attr, n.tag, n.at, n.flow = job, *a, tag, at, f
	t.count(f, 1)
	if a.Deadline != 0 {
		t.due.push(n)
	}
	if a.Keyed {
		if t.keys == nil {
			t.keys = make(map[uint64]*nodes[T])
		}
		if behind := t.keys[a.Key]; behind != nil {
			n.held = true
			behind.Push(n, false)
			return
		}
		t.keys[a.Key] = t.newBehind()
	}
	t.enqueue(n, false)
}

// count notes that d jobs more wait in f.
func (t *Table[T]) count(f *Flow[T], d int) {
	was := f.waiting
	f.waiting += d
	f.class.Waiting += d
	t.waiting += d
	t.peak = max(t.peak, t.waiting)
	if f.line != 0 {
		t.lines.fix((*liner[T])(f))
	}
	switch {
	case was == 0 && f.waiting > 0:
		t.active++
	case was > 0 && f.waiting == 0:
		t.active--
	}
}

// Flow returns the flow of a job, and notes its tenant's share and limit. If the caller pushes no
// job it has to call Rest.
func (t *Table[T]) Flow(a *Attr) *Flow[T] {
	n := t.tenants[a.Tenant]
	if n == nil {
		n = t.newTenant(a.Tenant)
	}
	if a.Limit != n.limit {
		n.limit = a.Limit
		t.placeAll(n)
	}
	n.share = float64(max(1, a.Share))
	return &n.flows[a.Class]
}

// enqueue puts a job where it may be claimed.
func (t *Table[T]) enqueue(n *node[T], front bool) {
	f := n.flow
	n.held = false
	f.jobs.Push(n, front)
	if f.jobs.Len > 1 {
		return
	}
	if f.debt != 0 {
		t.debts.remove((*debtor[T])(f))
	}
	f.v = max(f.v, f.class.virtual)
	t.turn++
	f.turn = t.turn
	t.place(f)
}

// place puts f into the heap of its class, or takes it out, whichever is right.
func (t *Table[T]) place(f *Flow[T]) {
	c := f.class
	switch may := f.jobs.Len > 0 && f.tenant.free(); {
	case may && f.index == 0:
		f.v = max(f.v, c.virtual-f.mean/f.tenant.share) // it may have been kept out by its limit
		c.flows.push(f)
	case !may && f.index != 0:
		c.flows.remove(f)
	case may:
		c.flows.fix(f)
	}
}

func (t *Table[T]) placeAll(n *tenant[T]) {
	for i := range n.flows {
		t.place(&n.flows[i])
	}
}

// Ready reports whether Take would find something, as far as was known when it was last called.
func (t *Table[T]) Ready() bool { return !t.starved && t.next() != nil }

// owed reports whether the credit of c is enough for its next job.
func (c *class[T]) owed() bool { return c.credit > 0 && c.credit >= c.flows.all[0].expected() }

// next returns the class that is next.
func (t *Table[T]) next() *class[T] {
	var first, owed *class[T]
	for i := range t.classes {
		c := &t.classes[i]
		if c.flows.len() == 0 {
			continue
		}
		if first == nil {
			first = c
		}
		if c.owed() && (owed == nil || c.credit > owed.credit) {
			owed = c
		}
	}
	if owed != nil {
		return owed
	}
	return first
}

// Take claims jobs of the flow that is next, with what stands beside them. If they are so tiny that
// it is not worth knowing whose they are, it claims jobs of several flows and charges each for the
// average job.
func (t *Table[T]) Take(jobs []T, attrs []queue.Attr, tiny bool, now time.Duration) (n, tag int, g Grant[T]) {
	if t.Timed() {
		t.Look(now)
	}
	c := t.next()
	if c == nil || t.starved {
		return 0, 0, g
	}
	owed := c.owed()
	for range maxSettle {
		if !t.settle(c.flows.all[0], now) {
			break
		}
	}
	f := c.flows.all[0]
	c.virtual = max(c.virtual, f.v)
	g = Grant[T]{class: c, flow: f, start: now, owed: owed}
	n, tag, g.attr = t.takeFrom(f, jobs, attrs, 0, 0)
	g.est = f.expected() * float64(n) * g.units()
	for first := f; tiny && f.mixes(&g.attr); {
		if g.owed {
			c.credit -= g.est
		}
		t.spend(f, g.est)
		if g.flow = nil; f.idle() {
			t.forget(f.tenant)
		}
		if n == len(jobs) || c.flows.len() == 0 {
			break
		}
		f = c.flows.all[0]
		k, attr := 0, Attr{}
		if d := f.jobs.First; f == first || d.tag != tag || !f.mixes(&d.attr) {
			break
		}
		if k, _, attr = t.takeFrom(f, jobs, attrs, n, tag); k == 0 {
			break
		}
		n, g.attr, g.est = n+k, attr, f.expected()*float64(k)
	}
	t.inHand += n
	if t.running++; g.flow != nil {
		t.begin(&g, 1)
		f.charged += g.est
		c.last = g.est
		if g.owed {
			c.credit -= g.est
		}
		t.spend(f, g.est)
	}
	c.lose()
	t.forgive()
	return n, tag, g
}

// takeFrom takes jobs of f, or only one if it is not known how long they take. It puts them behind
// the first n jobs, which have the tag. It returns how many it took, their tag, and the attributes
// of the last one.
func (t *Table[T]) takeFrom(f *Flow[T], jobs []T, attrs []queue.Attr, n, tag int) (k, tagged int, a Attr) {
	for n < len(jobs) && f.jobs.Len > 0 {
		d := f.jobs.First
		if n > 0 && (d.tag != tag || t.alone(&d.attr)) || !t.rate.take() {
			break
		}
		jobs[n], tag, a = d.job, d.tag, d.attr
		attrs[n] = queue.Attr{Key: a.Key, Weight: a.Units, Keyed: a.Keyed, At: d.at}
		if !a.Keyed {
			attrs[n].Key = a.Tenant // for a job of a claim of several flows
		}
		n, k = n+1, k+1
		if !d.again {
			f.class.Started++
		}
		t.leave(d)
		if t.alone(&a) || f.mean == 0 && !t.Together {
			break
		}
	}
	return k, tag, a
}

// alone is Attr.alone, except for jobs that begin together.
func (t *Table[T]) alone(a *Attr) bool {
	return a.alone() && (!t.Together || a.Keyed || a.Units > 1 || a.Limit > 0)
}

// expected returns how long a job of f will run, as far as that is known.
func (f *Flow[T]) expected() float64 {
	if f.mean == 0 {
		return max(1, f.tenant.table.mean)
	}
	return f.mean
}

// mixes reports whether jobs of f like that of a may be claimed together with others. A flow of
// which nothing is known may have one.
func (f *Flow[T]) mixes(a *Attr) bool {
	return f.mean <= tinyMean && (f.mean > 0 || f.waiting <= 1) && !a.alone()
}

// spend charges f with what it has claimed, and puts it where it belongs.
func (t *Table[T]) spend(f *Flow[T], took float64) {
	t.charge(f, took)
	t.turn++
	f.turn = t.turn
	t.place(f)
}

// charge adds run time to f's virtual time, and its shares to the credits of classes.
func (t *Table[T]) charge(f *Flow[T], took float64) {
	f.v += took / f.tenant.share
	if len(t.classes) == 1 {
		return
	}
	for i := range t.classes {
		switch c := &t.classes[i]; {
		case c.flows.len() > 0:
			c.credit += c.share * took
		case c.Waiting > 0 && c.credit < c.last:
			c.credit = min(c.last, c.credit+c.share*took)
		}
	}
}

// lose takes c's credit away, if nothing of it waits.
func (c *class[T]) lose() {
	if c.Waiting == 0 {
		c.credit = min(0, c.credit)
	}
}

// settle charges f, the first of its class, for the time that its running jobs have taken beyond
// what f was charged. It reports whether there was any.
func (t *Table[T]) settle(f *Flow[T], now time.Duration) bool {
	over := float64(time.Duration(f.running)*now-f.started) - f.charged
	if f.running == 0 || over <= 0 {
		return false
	}
	t.charge(f, over)
	f.charged += over
	f.class.flows.fix(f)
	return true
}

func smooth(mean, v float64) float64 {
	if mean == 0 {
		return v
	}
	return mean + (v-mean)/smoothing
}

// leave takes a job out of where it waits.
func (t *Table[T]) leave(n *node[T]) {
	f := n.flow
	if n.held {
		t.keys[n.attr.Key].Remove(n)
	} else {
		f.jobs.Remove(n)
	}
	if n.index != 0 {
		t.due.remove(n)
	}
	t.count(f, -1)
	t.left(f)
	*n = node[T]{}
	if len(t.nodes) < maxSpare {
		t.nodes = append(t.nodes, n)
	}
}

// remove takes out a job that will never run.
func (t *Table[T]) remove(n *node[T]) {
	f, a, held := n.flow, n.attr, n.held
	t.leave(n)
	if a.Keyed && !held {
		t.release(a.Key)
	}
	f.class.lose()
	t.place(f)
	t.Rest(f)
}
