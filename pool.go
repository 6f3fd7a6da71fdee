package pool

import (
	"context"
	"fmt"
)

// Task is a unit of work. Its context is the pool's: it is cancelled, with a
// cause, when the pool stops, and it tells the pool who is calling, so a task
// should pass it on when it uses its own pool. It is valid until the task
// returns. It is not the context of the submission.
type Task func(ctx context.Context) error

// Pool runs tasks on a bounded number of goroutines. Create one with [New]; all
// methods may be called by any number of goroutines at once.
type Pool struct {
	engine[Task]
}

// New returns a pool. It starts no goroutine: workers are started for the tasks
// that come. Bad or contradictory options are errors that name the option and the
// value.
//
// Without options the pool has one worker for each of GOMAXPROCS, a queue of
// [DefaultBuffer] tasks, blocks submitters when that is full, keeps the first
// error for Close, and drains on Close.
func New(opts ...Option) (*Pool, error) {
	p := new(Pool)
	if err := p.init(runTask, opts); err != nil {
		return nil, err
	}
	return p, nil
}

func runTask(ctx context.Context, task Task) error { return task(ctx) }

// Submit accepts task to be run once. When the queue is full it waits for room
// until ctx is done, in the order of arrival; under [Reject], [CallerRuns] and
// [DropOldest] it does what they say. On success the task will run, or be handed
// back by Leftover. On failure it never runs, and nothing of it is left in the
// pool: the error is ctx's, [ErrFull], [ErrNilTask], or wraps [ErrClosed]. A ctx that is
// already done is never accepted. After acceptance ctx has no influence.
//
// Submit synchronizes before the start of the task.
//
// Inside a task of the same pool, called with that task's context, Submit never
// blocks: when the queue is full, the new task runs before Submit returns.
func (p *Pool) Submit(ctx context.Context, task Task) error {
	if task == nil {
		return p.reject(ErrNilTask)
	}
	return p.submit(ctx, task)
}

// TrySubmit accepts task if there is room now (see [WithBuffer]), and returns [ErrFull] if there is
// none, [ErrNilTask], or an error that wraps [ErrClosed]. It never blocks.
func (p *Pool) TrySubmit(task Task) error {
	if task == nil {
		return p.reject(ErrNilTask)
	}
	return p.trySubmit(task)
}

// SubmitBatch submits tasks in order, as Submit does, with one synchronisation for
// up to 64 of them, as far as there is room. It returns how many were accepted, always a
// prefix, and an error if that is not all of them. With a nil task among them it
// accepts none. The slice is not kept.
func (p *Pool) SubmitBatch(ctx context.Context, tasks []Task) (n int, err error) {
	for i, t := range tasks {
		if t == nil {
			return 0, p.rejectAll(len(tasks), fmt.Errorf("%w: at index %d", ErrNilTask, i))
		}
	}
	return p.submitBatch(ctx, tasks)
}

// SubmitKeyed is [Pool.Submit] for a task with a key: tasks with equal keys never
// overlap, and start in the order of acceptance. A key costs nothing while none of
// its tasks is queued or runs, and any number of keys may be used. [KeyOf] makes
// a key from any comparable value.
//
// Under [Shared], [WorkStealing] and [Elastic] any worker runs the next task of a
// key, and a slow or hot key delays no other. [PerWorker] binds a key to a worker,
// whose other tasks wait behind it.
//
// A task that waits behind another one with its key takes up room in the queue, so a
// key whose tasks come faster than they run fills it. Inside a task of the same
// pool SubmitKeyed returns [ErrFull] when the queue is full: the new task can
// neither run at once, before its turn, nor be waited for. It needs a queue, and
// contradicts [DropOldest]; both are errors that say so.
//
// It backfires where only some tasks of a key matter: one key at a time is the
// most there is of parallelism.
func (p *Pool) SubmitKeyed(ctx context.Context, key uint64, task Task) error {
	if task == nil {
		return p.reject(ErrNilTask)
	}
	return p.submitKeyed(ctx, key, task)
}

// SubmitWeighted is [Pool.Submit] for a task that takes weight units of the pool's
// capacity while it runs; Submit is SubmitWeighted of 1. The weights of the tasks
// that run never add up to more than the capacity, which is the number of workers
// unless [WithCapacity] says otherwise. Tasks are started in the order of acceptance: one that
// does not fit keeps those behind it waiting, and so is not starved by lighter ones.
//
// A weight below 1 is an error, and one above the capacity [ErrTooHeavy], at once. A task that
// was accepted before [Pool.Resize] made the capacity smaller than its weight runs
// when nothing else does. Tasks that [CallerRuns] runs on their submitter's
// goroutine are not weighed, and weighted ones wait for room instead. Inside a task of the same
// pool SubmitWeighted returns [ErrFull] when the queue is full.
//
// It backfires for tiny tasks: from the first task of more than 1 on, workers take
// tasks one at a time, under a lock.
func (p *Pool) SubmitWeighted(ctx context.Context, weight int64, task Task) error {
	if task == nil {
		return p.reject(ErrNilTask)
	}
	return p.submitWeighted(ctx, weight, task)
}

// Leftover returns the tasks that were accepted and never started because the
// pool was stopped, each exactly once: a second call returns those that came to
// light since. After Done is closed it returns all that are left.
func (p *Pool) Leftover() []Task { return p.takeLeftover() }
