package pool

import (
	"context"
	"errors"
	"runtime/pprof"
	"runtime/trace"
)

// What becomes of a task that fails: errors, panics, and Goexit; the error mode and the handlers.

// goexit runs while a task, or a handler, ends the worker's goroutine. Another goroutine continues
// with the rest of the batch.
func (w *worker[T]) goexit() {
	switch {
	case w.ending: // while it closed its state
		w.ended()
		return
	case w.b.Load().Running() == 0: // in the warm-up
	case w.inHook:
		w.inHook = false
	default:
		w.e.counts.goexited.Add(w.size)
		if !w.owned {
			w.carry = ErrGoexit
		}
		w.owned = false
	}
	w.move()
}

// label gives the labels of the tasks' context to w's goroutine.
func (w *worker[T]) label() {
	if w.e.name != "" {
		pprof.SetGoroutineLabels(&w.ctx)
	}
}

// watched runs the batch in hand of a pool that is not plain. It returns as run does.
func (w *worker[T]) watched() bool {
	if w.e.name != "" && trace.IsEnabled() {
		defer trace.StartRegion(&w.ctx, "pool "+w.e.name).End()
	}
	return w.guarded()
}

// guarded runs the batch in hand, and deals with panics if there is a handler for them. It returns
// as run does.
func (w *worker[T]) guarded() bool {
	if w.e.onPanic == nil {
		w.batch()
		return true
	}
	for {
		p := w.protect()
		if p == nil {
			return true
		}
		w.panic(p)
		if w.e.locked {
			return false
		}
		if w.e.handleAll != nil {
			return true
		}
	}
}

// protect runs the batch, and returns the panic that ended it. There is one deferred call for a
// batch, not one for a task.
func (w *worker[T]) protect() (p *PanicError) {
	normal := false
	defer func() {
		if normal {
			return
		}
		if r := recover(); r != nil {
			p, w.owned = asPanicError(r)
		}
	}()
	w.batch()
	normal = true
	return nil
}

// shield calls f. If that panics, and there is a handler, the panic goes to the handler and to the
// error mode.
func (e *engine[T]) shield(f func()) {
	if e.onPanic != nil {
		defer func() {
			if r := recover(); r != nil {
				p, _ := asPanicError(r)
				e.onPanic(p)
				e.keep(p)
			}
		}()
	}
	f()
}

// panic deals with a panic of a task or of the error handler. A panic of the
// panic handler is not recovered.
func (w *worker[T]) panic(p *PanicError) {
	if w.inHook {
		w.inHook = false
		w.e.onPanic(p)
		w.e.keep(p)
		return
	}
	w.e.counts.panicked.Add(w.size)
	owned := w.owned
	if w.inHook, w.owned = true, false; !owned {
		w.carry = p // in case the handler calls Goexit
	}
	w.e.onPanic(p)
	w.inHook, w.carry = false, nil
	if !owned {
		w.flow(p)
	}
}

// flow reports a failure outside of a batch.
func (w *worker[T]) flow(err error) {
	w.e.shield(func() { w.report(err) })
	w.inHook = false
}

func (w *worker[T]) fail(err error) {
	switch err {
	case errUntimed:
		w.warmed = true
		return
	case errSkipped:
		w.e.counts.skipped.Add(1)
		return
	}
	w.e.counts.failed.Add(w.size)
	if err != errOwned {
		w.report(err)
	}
}

// report gives a failure to the error mode and to the handler.
func (w *worker[T]) report(err error) {
	w.inHook = true
	w.e.keep(err)
	if f := w.e.onError; f != nil {
		f(err)
	}
	w.inHook = false
}

// keep applies the error mode to a failure. It does not keep the errors of tasks that were
// cancelled because the pool stopped: they only follow from that.
func (e *engine[T]) keep(err error) {
	if e.flags.word.Load()&flagStop != 0 && follows(err, e.cause()) {
		return
	}
	e.errs.Add(err)
	if e.errorMode == FailFast {
		e.stop(err, &stopError{ErrClosed, err})
	}
}

// follows reports whether err results from a cancellation with cause. An error whose own methods
// panic does not.
func follows(err, cause error) (yes bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, context.Canceled) || errors.Is(err, cause)
}

// cancellation reports whether err is that of a context. It calls methods of err, unless that is a
// panic.
func cancellation(err error) bool {
	if _, ok := err.(*PanicError); ok {
		return false
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
