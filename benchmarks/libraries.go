package main

import (
	"sync/atomic"

	"github.com/alitto/pond/v2"
	"github.com/bytedance/gopkg/util/gopool"
	"github.com/gammazero/workerpool"
	"github.com/panjf2000/ants/v2"
	conc "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// errgroupInstance is an errgroup with a limit.
type errgroupInstance struct {
	g    errgroup.Group
	fns  []func() error
	mask int
}

func openErrgroup(_ *harness, workers int, l *load) instance {
	x := new(errgroupInstance)
	x.g.SetLimit(workers)
	x.fns, x.mask = l.errFuncs()
	return x
}

func (x *errgroupInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.g.Go(x.fns[i&x.mask])
	}
}
func (x *errgroupInstance) wait()  { must(x.g.Wait()) }
func (x *errgroupInstance) close() { must(x.g.Wait()) }

// semaphoreInstance acquires before it starts a goroutine for the task.
type semaphoreInstance struct {
	sem     *semaphore.Weighted
	workers int64
	fns     []func()
	mask    int
}

func openSemaphore(_ *harness, workers int, l *load) instance {
	x := &semaphoreInstance{sem: semaphore.NewWeighted(int64(workers)), workers: int64(workers)}
	x.fns, x.mask = l.funcs()
	return x
}

func (x *semaphoreInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		must(x.sem.Acquire(background, 1))
		f := x.fns[i&x.mask]
		go func() {
			defer x.sem.Release(1)
			f()
		}()
	}
}

func (x *semaphoreInstance) wait() {
	must(x.sem.Acquire(background, x.workers))
	x.sem.Release(x.workers)
}
func (x *semaphoreInstance) close() { x.wait() }

// antsInstance has no queue: Submit waits for a free worker. It has no wait
// either; users count, and so do the tasks.
type antsInstance struct {
	p    *ants.Pool
	fns  []func()
	mask int
}

func openAnts(_ *harness, workers int, l *load) instance {
	p, err := ants.NewPool(workers)
	must(err)
	x := &antsInstance{p: p}
	x.fns, x.mask = l.funcs()
	return x
}

func (x *antsInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		must(x.p.Submit(x.fns[i&x.mask]))
	}
}
func (x *antsInstance) wait()  {}
func (x *antsInstance) close() { x.p.Release() }

// pondInstance is pond with its queue bound, by Go or by Submit, which returns a
// future for every task.
type pondInstance struct {
	p    pond.Pool
	fns  []func()
	mask int
}

func newPond(h *harness, workers int, l *load, opts ...pond.Option) *pondInstance {
	x := &pondInstance{p: pond.NewPool(workers, append([]pond.Option{pond.WithQueueSize(h.buffer)}, opts...)...)}
	x.fns, x.mask = l.funcs()
	return x
}

func openPondGo(h *harness, workers int, l *load) instance { return newPond(h, workers, l) }

func (x *pondInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		must(x.p.Go(x.fns[i&x.mask]))
	}
}
func (x *pondInstance) wait()  { x.p.StopAndWait() }
func (x *pondInstance) close() { x.p.StopAndWait() }

type pondFutures struct{ *pondInstance }

func openPondSubmit(h *harness, workers int, l *load) instance {
	return pondFutures{newPond(h, workers, l)}
}

func (x pondFutures) submit(from, to int) {
	for i := from; i < to; i++ {
		x.p.Submit(x.fns[i&x.mask])
	}
}

// concInstance has no queue: Go waits for a free worker.
type concInstance struct {
	p      *conc.Pool
	fns    []func()
	mask   int
	waited atomic.Bool
}

func openConc(_ *harness, workers int, l *load) instance {
	x := &concInstance{p: conc.New().WithMaxGoroutines(workers)}
	x.fns, x.mask = l.funcs()
	return x
}

func (x *concInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.p.Go(x.fns[i&x.mask])
	}
}

func (x *concInstance) wait() {
	if !x.waited.Swap(true) { // a second Wait would panic
		x.p.Wait()
	}
}
func (x *concInstance) close() { x.wait() }

// gammazeroInstance has an unbounded queue behind a dispatcher goroutine.
type gammazeroInstance struct {
	p    *workerpool.WorkerPool
	fns  []func()
	mask int
}

func openGammazero(_ *harness, workers int, l *load) instance {
	x := &gammazeroInstance{p: workerpool.New(workers)}
	x.fns, x.mask = l.funcs()
	return x
}

func (x *gammazeroInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.p.Submit(x.fns[i&x.mask])
	}
}
func (x *gammazeroInstance) wait()  { x.p.StopWait() }
func (x *gammazeroInstance) close() { x.p.StopWait() }

// gopoolInstance has an unbounded queue. It has neither wait nor close: its
// workers end when the queue is empty.
type gopoolInstance struct {
	p    gopool.Pool
	fns  []func()
	mask int
}

func openGopool(_ *harness, workers int, l *load) instance {
	x := &gopoolInstance{p: gopool.NewPool("benchmarks", int32(workers), gopool.NewConfig())}
	x.fns, x.mask = l.funcs()
	return x
}

func (x *gopoolInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.p.Go(x.fns[i&x.mask])
	}
}
func (x *gopoolInstance) wait()  {}
func (x *gopoolInstance) close() {}
