// Package pool runs tasks on a bounded number of goroutines.
//
//	p, err := pool.New(pool.WithWorkers(20), pool.WithBuffer(100))
//	// ...
//	err = p.Submit(ctx, func(ctx context.Context) error { return store(ctx, order) })
//	// ...
//	err = p.Close() // runs every accepted task, then returns the first error
//
// # When not to use it
//
// If each task takes more than about 10 µs and all tasks end before the function that starts them
// returns, use [golang.org/x/sync/errgroup] with SetLimit, or a channel and a few goroutines: they
// are as fast, and everybody knows them. If nothing has to be bounded, use the go statement.
//
// Use a pool when work arrives from many places during the life of a service, and has to be
// bounded, drained at shutdown and observed. Use it too when tasks are so short, below about 2 µs,
// that submitting them costs more than running them. From 2 to 10 µs a pool saves part of that
// cost.
//
// # Terms
//
// A task is a function that the pool runs once. A [Typed] pool has one handler, and runs jobs:
// plain values that it passes to the handler. What is said of tasks holds for jobs.
//
// The pool accepts a task when its submission returns nil. Otherwise it rejects the task, which
// then never runs. An accepted task is queued until it starts. It has ended when it has returned,
// panicked or called [runtime.Goexit]. Some accepted tasks never start: the pool hands back, by
// [Pool.Leftover], those that are queued when it stops; [DropOldest] drops queued tasks to make
// room for new ones; and a task expires if its deadline passes first. Each accepted task ends, is
// handed back, is dropped or expires, exactly once.
//
// A worker is a goroutine of the pool. It needs a place to run tasks, and [WithWorkers] or
// [WithSizing] sets the number of places: at most that many tasks run. A worker without work parks:
// it sleeps until the pool wakes it. The buffer ([WithBuffer]) is how many tasks may be queued. The
// pool is full when every worker is busy and that many tasks are queued; otherwise it has room. A
// batch is several tasks that a worker claims at a time.
//
// The tasks that a task submits with its own context are its children. A callback is any other
// function of yours that the pool calls: a handler, or a function of [WithState] or [WithWarmup].
//
// A pool is closed when it accepts no more tasks. It stops when it also starts no more tasks and
// cancels the contexts of those that run; [Pool.Abort] does that. It drains when it is closed and
// runs what it has accepted. It has ended when the last worker is gone.
//
// A task may have attributes, see [Attrs]:
//
//   - a key: tasks with equal keys run one at a time, in the order of acceptance
//   - a weight: how many units of the pool's capacity the task uses while it runs
//   - a tenant: the customer, host or user for whom it runs; tenants share the workers
//   - a class: its priority
//   - a deadline: when it has to have started
//
// # Which call to use
//
//	you have                                    use                 errors go to
//	tasks whose outcome nobody waits for        Submit              the handler, and Close
//	tasks that succeed or fail together         NewGroup, Go, Wait  Wait
//	tasks that find more tasks (a crawler)      Group.Go inside     Wait
//	one result, now                             Do                  its caller
//	a result later, or for several readers      Go, Future.Wait     Wait
//	the same function for each of many values   ForEach             its caller: the first
//	a loop over indexes                         ForRange, Reduce    its caller: the first
//	a recursion, on all cores                   NewFork, Join       its caller: the first
//	a result for each, in order                 Map                 beside each result
//	a result for each, as they come             MapUnordered        beside each result
//	a type of job, in a service                 NewTyped            the handler, and Close
//	jobs that are faster handled many at a time NewTypedBatch       the handler, and Close
//
// The handler is that of [WithErrorHandler]. ForEach, ForRange, Reduce, Map and MapUnordered are
// the loops. All share a pool without interfering: an error in one group does not touch other
// tasks.
//
// [Pool.TrySubmit] never waits for room. [Pool.SubmitBatch] and [Pool.Batcher] submit many tasks at
// a time. [Pool.SubmitKeyed], [Pool.SubmitWeighted] and [Pool.SubmitAs] submit tasks with
// attributes. [Pool.Reserve] reserves room for tasks that the caller does not have yet. [Pool.Wait]
// waits for all tasks and for what they submit.
//
// # Limits
//
// [WithSizing] sets the number of workers: [CPU] for tasks that compute, [IO] or [LittlesLaw] for
// tasks that wait. [WithOverflow] says what a submission to a full pool does: it blocks, fails,
// runs the task itself ([CallerRuns]), or drops the oldest queued task. Except for CallerRuns the
// limits are exact, also while [Pool.Resize] changes the number of workers. [WithCapacity] limits
// the sum of the weights of running tasks, [WithTenantLimit] the running tasks of a tenant, and
// [WithRate] the starts per second.
//
// The strategies differ in where a task waits and which worker takes it:
//
//	workload            option        why                           backfires when
//	any, also keys      Shared        one queue, the default: the   children should find their
//	                                  next free worker takes the    parent's data in the cache
//	                                  next task
//	many keys whose     PerWorker     each key belongs to a         durations differ: a key
//	data should stay                  worker and waits in that      waits behind its worker's
//	in a worker's cache               worker's queue                other tasks
//	tasks that divide   WorkStealing  what a task submits stays     children should start in
//	their work                        with its worker until         the order of submission
//	                                  another one steals it
//	rare, or long       Elastic       a worker ends as soon as      short tasks come one by
//	                                  it finds no work              one: each starts one
//
// The pool starts workers on demand. [WithLazy] ends those that are idle, [WithWarmup] starts and
// prepares all of them in New, [WithLockedThread] gives each a thread, and [WithState] a value of
// its own that [StateOf] returns.
//
// # Options
//
// docs/choosing.md leads from symptoms to options. Each option's comment says when it backfires.
//
//	how many workers       WithSizing, WithWorkers
//	which workers          WithStrategy, WithLazy, WithFloor, WithWarmup,
//	                       WithLockedThread, WithState
//	what waits             WithBuffer, WithOverflow, WithDropHandler, WithCapacity
//	which task is next     WithTenants, WithTenantLimit, WithClasses, WithRate, WithAttrs
//	what waited too long   WithQueueTimeout, WithExpiredHandler
//	batches and loops      WithBatch, WithLinger, WithResultBuffer
//	failures               WithErrorMode, WithErrorHandler, WithErrorLimit,
//	                       WithPanicHandler
//	the end                WithContext, WithShutdown
//	what is measured       WithName, WithSampling
//
// # Contexts
//
// The context of a submission limits how long the submission waits for room. If that context is
// already done, the submission fails. After acceptance it has no influence: the task gets the
// pool's context, a child of [WithContext]'s, which is cancelled with a cause when the pool stops.
// The tasks of a group, a future or a loop get a context derived from the one passed to it; it is
// also cancelled when the pool stops.
//
// Pass a task's context on to the pool's functions: that is how the pool recognises a call from
// inside a task.
//
// # Errors
//
// The error of a submitted task goes to [WithErrorHandler], if there is one. [Pool.Close] returns
// the first, or more with [WithErrorLimit]. With [FailFast] the first error stops the pool. The
// errors of groups, futures and loops go to their callers only: the pool counts those tasks as
// failed and does not report the errors a second time.
//
// # Panics
//
// A panic in a task ends the program, as in any goroutine. In a service that may be a surprise,
// since net/http recovers panics of its handlers. [WithPanicHandler] makes a panic an error, a
// [*PanicError]. A task that calls Goexit has failed with [ErrGoexit]. The worker survives both.
//
// # Tasks that use their own pool
//
// A task that passes on its context may submit to its pool, wait for other tasks, and close the
// pool, without a deadlock, even with one worker and a full pool. A submission that would block
// runs the new task at once instead; one with a key or a weight returns [ErrFull]. [Group.Wait],
// [Future.Wait], [Do] and the loops first run those of their own tasks that have not started, and
// then lend the worker's place to another worker until the others have ended. [Pool.Wait],
// [Pool.Close] and [Pool.Shutdown] cannot wait for the task that calls them: they return
// [ErrInTask]. A task runs inside another task only if that one submits it or waits for it.
//
// This holds inside one pool. A task that waits for a task of another pool keeps its place, so
// tasks of two pools that wait for each other can deadlock, as with two locks.
//
// # Ending a pool
//
//	                   new tasks  queued tasks       running tasks' context  waits for  returns
//	Close, Drain       ErrClosed  run                untouched               all        kept errors
//	Close, Abort       ErrClosed  handed back        cancelled, ErrAborted   running    kept errors
//	Close, DrainFor(d) ErrClosed  run until d, then  cancelled at d          all        kept errors,
//	                              handed back                                           *DeadlineError
//	Shutdown(ctx)      ErrClosed  run until ctx is   cancelled then          drained or nil or
//	                              done, then handed                          ctx done   *DeadlineError
//	                              back
//	Abort              ErrClosed  handed back        cancelled, ErrAborted   nothing    -
//
// After Close has returned nothing of the pool runs. The channel of [Pool.Done] says the same for
// the other ways. When [WithContext]'s context is done, the pool aborts with its cause. A pool that
// the program drops without ending it keeps its parked workers.
//
// # Order and memory
//
// With one worker tasks start in the order of acceptance. With several they start nearly in that
// order: a worker claims up to 64 short tasks at a time, and idle workers take over the later half
// of what another has claimed. While a worker is free no task waits behind a longer one. While all
// workers are busy, a task may start after up to 64 tasks per worker that were accepted later.
// Under [PerWorker] a task with a key may wait for its worker. Under [WorkStealing] what a task
// submits starts before what waits from outside, for a while, and the youngest first. Blocked
// submissions get room in the order of arrival, but a new submission that finds room may overtake
// them.
//
// In the terms of the Go memory model, a submission synchronizes before the start of the task, and
// the end of a task synchronizes before the return of the [Pool.Wait], [Pool.Close], [Group.Wait]
// or [Future.Wait] that waits for it.
//
// # Observing
//
// [Pool.Stats] returns counters, which are always on, and how long tasks wait and run, measured for
// one task in 64 ([WithSampling]). [Pool.Report] says whether the pool is the bottleneck, and which
// option to change. Package pooldebug shows both on a web page, and package poolexpvar publishes
// the figures. With [WithName] profiles and execution traces tell pools apart.
//
// # Cost
//
// [New] allocates a few kilobytes and starts no goroutine, except for [WithWarmup]. A pool at rest
// has parked workers, no timer, and uses no CPU. The queue's memory follows what waits, 8 bytes and
// one job for each task, and goes back at rest. Submit allocates nothing but the caller's closure,
// which [NewTyped] does without; a Group and a Future take two allocations for each task. README.md
// has figures and the commands that measure them.
package pool
