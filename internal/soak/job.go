package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

// kind is what a task does.
type kind int

const (
	quick    kind = iota // nothing
	spin                 // computes a little
	nap                  // sleeps a little
	patient              // waits for the end of its context, a little
	fails                // returns an error
	panics               //
	exits                // calls runtime.Goexit
	nests                // uses the pool
	resizes              //
	failures = exits - fails + 1
)

// loads are the shares of the kinds.
var loads = map[string][]int{
	"tiny":   {quick: 960, spin: 20, nap: 1, fails: 5, panics: 5, exits: 5, nests: 4, resizes: 1},
	"mixed":  {quick: 400, spin: 200, nap: 100, patient: 50, fails: 60, panics: 60, exits: 60, nests: 60, resizes: 3},
	"sleepy": {quick: 100, spin: 100, nap: 600, patient: 100, fails: 20, panics: 20, exits: 20, nests: 30, resizes: 3},
	"nested": {quick: 300, spin: 100, nap: 30, patient: 20, fails: 30, panics: 30, exits: 30, nests: 450, resizes: 5},
}

// pick returns an index of shares, each as often as it says.
func pick(r *rand.Rand, shares []int) int {
	sum := 0
	for _, s := range shares {
		sum += s
	}
	n := r.IntN(sum)
	for i, s := range shares {
		if n -= s; n < 0 {
			return i
		}
	}
	panic("unreachable")
}

// verdict is what became of a submission.
type verdict int32

const (
	unknown  verdict = iota // the submitter was ended by Goexit, or did not wait
	accepted                // it runs, is handed back, or is dropped
	refused                 // it never runs
)

// job is a task, and what became of it. As an error it is the task's own.
type job struct {
	l      *life
	kind   kind
	depth  int
	by     way
	weight int64
	seed   uint64
	lock   *lock  // of its key, or nil
	order  *order // of its key and its submitter
	seq    uint64 // in order

	verdict             atomic.Int32
	ran, back, dropped  atomic.Int32
	finished            atomic.Int32
	over                atomic.Bool // whoever owns it was told the outcome: it does not start any more
	written, writtenEnd int         // without synchronisation but the pool's
}

func (j *job) Error() string { return fmt.Sprintf("soak: %v", j.name()) }

func (j *job) name() string {
	return fmt.Sprintf("task by %v, kind %d, depth %d, weight %d, key %t", j.by, j.kind, j.depth, j.weight, j.lock != nil)
}

func (j *job) fate() int32 { return j.ran.Load() + j.back.Load() + j.dropped.Load() }

// calls reports whether the outcome belongs to a group, a future or a loop.
func (w way) calls() bool { return w >= byGroup }

// lock is what tasks with a key have in common.
type lock struct{ held atomic.Pointer[job] }

// order is what the tasks of one submitter with a key have in common.
type order struct {
	next    uint64
	started atomic.Uint64
}

// probe is the key of a context with which a task tells who it is, instead of running.
type probe struct{}

// tell makes task call f, unless it belongs to a group, future or loop that has ended.
func tell(task pool.Task, f func(*job)) {
	_ = task(context.WithValue(context.Background(), probe{}, f))
}

// payload is what only the task refers to.
type payload struct{ _ [64]byte }

// newJob makes a job for a submission.
func (l *life) newJob(r *rand.Rand, by way, depth int) *job {
	j := &job{l: l, by: by, depth: depth, weight: 1, seed: r.Uint64(), kind: kind(pick(r, loads[l.plan.Load]))}
	switch {
	case j.kind == nests && (depth == 0 || l.jobs.count.Load() > maxJobs),
		j.kind == panics && !l.plan.Panics,
		j.kind == resizes && !l.plan.Resizes,
		j.kind >= fails && j.kind < fails+failures && (l.plan.FailFast && !chance(r, 300) || by >= byForEach && !chance(r, 20)):
		j.kind = quick
	}
	j.written = 1
	l.record(j)
	l.tally.by[by].Add(1)
	return j
}

// task returns the job as a task.
func (j *job) task() pool.Task {
	var load *payload
	if j.seed%4 == 0 {
		load = new(payload)
		j.l.payloads.Add(1)
		runtime.AddCleanup(load, func(n *atomic.Int64) { n.Add(-1) }, j.l.payloads)
	}
	return func(ctx context.Context) error {
		defer runtime.KeepAlive(load)
		if f, ok := ctx.Value(probe{}).(func(*job)); ok {
			f(j)
			return nil
		}
		return j.run(ctx)
	}
}

// seat is a job that runs.
type seat struct {
	*job
	gauged  bool // it is a worker that runs it
	counted bool // in the gauge
	panics  bool
}

func (s *seat) enter() {
	if s.gauged {
		s.counted = true
		s.l.enter(s.weight)
	}
}

func (s *seat) leave() {
	if s.counted {
		s.counted = false
		s.l.gauge.leave(s.weight)
	}
}

// run is the task: it checks what holds at its start, and then does what it has to.
func (j *job) run(ctx context.Context) error {
	l, s := j.l, &seat{job: j}
	l.soak.moved.Add(1)
	// Under CallerRuns it may be its submitter's goroutine. The context of a call, and
	// that of a task which Batcher.Close runs, does not tell.
	s.gauged = l.plan.Overflow != pool.CallerRuns || !j.by.calls() && j.by != byBatcher && ctx.Value(submitter{}) == nil
	l.startOf(j)
	l.running.Add(1)
	s.enter()
	if j.lock != nil {
		j.startOfKey()
	}
	returned := false
	var err error
	defer func() {
		l.endOf(s, returned, err)
		if j.lock != nil {
			j.lock.held.Store(nil)
		}
		j.writtenEnd++
		j.finished.Add(1)
		l.running.Add(-1)
		s.leave()
	}()
	if e := ctx.Err(); e != nil && s.gauged && !j.by.calls() && !l.ending.Load() {
		l.fail("the context of a %v has ended: %v", j.name(), context.Cause(ctx))
	}
	err = s.do(ctx)
	returned = true
	return err
}

// do does what the kind says.
func (s *seat) do(ctx context.Context) error {
	l, r := s.l, rand.New(rand.NewPCG(s.seed, 1))
	if l.closeInside.CompareAndSwap(true, false) {
		if err := l.p.Close(); !errors.Is(err, pool.ErrInTask) {
			l.fail("Close inside a %v returned %v", s.name(), err)
		}
	}
	if l.plan.State && chance(r, 4) {
		l.useState(ctx)
	}
	switch s.kind {
	case spin:
		for begin, d := time.Now(), time.Duration(r.IntN(100))*time.Microsecond; time.Since(begin) < d; {
		}
	case nap:
		time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
	case patient:
		select {
		case <-ctx.Done():
			if !l.plan.FailFast {
				return errors.Join(s.job, ctx.Err())
			}
		case <-time.After(time.Duration(r.IntN(1000)) * time.Microsecond):
		}
	case fails:
		l.failing()
		return s.job
	case panics:
		l.failing()
		s.panics = true
		panic(s.job)
	case exits:
		l.failing()
		runtime.Goexit()
	case nests:
		if l.plan.Overflow == pool.CallerRuns && s.by == byBatcher {
			ctx = context.WithValue(ctx, submitter{}, true) // what it submits may run on the same goroutine
		}
		c := client{l: l, r: r, base: ctx, depth: s.depth - 1, seat: s}
		for range 1 + r.IntN(4) {
			c.step()
		}
	case resizes:
		l.resize(1 + r.IntN(8))
	}
	return nil
}

func (l *life) useState(ctx context.Context) {
	st, err := pool.StateOf[*workerState](ctx)
	switch {
	case err == nil && st.closed.Load():
		l.fail("a task got a state that was closed")
	case err != nil && !errors.Is(err, errCreate):
		l.fail("StateOf returned %v", err)
	}
}
