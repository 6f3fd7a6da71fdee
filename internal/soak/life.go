package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

// life is one pool, from New to its end.
type life struct {
	soak     *soak
	tally    *tally
	strategy pool.Strategy
	seed     uint64
	plan     plan
	r        *rand.Rand // of the goroutine that runs the life
	p        *pool.Pool
	cancel   context.CancelCauseFunc // of WithContext
	stage    atomic.Value            // for reports

	gauge    gauge
	count    counts
	jobs     ledger
	locks    []lock
	payloads *atomic.Int64
	running  atomic.Int64

	quiet       atomic.Bool // producers stop
	ending      atomic.Bool // from just before the pool is closed or stopped in any way
	stopping    atomic.Bool // from just before it may be stopped
	over        atomic.Bool // Close has returned
	closeInside atomic.Bool // the next task has to call Close
	producers   sync.WaitGroup

	resizing sync.Mutex
	resized  uint64 // how often
	size     int    // since then
}

func newLife(k *soak, t *tally, st pool.Strategy, seed uint64) *life {
	r := rand.New(rand.NewPCG(seed, uint64(st)))
	l := &life{soak: k, tally: t, strategy: st, seed: seed, plan: newPlan(r, st), r: r, payloads: new(atomic.Int64)}
	l.locks = make([]lock, max(1, l.plan.Keys))
	l.gauge.bound.Store(int64(l.plan.workers()))
	return l
}

func (l *life) fail(format string, args ...any) { l.soak.failed(fmt.Sprintf(format, args...)) }

// at notes what the life does.
func (l *life) at(stage string) {
	l.stage.Store(stage)
	l.soak.moved.Add(1)
}

// errEnd is the cause with which the context of WithContext ends.
var errEnd = errors.New("soak: the end")

// run lives the life.
func (l *life) run() {
	base := runtime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	l.cancel = cancel
	p, err := pool.New(l.options(ctx)...)
	if err != nil {
		l.soak.failed(fmt.Sprintf("seed %d: New: %v: %v", l.seed, err, l.plan))
	}
	l.p = p
	l.at("load")
	l.soak.current.Store(l)
	stop := make(chan struct{})
	var poller sync.WaitGroup
	poller.Go(func() { l.poll(stop) })

	l.load(l.plan.Length)
	if l.plan.Rest {
		l.at("rest")
		l.calm()
		l.checkRest()
		l.at("load after rest")
		l.quiet.Store(false)
		l.load(l.plan.Length / 2)
	}
	if l.plan.Calm {
		l.at("calming down")
		l.calm()
	}
	l.at("ending")
	closeErr := l.end()
	l.at("waiting for producers")
	l.calm()
	close(stop)
	poller.Wait()

	l.at("checks")
	l.takeLeftover()
	l.checkEnd(l.p.Stats(), closeErr)
	l.checkClosed()
	if n := l.takeLeftover(); n > 0 {
		l.fail("%d tasks are left over that were not when Close had returned", n)
	}
	if !soon(func() bool { return runtime.NumGoroutine() <= base }) {
		stacks := make([]byte, 1<<20)
		l.fail("%d goroutines, %d before the life\n%s", runtime.NumGoroutine(), base, stacks[:runtime.Stack(stacks, true)])
	}
	l.checkGarbage()
	for i := range l.jobs.shards {
		for _, j := range l.jobs.shards[i].jobs {
			if j.seed%4 == 0 {
				l.tally.collected.Add(1)
			}
			if j.writtenEnd != int(j.finished.Load()) {
				l.fail("what a %v wrote is not seen after Close", j.name())
			}
		}
	}
	l.soak.current.Store(nil)
}

// load puts the pool under load for the time d.
func (l *life) load(d time.Duration) {
	for range l.plan.Producers {
		p := newProducer(l, rand.New(rand.NewPCG(l.r.Uint64(), 3)))
		l.producers.Go(p.work)
	}
	if l.plan.Resizes {
		r := rand.New(rand.NewPCG(l.r.Uint64(), 4))
		l.producers.Go(func() { l.resizeOften(r) })
	}
	select {
	case <-time.After(d):
	case <-l.p.Done(): // it failed fast
	}
}

// calm waits until all producers have stopped.
func (l *life) calm() {
	l.quiet.Store(true)
	l.producers.Wait()
}

// poll looks at the counters now and then: none goes down.
func (l *life) poll(stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(l.seed, 5))
	var last pool.Stats
	for {
		s := l.p.Stats()
		for i, c := range counters(s) {
			if before := counters(last)[i]; c < before || c > 1<<40 {
				l.fail("a counter goes from %d to %d: %+v, then %+v", before, c, last, s)
			}
		}
		if s.Queued > 1<<40 || s.Running > 1<<40 {
			l.fail("a negative number: %+v", s)
		}
		last = s
		l.tally.highest(int64(runtime.NumGoroutine()))
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(r.IntN(10_000)) * time.Microsecond):
		}
	}
}

func counters(s pool.Stats) []uint64 {
	return []uint64{s.Accepted, s.Rejected, s.Completed, s.Failed, s.Panicked, s.Goexited, s.Skipped, s.Dropped, s.Unrun, s.Batch.Flushes, s.Batch.Flushed}
}

// resize changes the number of workers.
func (l *life) resize(n int) {
	l.resizing.Lock()
	defer l.resizing.Unlock()
	l.gauge.bound.Store(max(l.gauge.bound.Load(), int64(n)))
	err := l.p.Resize(n)
	switch {
	case err == nil:
		l.resized, l.size = l.resized+1, n
		l.tally.resizes.Add(1)
		if got := l.p.Stats().Workers; got != n {
			l.fail("Resize to %d, and Stats says %d", n, got)
		}
	case !errors.Is(err, pool.ErrClosed) || !l.ending.Load():
		l.fail("Resize to %d: %v", n, err)
	}
}

// resizeOften resizes the pool, and lets it continue with the new size for a while.
func (l *life) resizeOften(r *rand.Rand) {
	for !l.quiet.Load() && !l.ending.Load() {
		for range 1 + r.IntN(5) {
			l.resize(oneOf(r, 1, 1, 2, 3, 5, 8, 32))
			time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
		}
		l.confirm()
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
	}
}

// confirm waits until all that was started under earlier limits has ended, and then
// demands the limit that there is now.
func (l *life) confirm() {
	l.resizing.Lock()
	resized, excess := l.resized, l.gauge.excess.Load()
	l.resizing.Unlock()
	if l.p.Wait(context.Background()) != nil {
		return
	}
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.resized == resized && resized > 0 {
		l.gauge.bound.Store(int64(l.size))
	}
	l.gauge.excess.Add(-excess)
}

// failing is called before a task fails.
func (l *life) failing() {
	if l.plan.FailFast {
		l.stopping.Store(true)
		l.ending.Store(true)
	}
}

// end ends the pool as the plan says, and returns what Close returned.
func (l *life) end() error {
	if l.plan.Shutdown != pool.Drain || l.plan.End != endClose && l.plan.End != endInside {
		l.stopping.Store(true)
	}
	l.ending.Store(true)
	switch l.plan.End {
	case endShutdown:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(l.r.IntN(20))*time.Millisecond)
		defer cancel()
		l.shutDown(ctx)
	case endAbort:
		l.p.Abort()
	case endContext:
		l.cancel(errEnd)
	case endInside:
		l.closeInside.Store(true)
		time.Sleep(time.Duration(l.r.IntN(10)) * time.Millisecond)
	}
	errs := make([]error, 1+l.r.IntN(3))
	var closers sync.WaitGroup
	for i := range errs {
		closers.Go(func() {
			errs[i] = l.p.Close()
			if n := l.running.Load(); n > 0 {
				l.fail("%d tasks run after Close has returned", n)
			}
			l.over.Store(true)
			select {
			case <-l.p.Done():
			default:
				l.fail("Done is not closed when Close has returned")
			}
		})
	}
	l.takeLeftover()
	closers.Wait()
	return errors.Join(errs...)
}

func (l *life) shutDown(ctx context.Context) {
	err := l.p.Shutdown(ctx)
	var missed *pool.DeadlineError
	switch {
	case errors.As(err, &missed):
		if missed.Unstarted == 0 && missed.Running == 0 || ctx.Err() == nil {
			l.fail("Shutdown returned %v, its context %v", err, ctx.Err())
		}
	case err != nil && !l.plan.FailFast:
		l.fail("Shutdown returned %v", err)
	case err == nil && l.p.Stats().Unrun > 0:
		l.fail("Shutdown returned nil, and there are tasks left over")
	}
}

// checkClosed checks that a pool that has ended rejects everything.
func (l *life) checkClosed() {
	ctx, task := context.Background(), func(context.Context) error { l.fail("a task runs after the end"); return nil }
	value := func(ctx context.Context) (int, error) { return 0, task(ctx) }
	refused := func(how string, err error) {
		if !errors.Is(err, pool.ErrClosed) {
			l.fail("%s after the end: %v", how, err)
		}
	}
	refused("Submit", l.p.Submit(ctx, task))
	refused("TrySubmit", l.p.TrySubmit(task))
	_, err := l.p.SubmitBatch(ctx, []pool.Task{task, task})
	refused("SubmitBatch", err)
	if l.plan.Keys > 0 {
		refused("SubmitKeyed", l.p.SubmitKeyed(ctx, 1, task))
	}
	refused("SubmitWeighted", l.p.SubmitWeighted(ctx, 1, task))
	refused("Batcher.Add", l.p.Batcher().Add(ctx, task))
	refused("Resize", l.p.Resize(3))
	_, err = pool.Do(ctx, l.p, value)
	refused("Do", err)
	g := pool.NewGroup(ctx, l.p)
	g.Go(task)
	refused("Group.Wait", g.Wait())
	if pool.ForEach(ctx, l.p, slices.Values([]int{1}), func(ctx context.Context, _ int) error { return task(ctx) }) == nil {
		l.fail("ForEach after the end returned nil")
	}
	if err := l.p.Close(); err != nil {
		l.fail("a second Close returned %v", err)
	}
}
