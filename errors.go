package pool

import (
	"errors"
	"fmt"
)

// Errors that the pool returns. Compare them with [errors.Is]: if a pool stopped for a reason, the
// error wraps both the sentinel and the reason.
var (
	// ErrClosed is returned by every submission to a pool that was closed, shut down or aborted, or
	// that a failure has stopped.
	ErrClosed = errors.New("pool: closed")
	// ErrFull is returned when there is no room: by [Pool.TrySubmit], by a submission under
	// [Reject], and, inside a task, by [Pool.Reserve] and by a submission with a key or a weight.
	ErrFull = errors.New("pool: queue is full")
	// ErrAborted is the cause with which [Pool.Abort] cancels the contexts of running tasks. Calls
	// that were blocked in the pool return it.
	ErrAborted = errors.New("pool: aborted")
	// ErrTooHeavy is returned by a submission whose weight is above the capacity.
	ErrTooHeavy = errors.New("pool: task is heavier than the capacity")
	// ErrDropped is the error of a [Future], a [Group] or a loop whose task [DropOldest] has
	// dropped.
	ErrDropped = errors.New("pool: dropped for a newer task")
	// ErrNilTask is returned for a nil Task.
	ErrNilTask = errors.New("pool: task is nil")
	// ErrGoexit is the error of a task that ended its goroutine with [runtime.Goexit], as t.FailNow
	// does.
	ErrGoexit = errors.New("pool: task called runtime.Goexit")
	// ErrInTask is returned by Wait, Close and Shutdown inside a task or a callback of the same
	// pool: they cannot wait for the task that calls them. By then Close and Shutdown have closed
	// the pool.
	ErrInTask = errors.New("pool: called inside a task: it cannot wait for itself")

	errNilContext  = errors.New("pool: context is nil")
	errNilSequence = errors.New("pool: sequence is nil")
)

// PanicError is the error that a panic in a task becomes with [WithPanicHandler]. The pool treats
// it as any error that a task returns.
type PanicError struct {
	// Value is the argument of panic.
	Value any
	// Stack is the stack of the goroutine at the panic, with the task's own frames, as formatted by
	// [runtime/debug.Stack].
	Stack []byte
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("pool: task panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if that is an error, for [errors.Is] and [errors.As].
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// DeadlineError says that a drain did not end in time and became an abort.
type DeadlineError struct {
	// Unstarted is how many accepted tasks never started; Leftover returns them. A task that is
	// about to start at the deadline may count as running and be handed back nevertheless.
	Unstarted int
	// Running is how many tasks still ran at the deadline, when their contexts were cancelled.
	Running int
	// Err is the cause: the context's error, or [context.DeadlineExceeded] under [DrainFor].
	Err error
}

// Error names both counts.
func (e *DeadlineError) Error() string {
	return fmt.Sprintf("pool: not drained in time: %d tasks never started, %d still running: %v", e.Unstarted, e.Running, e.Err)
}

// Unwrap returns Err.
func (e *DeadlineError) Unwrap() error { return e.Err }

// stopError is what submitters and waiters get from a pool that ended for a cause: it wraps both
// the sentinel and the cause.
type stopError struct{ sentinel, cause error }

func (e *stopError) Error() string   { return e.sentinel.Error() + ": " + e.cause.Error() }
func (e *stopError) Unwrap() []error { return []error{e.sentinel, e.cause} }
