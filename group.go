package pool

import (
	"context"
	"fmt"
	"sync"

	"github.com/headrace-go/pool/internal/errlog"
	"github.com/headrace-go/pool/internal/list"
)

// Group is a set of tasks that succeed or fail together, as errgroup.Group of golang.org/x/sync is
// a set of goroutines. Any number of groups share a pool and do not affect each other. Any number
// of goroutines may call its methods, and so may its own tasks.
//
// It differs from errgroup in this: Tasks get the group's context. After the first error no further
// task starts. A task that calls [runtime.Goexit] has failed. A parent context that is done is an
// error of Wait. A task may call Go and Wait of a group in its own pool, even with one worker. Go
// waits for room in the pool.
//
// The errors of the tasks belong to the group: the pool counts the tasks as failed, unless Wait ran
// them, but does not keep the errors for Close, nor give them to a handler.
//
// It backfires for tasks under a microsecond, where [ForEach] costs less: Go takes two allocations.
type Group struct {
	e      *engine[Task]
	parent context.Context
	seat   context.Context // of the task that has made the group, or nil
	maker  *worker[Task]   // of that task

	mu   sync.Mutex // never held while a method of the user's runs: of an error, or a context
	ctx  *groupContext
	one  groupContext // the first one
	over bool         // Wait has returned since ctx was made

	pending list.List[groupCall, *groupCall] // those that have not begun
	active  int                              // that have not ended
	away    int                              // that run outside of the task that made the group
	inlines int                              // that run on their submitters' goroutines
	limit   int                              // of active; -1: none
	count   uint64                           // of all, ever

	mode     ErrorMode
	first    errlog.First   // under FailFast
	errs     errlog.Ordered // under KeepGoing, in the order of submission
	idle     chan struct{}
	freed    chan struct{} // both are made by a goroutine that waits
	skipping bool          // a task was not started, for its context was done
}

// failure is an error of a task, and what the user's methods have said about it.
type failure struct {
	err       error
	cancelled bool // it is that of a context
	late      bool // the group's context had ended before
}

// groupCall is a task of a group.
type groupCall struct {
	call
	list.Link[groupCall]
	g      *Group
	f      Task
	index  uint64
	failed failure
	inline bool // it is counted in inlines
	away   bool // it is counted in away
}

// NewGroup returns a group whose tasks run in p. Their context has the values of ctx. It is
// cancelled when ctx is, at the first error, when Wait returns, and when the pool stops.
//
// Inside a task of the same pool pass that task's context: by it Wait and Go recognise that they
// are called inside the task.
func NewGroup(ctx context.Context, p *Pool) *Group {
	g := &Group{e: p.made(), parent: ctx, limit: -1, mode: FailFast}
	g.errs.Limit = DefaultGroupErrors
	if ctx == nil {
		g.parent = context.Background()
		g.first.Err = errNilContext
	}
	g.seat = g.e.seatOf(g.parent)
	g.maker = g.e.insideOf(g.seat)
	g.ctx = &g.one
	g.renewLocked()
	return g
}

// made returns the engine of a group that NewGroup has made.
func (g *Group) made() *engine[Task] {
	if g == nil || g.e == nil {
		panic("pool: the Group is nil or zero: make it with NewGroup")
	}
	return g.e
}

// DefaultGroupErrors is how many errors a Group keeps under [KeepGoing] without
// [Group.SetErrorLimit].
const DefaultGroupErrors = 100

func (g *Group) renewLocked() {
	if g.over {
		g.over, g.ctx = false, new(groupContext)
	}
	g.ctx.e, g.ctx.parent = g.e, g.parent
	if err := g.first.Err; err != nil {
		g.ctx.cancel(err)
	}
}

// Context returns the context of the group's tasks.
func (g *Group) Context() context.Context {
	g.made()
	g.mu.Lock()
	ctx := g.ctx
	g.mu.Unlock()
	return ctx.full()
}

// SetLimit bounds the number of the group's tasks that are queued or running to n. A negative n is
// no bound, the default. Like errgroup's it panics while there are such tasks.
func (g *Group) SetLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.active > 0 {
		panic(fmt.Sprintf("pool: Group.SetLimit(%d) while %d tasks are active", n, g.active))
	}
	g.limit = max(n, -1)
}

// SetErrorMode sets what an error does. Under [FailFast], the default, the first error cancels the
// group's context, and Wait returns it whatever other tasks return later. Under [KeepGoing] all
// tasks run, and Wait returns all errors joined, in the order of the calls of Go. SetErrorMode
// panics after Go, until Wait has returned.
func (g *Group) SetErrorMode(m ErrorMode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m != FailFast && m != KeepGoing {
		panic(fmt.Sprintf("pool: Group.SetErrorMode: unknown mode %d", m))
	}
	if g.count > 0 && !g.over {
		panic("pool: Group.SetErrorMode after Go")
	}
	g.mode = m
}

// SetErrorLimit bounds the errors that the group keeps under [KeepGoing] to the first n >= 1, in
// the order of the calls of Go. Wait's error says how many others there were. The default is
// [DefaultGroupErrors].
func (g *Group) SetErrorLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n < 1 {
		panic(fmt.Sprintf("pool: Group.SetErrorLimit: limit must be at least 1, got %d", n))
	}
	g.errs.Limit = n
}

// Go runs f in the pool. It waits while the group's limit is reached, and while the pool is full.
// After a failure, or when the group's context is done, f does not run. An error of the submission,
// such as [ErrClosed], is an error of the group.
//
// Inside the task of the same pool that made the group with its context, Go never waits for room:
// if the pool is full f runs before Go returns, so hold no lock that f needs. At the limit Go runs
// tasks of the group that have not started. If a task of the group itself calls Go, that call waits
// for room and for the limit. When nothing in the pool moves any more, the pool notices, after 100
// ms the first time, and f runs inside Go. Better give that task a group of its own, made with its
// context.
//
// It backfires where tasks of the group find many others and the buffer is small: then f runs
// inside Go inside f, and each level takes stack. Give the pool a buffer for what is found at a
// time ([WithBuffer]).
func (g *Group) Go(f Task) { g.start(f, false) }

// TryGo is Go if Go need not wait. Otherwise it does nothing and returns false.
func (g *Group) TryGo(f Task) bool { return g.start(f, true) }

func (g *Group) start(f Task, try bool) bool {
	e := g.made()
	over := g.parent.Err() != nil
	g.mu.Lock()
	if g.over {
		g.renewLocked()
	}
	within := false          // the caller is inside of a task of the group
	var seat context.Context // of the task that the caller is inside of
	if g.away == 0 {
		seat = g.seat // tasks of the group run only inside the one that made the group
	}
	for g.limit >= 0 && g.active >= g.limit {
		if try {
			g.mu.Unlock()
			return false
		}
		if over || g.endedLocked() {
			break
		}
		if c := g.takeLocked(seat != nil); c != nil {
			g.mu.Unlock()
			c.help(seat)
			g.mu.Lock()
			continue
		}
		if within = g.runsLocked(seat); within {
			break // its place in the group is f's, until it ends
		}
		if g.freed == nil {
			g.freed = make(chan struct{})
		}
		freed, ctx := g.freed, g.ctx
		g.mu.Unlock()
		here, err := e.rest(ctx, seat, freed)
		if here != nil {
			seat = here
		} else if err != nil {
			g.skip()
			return true
		}
		g.mu.Lock()
		if g.over { // a Wait has returned meanwhile
			g.renewLocked()
		}
	}
	index := g.count
	g.count++
	switch {
	case f == nil:
		g.mu.Unlock()
		g.fail(index, failure{err: e.reject(ErrNilTask)})
		return true
	case over || g.endedLocked():
		g.mu.Unlock()
		g.skip()
		return true
	}
	c := &groupCall{g: g, f: f, index: index}
	c.owner = c
	c.e, c.user, c.covered = e, g.ctx, true
	g.active++
	g.pending.Push(c, false)
	ctx := g.ctx
	inline := within && g.active > g.limit
	// If none of its tasks runs elsewhere, the caller is the task that made the group.
	mine := g.away == 0
	g.mu.Unlock()
	if inline {
		if c.begin() {
			c.help(seat)
		}
		return true
	}
	if !try {
		c.submit(ctx, mine)
	} else if !c.try(ctx) && c.begin() {
		c.ended(errSkipped)
		return false
	}
	return true
}

// endedLocked reports whether the group's context has ended, as far as one knows without asking its
// parent.
func (g *Group) endedLocked() bool {
	return g.first.Err != nil || g.ctx.ended()
}

// skip notes that a task does not start. If the reason is the end of the pool, that is an error of
// the group.
func (g *Group) skip() {
	g.mu.Lock()
	g.skipping = true
	index, none := g.count, g.first.Err == nil
	g.mu.Unlock()
	if e := g.e; none && (e.cause() != nil || e.base.Err() != nil) {
		g.fail(index, failure{err: e.reject(e.errBlocked())})
	}
}

// runsLocked reports whether the task with the context seat is one of the group. It does not tell
// apart those that run on their submitters' goroutines.
func (g *Group) runsLocked(seat context.Context) bool {
	if seat == nil {
		return false
	}
	w := g.e.insideOf(seat)
	if w == nil {
		return g.inlines > 0
	}
	if c := w.runs.Load(); c != nil {
		gc, ok := c.owner.(*groupCall)
		return ok && gc.g == g
	}
	return false
}

// takeLocked begins the youngest call that has not begun, if the caller may take one.
func (g *Group) takeLocked(may bool) *groupCall {
	for c := g.pending.Last; may && c != nil; c = g.pending.Last {
		g.pending.Remove(c)
		if c.begin() {
			return c
		}
	}
	return nil
}

func (c *groupCall) do(ctx context.Context) error {
	g := c.g
	skip, w := c.user.Err() != nil, g.e.insideOf(ctx)
	g.mu.Lock()
	g.pending.Remove(c)
	skip = skip || g.endedLocked()
	g.skipping = g.skipping || skip
	if c.inline = !skip && w == nil; c.inline {
		g.inlines++
	}
	if c.away = !skip && w != g.maker; c.away {
		g.away++
	}
	g.mu.Unlock()
	if skip {
		return errSkipped
	}
	err := c.f(ctx)
	if err != nil { // here a method of the user's that panics is part of the task
		c.failed = failure{err, cancellation(err), c.user.Err() != nil}
	}
	return err
}

func (c *groupCall) ended(err error) {
	g := c.g
	c.f = nil                // the queue may still hold c
	if c.failed.err == nil { // else it is err
		c.failed.err = err
	}
	if err != nil && err != errSkipped {
		g.fail(c.index, c.failed)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending.Remove(c)
	g.active--
	if c.away {
		g.away--
	}
	if c.inline {
		g.inlines--
	}
	if g.freed != nil {
		close(g.freed)
		g.freed = nil
	}
	if g.active == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// fail notes an error.
func (g *Group) fail(index uint64, f failure) {
	g.mu.Lock()
	ctx, fast := g.ctx, g.mode == FailFast
	if fast {
		g.first.Add(f.err, f.cancelled, f.late)
	} else {
		g.errs.Add(index, f.err)
	}
	g.mu.Unlock()
	if fast {
		ctx.cancel(f.err)
	}
}

// Wait returns when all tasks of the group have ended. It returns nil, or the first error, or,
// under [KeepGoing], all of them. It then cancels the group's context. If the context with which
// the group was made is done, Wait returns an error in any case. The end of each task synchronizes
// before the return of Wait.
//
// When the pool stops, tasks of the group that have not started never start, and the cause of the
// stop is the group's error.
//
// Inside a task of the same pool Wait runs tasks of the group that have not started, and lends its
// worker's place while others run the rest. So it completes at any depth, even with one worker. If
// a task that runs inside Wait calls [runtime.Goexit], the waiting task ends with it.
//
// A task of the group that calls Wait would wait for itself: it gets [ErrInTask], when nothing else
// of the pool moves.
//
// After Wait the group may be used again. An error stays: under [FailFast] no more tasks start.
func (g *Group) Wait() error {
	e, seat := g.made(), g.seat
	g.mu.Lock()
	for g.active > 0 {
		if c := g.takeLocked(seat != nil); c != nil {
			g.mu.Unlock()
			c.help(seat)
			g.mu.Lock()
			continue
		}
		if g.idle == nil {
			g.idle = make(chan struct{})
		}
		idle := g.idle
		g.mu.Unlock()
		here, err := e.rest(context.Background(), seat, idle)
		if here == nil && err != nil {
			g.refuseAll(err)
			<-idle
		}
		g.mu.Lock()
		if here != nil && g.runsLocked(here) {
			g.mu.Unlock()
			return ErrInTask
		}
		if here != nil {
			seat = here
		}
	}
	over, ctx := g.over, g.ctx
	g.over = true
	err, errs, skipping := g.first.Err, g.errs.Err(), g.skipping
	g.mu.Unlock()
	if errs != nil {
		err = errs
	}
	if err == nil {
		err = endOf(g.parent)
	}
	if err == nil && skipping {
		err = endOf(ctx)
	}
	if !over {
		ctx.cancel(err)
	}
	return err
}

// refuseAll ends the calls that have not begun.
func (g *Group) refuseAll(err error) {
	g.mu.Lock()
	for c := g.takeLocked(true); c != nil; c = g.takeLocked(true) {
		g.mu.Unlock()
		c.ended(err)
		g.mu.Lock()
	}
	g.mu.Unlock()
}
