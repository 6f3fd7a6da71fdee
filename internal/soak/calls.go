package main

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/headrace-go/pool"
)

// Tasks that have an owner: groups, futures and loops. When the owner is told the outcome, the task
// has ended, or it never starts.

// settle notes that the owner of j was told the outcome. all says that j must have run. What is in
// Leftover while the owner still waits counts as well: whoever calls it runs it.
func (l *life) settle(j *job, all bool) {
	l.soak.moved.Add(1)
	j.over.Store(true)
	n := j.ran.Load()
	if ended := j.finished.Load(); n != ended || all && j.fate() != 1 || j.writtenEnd != int(ended) {
		l.fail("the owner of a %v was told its outcome: ran %d, finished %d, handed back %d", j.name(), n, ended, j.back.Load())
	}
	if j.fate() > 0 {
		j.verdict.Store(int32(accepted))
	} else {
		j.verdict.Store(int32(refused))
	}
}

// family is the jobs of a group, some of which add others.
type family struct {
	c    *client
	g    *pool.Group
	mu   sync.Mutex
	jobs []*job
}

// newJob makes a job of the group.
func (f *family) newJob(j *job) *job {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs = append(f.jobs, j)
	return j
}

// task returns a job as a task that first adds others to the group, until depth is 0.
func (f *family) task(j *job, depth int) pool.Task {
	t := j.task()
	return func(ctx context.Context) error {
		for range depth {
			child := f.newJob(f.c.l.newJob(rand.New(rand.NewPCG(j.seed, 6)), byGroup, 0))
			f.g.Go(f.task(child, depth-1))
		}
		return t(ctx)
	}
}

// wait waits for the group, also if tasks that run here call Goexit: a group for which nobody waits
// is kept until the pool ends.
func (f *family) wait() {
	ended := false
	defer func() {
		if !ended {
			f.wait()
		}
	}()
	_ = f.g.Wait()
	ended = true
}

func (c *client) group() {
	ctx, cancel := c.context()
	defer cancel()
	f := &family{c: c, g: pool.NewGroup(ctx, c.l.p)}
	if chance(c.r, 2) {
		f.g.SetErrorMode(pool.KeepGoing)
	}
	if chance(c.r, 3) {
		f.g.SetLimit(1 + c.r.IntN(4))
	}
	err := c.await(ctx, func() error {
		defer f.wait()
		for range 1 + c.r.IntN(8) {
			j := f.newJob(c.newJob(byGroup))
			if !chance(c.r, 5) {
				f.g.Go(f.task(j, oneOf(c.r, 0, 0, 0, 2)))
			} else if !f.g.TryGo(j.task()) {
				j.verdict.Store(int32(refused))
			}
		}
		return f.g.Wait()
	})
	for _, j := range f.jobs {
		c.l.settle(j, err == nil && verdict(j.verdict.Load()) != refused)
	}
}

func (c *client) futures() {
	ctx, cancel := c.context()
	defer cancel()
	jobs := make([]*job, 1+c.r.IntN(5))
	_ = c.await(ctx, func() error {
		futures := make([]*pool.Future[*job], len(jobs))
		for i := range jobs {
			jobs[i] = c.newJob(byFuture)
			futures[i] = pool.Go(ctx, c.l.p, jobs[i].value())
		}
		for i, u := range futures {
			if chance(c.r, 10) {
				continue // nobody asks
			}
			v, err := u.Wait(ctx)
			c.outcome(ctx, jobs[i], v, err)
		}
		return nil
	})
}

func (c *client) do() {
	ctx, cancel := c.context()
	defer cancel()
	j := c.newJob(byDo)
	_ = c.await(ctx, func() error {
		v, err := pool.Do(ctx, c.l.p, j.value())
		c.outcome(ctx, j, v, err)
		return nil
	})
}

// value returns the job as a function with a result.
func (j *job) value() func(context.Context) (*job, error) {
	t := j.task()
	return func(ctx context.Context) (*job, error) { return j, t(ctx) }
}

// own reports whether err, or none, is the outcome of j. A context that ended because
// another task has failed has that one's error as the cause.
func (j *job) own(err error) bool {
	return err == nil || errors.Is(err, j) || err == pool.ErrGoexit && j.ran.Load() > 0
}

// outcome checks the outcome of a future.
func (c *client) outcome(ctx context.Context, j, v *job, err error) {
	switch {
	case err == nil && v != j:
		c.l.fail("a future has another one's result")
	case j.own(err):
		c.l.settle(j, true)
	case ctx.Err() != nil: // it may run yet
	case j.ran.Load() > 0:
		c.l.fail("a %v ran, and its future has failed with %v", j.name(), err)
	default:
		c.l.settle(j, false)
		c.expectEnd(ctx, j.by, err)
	}
}

// expectEnd checks that what has an owner may end with err, which is not that of a task.
func (c *client) expectEnd(ctx context.Context, by way, err error) {
	switch o := c.l.plan.Overflow; {
	case ctx.Err() != nil || c.l.ending.Load():
	case o == pool.DropOldest && errors.Is(err, pool.ErrDropped):
	case o == pool.Reject && errors.Is(err, pool.ErrFull):
	default:
		c.l.fail("%v ended with %v", by, err)
	}
}

// values returns jobs for a loop, and their indexes as a sequence.
func (c *client) values(by way) ([]*job, []pool.Task, iter.Seq[int]) {
	n := c.size(1, 5, 30, 300)
	jobs, tasks := make([]*job, n), make([]pool.Task, n)
	for i := range jobs {
		jobs[i] = c.newJob(by)
		tasks[i] = jobs[i].task()
	}
	return jobs, tasks, func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}

func (c *client) forEach() {
	ctx, cancel := c.context()
	defer cancel()
	jobs, tasks, seq := c.values(byForEach)
	err := c.await(ctx, func() error {
		return pool.ForEach(ctx, c.l.p, seq, func(ctx context.Context, i int) error { return tasks[i](ctx) })
	})
	for _, j := range jobs {
		c.l.settle(j, err == nil)
	}
	if one := (*job)(nil); err != nil && !errors.As(err, &one) && !errors.Is(err, pool.ErrGoexit) {
		c.expectEnd(ctx, byForEach, err)
	}
}

func (c *client) mapped(by way) {
	ctx, cancel := c.context()
	defer cancel()
	jobs, tasks, seq := c.values(by)
	over := pool.Map[int, int]
	if by == byUnordered {
		over = pool.MapUnordered[int, int]
	}
	most, n := len(jobs), 0
	if chance(c.r, 4) {
		most = c.r.IntN(len(jobs)) + 1
	}
	err := c.await(ctx, func() error {
		for i, err := range over(ctx, c.l.p, seq, func(ctx context.Context, i int) (int, error) { return i, tasks[i](ctx) }) {
			if n == len(jobs) || !result(by, jobs, n, err) {
				return err // the last pair
			}
			if err == nil && by == byMap && i != n {
				c.l.fail("Map yields result %d as number %d", i, n)
			}
			if n++; n == most {
				return nil
			}
		}
		return nil
	})
	all := n == len(jobs) && err == nil && !c.l.stopping.Load() // else an error may be that of the pool
	for _, j := range jobs {
		c.l.settle(j, all)
	}
	if err != nil {
		c.expectEnd(ctx, by, err)
	} else if n < most && !c.l.stopping.Load() {
		c.l.fail("%v yields %d results for %d values, and no error", by, n, most)
	}
}

// result reports whether err, or none, is that of a job: of number n, if the results are in order.
func result(by way, jobs []*job, n int, err error) bool {
	if by == byMap {
		return jobs[n].own(err)
	}
	return slices.ContainsFunc(jobs, func(j *job) bool { return j.own(err) })
}
