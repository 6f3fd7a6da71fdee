package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

// gauge counts running tasks, and knows how many may run.
//
// A task that uses the pool is not counted meanwhile: it lends its place, or the new task runs
// inside of it. If its context ends before it got its place back, one task more than there are
// workers may run, until the next one ends: excess counts those.
//
// After a shrink the tasks that have started continue. So bound is lowered only when all tasks have
// ended that had been accepted by the time of the Resize; Wait tells when. A task that enters has
// not ended, so bound is not lowered and raised again meanwhile.
type gauge struct {
	now    atomic.Int64 // tasks * oneTask + their weights
	bound  atomic.Int64
	excess atomic.Int64
}

const oneTask = 1 << 40

// enter counts a task. It returns what is wrong, if anything is; capacity 0 is the number of
// workers.
func (g *gauge) enter(weight, capacity int64) string {
	bound, excess := g.bound.Load(), g.excess.Load()
	v := g.now.Add(oneTask + weight)
	bound, excess = max(bound, g.bound.Load()), max(excess, g.excess.Load())
	if capacity == 0 {
		capacity = bound
	}
	n, sum := v/oneTask, v%oneTask
	switch {
	case n > bound+excess:
		return fmt.Sprintf("%d tasks run, the limit is %d, and %d more that could not wait for their place", n, bound, excess)
	case n > 1 && excess == 0 && sum > capacity: // one alone may be too heavy after a Resize
		return fmt.Sprintf("%d tasks with a weight of %d run, the capacity is %d", n, sum, capacity)
	}
	return ""
}

func (g *gauge) leave(weight int64) { g.now.Add(-oneTask - weight) }

// enter counts a task of the life. When the pool stops, everybody who waits goes on at once.
func (l *life) enter(weight int64) {
	if wrong := l.gauge.enter(weight, l.plan.Capacity); wrong != "" && !l.stopping.Load() {
		l.fail("%s", wrong)
	}
}

// counts is what the tasks of a life have seen.
type counts struct {
	done, failed, panicked, goexited  atomic.Uint64
	panicsSeen, errorsSeen, dropsSeen atomic.Uint64 // by the handlers
	created, closed                   atomic.Int64  // states of workers
	leftover                          atomic.Uint64
}

// bad is how many tasks have failed in whatever way.
func (c *counts) bad() uint64 { return c.failed.Load() + c.panicked.Load() + c.goexited.Load() }

// startOf checks that j may start.
func (l *life) startOf(j *job) {
	switch {
	case j.ran.Add(1) > 1:
		l.fail("a %v ran twice", j.name())
	case j.verdict.Load() == int32(refused):
		l.fail("a %v was refused, and runs", j.name())
	case j.over.Load():
		l.fail("a %v starts after its owner was told the outcome", j.name())
	case l.over.Load():
		l.fail("a %v starts after Close has returned", j.name())
	case j.written != 1 || j.writtenEnd != 0:
		l.fail("a %v does not see what was written before its submission", j.name())
	}
}

// startOfKey checks that j does not overlap another one with its key, and that it is its turn.
func (j *job) startOfKey() {
	if other := j.lock.held.Swap(j); other != nil {
		j.l.fail("two tasks of a key run: %v, %v", j.name(), other.name())
	}
	if before := j.order.started.Swap(j.seq); before >= j.seq {
		j.l.fail("task %d of a submitter with a key starts after task %d", j.seq, before)
	}
}

// endOf counts the outcome.
func (l *life) endOf(s *seat, returned bool, err error) {
	c, t := &l.count, l.tally
	t.run.Add(1)
	switch {
	case returned && err == nil:
		c.done.Add(1)
	case returned:
		c.failed.Add(1)
		t.failed.Add(1)
	case s.panics:
		c.panicked.Add(1)
		t.panicked.Add(1)
	default: // it, or one that ran inside of it
		c.goexited.Add(1)
		t.goexited.Add(1)
	}
}

// dropped is the drop handler.
func (l *life) dropped(task pool.Task) {
	l.count.dropsSeen.Add(1)
	tell(task, func(j *job) { j.dropped.Add(1) })
}

// takeLeftover notes what was handed back, and returns how many tasks that were.
func (l *life) takeLeftover() int {
	tasks := l.p.Leftover()
	for _, task := range tasks {
		tell(task, func(j *job) { j.back.Add(1) })
	}
	l.count.leftover.Add(uint64(len(tasks)))
	return len(tasks)
}

// ledger has all jobs of a life.
type ledger struct {
	count  atomic.Int64
	shards [16]struct {
		mu   sync.Mutex
		jobs []*job
	}
}

func (l *life) record(j *job) {
	s := &l.jobs.shards[j.seed%16]
	l.jobs.count.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, j)
}

// sums is what became of the jobs.
type sums struct {
	accepted, refused, unknown uint64
	missing                    uint64 // accepted, and nobody knows more
	unknownMissing             uint64
}

// sumUp counts the jobs. It returns also what is wrong with the first job with which anything is;
// that an accepted one has disappeared is counted only.
func (g *ledger) sumUp() (s sums, wrong string) {
	for i := range g.shards {
		shard := &g.shards[i]
		shard.mu.Lock()
		jobs := shard.jobs
		shard.mu.Unlock()
		for _, j := range jobs {
			v, fate := verdict(j.verdict.Load()), j.fate()
			switch v {
			case accepted:
				s.accepted++
				if fate == 0 {
					s.missing++
				}
			case refused:
				s.refused++
			case unknown:
				s.unknown++
				if fate == 0 {
					s.unknownMissing++
				}
			}
			if fate > 1 || v == refused && fate > 0 || j.ran.Load() != j.finished.Load() {
				wrong = fmt.Sprintf("a %v, verdict %d: ran %d, finished %d, handed back %d, dropped %d",
					j.name(), v, j.ran.Load(), j.finished.Load(), j.back.Load(), j.dropped.Load())
			}
		}
	}
	return s, wrong
}

// checkEnd checks what became of each job, and the counters, after the end.
func (l *life) checkEnd(s pool.Stats, closeErr error) {
	c := &l.count
	sum, wrong := l.jobs.sumUp()
	if wrong != "" {
		l.fail("%s", wrong)
	}
	if lost := l.plan.Overflow == pool.DropOldest && !l.plan.Drops; sum.missing > 0 && (!lost || sum.missing > s.Dropped) {
		l.fail("%d accepted tasks have disappeared", sum.missing)
	}
	want := func(what string, got, low, high uint64) {
		if got < low || got > high {
			l.fail("%s: %d, not %d to %d", what, got, low, high)
		}
	}
	want("Queued", s.Queued, 0, 0)
	want("Running", s.Running, 0, 0)
	want("the sum of what became of tasks", s.Completed+s.Failed+s.Panicked+s.Goexited+s.Skipped+s.Dropped+s.Unrun, s.Accepted, s.Accepted)
	want("Unrun", s.Unrun, c.leftover.Load(), c.leftover.Load())
	if l.plan.Drops {
		want("Dropped", s.Dropped, c.dropsSeen.Load(), c.dropsSeen.Load())
	}
	if l.plan.Panics {
		want("panics that the handler got", c.panicsSeen.Load(), c.panicked.Load(), c.panicked.Load())
	}
	want("states that were closed", uint64(c.closed.Load()), uint64(c.created.Load()), uint64(c.created.Load()))
	if !l.plan.Calls { // whose tasks cannot be counted from outside
		want("Accepted", s.Accepted, sum.accepted, sum.accepted+sum.unknown)
		want("Rejected", s.Rejected, sum.refused, sum.refused+sum.unknown)
		want("Completed", s.Completed, c.done.Load(), c.done.Load())
		want("Failed", s.Failed, c.failed.Load(), c.failed.Load())
		want("Panicked", s.Panicked, c.panicked.Load(), c.panicked.Load())
		want("Goexited", s.Goexited, c.goexited.Load(), c.goexited.Load())
		if l.plan.Errors {
			want("errors that the handler got", c.errorsSeen.Load(), c.bad(), c.bad())
		}
		if !l.stopping.Load() && (closeErr != nil) != (c.bad() > 0) {
			l.fail("%d tasks have failed, and Close returned %v", c.bad(), closeErr)
		}
	}
	l.tally.leftover.Add(int64(s.Unrun))
	l.tally.dropped.Add(int64(s.Dropped))
	l.tally.refused.Add(int64(sum.refused))
	l.tally.interrupted.Add(int64(sum.unknown))
}

// patience is how long something may take that has to come soon.
const patience = 15 * time.Second

// soon waits until ok, and reports false if that takes too long.
func soon(ok func() bool) bool {
	for begin := time.Now(); !ok(); {
		if time.Since(begin) > patience {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// checkRest checks a pool that has nothing to do: everything that was accepted has
// ended, nothing of it is kept, and workers that are not needed go.
func (l *life) checkRest() {
	var s pool.Stats
	var sum sums
	if !soon(func() bool {
		l.soak.moved.Add(1)
		l.takeLeftover() // if it failed fast
		s = l.p.Stats()
		sum, _ = l.jobs.sumUp()
		return s.Queued == 0 && s.Running == 0 && (sum.missing == 0 || l.plan.Overflow == pool.DropOldest && !l.plan.Drops) &&
			s.Completed+s.Failed+s.Panicked+s.Goexited+s.Skipped+s.Dropped+s.Unrun == s.Accepted
	}) {
		l.fail("the pool does not come to rest: %d accepted tasks are missing, %+v", sum.missing, s)
	}
	least, most := 0, s.Workers
	switch {
	case l.strategy == pool.Elastic:
		most = 0
	case l.plan.Lazy > 0 && !l.ending.Load():
		most = min(l.plan.Floor, s.Workers)
		least = min(most, s.Goroutines)
	}
	if !soon(func() bool { s = l.p.Stats(); return s.Goroutines <= most || !l.plan.limited() }) {
		l.fail("%d workers at rest, not %d", s.Goroutines, most)
	}
	if s.Goroutines < least && !l.ending.Load() {
		l.fail("%d workers are left, below the floor of %d", s.Goroutines, least)
	}
	l.checkGarbage()
}

// checkGarbage checks that no payload is alive.
func (l *life) checkGarbage() {
	if !soon(func() bool {
		l.soak.moved.Add(1)
		runtime.GC()
		return l.payloads.Load() == 0
	}) {
		l.fail("%d payloads of tasks that have ended are not collected", l.payloads.Load())
	}
	runtime.KeepAlive(l.p)
}
