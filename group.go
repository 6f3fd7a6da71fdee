package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/headrace-go/pool/internal/list"
)

// Group is a set of tasks that succeed or fail together, as errgroup.Group of golang.org/x/sync is one
// of goroutines. Any number of groups share a pool and do not affect each other. All methods may be
// called by any number of goroutines, and by the group's own tasks.
//
// It differs from errgroup in this. Tasks get the group's context. After the first error no
// further task starts. A task that calls [runtime.Goexit] has failed. A parent context that is done is an
// error of Wait. A task may call Go and Wait of a group in its own pool, also with one worker. Go waits
// for room in the pool.
//
// The tasks' errors are the group's alone: the pool counts them as failed, unless Wait ran them, but does not keep the errors
// for Close, nor give them to a handler.
//
// It backfires for tasks under a microsecond, where [ForEach] costs less: Go takes two
// allocations.
type Group struct {
	e      *engine[Task]
	parent context.Context

	mu   sync.Mutex
	ctx  *groupContext
	one  groupContext // the first one
	over bool         // Wait has returned since ctx was made

	pending list.List[groupCall, *groupCall] // those that nobody has begun
	active  int                              // that have not ended
	away    int                              // that run elsewhere than in the task that made the group
	inlines int                              // that run on their submitters' goroutines
	limit   int                              // of active; -1: none
	count   uint64                           // of all, ever

	mode     ErrorMode
	most     int // errors to keep, under KeepGoing
	err      error
	errs     []groupError // in the order of submission
	more     int          // errors that were not kept
	idle     chan struct{}
	freed    chan struct{} // both are made by who waits
	skipping bool          // a task was not started, for its context was done
}

type groupError struct {
	index uint64
	err   error
}

// groupCall is a task of a group.
type groupCall struct {
	call
	list.Link[groupCall]
	g      *Group
	f      Task
	index  uint64
	inline bool // it is counted in inlines
	away   bool // it is counted in away
}

// NewGroup returns a group whose tasks run in p. Their context has the values of ctx, and is
// cancelled when ctx is, at the first error, when Wait returns, and when the pool stops.
//
// Inside a task of the same pool pass that task's context: by it Wait and Go recognise that they
// are called inside the task.
func NewGroup(ctx context.Context, p *Pool) *Group {
	g := &Group{e: &p.engine, parent: ctx, limit: -1, mode: FailFast, most: DefaultGroupErrors}
	if ctx == nil {
		g.parent = context.Background()
		g.err = errNilContext
	}
	g.ctx = &g.one
	g.renewLocked()
	return g
}

// DefaultGroupErrors is how many errors a Group keeps under [KeepGoing], unless
// [Group.SetErrorLimit] says otherwise.
const DefaultGroupErrors = 100

func (g *Group) renewLocked() {
	if g.over {
		g.over, g.ctx = false, new(groupContext)
	}
	g.ctx.e, g.ctx.parent = g.e, g.parent
	if g.err != nil {
		g.ctx.cancel(g.err)
	}
}

// Context returns the context of the group's tasks.
func (g *Group) Context() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ctx.full()
}

// SetLimit bounds the number of the group's tasks that are queued or run to n; negative: no bound, the
// default. Like errgroup's it panics while there are any.
func (g *Group) SetLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.active > 0 {
		panic(fmt.Sprintf("pool: Group.SetLimit(%d) while %d tasks are active", n, g.active))
	}
	g.limit = max(n, -1)
}

// SetErrorMode says what an error does. Under [FailFast], the default, it cancels the group's context
// and is what Wait returns, whatever other tasks return after it. Under [KeepGoing] all tasks run, and
// Wait returns all errors joined, in the order of the calls of Go. It must not be called after Go.
func (g *Group) SetErrorMode(m ErrorMode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m != FailFast && m != KeepGoing {
		panic(fmt.Sprintf("pool: Group.SetErrorMode: unknown mode %d", m))
	}
	g.mode = m
}

// SetErrorLimit bounds the errors that are kept under [KeepGoing] to the first n >= 1, in the order
// of the calls of Go. Wait's error tells the number of the others. The default is
// [DefaultGroupErrors].
func (g *Group) SetErrorLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n < 1 {
		panic(fmt.Sprintf("pool: Group.SetErrorLimit: limit must be at least 1, got %d", n))
	}
	g.most = n
}

// Go runs f in the pool. It waits while the group's limit is reached, and while the pool is full. After
// a failure, or when the group's context is done, f does not run. An error of the submission, as
// [ErrClosed], is an error of the group.
//
// Inside the task of the same pool that made the group with its context, Go never waits for room: if the pool is
// full f runs before Go returns, so hold no lock that f needs. At the limit it runs tasks of the group that
// have not begun. A task of the group that calls Go waits for room or for the limit; when nothing
// moves any more, the pool finds out, after 100 ms for the first one, and f runs inside Go. A group of its own, made with
// the context of the task, is better there.
//
// It backfires where tasks of the group find many others and the buffer is small: then f runs
// inside Go inside f, and each level takes stack. Give the pool room for what is found at a time
// ([WithBuffer]).
func (g *Group) Go(f Task) { g.start(f, false) }

// TryGo is Go if that need not wait. Else it does nothing and returns false.
func (g *Group) TryGo(f Task) bool { return g.start(f, true) }

func (g *Group) start(f Task, try bool) bool {
	e := g.e
	g.mu.Lock()
	if g.over {
		g.renewLocked()
	}
	within := false          // the caller is inside of a task of the group
	var seat context.Context // of the task that the caller is inside of
	if g.away == 0 {
		seat = e.seatOf(g.parent) // no task of the group is at work but in the one that made the group
	}
	for g.limit >= 0 && g.active >= g.limit {
		if try {
			g.mu.Unlock()
			return false
		}
		if g.ctx.Err() != nil {
			break
		}
		if c := g.takeLocked(seat); c != nil {
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
			g.mu.Lock()
			if g.skipping = true; ctx.Err() == nil {
				g.failLocked(g.count, err) // the pool has stopped
			}
			g.mu.Unlock()
			return true
		}
		g.mu.Lock()
		if g.over { // a Wait has returned meanwhile
			g.renewLocked()
		}
	}
	if f == nil {
		g.failLocked(g.count, e.reject(ErrNilTask))
		g.count++
		g.mu.Unlock()
		return true
	}
	if g.ctx.Err() != nil {
		if g.skipping = true; e.base.Err() != nil && g.err == nil {
			g.failLocked(g.count, e.reject(e.errClosed()))
		}
		g.mu.Unlock()
		return true
	}
	c := &groupCall{g: g, f: f, index: g.count}
	c.owner = c
	c.e, c.user, c.covered = e, g.ctx, true
	g.count++
	g.active++
	g.pending.Push(c, false)
	ctx := g.ctx
	inline := within && g.active > g.limit
	// If none of its tasks is at work elsewhere, it is the task that made the group that calls.
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

// runsLocked reports whether the task that seat is the context of is one of the group. Those that run on their submitters'
// goroutines are not told apart.
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

// takeLocked begins the youngest call that nobody has begun, for the task with the context seat, if that is not nil.
func (g *Group) takeLocked(seat context.Context) *groupCall {
	for c := g.pending.Last; seat != nil && c != nil; c = g.pending.Last {
		g.pending.Remove(c)
		if c.begin() {
			return c
		}
	}
	return nil
}

func (c *groupCall) do(ctx context.Context) error {
	g := c.g
	g.mu.Lock()
	g.pending.Remove(c)
	skip := c.user.Err() != nil
	g.skipping = g.skipping || skip
	w := g.e.insideOf(ctx)
	if c.inline = !skip && w == nil; c.inline {
		g.inlines++
	}
	if c.away = !skip && w != g.e.insideOf(g.parent); c.away {
		g.away++
	}
	g.mu.Unlock()
	if skip {
		return errSkipped
	}
	return c.f(ctx)
}

func (c *groupCall) ended(err error) {
	g := c.g
	c.f = nil // the queue may still hold c
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending.Remove(c)
	if err != nil && err != errSkipped {
		g.failLocked(c.index, err)
	}
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

// failLocked notes an error.
func (g *Group) failLocked(index uint64, err error) {
	if g.mode == KeepGoing {
		i, _ := slices.BinarySearchFunc(g.errs, index, func(e groupError, i uint64) int {
			if e.index < i {
				return -1
			}
			return 1
		})
		g.errs = slices.Insert(g.errs, i, groupError{index, err})
		if len(g.errs) > g.most {
			g.errs[g.most].err = nil
			g.errs = g.errs[:g.most]
			g.more++
		}
		return
	}
	if g.err == nil || g.parent.Err() != nil && cancellation(g.err) && !cancellation(err) {
		g.err = err // the real one, if the other came of the parent's end
	}
	g.ctx.cancel(err)
}

// cancellation reports whether err is that of a context.
func cancellation(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Wait returns when all tasks of the group have ended: nil, or the first error, or, under
// [KeepGoing], all of them. It then cancels the group's context. If the context that the group was made
// with is done, Wait returns an error in any case. The end of each task synchronizes before the return of Wait.
//
// When the pool stops, tasks of the group that have not begun never run, and the cause of the
// stop is the group's error.
//
// Inside a task of the same pool Wait runs tasks of the group that nobody has begun, and lends
// its worker's place while others run the rest, so it completes at any depth, with one worker too. A task
// that runs there and calls [runtime.Goexit] ends the waiting task with it.
//
// A task of the group that calls Wait would wait for itself: it gets [ErrInTask], when nothing else of the pool moves.
//
// After Wait the group may be used again. An error stays: under [FailFast] nothing more starts.
func (g *Group) Wait() error {
	e := g.e
	seat := e.seatOf(g.parent)
	g.mu.Lock()
	for g.active > 0 {
		if c := g.takeLocked(seat); c != nil {
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
	defer g.mu.Unlock()
	err := g.errLocked()
	if !g.over {
		g.over = true
		g.ctx.cancel(err)
	}
	return err
}

// refuseAll ends the calls that nobody has begun.
func (g *Group) refuseAll(err error) {
	for {
		g.mu.Lock()
		c := g.pending.Last
		if c == nil {
			g.mu.Unlock()
			return
		}
		g.pending.Remove(c)
		g.mu.Unlock()
		c.refuse(err)
	}
}

func (g *Group) errLocked() error {
	err := g.err
	if g.mode == KeepGoing && len(g.errs) > 0 {
		errs := make([]error, 0, len(g.errs)+1)
		for _, e := range g.errs {
			errs = append(errs, e.err)
		}
		if g.more > 0 {
			errs = append(errs, fmt.Errorf("pool: and %d more errors", g.more))
		}
		err = errors.Join(errs...)
	}
	if err == nil {
		err = endOf(g.parent)
	}
	if err == nil && g.skipping {
		err = endOf(g.ctx)
	}
	return err
}
