package pool

import (
	"context"
	"fmt"
	"time"
)

// Attrs are the attributes of a task. The zero value is a task without any.
type Attrs struct {
	// Key: tasks with equal keys never overlap and start in the order of acceptance, see
	// [Pool.SubmitKeyed]. 0 is no key; [KeyOf] never returns 0.
	Key uint64
	// Weight is how many units of the capacity the task uses, see [Pool.SubmitWeighted]. 0 is 1.
	Weight int64
	// Tenant is on whose behalf the task runs, see [WithTenants] and [WithTenantLimit]. Inside a
	// task, 0 stands for the tenant of that task; elsewhere it is a tenant like any other. [KeyOf]
	// never returns 0.
	Tenant uint64
	// Class is the index of the task's class in [WithClasses]. 0 is the highest.
	Class int
	// Deadline is the time by which the task has to start, see [WithExpiredHandler]. The zero time
	// is no deadline.
	Deadline time.Time
}

// WithAttrs returns a context that gives the tenant, the class and the deadline of a to tasks that
// are submitted with it, unless their submission says otherwise. So it reaches all tasks of a
// [Group], of [Go], of [Do], or of a loop. WithAttrs ignores Key and Weight.
//
// The context of a task has the task's own attributes. So what a task submits with its context, at
// any depth, has the same tenant and class, and has to start by the same deadline. To avoid that,
// submit with WithAttrs(ctx, Attrs{}), or with another context.
//
// A pool looks for attributes in a context only if it has one of the options [WithTenants],
// [WithTenantLimit], [WithClasses], [WithQueueTimeout], [WithExpiredHandler] and [WithRate].
func WithAttrs(ctx context.Context, a Attrs) context.Context {
	a.Key, a.Weight = 0, 0
	return context.WithValue(ctx, attrsKey{}, a)
}

type attrsKey struct{}

// ErrExpired is the error of a task that did not start by its deadline, and never will. It wraps
// [context.DeadlineExceeded]. A [Future], [Do], a [Group] and a loop return it, and so does a
// submission after the deadline.
var ErrExpired = fmt.Errorf("pool: the task expired in the queue and never started: %w", context.DeadlineExceeded)

// fairness holds the options of this file.
type fairness struct {
	hasTenants, hasLimit, hasTimeout, hasRate bool

	share     func(uint64) int
	limit     func(uint64) int
	classes   []Class
	timeout   time.Duration
	expired   any // func(T)
	nilExpiry bool
	perSecond float64
	burst     int
}

// WithTenants makes tenants share the workers by run time. While several tenants have queued tasks,
// each gets run time in proportion to its weight, however long its tasks run and however many are
// queued. A tenant that needs less than its share leaves the rest to the others. Running tasks
// count, and an idle tenant saves nothing up. The submitter calls weight for each submission.
// weight must return 1 to 1<<20; nil makes all tenants equal. A panic in weight is the error of the
// submission.
//
// Tenants share the buffer too. When it is full, the pool still accepts a task of a tenant that has
// less than an equal part of the buffer, or fewer than 16 tasks queued: so a tenant that floods the
// pool keeps nobody out. For that reason up to twice as many tasks as [WithBuffer] allows may be
// queued, and 65,536 more.
//
// A tenant takes memory while it has tasks in the pool, and a moment longer: any number of tenants
// may come and go.
//
// It backfires for tasks below a microsecond, since the bookkeeping costs more than the tasks (go
// test -bench SubmitAs). It backfires where tasks block: a tenant pays for the time in which its
// tasks hold a worker, even if they only wait. If tasks of two tenants have equal keys, one waits
// for the other.
func WithTenants(weight func(tenant uint64) int) Option {
	return func(c *config) { c.fair.hasTenants, c.fair.share = true, weight }
}

// WithTenantLimit bounds how many tasks of a tenant run at a time: two requests to each host, one
// migration for each customer. A tenant at its limit holds no worker and delays nobody; its next
// task may start when one of its tasks has ended. With a limit of 1 its tasks run in the order of
// acceptance. The submitter calls limit for each submission. 0 is no limit; a negative value and a
// panic are errors of the submission. Tenants share the workers as [WithTenants] says.
//
// It contradicts [CallerRuns], which runs tasks beyond any limit. A task that runs inside the task
// that submitted it, since the pool is full, is of the same tenant and does not count. A submission
// for another tenant with a limit returns [ErrFull] there: give a pool whose tasks submit tasks a
// buffer for all of them ([WithBuffer] of [math.MaxInt]).
//
// It backfires if limits are much lower than the number of workers and few tenants have tasks:
// workers are idle. A task that waits for another task of its tenant, other than by [Group.Wait],
// [Future.Wait], [Do] or a loop, can wait for ever at the limit.
func WithTenantLimit(limit func(tenant uint64) int) Option {
	return func(c *config) { c.fair.hasLimit, c.fair.limit = true, limit }
}

// Class is a priority class, see [WithClasses].
type Class struct {
	// Name is shown in [Stats] and in metrics.
	Name string
	// Share is the part of the run time, from 0 to 1, that the class gets at least while it has
	// queued tasks.
	Share float64
}

// WithClasses makes 1 to 8 classes of tasks, the highest first. A worker takes the next task of the
// highest class that has queued tasks. But each class gets at least its share of the run time while
// it has queued tasks, and all of it when no other class has any. The shares must not add up to
// more than 1. Inside a class tenants share as [WithTenants] says. The pool never interrupts a
// running task.
//
// It backfires with a share of 0 for a lower class, which higher ones can starve. It backfires
// where a task of a high class waits for one of a low class: nothing makes that one run earlier.
func WithClasses(c ...Class) Option {
	return func(o *config) { o.fair.classes = append([]Class{}, c...) }
}

// WithQueueTimeout gives each task without a deadline one of d > 0 after its submission: a task
// that has not started by then never starts, see [WithExpiredHandler].
//
// It backfires if d is shorter than the usual pauses of a healthy service: a garbage collection, an
// ordinary burst.
func WithQueueTimeout(d time.Duration) Option {
	return func(c *config) { c.fair.hasTimeout, c.fair.timeout = true, d }
}

// WithExpiredHandler makes the pool call f once with each task that did not start by its deadline
// ([Attrs].Deadline, [WithQueueTimeout]). [Stats].Expired counts such tasks. The pool finds them
// when a worker looks for a task, when the queue is full, since they make room, and otherwise right
// after the deadline. A task that a worker has taken, and that waits for its units, is found when
// it gets them. Whichever goroutine finds a task calls f: a worker, a submitter, or a timer. f may
// submit tasks. The pool treats a panic in f as one in a task. A task of a [Group], a [Future] or a
// loop fails with [ErrExpired] too.
//
// A slow f backfires: the goroutine that has found the task waits for it.
func WithExpiredHandler[T any](f func(T)) Option {
	return func(c *config) { c.fair.expired, c.fair.nilExpiry = f, f == nil }
}

// WithRate limits how many tasks start: perSecond on average, and burst at once after a pause, as a
// rate.Limiter of golang.org/x/time/rate does. It limits starts, not submissions: tasks wait in the
// queue. A drain obeys it; [Pool.Abort] does not wait. perSecond must be above 0 and at most 1e9,
// burst at least 1.
//
// It contradicts [CallerRuns]. It does not count a task that runs inside the task that submitted
// it.
//
// It backfires above about 1000 a second with a small burst: a timer that may be a millisecond late
// wakes the pool, and starts that it missed, beyond burst, are lost.
func WithRate(perSecond float64, burst int) Option {
	return func(c *config) { c.fair.hasRate, c.fair.perSecond, c.fair.burst = true, perSecond, burst }
}

const (
	maxClasses = 8
	maxShare   = 1 << 20
	maxRate    = 1e9
)

// on reports whether any of the options is set.
func (f *fairness) on() bool {
	return f.hasTenants || f.hasLimit || f.classes != nil || f.hasTimeout || f.expired != nil || f.hasRate
}
