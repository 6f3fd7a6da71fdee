package pool

import (
	"context"
	"errors"
	"reflect"
	"runtime/debug"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// Calls: tasks whose outcome belongs to an owner: a Group, a Future, or a loop (ForEach, Map).
//
// A call is in the pool's queue as any other task, and its owner has it too. The goroutine that
// begins it runs it or says that it never will, so that happens once. It is a worker that finds the
// call in the queue; or the owner, while it waits inside a task of the same pool; or the owner
// again, when the pool has stopped. What is then left in the queue does nothing.
//
// So a task that waits for its children runs those that have not begun itself, on its own stack and
// in its own place, and never a task of anybody else. When all have begun it lends its place to
// another worker until they are done, as Pool.Wait does. A wait for a call that somebody runs ends,
// so one goroutine always makes progress, even with one worker.
//
// The outcome goes to the owner alone. For the pool a task that a worker ran has failed as well, in
// Stats, but its error (errOwned) is neither kept for Close nor given to a handler.
type call struct {
	scope
	owner callOwner
	state atomic.Uint32
	parts bool // it measures the parts of its work itself
}

type callOwner interface {
	do(context.Context) error // runs the call
	ended(error)              // is told the outcome
}

// Bits of call.state. Without any of them the call is pending.
const (
	callBegun = 1 << iota
	callUnrun // though it was begun, the function was not called
	callEnded // only where somebody asks: Future, part
)

var (
	// errOwned is what the pool sees of a failure that belongs to an owner.
	errOwned = errors.New("pool: the error is its owner's")
	// errSkipped is the outcome of a call whose function was not called.
	errSkipped = errors.New("pool: the function was not called")
	// errLater is the outcome of a call that another one continues.
	errLater = errors.New("pool: the call goes on later")
	// errUntimed is what the pool sees of a call that has ended well and is not to be measured:
	// somebody else has run it, or it measures the parts of its work itself.
	errUntimed = errors.New("pool: the call is not measured")
)

// run is the Task.
func (c *call) run(ctx context.Context) error {
	if err, ok := ctx.(dropped); ok {
		if c.refuse(err.error) {
			return nil
		}
		return errUntimed
	}
	switch {
	case c.begin():
		return c.exec(ctx)
	case c.state.Load()&callUnrun != 0:
		return errSkipped
	}
	return untimed(ctx)
}

// untimed returns errUntimed to the pool, and nil to a user who calls a task that Leftover has
// returned.
func untimed(ctx context.Context) error {
	if _, ok := ctx.(*taskContext[Task]); ok {
		return errUntimed
	}
	return nil
}

// begin makes the caller the one that runs the call. It reports false if another has begun it.
func (c *call) begin() bool { return c.beginAs(callBegun) }

func (c *call) beginAs(state uint32) bool {
	if c.state.Load() != 0 {
		return false
	}
	seam.Yield()
	return c.state.CompareAndSwap(0, state)
}

// refuse ends a call that has not begun.
func (c *call) refuse(err error) bool {
	if !c.beginAs(callBegun | callUnrun) {
		return false
	}
	c.owner.ended(err)
	return true
}

// over reports whether a call has ended whose owner says so.
func (c *call) over() bool { return c.state.Load()&callEnded != 0 }

// polled waits a moment for the end of a short call. It reports whether the call has ended.
func (c *call) polled() bool {
	p := &c.e.futures
	if !c.e.parallel.Load() || !p.worth() {
		return false
	}
	for range futurePolls {
		if c.over() {
			p.miss.Store(0)
			return true
		}
		pause(pauseRounds)
	}
	p.inVain() // calls are longer, so waiters need no core
	return false
}

const futurePolls = 80 // about 3 µs

// exec runs the call. ctx is the worker's.
func (c *call) exec(ctx context.Context) error {
	c.seat = ctx
	returned := false
	w := c.e.insideOf(ctx)
	var outer *call
	if w != nil {
		outer = w.runs.Swap(c)
	}
	defer func() {
		if w != nil {
			w.runs.Store(outer)
		}
		if !returned {
			c.unwound(recover())
		}
	}()
	err := c.owner.do(&c.scope)
	returned = true
	c.merged.cancel(nil)
	if err == errSkipped {
		c.state.Or(callUnrun)
	}
	c.owner.ended(err)
	switch err {
	case nil, errLater:
		if c.parts {
			return untimed(ctx)
		}
		return nil
	case errSkipped:
		return err
	}
	return errOwned
}

// ownedPanic is a PanicError on its way to the worker, which gives it to the handler.
type ownedPanic struct{ *PanicError }

// asPanicError returns what was recovered, with the stack, and whether it belongs to a call.
// It is called while the panic goes on.
func asPanicError(r any) (p *PanicError, owned bool) {
	if o, ok := r.(ownedPanic); ok {
		return o.PanicError, true
	}
	return &PanicError{Value: r, Stack: debug.Stack()}, false
}

// unwound is called while a panic, or Goexit if r is nil, unwinds exec.
func (c *call) unwound(r any) {
	c.merged.cancel(nil)
	if r == nil {
		if t, ok := c.seat.(*taskContext[Task]); ok && t.w != nil && !t.inner {
			t.w.owned = true
		}
		c.owner.ended(ErrGoexit)
		return
	}
	p, _ := asPanicError(r)
	c.owner.ended(p)
	if c.e.onPanic == nil {
		panic(r) // nothing has been unwound: the trace shows the task's own frames
	}
	panic(ownedPanic{p})
}

// help runs the call inside the task with the context ctx, which waits for it.
func (c *call) help(ctx context.Context) {
	returned := false
	defer func() {
		if returned || c.e.onPanic == nil {
			return
		}
		if p, ok := recover().(ownedPanic); ok {
			c.e.onPanic(p.PanicError)
		}
	}()
	_ = c.exec(ctx)
	returned = true
}

// try puts the call into the queue if there is room.
func (c *call) try(ctx context.Context) bool {
	e := c.e
	a, err := e.inherited(ctx)
	return err == nil && e.push(&e.main, c.run, &a, ctx.Value(e)) == queue.OK
}

// submit puts the call into the queue and waits for room. If that fails the call ends with the
// error. mine says that the caller is inside the task of ctx, or that ctx has none. Otherwise the
// caller may be inside another task, or none, and must not run the call where ctx says.
func (c *call) submit(ctx context.Context, mine bool) {
	if err := c.enqueue(ctx, mine); err != nil {
		c.refuse(err)
	}
}

func (c *call) enqueue(ctx context.Context, mine bool) error {
	e := c.e
	e.obey()
	inside := e.insideOf(ctx) != nil
	if inside && mine || ctx.Err() != nil {
		return e.submit(ctx, c.run)
	}
	if w := e.insideOf(ctx); w != nil && e.kids != nil && w.pushKids([]Task{c.run}) == 1 {
		return nil
	}
	if c.try(ctx) {
		return nil
	}
	if inside && (e.overflow == Block || e.overflow == CallerRuns) {
		a, err := e.inherited(ctx)
		if err != nil {
			return e.reject(err)
		}
		return e.submitBlocked(ctx, &e.main, c.run, &a)
	}
	return e.submit(ctx, c.run)
}

// dropped is the context with which a call is told that it was discarded.
type dropped struct {
	context.Context
	error
}

// tellDropped tells v, if it is a call, why it will not run. It returns false if v has run already.
func tellDropped(v any, err error) bool { return !isCall(v) || v.(Task)(dropped{nil, err}) == nil }

// isCall reports whether v is the task of a call.
func isCall(v any) bool {
	task, ok := v.(Task)
	return ok && reflect.ValueOf(task).Pointer() == callCode
}

var callCode = reflect.ValueOf((*call)(nil).run).Pointer()
