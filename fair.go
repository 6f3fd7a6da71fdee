package pool

import (
	"context"
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// Fair cells: here package fair, and not the order of the queue, says which job is next.
//
// A pool that has an option of attrs.go has such a table in its main cell, in place of homes, local
// queues and strands, under every strategy. The queue accepts a job, and its tail orders the job
// with Close and Wait as it does all jobs. From there the job comes into the table in one of two
// ways. A job that has at most a tenant and a class stays in the queue, with these beside it, until
// a goroutine holds the claim lock: a worker that claims, or a submitter of the second way (pour).
// A job with a key, a weight, a deadline, a limit or a rate, and any job for which there may be no
// room, passes through: its submitter holds the claim lock, so it is the consumer of the queue, and
// puts the job into the table itself (admit). What was in the queue before goes first.
//
// Wake-ups. turns says whether the table has something to claim, and is written under the claim
// lock. Two goroutines can make it so: a submitter, and a worker that ends a job. Each loads the
// idle word afterwards. A worker that claims leaves turns right, and wakes another one if there is
// more (claimFrom). For what a deadline or a token makes due there is the timer, which is set under
// the claim lock whenever that changes.
//
// A worker holds a grant from a claim to the end of what it has claimed (worker.grant), and ends it
// where it accounts for that. What others take over of a batch is a grant of its own. When a worker
// has to end, jobs that it has claimed and not started go back to the table.

// fairTimer is the timer of the table. The claim lock guards it.
type fairTimer struct {
	t  *time.Timer
	at time.Duration // what it is set to, 0 if it is not
}

// openFair prepares a pool for its options.
func (e *engine[T]) openFair() {
	if e.routes = e.config.fair.on(); e.routes {
		e.inherits = true
		e.main.useFair()
	}
}

// useFair gives c a table.
func (c *cell[T]) useFair() {
	f := &c.e.config.fair
	shares := make([]float64, len(f.classes))
	for i, k := range f.classes {
		shares[i] = k.Share
	}
	c.fair = fair.New[T](shares, f.perSecond, f.burst)
	c.fair.Together = c.e.handleAll != nil
	c.buffer = min(c.buffer, math.MaxInt/4) // the table adds to it, and doubles it
	c.special.Store(true)
}

// checkTyped checks the options that depend on the type of the jobs, and on what the handler gets.
func (e *engine[T]) checkTyped() error {
	var p problems
	for name, f := range map[string]any{"WithDropHandler": e.dropped, "WithExpiredHandler": e.config.fair.expired} {
		if _, ok := f.(func(T)); f != nil && !ok {
			p.add(true, "%s(%T): must be a %T", name, f, (func(T))(nil))
		}
	}
	p.add(e.routes && e.collects(), "WithLinger(%v): contradicts tenants, classes, deadlines and rates for typed batches: what lingers is in one queue", e.linger.after)
	return errors.Join(p...)
}

// attrs returns the attributes of w's task that its children inherit.
func (w *worker[T]) attrs() Attrs {
	c := &w.e.main
	c.mu.Lock()
	defer c.mu.Unlock()
	a := w.grant.Attr()
	to := Attrs{Tenant: a.Tenant, Class: int(a.Class)}
	if b := w.cur.Load().Current(); w.grant.Held() && w.grant.Mixed() && b != nil {
		to.Tenant = b.Key
	}
	if a.Deadline != 0 && !a.Timeout {
		to.Deadline = w.e.start.Add(a.Deadline)
	}
	return to
}

// beyondLimit reports whether a job with a, run inside the task of w, would be one more of a tenant
// with a limit: that task is not of the same tenant.
func (e *engine[T]) beyondLimit(w *worker[T], a *fair.Attr) bool {
	return a != nil && a.Limit > 0 && w != nil && w.attrs().Tenant != a.Tenant
}

// quick reports whether a job with a may stay in the queue until a goroutine looks at the table.
func (e *engine[T]) quick(a *fair.Attr) bool {
	f := &e.config.fair
	return !a.Ordered() && a.Deadline == 0 && !f.hasLimit && !f.hasRate && e.flags.word.Load() < flagRoom
}

// accept is push for a fair cell. b is the submitter if it is blocked, or nil.
func (e *engine[T]) accept(c *cell[T], v T, a *fair.Attr, seat any, b *blocked) queue.Status {
	for {
		s, late := c.admit(v, a, queue.Any, b)
		if s == queue.Untold {
			e.withTag(seat, func(tag int) (others int) {
				s, late = c.admit(v, a, tag, b)
				s, others = s.Others()
				return others
			})
		}
		if late {
			e.tellExpired(c)
			if s == queue.Full {
				continue
			}
		}
		if s == queue.OK {
			seam.Yield()
			c.pushed()
		} else {
			e.wakeMore() // a token may be there, or a limit may be higher
		}
		return s
	}
}

// admit puts v into the table, if there is room; otherwise b waits for it. late says that something
// has expired.
func (c *cell[T]) admit(v T, a *fair.Attr, tag int, b *blocked) (s queue.Status, late bool) {
	c.e.lock(&c.mu)
	defer c.mu.Unlock()
	c.pour()
	f := c.fair.Flow(a)
	if !c.roomFor(f, b) {
		c.fair.Rest(f)
		c.fair.Look(c.e.now())
		c.turnsLocked()
		if c.queue.IsClosed() {
			return queue.Closed, c.fair.Late()
		}
		return queue.Full, c.fair.Late()
	}
	for {
		s, tag, at := c.queue.Pass(tag)
		switch s {
		case queue.Full:
			if !c.pour() {
				runtime.Gosched() // a job is being published
			}
			continue
		case queue.OK, queue.Other:
			c.fair.Push(f, v, a, tag, at)
			c.turnsLocked()
		default:
			c.fair.Rest(f)
		}
		return s, c.fair.Late()
	}
}

// roomFor reports whether there is room for a job of f; otherwise b waits for it.
func (c *cell[T]) roomFor(f *fair.Flow[T], b *blocked) bool {
	var w *fair.Waiter
	if b != nil {
		w = &b.waiter
	}
	if c.queue.Len() == 0 && c.fair.Room(f, c.fair.Places(c.buffer+int(c.width.Load())), w) || c.fair.Room(f, c.places(), w) {
		return true
	}
	if b == nil {
		return false
	}
	c.fair.Wait(f, w)
	c.announceFair()
	c.fair.Call(c.places()) // also of w itself: a worker ends a job, and then looks at flags
	return false
}

// places returns how many jobs may wait: as many as the buffer has room for, and one for each free
// worker.
func (c *cell[T]) places() int {
	others := int64(c.unfinished()) - int64(c.fair.Len()+c.fair.Gone())
	return int(min(int64(c.buffer)+c.width.Load()-others, math.MaxInt))
}

// leaveFair ends the wait of b for room.
func (c *cell[T]) leaveFair(b *blocked) {
	c.mu.Lock()
	c.fair.Leave(&b.waiter)
	c.announceFair()
	c.fair.Call(c.places())
	c.mu.Unlock()
}

// announceFair makes flags say whether a submitter waits for room. The claim lock is held.
func (c *cell[T]) announceFair() {
	r := &c.room
	wants := c.fair.Blocked()
	if wants == r.announced {
		return
	}
	if r.announced = wants; wants {
		c.e.flags.word.Add(flagRoom)
	} else {
		c.e.flags.word.Add(^uint32(flagRoom - 1))
	}
}

// fairRoom makes submitters look for room, since there may be more.
func (e *engine[T]) fairRoom() {
	if e.routes && e.flags.word.Load() >= flagRoom {
		e.main.mu.Lock()
		e.main.fair.Call(e.main.places())
		e.main.mu.Unlock()
	}
}

// plainAttr returns the attributes of a job of a Batcher.
func (e *engine[T]) plainAttr() *fair.Attr {
	a := new(fair.Attr)
	if of := e.batched.Load(); of != nil {
		*a = *of
	}
	if d := e.config.fair.timeout; d > 0 {
		a.Deadline, a.Timeout = after(e.now(), d), true
	}
	return a
}

// noteBatched notes the attributes of the jobs of Batchers: those of tenant 0.
func (e *engine[T]) noteBatched() {
	if a, err := e.attrsOf(context.Background(), Attrs{}); e.routes && err == nil {
		a.Deadline = 0
		e.batched.Store(&a)
	}
}

// pourBatch pours. What has left a Batcher must be in the table for its time to its deadline to begin.
func (e *engine[T]) pourBatch() {
	if c := &e.main; c.fair != nil {
		c.mu.Lock()
		c.pour()
		c.mu.Unlock()
	}
}

// published is called when a job is in the queue. It may take a place there that a blocked submitter
// could have: that has announced itself and then poured, and this looks for it after the push.
func (e *engine[T]) published() {
	if e.routes && e.flags.word.Load() >= flagRoom {
		e.pourBatch()
	}
}

// after returns the time d after now, or the last one that there is.
func after(now, d time.Duration) time.Duration { return now + min(d, math.MaxInt64-now) }

// pour moves what is in the queue to the table, and reports whether there was any. The claim lock
// is held. A worker that looks for work in the midst of it may find neither, and park: so whoever
// has poured then claims, or looks at the idle word (wakeMore).
func (c *cell[T]) pour() (any bool) {
	if !c.queue.Ready() {
		return false
	}
	var batched *fair.Attr
	var jobs [32]T
	var attrs [32]queue.Attr
	for left := c.queue.Len(); left > 0; { // without what is pushed meanwhile
		n, tag := c.pop(jobs[:min(left, len(jobs))], attrs[:])
		if n == 0 {
			break // one is being published
		}
		left -= n
		for i, job := range jobs[:n] {
			q := &attrs[i]
			a := &fair.Attr{Tenant: q.Key, Class: q.Class, Share: q.Share}
			if a.Share == 0 {
				if batched == nil {
					batched = c.e.plainAttr()
				}
				a = batched
			}
			c.fair.Push(c.fair.Flow(a), job, a, tag, q.At)
		}
		clear(jobs[:n])
		any = true
	}
	c.turnsLocked()
	if c.fair.Blocked() { // a job takes no place any more that waits in the table
		c.fair.Call(c.places())
	}
	return any
}

// takeFair is take for a fair cell.
func (c *cell[T]) takeFair(jobs []T, attrs []queue.Attr) (n, tag int) {
	c.pour()
	n, tag, c.granted = c.fair.Take(jobs, attrs, len(jobs) >= tinyTake && c.e.handleAll == nil, c.e.now())
	return n, tag
}

// grantedLocked notes what w holds, after it has claimed, or taken over from the lane l. The claim
// lock is held.
func (w *worker[T]) grantedLocked(c *cell[T], l *lane[T]) {
	if c.fair == nil {
		return
	}
	if l != nil {
		c.granted = c.fair.Adopt(l.grant, c.e.now())
	}
	w.grant, c.granted = c.granted, fair.Grant[T]{}
	if w.lane != nil {
		w.lane.grant = w.grant
	}
}

// noteGrant notes that w has run ran more jobs of its grant, in the time took. The grant ends with
// the next claim, or in settleFair.
func (w *worker[T]) noteGrant(ran int, took time.Duration) {
	if w.ran, w.took = w.ran+ran, w.took+took; w.e.weights.Active() && w.b.Load().Left() == 0 {
		w.settleFair() // the next claim may have to wait for a unit
	}
}

// endGrantLocked ends w's grant, if there is one. The claim lock is held.
func (w *worker[T]) endGrantLocked() (ready bool) {
	if !w.grant.Held() {
		return false
	}
	ready = w.cell.fair.Done(&w.grant, w.took, w.ran, time.Duration(w.since.Load()))
	w.ran, w.took = 0, 0
	return ready
}

// settleFair ends w's grant.
func (w *worker[T]) settleFair() {
	c := w.cell
	w.e.lock(&c.mu)
	ready := w.endGrantLocked()
	c.turnsLocked()
	c.mu.Unlock()
	if ready {
		w.e.wakeMore()
	}
}

// expired reports whether the job in hand must not start any more.
func (w *worker[T]) expired() bool { return w.grant.Held() && w.grant.Late(w.e.now()) }

// setTimerLocked sets the timer for what becomes due by itself.
func (c *cell[T]) setTimerLocked() {
	at, ok := c.fair.Wake()
	switch x := &c.timer; {
	case !ok && x.at != 0:
		x.at = 0
		x.t.Stop()
	case ok && at != x.at:
		d := max(0, at-c.e.now())
		if x.at = at; x.t == nil {
			x.t = time.AfterFunc(d, c.tick)
		} else {
			x.t.Reset(d)
		}
	}
}

// tick is the timer's function.
func (c *cell[T]) tick() {
	c.mu.Lock()
	c.timer.at = 0
	c.fair.Look(c.e.now())
	c.turnsLocked()
	late := c.fair.Late()
	c.mu.Unlock()
	if late {
		c.e.tellExpired(c)
	}
	c.e.wakeMore()
}

// tellExpired hands over what has expired. No lock is held. All of it makes room before the first
// handler is called, which may submit tasks.
func (e *engine[T]) tellExpired(c *cell[T]) {
	c.mu.Lock()
	jobs := c.fair.Expired()
	c.mu.Unlock()
	if len(jobs) == 0 {
		return
	}
	e.mu.Lock()
	e.dropping += len(jobs)
	e.mu.Unlock()
	var told []fair.Job[T]
	onSubmitter(func() {
		for _, j := range jobs {
			if tellDropped(j.Job, ErrExpired) {
				told = append(told, j)
			}
		}
	})
	e.mu.Lock()
	e.expired += uint64(len(told))
	e.dropping -= len(jobs) - len(told)
	c.mu.Lock()
	for _, j := range jobs {
		c.disposed(j.Tag, 1)
	}
	c.fair.Told(len(jobs))
	c.mu.Unlock()
	e.evaluateLocked()
	e.mu.Unlock()
	e.fairRoom()
	e.handOver(told)
	e.settle()
}

// handOver calls the handler with each of the jobs, even if it panics or ends its goroutine.
func (e *engine[T]) handOver(jobs []fair.Job[T]) {
	i := 0
	defer func() {
		if i < len(jobs) {
			e.handOver(jobs[i+1:])
		}
	}()
	for ; i < len(jobs); i++ {
		e.handOne(jobs[i].Job)
	}
}

func (e *engine[T]) handOne(job T) {
	defer func() {
		e.mu.Lock()
		e.dropping--
		e.mu.Unlock()
		e.settle()
	}()
	if f, ok := e.config.fair.expired.(func(T)); ok {
		onSubmitter(func() { e.shield(func() { f(job) }) })
	}
}
