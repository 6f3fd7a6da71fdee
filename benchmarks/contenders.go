package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/headrace-go/pool"
)

// A contender is one way of running tasks on a bounded number of goroutines.
type contender struct {
	name string
	// limit bounds the tasks of one measurement, 0 means the harness's: what has no
	// queue bound may pile them all up.
	limit int
	// bulk contenders submit many at a time; they take no part in latency.
	bulk bool
	// counts says that its wait is its own; otherwise the tasks are counted even
	// under -count own.
	counts bool
	open   func(h *harness, workers int, l *load) instance
}

// An instance is a contender at work on one load. It is used in its natural and
// fastest form. The loop over tasks is inside submit, so that no contender pays
// for a call through an interface.
type instance interface {
	submit(from, to int) // submits the tasks of that range, from any number of goroutines
	wait()               // blocks until everything submitted has completed; called once
	close()              // ends the workers, after wait or after the counter says that all is done
}

const baseline = "channel"

var contenders = []contender{
	{name: "pool", counts: true, open: openPool},
	{name: "pool-typed", counts: true, open: openTyped},
	{name: "pool-batch", bulk: true, counts: true, open: openBatch},
	{name: baseline, counts: true, open: openChannel},
	{name: "go", limit: 200_000, counts: true, open: openGo},
	{name: "errgroup", counts: true, open: openErrgroup},
	{name: "semaphore", counts: true, open: openSemaphore},
	{name: "ants", open: openAnts},
	{name: "pond-go", counts: true, open: openPondGo},
	{name: "pond-submit", counts: true, open: openPondSubmit},
	{name: "conc", counts: true, open: openConc},
	{name: "gammazero", counts: true, limit: 500_000, open: openGammazero},
	{name: "gopool", limit: 500_000, open: openGopool},
}

// strategies are the pool with its other strategies. They take part only where
// the strategy matters.
var strategies = []contender{
	{name: "pool-stealing", counts: true, open: openWith(pool.WithStrategy(pool.WorkStealing))},
	{name: "pool-perworker", counts: true, open: openWith(pool.WithStrategy(pool.PerWorker))},
	{name: "pool-elastic", counts: true, open: openWith(pool.WithStrategy(pool.Elastic))},
}

// selected returns the contenders that were asked for and that keep allows.
func (h *harness) selected(keep func(contender) bool) []contender {
	var cs []contender
	for _, c := range h.among(contenders) {
		if keep(c) {
			cs = append(cs, c)
		}
	}
	return cs
}

// among returns those of the given contenders that were asked for.
func (h *harness) among(all []contender) []contender {
	var cs []contender
	for _, c := range all {
		if h.contenders.MatchString(c.name) {
			cs = append(cs, c)
		}
	}
	return cs
}

func everyone(contender) bool   { return true }
func oneByOne(c contender) bool { return !c.bulk }

func names(cs []contender) []string {
	var ns []string
	for _, c := range cs {
		ns = append(ns, c.name)
	}
	return ns
}

// must stops the program: a contender that refuses a task cannot be compared.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("benchmarks: contender failed: %v", err))
	}
}

var background = context.Background()

// poolInstance is this project's pool with one closure per task.
type poolInstance struct {
	p    *pool.Pool
	fns  []pool.Task
	mask int
}

func openPool(h *harness, workers int, l *load) instance { return newPool(h, workers, l) }

// openWith opens the pool with more options.
func openWith(opts ...pool.Option) func(*harness, int, *load) instance {
	return func(h *harness, workers int, l *load) instance { return newPool(h, workers, l, opts...) }
}

func newPool(h *harness, workers int, l *load, opts ...pool.Option) *poolInstance {
	p, err := pool.New(append([]pool.Option{pool.WithWorkers(workers), pool.WithBuffer(h.buffer)}, opts...)...)
	must(err)
	fns, mask := l.tasks()
	return &poolInstance{p, fns, mask}
}

func (x *poolInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		if err := x.p.Submit(background, x.fns[i&x.mask]); err != nil {
			must(err)
		}
	}
}
func (x *poolInstance) wait()  { must(x.p.Wait(background)) }
func (x *poolInstance) close() { must(x.p.Close()) }

// typedInstance is this project's pool with numbers as jobs.
type typedInstance struct{ p *pool.Typed[int] }

func openTyped(h *harness, workers int, l *load) instance {
	p, err := pool.NewTyped(l.handle, pool.WithWorkers(workers), pool.WithBuffer(h.buffer))
	must(err)
	return typedInstance{p}
}

func (x typedInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		if err := x.p.Submit(background, i); err != nil {
			must(err)
		}
	}
}
func (x typedInstance) wait()  { must(x.p.Wait(background)) }
func (x typedInstance) close() { must(x.p.Close()) }

// batchInstance is this project's pool fed with slices of 64 tasks.
type batchInstance struct {
	*poolInstance
	batch []pool.Task
}

func openBatch(h *harness, workers int, l *load) instance { return openBatches(64)(h, workers, l) }

// openBatches opens a pool that gets slices of that length.
func openBatches(size int) func(*harness, int, *load) instance {
	return func(h *harness, workers int, l *load) instance {
		x := batchInstance{poolInstance: newPool(h, workers, l)}
		x.batch = slices.Repeat(x.fns[:1], size)
		return x
	}
}

func (x batchInstance) submit(from, to int) {
	for from < to {
		n, err := x.p.SubmitBatch(background, x.batch[:min(len(x.batch), to-from)])
		must(err)
		from += n
	}
}

// channelInstance is the baseline: a buffered channel of functions, and workers
// that range over it.
type channelInstance struct {
	ch     chan func()
	wg     sync.WaitGroup
	finish func()
	fns    []func()
	mask   int
}

func openChannel(h *harness, workers int, l *load) instance {
	x := &channelInstance{ch: make(chan func(), h.buffer)}
	x.finish = sync.OnceFunc(func() { close(x.ch); x.wg.Wait() })
	x.fns, x.mask = l.funcs()
	for range workers {
		x.wg.Go(func() {
			for f := range x.ch {
				f()
			}
		})
	}
	return x
}

func (x *channelInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.ch <- x.fns[i&x.mask]
	}
}
func (x *channelInstance) wait()  { x.finish() }
func (x *channelInstance) close() { x.finish() }

// goInstance starts a goroutine for every task, without any limit.
type goInstance struct {
	wg   sync.WaitGroup
	fns  []func()
	mask int
}

func openGo(_ *harness, _ int, l *load) instance {
	x := new(goInstance)
	x.fns, x.mask = l.funcs()
	return x
}

func (x *goInstance) submit(from, to int) {
	for i := from; i < to; i++ {
		x.wg.Go(x.fns[i&x.mask])
	}
}
func (x *goInstance) wait()  { x.wg.Wait() }
func (x *goInstance) close() { x.wg.Wait() }
