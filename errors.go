package pool

import (
	"errors"
	"fmt"
)

// Errors that the pool returns. Compare with [errors.Is]: where a pool stopped
// for a reason of its own, the reason is wrapped together with the sentinel.
var (
	// ErrClosed is returned by every submission to a pool that was closed,
	// shut down, aborted or stopped by a failure.
	ErrClosed = errors.New("pool: closed")
	// ErrFull is returned by TrySubmit when there is no room, by Submit
	// under [Reject], and by a submission with a key or a weight that is made
	// inside a task when there is no room.
	ErrFull = errors.New("pool: queue is full")
	// ErrAborted is the cause with which [Pool.Abort] cancels the contexts of
	// running tasks. Calls that were blocked in the pool return it.
	ErrAborted = errors.New("pool: aborted")
	// ErrTooHeavy is returned by SubmitWeighted for a weight above the capacity.
	ErrTooHeavy = errors.New("pool: task is heavier than the capacity")
	// ErrDropped is the error of a [Future], a [Group] or a loop whose task [DropOldest] discarded.
	ErrDropped = errors.New("pool: dropped for a newer task")
	// ErrNilTask is returned for a nil Task.
	ErrNilTask = errors.New("pool: task is nil")
	// ErrGoexit is the error of a task that ended its goroutine with
	// [runtime.Goexit], as t.FailNow does.
	ErrGoexit = errors.New("pool: task called runtime.Goexit")
	// ErrInTask is returned by Wait, Close and Shutdown when they are called from
	// inside a task, a hook or a handler of the same pool: they cannot wait for
	// the task that they are part of. Close and Shutdown have begun to close the
	// pool by then.
	ErrInTask = errors.New("pool: called inside a task: it cannot wait for itself")

	errNilContext  = errors.New("pool: context is nil")
	errNilSequence = errors.New("pool: sequence is nil")
)

// PanicError is what a panic in a task becomes when the pool has a
// [WithPanicHandler]. It flows like any error that a task returns.
type PanicError struct {
	// Value is what panic was called with.
	Value any
	// Stack is the stack of the goroutine at the panic, the task's own frames
	// included, as formatted by [runtime/debug.Stack].
	Stack []byte
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("pool: task panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if it is an error, so that [errors.Is] and [errors.As]
// see through the panic.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// DeadlineError says that a drain did not end in time and became an abort.
type DeadlineError struct {
	// Unstarted is how many accepted tasks never started; Leftover returns them.
	// A task that is just being started at the deadline may be counted as
	// running and be handed back after all.
	Unstarted int
	// Running is how many tasks still ran at the deadline, when their contexts
	// were cancelled.
	Running int
	// Err is the cause: the context's error, or [context.DeadlineExceeded]
	// under [DrainFor].
	Err error
}

// Error names both counts.
func (e *DeadlineError) Error() string {
	return fmt.Sprintf("pool: not drained in time: %d tasks never started, %d still running: %v", e.Unstarted, e.Running, e.Err)
}

// Unwrap returns Err.
func (e *DeadlineError) Unwrap() error { return e.Err }

// stopError is what submitters and waiters get from a pool that ended for a
// cause: it is both the sentinel and the cause.
type stopError struct{ sentinel, cause error }

func (e *stopError) Error() string   { return e.sentinel.Error() + ": " + e.cause.Error() }
func (e *stopError) Unwrap() []error { return []error{e.sentinel, e.cause} }
