// Package pool runs tasks on a bounded number of goroutines.
//
// # When not to use it
//
// If each task takes more than about 10 µs and the set of tasks ends with the
// function that starts it, [golang.org/x/sync/errgroup] with SetLimit, or a
// channel and a few goroutines, are as fast and everybody knows them. If nothing
// has to be bounded, use the go statement. Use a pool when work arrives from many
// places during the life of a service and has to be bounded, drained at shutdown and
// observed; or when tasks are so short (below about 2 µs) that submitting them
// costs more than running them. In between, from 2 to 10 µs, a pool saves some of that
// cost.
//
// # Vocabulary
//
// A task is accepted when its submission returns nil. It is queued until a worker
// starts it, and finished when it has returned, panicked or called
// [runtime.Goexit]. An accepted task that will never start, because the pool was
// stopped, is handed back: [Pool.Leftover] returns it. A task that [DropOldest]
// discards is dropped. Each accepted task is finished, handed back or dropped,
// exactly once.
//
// A worker is a goroutine of the pool, started when there is work for it. At most
// [Stats].Workers of them run tasks. A pool at rest has parked workers, no timer, and
// uses no CPU. The pool is full when every worker is busy and as many tasks are queued as
// [WithBuffer] allows.
//
// # Choosing a strategy
//
// The strategies differ in where a task waits, who takes it, and which goroutines there are:
//
//	workload            option        why                           backfires when
//	any, also keys      Shared        one queue, the default:       children should find their
//	                                  whoever is free takes the     parent's data in the cache
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
// Under each of them [Pool.SubmitKeyed] runs the tasks of a key one at a time and in
// order, and [Pool.SubmitWeighted] bounds the sum of the weights of the tasks that run.
// [WithSizing] sets the number of workers: [CPU] for tasks that compute, [IO] or
// [LittlesLaw] for tasks that wait. docs/choosing.md leads from symptoms to the other
// options.
//
// Workers are started on demand. [WithLazy] ends them when they have been idle,
// [WithWarmup] starts and prepares them all in New, [WithLockedThread] gives each
// a thread, and [WithState] a value of its own that [StateOf] returns.
//
// # Options
//
//	how many workers       WithSizing, WithWorkers
//	which workers          WithStrategy, WithLazy, WithFloor, WithWarmup,
//	                       WithLockedThread, WithState
//	what waits             WithBuffer, WithOverflow, WithDropHandler, WithCapacity
//	who is next            WithTenants, WithTenantLimit, WithClasses, WithRate, WithAttrs
//	what waited too long   WithQueueTimeout, WithExpiredHandler
//	batches and loops      WithBatch, WithLinger, WithResultBuffer
//	failures               WithErrorMode, WithErrorHandler, WithErrorLimit,
//	                       WithPanicHandler
//	the end                WithContext, WithShutdown
//	what is measured       WithName, WithSampling
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
// They do not interfere: an error in one group does not touch other tasks.
// [Pool.TrySubmit] never waits for room. [Pool.SubmitBatch] and [Pool.Batcher] submit
// many tasks at a time. [Pool.Reserve] gets places for tasks that the caller does not have yet. [Pool.Wait] waits for all tasks and for what they submit.
//
// # Contexts
//
// The context of a submission bounds its wait for room. A submission with a context that
// is already done fails, and after acceptance the context has no influence: the task gets the
// pool's context, a child of [WithContext]'s, which is cancelled with a cause when
// the pool stops. The tasks of a group, a future or a loop get a context derived from
// the one passed to it; it is also cancelled when the pool stops.
// Pass a task's context on to the pool's functions: that is how the pool recognises a
// call from inside a task.
//
// # Errors
//
// There is no channel of results. The error of a submitted task goes to
// [WithErrorHandler], if there is one, and [Pool.Close] returns the first, or more
// with [WithErrorLimit]. With [FailFast] the first error stops the pool. The errors
// of groups, futures and loops belong to them: the pool counts the tasks as failed
// and does not report the errors a second time.
//
// # Panics
//
// A panic ends the program, unless [WithPanicHandler] makes it an error, a
// [*PanicError]. Goexit is a failure too: [ErrGoexit]. Neither costs a worker.
//
// # Tasks that use their own pool
//
// A task that passes on the context it was given may submit to its pool, wait for other
// tasks, and close the pool, without a deadlock, even with one worker and a full pool.
// A submission that would block runs the new task at once; one with a key or a weight
// returns [ErrFull]. [Group.Wait], [Future.Wait], [Do] and the loops first run those of
// their own tasks that have not started, and then lend the worker's place to another worker
// until the others have ended. [Pool.Wait], [Pool.Close] and [Pool.Shutdown] cannot wait for the task that
// calls them: they return [ErrInTask]. A task never runs inside another task that
// did not submit it or wait for it.
//
// This holds inside one pool. A task that waits for a task of another pool keeps its own worker's place meanwhile, so
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
// After Close has returned nothing of the pool runs. [Pool.Done] tells the same for
// the ways of ending that do not wait. When [WithContext]'s context is done, the pool
// aborts with its cause. A pool that is dropped without being ended keeps its parked workers.
//
// # Order and memory
//
// Tasks start in the order of acceptance with one worker. With several they
// start nearly in that order: a worker claims up to 64 short tasks at a time, and
// idle workers take the far half of what another has claimed. While a worker is
// free no task waits behind a longer one; with all busy a task may start after
// up to 64 tasks for each worker that were accepted after it. Under [PerWorker] a task
// with a key may wait for its worker. Under [WorkStealing]
// what a task submits starts before what waits from outside, for a while, and the
// youngest first. Blocked submissions are served in the order of arrival, but a new
// submission that finds room may overtake those that are waiting.
//
// In the terms of the Go memory model, a submission synchronizes before the start of the
// task, and the end of a task synchronizes before the return of the [Pool.Wait], [Pool.Close],
// [Group.Wait] or [Future.Wait] that waits for it.
//
// # Observing
//
// Statistics are always on: see [Stats]. How long tasks wait and run is measured for one in 64, see
// [WithSampling]. [Pool.Report] says whether the pool is the bottleneck, and which option to change.
// Package pooldebug shows that on a web page. Package poolexpvar, below this one, publishes
// them. With [WithName] profiles and execution traces tell pools apart.
//
// # Cost
//
// [New] starts nothing but for [WithWarmup], and allocates a few kilobytes: the queue's
// memory follows what waits, 8 bytes and one job for each task, and goes back at rest. Submit
// allocates nothing but the caller's closure, which [NewTyped] does without; a Group and
// a Future take two allocations for each task. README.md has figures and the commands
// that measure them.
package pool
