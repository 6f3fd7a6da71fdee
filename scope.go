package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// lazy is a context that can be cancelled, the child of another one. It is also cancelled when the
// pool stops. It is made when somebody asks for it: most tasks do not, and it takes several
// allocations.
type lazy struct {
	mu    sync.Mutex // not held while methods of a context run, which may be the user's
	made  atomic.Pointer[context.Context]
	end   context.CancelCauseFunc
	cause atomic.Pointer[error] // of cancel
}

// child returns the context, a child of parent.
func (l *lazy) child(e *engine[Task], parent context.Context) context.Context {
	if ctx := l.made.Load(); ctx != nil {
		return *ctx
	}
	ctx, end := e.until(parent)
	l.mu.Lock()
	made, cause := l.made.Load(), l.cause.Load()
	if made == nil {
		made, l.end = &ctx, end
		l.made.Store(made)
	}
	l.mu.Unlock()
	switch {
	case made != &ctx:
		end(nil)
	case cause != nil:
		end(*cause)
	}
	return *made
}

var errCancelled = context.Canceled

// cancel cancels it; nil is [context.Canceled].
func (l *lazy) cancel(err error) {
	cause := &errCancelled
	if err != nil {
		kept := err
		cause = &kept
	}
	l.mu.Lock()
	l.cause.CompareAndSwap(nil, cause)
	end := l.end
	l.mu.Unlock()
	if end != nil {
		end(*cause)
	}
}

// groupContext is the context of a group's tasks.
type groupContext struct {
	e      *engine[Task]
	parent context.Context
	lazy
}

// full returns the context that can be cancelled.
func (c *groupContext) full() context.Context { return c.child(c.e, c.parent) }

// ended reports whether it was cancelled, or the pool has stopped.
func (c *groupContext) ended() bool { return c.cause.Load() != nil || c.e.base.Err() != nil }

// Deadline implements context.Context.
func (c *groupContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

// Done implements context.Context.
func (c *groupContext) Done() <-chan struct{} { return c.full().Done() }

// Err implements context.Context.
func (c *groupContext) Err() error {
	if c.cause.Load() != nil {
		return context.Canceled
	}
	if ctx := c.made.Load(); ctx != nil {
		return (*ctx).Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	return c.e.base.Err()
}

// Value implements context.Context. For *int see scope.
func (c *groupContext) Value(key any) any {
	if _, ok := key.(*int); ok {
		return c.full().Value(key)
	}
	return c.parent.Value(key)
}

// endOf returns why ctx is done, or nil if it is not: its error, together with its cause if that is
// another one.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return &stopError{err, cause}
	}
	return err
}

// scope is the context of a call. It has the values and the end of its owner's context and the
// identity of the worker's, and is cancelled when the pool stops.
type scope struct {
	e       *engine[Task]
	user    context.Context
	seat    context.Context // the worker's
	covered bool            // user is cancelled when the pool stops
	merged  lazy            // both
}

// covers reports whether ctx is one of the pool's own that is cancelled when the pool stops.
func (e *engine[T]) covers(ctx context.Context) bool {
	switch c := ctx.(type) {
	case *taskContext[T]:
		return c.e == e && c.w != nil
	case *scope:
		return any(c.e) == any(e)
	case *groupContext:
		return any(c.e) == any(e)
	}
	return false
}

// both returns user and the worker's context in one.
func (s *scope) both() context.Context { return s.merged.child(s.e, s.user) }

// until returns a child of parent that is cancelled when the pool stops too.
func (e *engine[T]) until(parent context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	if e.covers(parent) {
		return ctx, cancel
	}
	if e.base.Err() != nil { // at once, which AfterFunc does not do: somebody may have seen it
		cancel(context.Cause(e.base))
	}
	stop := context.AfterFunc(e.base, func() { cancel(context.Cause(e.base)) })
	// A group whose Wait never returns does not call what is returned. The pool then keeps nothing
	// of it when parent has ended.
	unwatch := context.AfterFunc(parent, func() { stop() })
	return ctx, func(err error) { unwatch(); stop(); cancel(err) }
}

// plain returns the context that says when this one ends, nil if there are two.
func (s *scope) plain() context.Context {
	switch {
	case s.covered:
		return s.user
	case s.user.Done() == nil:
		return s.seat
	}
	return nil
}

// Deadline implements context.Context.
func (s *scope) Deadline() (time.Time, bool) { return s.user.Deadline() }

// Done implements context.Context.
func (s *scope) Done() <-chan struct{} {
	if ctx := s.plain(); ctx != nil {
		return ctx.Done()
	}
	return s.both().Done()
}

// Err implements context.Context.
func (s *scope) Err() error {
	if ctx := s.plain(); ctx != nil {
		return ctx.Err()
	}
	return s.both().Err()
}

// Value implements context.Context. Package context asks for a *int to find out whose Done it is.
func (s *scope) Value(key any) any {
	switch key.(type) {
	case *engine[Task]:
		if key == any(s.e) {
			return s.seat.Value(key)
		}
	case stateKey:
		return s.seat.Value(key)
	case *scope:
		if key == any(s) {
			return s // it is the innermost: see Future.Wait
		}
		return nil
	case *int:
		if s.plain() == nil {
			return s.both().Value(key)
		}
	}
	if v := s.user.Value(key); v != nil {
		return v
	}
	return s.seat.Value(key)
}
