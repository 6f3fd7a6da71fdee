package pool

import (
	"context"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
)

// Jobs that do not run on a worker's own: under CallerRuns on their submitter's
// goroutine, and, when a task submits to its own full pool, inside that task. And how
// the pool recognises its own goroutines.

// runInside runs the child of w's task inside of it. Wait need not know of it:
// it ends before the task does.
//
// A job with a key or a weight is refused instead: its turn may come only after
// this very task.
func (e *engine[T]) runInside(w *worker[T], v T, n *ring.Record) error {
	if n != nil {
		return ErrFull
	}
	return e.runInline(w.ctx, v, nil)
}

// callerRun is a job that runs on its submitter's goroutine.
type callerRun struct {
	tag, age uint64
	sit      atomic.Pointer[sitting] // as in worker
	ended    bool
	owned    bool // as in worker
}

// runOnCaller runs v here and now. A job inside another such job ends before that
// one and is not counted on its own.
func (e *engine[T]) runOnCaller(ctx context.Context, v T) error {
	if _, nested := ctx.Value(e).(*callerRun); nested {
		return e.runInline(ctx, v, nil)
	}
	run := new(callerRun)
	return e.runInline(&taskContext[T]{ctx, e, run, nil}, v, run)
}

// inlineNow in engine.inlines counts a job that runs inline; below it are counted
// those that have ended.
const inlineNow = 1 << 40

// inlineCounts returns how many jobs have ended that ran inline, and how many run.
func (e *engine[T]) inlineCounts() (ended, running uint64) {
	n := e.inlines.Load()
	return n % inlineNow, n / inlineNow
}

// runInline runs v on the calling goroutine, and returns an error if it does not. run is nil
// inside a task. A panic goes to the handler or, without one, on to the caller.
//
// It counts itself and then looks whether the pool is closed; who closes the pool
// looks then whether something runs inline. So the pool does not end meanwhile.
func (e *engine[T]) runInline(ctx context.Context, v T, run *callerRun) error {
	e.inlines.Add(inlineNow)
	seam.Yield()
	if e.ring().IsClosed() {
		e.inlines.Add(^uint64(inlineNow - 1))
		err := e.errClosed()
		e.mu.Lock()
		e.settle()
		return err
	}
	if run != nil {
		e.mu.Lock()
		run.tag, run.age = e.ring().CurrentTag(), ageOf(e.ring().Accepted())
		e.callers[run.tag]++
		e.mu.Unlock()
	}
	returned := false
	var err error
	defer func() {
		if returned && err == nil {
			e.endInline(run)
			return
		}
		var p any
		if !returned {
			p = recover()
		}
		defer e.endInline(run)
		var owned bool
		err, owned = e.countInline(ctx, returned, p, err)
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
	return nil
}

// reportInline is worker.flow for a job that ran inline.
func (e *engine[T]) reportInline(err error) {
	e.keep(err)
	if e.onError == nil {
		return
	}
	if e.onPanic != nil {
		defer func() {
			if r := recover(); r != nil {
				p := &PanicError{Value: r, Stack: debug.Stack()}
				e.onPanic(p)
				e.keep(p)
			}
		}()
	}
	e.onError(err)
}

// countInline counts the failure of a job that ran inline and returns its error, and whether
// that belongs to a call.
func (e *engine[T]) countInline(ctx context.Context, returned bool, p any, err error) (_ error, owned bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case p != nil:
		e.gone.panicked++
		return asPanicError(p)
	case !returned:
		e.gone.goexited++
		if o := e.ownedBy(ctx); o != nil {
			owned, *o = *o, false
		}
		return ErrGoexit, owned
	}
	e.gone.failed++
	return err, err == errOwned
}

// ownedBy returns where it is noted that what unwinds belongs to a call; ctx is that of
// a task.
func (e *engine[T]) ownedBy(ctx context.Context) *bool {
	switch s := ctx.Value(e).(type) {
	case *worker[T]:
		return &s.owned
	case *callerRun:
		return &s.owned
	}
	return nil
}

func (e *engine[T]) endInline(run *callerRun) {
	e.inlines.Add(^uint64(inlineNow - 2))
	if run == nil && !e.ring().IsClosed() {
		return
	}
	e.mu.Lock()
	if run != nil {
		run.ended = true
		if sit := run.sit.Load(); sit != nil {
			e.standUpLocked(sit)
		}
		e.callers[run.tag]--
		e.evaluateLocked()
	}
	e.settle()
}

// inside reports whether the caller is part of a task, hook or handler of this
// pool. There is no context to tell it for Close, so it compares goroutines: the
// caller's with those of the workers. For a task that runs inline, and the drop
// handler, it looks for this package's frame in the stack; there, a task of another pool is taken for
// one of this pool, as long as both run such tasks.
func (e *engine[T]) inside() bool {
	if e.workerHere() != nil {
		return true
	}
	e.mu.Lock()
	dropping := e.dropping
	e.mu.Unlock()
	if _, running := e.inlineCounts(); running == 0 && dropping == 0 {
		return false
	}
	var buf [128]uintptr
	pcs := callers(buf[:])
	frames := runtime.CallersFrames(pcs)
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if ours(f.Function, "runInline") || ours(f.Function, "dropOne") {
			return true
		}
	}
	return false
}

// callers returns the whole stack; buf is used if it is large enough.
func callers(buf []uintptr) []uintptr {
	for {
		if n := runtime.Callers(2, buf); n < len(buf) {
			return buf[:n]
		}
		buf = make([]uintptr, 4*len(buf))
	}
}

// ours reports whether function is the method with this name of a type of this
// package.
func ours(function, method string) bool {
	return strings.HasPrefix(function, pkgPath+".(*") && strings.HasSuffix(function, "."+method)
}

var pkgPath = reflect.TypeFor[Stats]().PkgPath()

// workerHere returns the worker whose goroutine calls, or nil. That a goroutine
// belongs to no pool is seen at the bottom of its stack, in about half a
// microsecond; only for others the number of the goroutine is looked up.
func (e *engine[T]) workerHere() *worker[T] {
	var buf [128]uintptr
	pcs := callers(buf[:])
	bottom := len(pcs) - 2 // above runtime.goexit
	if bottom < 0 || !ours(runtime.FuncForPC(pcs[bottom]-1).Name(), "main") {
		return nil
	}
	id := goid()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		if w.goid.Load() == id {
			return w
		}
	}
	return nil
}
