package pool

import (
	"context"
	"fmt"
)

// Task is a function that a pool runs once. Its context is the pool's, not that of the submission,
// and is valid until the task returns. It is cancelled, with a cause, when the pool stops. A task
// should pass its context on when it uses its own pool: by this context the pool recognises a call
// from inside a task.
type Task func(ctx context.Context) error

// Pool runs tasks on a bounded number of goroutines. Create one with [New]; any number of
// goroutines may call its methods at once.
type Pool struct {
	engine[Task]
}

// New returns a pool. It starts no goroutine: the pool starts workers when tasks come. It returns
// an error for options that are wrong or contradict each other, which names the option and the
// value.
//
// Without options the pool has one worker for each of GOMAXPROCS, queues up to [DefaultBuffer]
// tasks, blocks submitters when it is full, keeps the first error for Close, and drains on Close.
func New(opts ...Option) (*Pool, error) {
	p := new(Pool)
	if err := p.init(runTask, opts); err != nil {
		return nil, err
	}
	return p, nil
}

// made returns the engine of a pool that New has made.
func (p *Pool) made() *engine[Task] {
	if p == nil || p.handle == nil {
		panic(notMade)
	}
	return &p.engine
}

const notMade = "pool: the pool is nil or zero: make it with New, and check the error"

func runTask(ctx context.Context, task Task) error { return task(ctx) }

// Submit accepts task, which then runs once. When the pool is full (see [WithBuffer]) Submit waits
// for room until ctx is done, in the order of arrival; [WithOverflow] may say otherwise. If Submit
// returns nil the task runs, or [Pool.Leftover] returns it. If it returns an error the task never
// runs, and the pool keeps nothing of it. The error is ctx's, [ErrFull], [ErrNilTask], or wraps
// [ErrClosed]. Submit fails if ctx is already done. After acceptance ctx has no influence.
//
// Submit synchronizes before the start of the task.
//
// Inside a task of the same pool, called with that task's context, Submit never blocks: when the
// pool is full, the new task runs before Submit returns.
func (p *Pool) Submit(ctx context.Context, task Task) error {
	if task == nil {
		return p.made().reject(ErrNilTask)
	}
	return p.made().submit(ctx, task)
}

// TrySubmit accepts task if there is room now (see [WithBuffer]). Otherwise it returns [ErrFull],
// [ErrNilTask], or an error that wraps [ErrClosed]. It never blocks.
func (p *Pool) TrySubmit(task Task) error {
	if task == nil {
		return p.made().reject(ErrNilTask)
	}
	return p.made().trySubmit(task)
}

// SubmitBatch submits tasks in order, as Submit does. While there is room, it takes one
// synchronisation for up to 256 tasks. It returns how many were accepted, always a prefix, and an
// error if that is not all of them. If a task is nil, it accepts none. It does not keep the slice.
func (p *Pool) SubmitBatch(ctx context.Context, tasks []Task) (n int, err error) {
	for i, t := range tasks {
		if t == nil {
			return 0, p.made().rejectAll(len(tasks), fmt.Errorf("%w: at index %d", ErrNilTask, i))
		}
	}
	return p.made().submitBatch(ctx, tasks)
}

// SubmitKeyed is [Pool.Submit] for a task with a key: tasks with equal keys never overlap, and
// start in the order of acceptance. Any number of keys may be used, and a key costs nothing while
// none of its tasks is queued or runs. [KeyOf] makes a key from any comparable value.
//
// Under [Shared], [WorkStealing] and [Elastic] any worker runs the next task of a key, and a slow
// or hot key delays no other key. Under [PerWorker] each key belongs to a worker, and its tasks
// wait behind that worker's other tasks.
//
// A task that waits for its key counts as queued, so a key whose tasks come faster than they run
// fills the pool. Inside a task of the same pool SubmitKeyed returns [ErrFull] when the pool is
// full: the new task cannot run before its turn, and the caller cannot wait for it. Under
// [CallerRuns] it waits for room. It contradicts [DropOldest], and returns an error that says so.
//
// It backfires where the order does not matter: the tasks of a key never run in parallel.
func (p *Pool) SubmitKeyed(ctx context.Context, key uint64, task Task) error {
	if task == nil {
		return p.made().reject(ErrNilTask)
	}
	return p.made().submitKeyed(ctx, key, task)
}

// SubmitWeighted is [Pool.Submit] for a task that uses weight units of the pool's capacity while it
// runs; Submit is SubmitWeighted of 1. The weights of running tasks never add up to more than the
// capacity: the number of workers, or that of [WithCapacity].
//
// Tasks get their units in the order in which workers take them, under every strategy. The worker
// that takes a heavy task waits, right before the task starts, until enough units are free.
// Meanwhile no worker takes another task, so lighter tasks do not starve a heavy one. A task that
// waits for its units counts as queued. If the pool stops first, [Pool.Leftover] returns it.
//
// A weight below 1 is an error, and one above the capacity is [ErrTooHeavy]. If [Pool.Resize] makes
// the capacity smaller than the weight of an accepted task, that task runs when nothing else does.
// [CallerRuns] does not weigh the tasks that it runs; tasks that weigh more than 1 wait for room
// instead. Inside a task of the same pool SubmitWeighted of more than 1 returns [ErrFull] when the
// pool is full.
//
// It backfires where heavy tasks are frequent: workers and units are idle while a heavy task waits
// for the last of its units.
func (p *Pool) SubmitWeighted(ctx context.Context, weight int64, task Task) error {
	if task == nil {
		return p.made().reject(ErrNilTask)
	}
	return p.made().submitWeighted(ctx, weight, task)
}

// SubmitAs is [Pool.Submit] for a task with attributes. [Pool.SubmitKeyed] is SubmitAs with a Key,
// and [Pool.SubmitWeighted] is SubmitAs with a Weight: what they say of errors and of overflow
// holds here. A tenant, class or deadline that is zero is taken from ctx, see [WithAttrs].
//
// It returns an error for a tenant without [WithTenants] or [WithTenantLimit], a class that
// [WithClasses] does not have, a negative weight, and a deadline that has passed ([ErrExpired]). It
// allocates nothing.
func (p *Pool) SubmitAs(ctx context.Context, a Attrs, task Task) error {
	if task == nil {
		return p.made().reject(ErrNilTask)
	}
	return p.made().submitAs(ctx, a, task)
}

// TrySubmitAs is [Pool.TrySubmit] for a task with attributes. It takes none from a context.
func (p *Pool) TrySubmitAs(a Attrs, task Task) error {
	if task == nil {
		return p.made().reject(ErrNilTask)
	}
	return p.made().trySubmitAs(a, task)
}

// Leftover returns the tasks that were accepted and never started because the pool stopped, each
// exactly once. A second call returns those that were handed back since the first. After the
// channel of [Pool.Done] is closed, Leftover returns all that are left.
func (p *Pool) Leftover() []Task { return p.takeLeftover() }
