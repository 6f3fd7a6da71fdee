package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/headrace-go/pool"
)

// client uses a pool: a producer, or a task that has to.
type client struct {
	l       *life
	r       *rand.Rand
	base    context.Context // of what it does
	depth   int             // that what it submits may nest
	seat    *seat           // the task that it is, nil for a producer
	orders  map[uint64]*order
	mine    []*job        // accepted since its last Wait
	batcher *pool.Batcher // of a producer, or nil
}

// submitter is the key of a value in the contexts of producers.
type submitter struct{}

const maxDepth = 3

func newProducer(l *life, r *rand.Rand) *client {
	return &client{l: l, r: r, base: context.WithValue(context.Background(), submitter{}, true), depth: maxDepth}
}

// maxJobs bounds the memory of a life.
const maxJobs = 20_000

// work is a producer. Under CallerRuns a task that calls Goexit ends it, and another goroutine
// continues.
func (c *client) work() {
	ended := false
	defer func() {
		if !ended {
			c.l.producers.Go(c.work)
		}
	}()
	for !c.l.quiet.Load() && c.l.jobs.count.Load() < maxJobs && !c.closed() {
		c.step()
		if c.batcher != nil && chance(c.r, 20) {
			c.endBatcher()
		}
	}
	if c.batcher != nil && c.r.IntN(2) == 0 { // else it is left to the pool
		c.endBatcher()
	}
	ended = true
}

// closed reports whether the pool has ended. Until then producers continue, also if it is closed.
func (c *client) closed() bool {
	select {
	case <-c.l.p.Done():
		return true
	default:
		return false
	}
}

// step does one thing.
func (c *client) step() {
	c.l.soak.moved.Add(1)
	p := c.l.plan
	shares := []int{40, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1}
	if p.Keys > 0 {
		shares[byKey] = 30
	}
	if p.Weights {
		shares[byWeight] = 20
	}
	if p.Batchers && c.seat == nil {
		shares[byBatcher] = 20
	}
	if p.Calls {
		for w, share := range map[way]int{byGroup: 4, byFuture: 4, byDo: 8, byForEach: 3, byMap: 2, byUnordered: 2} {
			shares[w] = share
		}
	}
	if c.seat != nil {
		shares[waits] = 30 // Wait
	}
	switch does := pick(c.r, shares); way(does) {
	case bySubmit:
		c.single(bySubmit, func(ctx context.Context, t pool.Task, _ *job) error { return c.l.p.Submit(ctx, t) })
	case byTry:
		c.single(byTry, func(_ context.Context, t pool.Task, _ *job) error { return c.l.p.TrySubmit(t) })
	case byBatch:
		c.batch()
	case byKey:
		c.keyed()
	case byWeight:
		c.weighted()
	case byBatcher:
		c.add()
	case byGroup:
		c.group()
	case byFuture:
		c.futures()
	case byDo:
		c.do()
	case byForEach:
		c.forEach()
	case byMap, byUnordered:
		c.mapped(way(does))
	case waits:
		c.wait()
	default:
		c.pause()
	}
}

// waits is the share of Wait in step; what comes after it is a pause.
const waits = ways

func (c *client) pause() {
	if c.seat == nil {
		time.Sleep(time.Duration(c.r.IntN(2000)) * time.Microsecond)
	}
}

// context returns a context for the next step, that may end before it has.
func (c *client) context() (context.Context, context.CancelFunc) {
	if c.seat != nil && !c.l.plan.Impatient {
		return c.base, func() {}
	}
	d := time.Duration(c.r.IntN(2000)) * time.Microsecond
	switch c.r.IntN(20) {
	case 0, 1, 2:
		return context.WithTimeout(c.base, d)
	case 3, 4:
		ctx, cancel := context.WithCancel(c.base)
		t := time.AfterFunc(d, cancel)
		return ctx, func() { t.Stop(); cancel() }
	case 5:
		ctx, cancel := context.WithCancel(c.base)
		cancel()
		return ctx, cancel
	}
	return c.base, func() {}
}

// call does what does not wait inside a task.
func (c *client) call(f func() error) error {
	if c.seat == nil {
		return f()
	}
	c.seat.leave()
	err := f()
	c.seat.enter()
	return err
}

// await does what lends the place of a task.
func (c *client) await(ctx context.Context, f func() error) error {
	return c.call(func() error {
		err := f()
		if c.seat != nil && (err != nil || ctx.Err() != nil) {
			c.l.gauge.excess.Add(1)
		}
		return err
	})
}

func (c *client) newJob(by way) *job {
	if c.seat != nil {
		c.l.tally.nested.Add(1)
	}
	return c.l.newJob(c.r, by, c.depth)
}

// single submits one job.
func (c *client) single(by way, submit func(context.Context, pool.Task, *job) error) {
	c.one(c.newJob(by), submit)
}

func (c *client) one(j *job, submit func(context.Context, pool.Task, *job) error) {
	ctx, cancel := c.context()
	defer cancel()
	done := ctx.Err() != nil && j.by != byTry
	t := j.task()
	err := c.call(func() error { return submit(ctx, t, j) })
	c.told(ctx, j, err, done)
}

// told notes the outcome of a submission; done says that ctx was done before.
func (c *client) told(ctx context.Context, j *job, err error, done bool) {
	c.l.soak.moved.Add(1)
	if err != nil {
		j.verdict.Store(int32(refused))
		c.expect(ctx, j.by, err)
		return
	}
	if done {
		c.l.fail("%v accepted a task with a context that was done", j.by)
	}
	j.verdict.Store(int32(accepted))
	if c.seat == nil && j.by != byBatcher && c.l.plan.Overflow != pool.DropOldest {
		c.mine = append(c.mine, j)
	}
}

// expect checks that a submission may return err.
func (c *client) expect(ctx context.Context, by way, err error) {
	switch {
	case errors.Is(err, pool.ErrClosed) && c.l.ending.Load():
	case errors.Is(err, pool.ErrFull) && (by == byTry || c.l.plan.Overflow == pool.Reject || c.seat != nil && (by == byKey || by == byWeight)):
	case errors.Is(err, pool.ErrTooHeavy) && by == byWeight && (c.l.plan.Resizes || !c.l.plan.limited()):
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
	default:
		c.l.fail("%v returned %v", by, err)
	}
}

// size returns one of ns, or a small one inside a task.
func (c *client) size(ns ...int) int {
	if c.seat != nil {
		return 1 + c.r.IntN(4)
	}
	return oneOf(c.r, ns...)
}

func (c *client) batch() {
	ctx, cancel := c.context()
	defer cancel()
	done := ctx.Err() != nil
	var jobs []*job
	var tasks []pool.Task
	for range c.size(1, 3, 10, 100) {
		j := c.newJob(byBatch)
		jobs, tasks = append(jobs, j), append(tasks, j.task())
	}
	var n int
	err := c.call(func() (err error) { n, err = c.l.p.SubmitBatch(ctx, tasks); return err })
	if (n == len(jobs)) != (err == nil) {
		c.l.fail("SubmitBatch of %d returned %d, %v", len(jobs), n, err)
	}
	for i, j := range jobs {
		if i < n {
			c.told(ctx, j, nil, done)
		} else {
			c.told(ctx, j, err, done)
		}
	}
}

func (c *client) keyed() {
	j, key := c.newJob(byKey), uint64(c.r.IntN(c.l.plan.Keys))
	if c.orders == nil {
		c.orders = map[uint64]*order{}
	}
	o := c.orders[key]
	if o == nil {
		o = new(order)
		c.orders[key] = o
	}
	o.next++
	j.lock, j.order, j.seq = &c.l.locks[key], o, o.next
	c.one(j, func(ctx context.Context, t pool.Task, _ *job) error { return c.l.p.SubmitKeyed(ctx, key, t) })
}

func (c *client) weighted() {
	most := c.l.plan.Capacity
	if most == 0 {
		most = int64(c.l.plan.Workers)
	}
	j := c.newJob(byWeight)
	j.weight = 1 + c.r.Int64N(most)
	c.one(j, func(ctx context.Context, t pool.Task, j *job) error { return c.l.p.SubmitWeighted(ctx, j.weight, t) })
}

func (c *client) add() {
	if c.batcher == nil {
		c.batcher = c.l.p.Batcher()
	}
	for range oneOf(c.r, 1, 5, 100) {
		c.single(byBatcher, func(ctx context.Context, t pool.Task, _ *job) error { return c.batcher.Add(ctx, t) })
	}
	if chance(c.r, 4) {
		ctx, cancel := c.context()
		defer cancel()
		if err := c.batcher.Flush(ctx); err != nil {
			c.expect(ctx, byBatcher, err)
		}
	}
}

// endBatcher closes the batcher. Under Reject it may have to be left to the pool.
func (c *client) endBatcher() {
	switch err := c.batcher.Close(); {
	case err == nil:
		c.batcher = nil
	default:
		c.expect(c.base, byBatcher, err)
	}
}

// wait calls Wait, and checks that what it waited for has ended.
func (c *client) wait() {
	ctx, cancel := c.context()
	defer cancel()
	err := c.await(ctx, func() error { return c.l.p.Wait(ctx) })
	switch {
	case err == nil:
		c.l.tally.waits.Add(1)
		for _, j := range c.mine {
			if j.fate() != 1 || j.finished.Load() != j.ran.Load() || j.writtenEnd != int(j.finished.Load()) {
				c.l.fail("Wait returned, and a %v: ran %d, finished %d, handed back %d", j.name(), j.ran.Load(), j.finished.Load(), j.back.Load())
			}
		}
		c.mine = c.mine[:0]
	case errors.Is(err, pool.ErrInTask) && c.seat != nil:
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
	case !c.l.stopping.Load():
		c.l.fail("Wait returned %v", err)
	}
}
