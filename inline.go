package pool

import (
	"context"
	"reflect"
	"runtime"

	"github.com/headrace-go/pool/internal/goroutine"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// Jobs that do not run on a worker's own behalf: under CallerRuns on their submitter's goroutine,
// and, when a task submits to its own full pool, inside that task. And how the pool recognises its
// own goroutines.

// callerRun is a job that runs on its submitter's goroutine.
type callerRun struct {
	tag int // of the jobs that it submits, see wait.go
}

// inlineRun is a job that may run on the calling goroutine. It keeps the pool from ending until it
// has.
type inlineRun[T any] struct {
	ctx    context.Context // the job's
	caller *callerRun      // nil, if the job runs inside the task that submits it
}

// runHere runs v on the calling goroutine: inside the task of ctx, if it is one of the pool's.
func (e *engine[T]) runHere(ctx context.Context, v T) error {
	r, err := e.enterInline(ctx, ctx.Value(e))
	if err == nil {
		e.runEntered(r, v)
	}
	return err
}

// enterInline accepts a job that is to run on the calling goroutine; seat is what ctx has for this
// pool. The caller has to call runEntered.
func (e *engine[T]) enterInline(ctx context.Context, seat any) (inlineRun[T], error) {
	switch s := seat.(type) {
	case *worker[T]:
		return e.enterInside(&s.inner)
	case *callerRun:
		return e.enterInside(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closeErr != nil {
		return inlineRun[T]{}, e.closeErr
	}
	r := &callerRun{tag: e.main.queue.CurrentTag()}
	e.inlines++
	e.inline[r.tag]++
	return inlineRun[T]{&taskContext[T]{Context: ctx, e: e, caller: r}, r}, nil
}

// enterInside is enterInline inside the task with the context ctx. Wait need not know of the job,
// which ends before the task does.
//
// It counts the job and then looks whether the pool is closed; a goroutine that closes the pool
// then looks whether something runs inside. So the pool does not end meanwhile, even if the
// submitter is a goroutine that the task has left behind.
func (e *engine[T]) enterInside(ctx context.Context) (r inlineRun[T], err error) {
	e.counts.inside.Add(insideNow)
	seam.Yield()
	if e.main.queue.IsClosed() {
		e.counts.inside.Add(^uint64(insideNow - 1))
		e.settle()
		return r, e.errClosed()
	}
	return inlineRun[T]{ctx: ctx}, nil
}

// runEntered runs v, which was accepted as r.
func (e *engine[T]) runEntered(r inlineRun[T], v T) {
	defer func() {
		if r.caller == nil {
			e.counts.inside.Add(^uint64(insideNow - 2))
			if e.main.queue.IsClosed() {
				e.settle()
			}
			return
		}
		e.mu.Lock()
		e.inlines--
		e.ended[r.caller.tag]++
		e.evaluateLocked()
		e.mu.Unlock()
		e.settle()
	}()
	e.timedInline(func() (err error) {
		onSubmitter(func() { err = e.runInline(r.ctx, v) })
		return err
	})
}

// insideNow in counts.inside counts a job that runs inside another one; the bits below it count
// those that have ended.
const insideNow = 1 << 40

// insideCounts returns how many jobs that ran inside others have ended, and how many run.
func (e *engine[T]) insideCounts() (ended, running uint64) {
	n := e.counts.inside.Load()
	return n % insideNow, n / insideNow
}

// runInline runs v on the calling goroutine, and returns its error. A panic goes to the handler or,
// without one, on to the caller.
func (e *engine[T]) runInline(ctx context.Context, v T) (err error) {
	returned := false
	defer func() {
		if returned && (err == nil || err == errUntimed) {
			return
		}
		var p any
		if !returned {
			p = recover()
		}
		var owned bool
		err, owned = e.countInline(v, returned, p, err)
		if pe, ok := err.(*PanicError); ok && p != nil {
			if e.onPanic == nil {
				panic(p)
			}
			e.onPanic(pe)
		}
		if !owned {
			e.reportInline(err)
		}
	}()
	err = e.handle(ctx, v)
	returned = true
	return err
}

// reportInline is worker.flow for a job that ran inline.
func (e *engine[T]) reportInline(err error) {
	e.keep(err)
	if e.onError != nil {
		e.shield(func() { e.onError(err) })
	}
}

// countInline counts the failure of the job v that ran inline. It returns its error, and whether
// that belongs to a call.
func (e *engine[T]) countInline(v T, returned bool, p any, err error) (_ error, owned bool) {
	switch {
	case p != nil:
		e.counts.panicked.Add(1)
		return asPanicError(p)
	case !returned:
		e.counts.goexited.Add(1)
		return ErrGoexit, isCall(v)
	}
	if err == errSkipped {
		e.counts.skipped.Add(1)
		return err, true
	}
	e.counts.failed.Add(1)
	return err, err == errOwned
}

// seatOf returns the context of the task of this pool in which ctx is used, or nil.
func (e *engine[T]) seatOf(ctx context.Context) context.Context {
	switch s := ctx.Value(e).(type) {
	case *worker[T]:
		return &s.inner
	case *callerRun:
		return &taskContext[T]{Context: e.base, e: e, caller: s}
	}
	return nil
}

// here returns the context of the task that the caller is part of, by its goroutine, or nil. It is
// for Close, which has no context, and for calls that have blocked for long without one (see
// watch.go). It recognises a task that runs on its submitter's goroutine, and a drop handler, by
// the frame that runs it. There it takes a task of another pool for one of this pool, while both
// run such tasks.
func (e *engine[T]) here() context.Context {
	if w := e.workerHere(); w != nil {
		return &w.inner
	}
	e.mu.Lock()
	runs := uint64(e.inlines + e.dropping)
	e.mu.Unlock()
	if _, inside := e.insideCounts(); runs+inside == 0 {
		return nil
	}
	var buf [128]uintptr
	frames := runtime.CallersFrames(goroutine.Callers(buf[:]))
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); f.Entry == reflect.ValueOf(onSubmitter).Pointer() {
			return &taskContext[T]{Context: e.base, e: e, caller: &callerRun{tag: queue.Current}}
		}
	}
	return nil
}

// onSubmitter runs user code on a submitter's goroutine. Its frame on the stack says so.
//
//go:noinline
func onSubmitter(f func()) { f() }

// workerHere returns the worker whose goroutine calls, or nil.
func (e *engine[T]) workerHere() *worker[T] {
	mark := goroutine.Mark()
	if mark == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		if w.mark() == mark {
			return w
		}
	}
	for w := e.leaving.First; w != nil; w = w.Next { // it closes its state
		if w.mark() == mark {
			return w
		}
	}
	return nil
}
