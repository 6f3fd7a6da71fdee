package pool

import (
	"context"
	"sync"

	"github.com/headrace-go/pool/internal/seam"
)

// Future is the outcome of a function that [Go] has submitted. Any number of goroutines may call
// its methods.
type Future[T any] struct {
	c    call // not embedded: its context is for f alone
	f    func(context.Context) (T, error)
	val  T
	err  error
	lock sync.Mutex
	done chan struct{} // made by the first that waits
}

// Go submits f and returns its future. It waits for room as [Pool.Submit] does, until ctx is done.
// If the submission fails, under [Reject] with [ErrFull], the future fails with its error.
//
// f gets a context with the values of ctx, which is cancelled when ctx is done or the pool stops.
// If ctx is done before f starts, f never runs. In each case the future ends: with what f returned;
// with [ErrGoexit] or, under [WithPanicHandler], a *[PanicError]; with ctx's error; with the cause
// of the pool's stop, if the pool stopped before f started; with [ErrDropped] or [ErrExpired]. The
// error belongs to the future: the pool counts the task as failed, unless Wait ran it, but does not
// keep the error for Close or give it to a handler.
//
// Inside a task of the same pool, called with that task's context, Go never blocks: if the pool is
// full, f runs before Go returns.
//
// Go takes two allocations, and one more if a goroutine has to wait. It backfires where nobody
// reads the result: then [Pool.Submit] is enough, and allocates nothing.
func Go[T any](ctx context.Context, p *Pool, f func(context.Context) (T, error)) *Future[T] {
	u := &Future[T]{f: f}
	u.c.owner = u
	e := p.made()
	switch {
	case ctx == nil:
		u.c.refuse(e.reject(errNilContext))
		return u
	case f == nil:
		u.c.refuse(e.reject(ErrNilTask))
		return u
	}
	u.c.e, u.c.user, u.c.covered = e, ctx, e.covers(ctx)
	u.c.submit(ctx, true)
	return u
}

// Do is [Go] and then [Future.Wait]: it runs f in the pool and returns what f returned. If ctx is
// done first it returns ctx's error at once; f may still run then, with a context that is done.
func Do[T any](ctx context.Context, p *Pool, f func(context.Context) (T, error)) (T, error) {
	u := Go(ctx, p, f)
	if ctx == nil {
		ctx = context.Background()
	}
	return u.Wait(ctx)
}

func (u *Future[T]) do(ctx context.Context) (err error) {
	if u.err = endOf(u.c.user); u.err != nil {
		return errSkipped
	}
	u.val, err = u.f(ctx)
	return err
}

func (u *Future[T]) ended(err error) {
	u.lock.Lock()
	defer u.lock.Unlock()
	if u.f = nil; err != errSkipped {
		u.err = err
	}
	u.c.state.Or(callEnded)
	if u.done != nil {
		close(u.done)
	}
}

func (u *Future[T]) over() bool { return u.c.over() }

// Wait returns the outcome when there is one. If ctx is done first, it returns ctx's error; others
// continue to wait, and f continues too. The end of f synchronizes before the return of its
// outcome.
//
// Inside a task of the same pool, called with that task's context, Wait runs f itself if f has not
// started, and lends the worker's place otherwise. So it completes even with one worker. If f runs
// inside Wait and calls [runtime.Goexit], the waiting task ends with it. Inside f itself, called
// with the context that f got, Wait returns [ErrInTask].
func (u *Future[T]) Wait(ctx context.Context) (T, error) {
	var zero T
	if ctx == nil {
		return zero, errNilContext
	}
	if !u.over() {
		if err := u.wait(ctx); err != nil {
			return zero, err
		}
	}
	return u.val, u.err
}

func (u *Future[T]) wait(ctx context.Context) error {
	if err := endOf(ctx); err != nil {
		return err
	}
	e := u.c.e
	if e == nil {
		panic("pool: the Future is zero: make it with Go")
	}
	if ctx.Value(&u.c.scope) != nil {
		return ErrInTask
	}
	seat := e.seatOf(ctx)
	if seat == nil && u.c.polled() {
		return nil
	}
	if seat != nil && u.c.begin() {
		u.c.help(seat)
		return nil
	}
	seam.Yield()
	u.lock.Lock()
	if u.over() {
		u.lock.Unlock()
		return nil
	}
	if u.done == nil {
		u.done = make(chan struct{})
	}
	done := u.done
	u.lock.Unlock()
	for {
		here, err := e.rest(ctx, seat, done)
		if u.over() {
			return nil
		}
		if here != nil {
			if w := e.insideOf(here); w != nil && w.runs.Load() == &u.c {
				return ErrInTask
			}
			if seat = here; u.c.begin() {
				u.c.help(seat)
				return nil
			}
			continue
		}
		if ctx.Err() != nil {
			if err := endOf(u.c.user); err != nil { // nobody needs to begin it any more
				u.c.refuse(err)
			}
			return endOf(ctx) // and not the cause of a stop, which looks like an outcome
		}
		// The pool has stopped. What runs may still end.
		if u.c.refuse(err) {
			return nil
		}
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
}
