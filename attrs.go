package pool

import (
	"context"
	"fmt"
	"time"
)

// Attrs says what a task is besides its function. The zero value is a plain task.
type Attrs struct {
	// Key makes the task one of those that never overlap and start in the order of acceptance, see [Pool.SubmitKeyed]. 0 is none; [KeyOf]
	// never returns 0.
	Key uint64
	// Weight is how many units of the capacity it takes, see [Pool.SubmitWeighted]. 0 is 1.
	Weight int64
	// Tenant is on whose behalf it runs, see [WithTenants] and [WithTenantLimit]. 0 is one of the tenants.
	Tenant uint64
	// Class is its index in [WithClasses]. 0 is the highest.
	Class int
	// Deadline is the time until which it has to start, see [WithExpiredHandler]. The zero time is none.
	Deadline time.Time
}

// WithAttrs returns a context with which tasks are submitted that have the tenant, the class and the deadline of a, as far as their submission does
// not say otherwise: all tasks of a [Group], of [Go], of [Do], or of a loop. Key and Weight are not taken from a context.
//
// The context of a task has these of the task. So what a task submits with its context, at any depth, is of the same tenant and class, and has to
// start before the same deadline. To get out of that, submit with WithAttrs(ctx, Attrs{}), or with another context.
//
// Only pools with one of the options [WithTenants], [WithTenantLimit], [WithClasses], [WithQueueTimeout], [WithExpiredHandler] and [WithRate] look
// for attributes in a context.
func WithAttrs(ctx context.Context, a Attrs) context.Context {
	a.Key, a.Weight = 0, 0
	return context.WithValue(ctx, attrsKey{}, a)
}

type attrsKey struct{}

// ErrExpired is the error of a task that did not start before its deadline, and never will. It wraps [context.DeadlineExceeded]. A [Future], [Do], a
// [Group] and a loop return it, and so does a submission after the deadline.
var ErrExpired = fmt.Errorf("pool: the task has expired in the queue and never began: %w", context.DeadlineExceeded)

// fairness is what the options of this file say.
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

// WithTenants makes tenants share the workers by run time: while several have tasks waiting, each gets run time in proportion to its
// weight, whatever its tasks take and however many of them wait. A tenant that needs less than its share leaves the rest to the others.
// Tasks that run count, and nothing is saved up by a tenant that has nothing to do. weight is called by the submitter for each submission, and must
// return 1 to 1<<20; nil makes all tenants alike. If it panics, that is the error of the submission.
//
// The queue is shared too. When [WithBuffer]'s places are taken, a tenant is accepted still that has less than an equal part of them, or less than 16
// tasks waiting: so one that floods the pool keeps nobody out. Twice as many tasks as places may wait for that reason, and 65,536 more.
//
// A tenant takes memory while it has tasks in the pool, and a moment longer: any number of tenants may come and go.
//
// It backfires for tasks below a microsecond, since the bookkeeping costs more than they do (go test -bench SubmitAs), and where tasks block: a tenant
// is charged for the time in which its tasks hold a worker, also when they only wait. Equal keys of two tenants make one wait for the other.
func WithTenants(weight func(tenant uint64) int) Option {
	return func(c *config) { c.fair.hasTenants, c.fair.share = true, weight }
}

// WithTenantLimit bounds how many tasks of a tenant run at a time: two requests to each host, one migration for each customer. A tenant at its
// limit holds no worker and delays nobody, and its next task may start when one of its tasks has ended. With a limit of 1 its tasks run in the
// order of acceptance. limit is called by the submitter for each submission; 0 is no limit, and below 0 is an error, as is a panic.
// Tenants share the workers as [WithTenants] says.
//
// It contradicts [CallerRuns], which runs tasks beyond any limit. A task that runs inside the task that has submitted it is not counted.
//
// It backfires where limits are much lower than the number of workers and few tenants have tasks: workers rest. And a task that waits for
// another one of its tenant, other than by [Group.Wait], [Future.Wait], [Do] or a loop, can wait for ever at the limit.
func WithTenantLimit(limit func(tenant uint64) int) Option {
	return func(c *config) { c.fair.hasLimit, c.fair.limit = true, limit }
}

// Class is a priority class, see [WithClasses].
type Class struct {
	// Name is for [Stats] and for metrics.
	Name string
	// Share is the part of the run time, from 0 to 1, that the class gets at least while it has tasks waiting.
	Share float64
}

// WithClasses makes 1 to 8 classes of tasks, the highest first. A worker takes the next task of the highest class in which one waits. But each
// class gets at least its share of the run time while it has tasks waiting, and when nothing else waits, any class gets everything. The
// shares must not add up to more than 1. Inside a class tenants share as [WithTenants] says. A task that runs is never interrupted.
//
// It backfires with a share of 0 for a lower class, which the higher ones can starve, and where a task of a high class waits for one of a low class:
// nothing makes that run earlier.
func WithClasses(c ...Class) Option {
	return func(o *config) { o.fair.classes = append([]Class{}, c...) }
}

// WithQueueTimeout gives each task that has no deadline one of d after its submission: a task that has not started by then never does,
// see [WithExpiredHandler]. d must be positive.
//
// It backfires if d is shorter than the pauses that a healthy service has: a garbage collection, a burst of the usual size.
func WithQueueTimeout(d time.Duration) Option {
	return func(c *config) { c.fair.hasTimeout, c.fair.timeout = true, d }
}

// WithExpiredHandler makes the pool call f with each task that did not start before its deadline ([Attrs].Deadline, [WithQueueTimeout]), once.
// [Stats].Expired counts them. They are found when a worker looks for a task or when the queue is full, which makes room, and else right after
// the deadline; but one that a worker has taken and that waits for its units is found when it gets them. Who finds them calls f: a worker, a submitter, or the goroutine of a timer. f may submit tasks. A panic in f is treated
// as one in a task. The task of a [Group], a [Future] or a loop fails with [ErrExpired] too.
//
// It backfires if f is slow: the one who has found the task waits for it.
func WithExpiredHandler[T any](f func(T)) Option {
	return func(c *config) { c.fair.expired, c.fair.nilExpiry = f, f == nil }
}

// WithRate bounds how many tasks start: perSecond on average, and burst at once after a rest, as a rate.Limiter of golang.org/x/time/rate does. It is
// about starts: submissions wait in the queue. Draining obeys it, [Pool.Abort] does not wait. perSecond must be above 0 and at most 1e9, burst at
// least 1.
//
// It contradicts [CallerRuns]. A task that runs inside the task that has submitted it takes no part in it.
//
// It backfires above some 1000 a second with a small burst: the pool is woken by a timer that may be late by a millisecond, and what it
// missed beyond burst is lost.
func WithRate(perSecond float64, burst int) Option {
	return func(c *config) { c.fair.hasRate, c.fair.perSecond, c.fair.burst = true, perSecond, burst }
}

const (
	maxClasses = 8
	maxShare   = 1 << 20
	maxRate    = 1e9
)

// on reports whether there is one of the options.
func (f *fairness) on() bool {
	return f.hasTenants || f.hasLimit || f.classes != nil || f.hasTimeout || f.expired != nil || f.hasRate
}
