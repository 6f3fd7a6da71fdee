package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/fair"
)

// Stats is a snapshot of a pool. Counters only grow. At rest, when nothing is queued or running,
//
//	Accepted = Completed + Failed + Panicked + Goexited + Skipped + Dropped + Expired + Unrun
//
// and Accepted + Rejected is the number of submissions made. While the pool works the fields are
// read one after the other: each is right, and their sum may be off by the tasks that moved
// meanwhile.
//
// Statistics are always on. They cost a task nothing extra: the pool counts anyway what it has
// accepted, started and ended. Room, Wait and Run are measured for a sample, see [WithSampling].
// [Pool.Stats] takes a lock, which submissions do not take unless they wake a worker, and looks at
// every worker: 0.5 µs with 2 workers, 6 µs with 1000 (go test -bench Stats, AMD EPYC, 2026-12-01).
type Stats struct {
	// Name is the pool's name, see [WithName].
	Name string
	// Closed says that the pool accepts no more tasks: it was closed, or has stopped.
	Closed bool
	// Started is when the pool was made, in UTC. Uptime is the time from then to the snapshot.
	Started time.Time
	Uptime  time.Duration
	// Strategy is the pool's, see [WithStrategy].
	Strategy Strategy
	// Workers is how many tasks may run at a time.
	Workers int
	// Goroutines is how many workers there are now, running or parked.
	Goroutines int
	// Buffer is how many tasks may be queued, see [WithBuffer].
	Buffer int
	// Starts is how many workers were ever started.
	Starts uint64

	// Queued is how many accepted tasks have not started: in the queue, behind their key, or
	// waiting for their units.
	Queued uint64
	// Running is how many tasks have started and not ended.
	Running uint64
	// Reserved is how many slots are reserved and not yet used, see [Pool.Reserve].
	Reserved int

	// Accepted is how many tasks were accepted, also by a submission that has not returned yet.
	Accepted uint64
	// Rejected is how many tasks were not accepted: their submission returned an error. Reject says
	// why.
	Rejected uint64
	Reject   RejectStats
	// Completed is how many tasks returned nil.
	Completed uint64
	// Failed is how many tasks returned an error.
	Failed uint64
	// Panicked is how many tasks panicked, under [WithPanicHandler].
	Panicked uint64
	// Goexited is how many tasks called [runtime.Goexit].
	Goexited uint64
	// Skipped is how many tasks of a [Group] or a [Future] ended without a call of their function,
	// because their context was done before.
	Skipped uint64
	// Dropped is how many tasks [DropOldest] has dropped.
	Dropped uint64
	// Unrun is how many tasks were handed back through Leftover.
	Unrun uint64
	// Expired is how many tasks did not start by their deadline, see [WithExpiredHandler].
	Expired uint64

	// Batch counts batches.
	Batch BatchStats

	// Room is how long submitters were blocked for want of room: every such wait, unless sampling
	// is off.
	//
	// Wait is how long tasks were queued: from acceptance to the call of their function, in the
	// queue, behind their key, or waiting for their units. It is 0 for a task that ran at once on
	// its submitter's goroutine.
	//
	// Run is how long the function ran, also if it panicked. In a batch ([NewTypedBatch]) it is the
	// time of the batch, and in a loop ([ForEach]) the time of a value. It leaves out a [Future] or
	// a task of a [Group] that its waiter ran, and tasks that were dropped, skipped or handed back.
	Room, Wait, Run Histogram

	// Busy is how long workers have had tasks in hand, all together: while all of n workers are
	// busy it grows by n seconds a second. It contains the cost of claiming the next task, but not
	// a search for work.
	Busy time.Duration
	// Longest is the age of the oldest task that a worker runs now, or of the batch of short tasks
	// to which it belongs; 0 if none runs. LongestKey is the key of that task, or 0 if it has none,
	// or under [PerWorker].
	Longest    time.Duration
	LongestKey uint64
	// First is how long the first task of each worker ran, if the worker took it alone: with cold
	// caches and a new state.
	First Histogram

	// Capacity bounds the sum of the weights of running tasks, and Units is that sum; both are 0
	// until there is a weight or [WithCapacity]. Heavy says that a task waits for its units, and
	// holds up those behind it.
	Capacity, Units int64
	Heavy           bool
	// Classes are the classes of [WithClasses], the highest first.
	Classes []ClassStats
	// Throttled is how long tasks have waited for nothing but [WithRate].
	Throttled time.Duration
	// Linger is how long tasks wait for a batch to fill, see [WithLinger].
	Linger time.Duration

	// Keys and Process are set by [Pool.Observe] only. [ReadProcess] returns a value for Process.
	Keys    *KeyStats
	Process *ProcessStats
}

// ClassStats is about a class of tasks.
type ClassStats struct {
	Name  string
	Share float64
	// Queued is how many of its tasks are queued, Started how many have started, and Expired how
	// many did not start by their deadline.
	Queued, Started, Expired uint64
	// Busy is how long its ended tasks ran. A batch of tiny tasks counts for the class of its first
	// task.
	Busy time.Duration
}

// TenantStats is about a tenant that has tasks in the pool, or had some a moment ago.
type TenantStats struct {
	Tenant uint64
	// Queued is how many of its tasks are queued. Running is how many workers have its tasks in
	// hand.
	Queued, Running uint64
	// Ended is how many of its tasks have ended since the pool knows it. Busy is how long its tasks
	// ran, including those that run now. Neither counts tasks below about 0.2 µs, which the pool
	// does not tell apart by tenants.
	Ended uint64
	Busy  time.Duration
}

// Tenants returns the n tenants that have used most run time, of those that have tasks in the pool,
// in descending order. It is for a page or a log that people read: tenants are too many for labels
// of metrics. It looks at all tenants that have tasks in the pool. Any goroutine may call it at any
// time.
func (e *engine[T]) Tenants(n int) []TenantStats {
	var all []TenantStats
	c := &e.main
	if n <= 0 || c.fair == nil {
		return nil
	}
	c.mu.Lock()
	poured := c.pour()
	c.fair.Usages(e.now(), func(u fair.Usage) {
		all = append(all, TenantStats{u.Tenant, uint64(u.Waiting), uint64(u.Running), u.Ended, u.Busy})
	})
	c.mu.Unlock()
	if poured {
		e.wakeMore()
	}
	slices.SortFunc(all, func(a, b TenantStats) int {
		return cmp.Or(cmp.Compare(b.Busy, a.Busy), cmp.Compare(b.Queued, a.Queued), cmp.Compare(a.Tenant, b.Tenant))
	})
	return all[:min(n, len(all))]
}

// fairStats sets what s says of classes and of the rate.
func (c *cell[T]) fairStats(s *Stats) {
	c.mu.Lock()
	if c.pour() {
		defer c.e.wakeMore()
	}
	defer c.mu.Unlock()
	s.Throttled = c.fair.Throttled(c.e.now())
	for i, k := range c.e.config.fair.classes {
		n := c.fair.Counts(i)
		s.Classes = append(s.Classes, ClassStats{k.Name, k.Share, uint64(n.Waiting), n.Started, n.Expired, n.Busy})
	}
}

// KeyStats is about tasks that wait behind others with the same key. Under [PerWorker] it is about
// tasks in the queues of the workers to which their keys belong.
type KeyStats struct {
	// Waiting is how many such tasks there are.
	Waiting uint64
	// Most is how many of them wait for one key, or in one queue. Key is that key; 0 under
	// PerWorker.
	Most, Key uint64
}

// RejectStats is why tasks were rejected.
type RejectStats struct {
	// Full counts those for which there was no room: [ErrFull].
	Full uint64
	// Closed counts those that came to a pool that was closed or had stopped: [ErrClosed].
	Closed uint64
	// Context counts those whose submission's context was done, before or while it waited for room.
	Context uint64
	// Invalid counts mistakes: a nil task, a weight above the capacity.
	Invalid uint64
}

// String returns the counters that are not zero, and the median and the 99th percentile of what was
// measured, on one line.
func (s Stats) String() string {
	var b strings.Builder
	b.WriteString("pool")
	if s.Name != "" {
		fmt.Fprintf(&b, " %q", s.Name)
	}
	fmt.Fprintf(&b, ": %d workers, %d goroutines, buffer %d", s.Workers, s.Goroutines, s.Buffer)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{s.Queued, "queued"}, {s.Running, "running"}, {s.Accepted, "accepted"}, {s.Rejected, "rejected"},
		{s.Completed, "completed"}, {s.Failed, "failed"}, {s.Panicked, "panicked"}, {s.Goexited, "goexited"},
		{s.Skipped, "skipped"}, {s.Dropped, "dropped"}, {s.Expired, "expired"}, {s.Unrun, "unrun"}, {s.Batch.Flushes, "flushes"},
	} {
		if c.n > 0 {
			fmt.Fprintf(&b, ", %d %s", c.n, c.what)
		}
	}
	if s.Throttled > 0 {
		fmt.Fprintf(&b, ", throttled %s", brief(s.Throttled))
	}
	for _, h := range []struct {
		Histogram
		what string
	}{{s.Room, "room"}, {s.Wait, "wait"}, {s.Run, "run"}} {
		if h.Count > 0 {
			fmt.Fprintf(&b, ", %s p50 %s p99 %s", h.what, brief(h.Quantile(.5)), brief(h.Quantile(.99)))
		}
	}
	return b.String()
}

// Stats returns a snapshot. Any goroutine may call it at any time.
func (e *engine[T]) Stats() Stats {
	e.mu.Lock()
	grown := e.closeErr == nil && e.followLocked()
	s := Stats{
		Name:       e.name,
		Closed:     e.closeErr != nil,
		Started:    e.start.Round(0).UTC(),
		Strategy:   e.strategy,
		Workers:    e.target,
		Goroutines: e.live,
		Buffer:     e.buffer,
		Starts:     e.starts,
		Linger:     e.lingerFor,
		Dropped:    e.dropCount,
		Expired:    e.expired,
		Unrun:      e.unrun,
	}
	for i, n := range []*uint64{&s.Reject.Full, &s.Reject.Closed, &s.Reject.Context, &s.Reject.Invalid} {
		*n = e.counts.rejected[i].Load()
		s.Rejected += *n
	}
	// Ends before acceptance, and failures before ends: a job counted as failed is then counted as
	// ended, and as accepted. Failures again after ends: a job that fails meanwhile has not
	// completed.
	e.failures(&s)
	var accepted uint64
	accepted, s.Queued, s.Running = e.totalsLocked()
	over := accepted - s.Queued - s.Running
	s.Accepted = accepted + uint64(e.inlines)
	s.Running += uint64(e.inlines)
	now := s
	e.failures(&now)
	if bad := now.Failed + now.Panicked + now.Goexited + now.Skipped + s.Dropped + s.Expired + s.Unrun; over > bad {
		s.Completed = over - bad
	}
	if !s.Closed {
		s.Reserved = e.main.queue.Reserved()
	}
	s.Batch = e.batchStatsLocked()
	e.busyLocked(&s)
	s.Completed = max(s.Completed, e.last.Completed)
	s.Accepted = max(s.Accepted, e.last.Accepted)
	s.Busy = max(s.Busy, e.last.Busy)
	e.last = s
	e.mu.Unlock()
	if grown {
		e.placesFree()
	}
	if e.routes {
		e.main.fairStats(&s)
	}
	if w := &e.weights; w.Active() {
		s.Capacity, s.Units = w.Capacity(), w.Used()
		s.Heavy = w.waiting.Load() || e.main.queue.Ready() && !e.main.admits()
	}
	s.First = histogram(e.samples.first.Snapshot())
	s.Room, s.Wait, s.Run = histogram(e.samples.room.Snapshot()), histogram(e.samples.wait.Snapshot()), histogram(e.samples.run.Snapshot())
	return s
}

// busyLocked sets what s says of the tasks that workers have in hand.
func (e *engine[T]) busyLocked(s *Stats) {
	now := e.now()
	s.Uptime, s.Busy = now, e.busy
	var longest *worker[T]
	for _, w := range e.workers {
		s.Busy += w.busyFor(now)
		if w.cur.Load().Load().Running() == 0 {
			continue
		}
		if d := now - time.Duration(w.since.Load()); d > s.Longest {
			s.Longest, longest = d, w
		}
	}
	if longest != nil {
		s.LongestKey = e.keyLocked(longest)
	}
}

// keyLocked returns the key of the task that w runs, or 0. e.mu is held.
func (e *engine[T]) keyLocked(w *worker[T]) (key uint64) {
	if e.homes.n > 0 {
		return 0 // where they need none
	}
	e.main.mu.Lock()
	defer e.main.mu.Unlock()
	if a := w.cur.Load().Current(); a != nil && a.Keyed {
		key = a.Key
	}
	return key
}

// failures sets how many jobs have failed, in each way, or were skipped.
func (e *engine[T]) failures(s *Stats) {
	c := &e.counts
	s.Failed, s.Panicked, s.Goexited, s.Skipped = c.failed.Load(), c.panicked.Load(), c.goexited.Load(), c.skipped.Load()
}

// totalsLocked returns how many jobs were accepted, how many of them have not started, and how many
// run, without those that run on their submitter's goroutine.
func (e *engine[T]) totalsLocked() (accepted, queued, running uint64) {
	for _, w := range e.workers {
		running += uint64(w.own.Load().Running())
	}
	unfinished := uint64(0)
	e.eachCell(func(c *cell[T]) {
		for i := range c.lanes {
			running += uint64(c.lanes[i].Load().Running())
		}
		ended := c.ended()
		n := c.queue.Accepted() + e.kidsAccepted()
		accepted += n
		unfinished += (n - ended) & batch.CountMask
	})
	running = min(unfinished, running)
	ended, inside := e.insideCounts()
	accepted += ended + inside + e.ended[0] + e.ended[1]
	return accepted, unfinished - running, running + inside
}
