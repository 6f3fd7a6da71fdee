package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The contract, cell by cell: each way for a task to come into a pool, to end and to be
// waited for, with each way of ending the pool at each moment of the task's life.
// contract_promises_test.go says what has to come of it.

// A scenario is one such cell. Its subject is the task that it is about. All other tasks only keep
// the workers busy, or the queue full, so that the subject is where it should be when the
// stop comes.
type scenario struct {
	typed   bool
	call    string
	outcome string
	when    string
	stop    contractStop
	waiter  string

	workers, buffer int
}

// contractStop is a way of ending a pool, one second after the start.
type contractStop struct {
	name   string
	opts   []Option
	call   func(ending) error
	closes bool          // it is Close
	waits  bool          // it returns when the pool has ended
	aborts time.Duration // when tasks' contexts are cancelled, 0: never
	causes []error       // with which
	missed bool          // because of a deadline
}

// ending is what all pools have in common.
type ending interface {
	Wait(context.Context) error
	Close() error
	Shutdown(context.Context) error
	Abort()
	Done() <-chan struct{}
	Resize(int) error
	Stats() Stats
}

// intake is what [Pool] and [Typed] have in common.
type intake[T any] interface {
	ending
	Submit(context.Context, T) error
	TrySubmit(T) error
	SubmitBatch(context.Context, []T) (int, error)
	SubmitKeyed(context.Context, uint64, T) error
	SubmitWeighted(context.Context, int64, T) error
	Leftover() []T
}

const (
	atStop     = time.Second      // when the stop comes
	atDeadline = 6 * time.Second  // when a deadline is missed
	atEnd      = 30 * time.Second // when everything is over
	taskTime   = 10 * time.Second // of the subject, and of who keeps a worker busy
)

var errParent = errors.New("the parent's cause")

func contractStops() []contractStop {
	closing := func(p ending) error { return p.Close() }
	aborted, late := []error{ErrAborted}, []error{ErrAborted, context.DeadlineExceeded}
	shutdown := func(d time.Duration) func(ending) error {
		return func(p ending) error {
			ctx, cancel := context.WithTimeout(bg, d)
			defer cancel()
			return p.Shutdown(ctx)
		}
	}
	abort := func(p ending) error { p.Abort(); return nil }
	parent, cancel := context.WithCancelCause(bg)
	return []contractStop{
		{name: "none"},
		{name: "Close", call: closing, closes: true, waits: true},
		{name: "Close-Abort", opts: []Option{WithShutdown(Abort)}, call: closing, closes: true, waits: true, aborts: atStop, causes: aborted},
		{name: "DrainFor-met", opts: []Option{WithShutdown(DrainFor(time.Minute))}, call: closing, closes: true, waits: true},
		{name: "DrainFor-missed", opts: []Option{WithShutdown(DrainFor(atDeadline - atStop))}, call: closing, closes: true, waits: true, aborts: atDeadline, causes: late, missed: true},
		{name: "Shutdown-met", call: shutdown(time.Minute), waits: true},
		{name: "Shutdown-missed", call: shutdown(atDeadline - atStop), aborts: atDeadline, causes: late, missed: true},
		{name: "Abort", call: abort, aborts: atStop, causes: aborted},
		{name: "parent", opts: []Option{WithContext(parent)}, call: func(ending) error { cancel(errParent); return nil }, aborts: atStop, causes: []error{errParent}},
	}
}

// cells calls f with every cell that there is for a number of workers and a queue.
func cells(workers, buffer int, f func(scenario)) {
	for _, typed := range []bool{false, true} {
		for _, call := range []string{"Submit", "TrySubmit", "SubmitBatch", "SubmitKeyed", "SubmitWeighted", "Go"} {
			for _, outcome := range []string{"ok", "error", "panic", "goexit", "ignore"} {
				for _, when := range []string{"queued", "blocked", "running"} {
					for i := range contractStops() {
						for _, waiter := range []string{"none", "Wait", "Future"} {
							switch {
							case waiter == "Future" && call != "Go",
								typed && call == "Go",
								buffer == 0 && (when == "queued" || call == "SubmitKeyed"):
								continue
							}
							f(scenario{typed, call, outcome, when, contractStops()[i], waiter, workers, buffer})
						}
					}
				}
			}
		}
	}
}

func (c *scenario) String() string {
	return name("strategy", strategy, "typed", c.typed, "call", c.call, "outcome", c.outcome, "when", c.when,
		"stop", c.stop.name, "waiter", c.waiter, "workers", c.workers, "buffer", c.buffer)
}

// In short mode it runs every seventh cell, which still combines everything with everything.
func TestContract(t *testing.T) {
	n := 0
	for _, shape := range [][2]int{{1, 1}, {1, 0}, {2, 3}} {
		cells(shape[0], shape[1], func(c scenario) {
			if n++; testing.Short() && n%7 != 0 {
				return
			}
			t.Run(c.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
					h := c.run(t)
					for _, p := range promises {
						if err := p.kept(&c, h); err != nil {
							t.Errorf("%s: %v", p.name, err)
						}
					}
				})
			})
		})
	}
}

// job is what the pool of a cell is given.
type job struct {
	run  Task
	note int // plain, for the race detector: 1 before the submission, 2 after the run
}

// event is something that should happen at a time, and once.
type event struct {
	n   int
	at  time.Duration
	err error
}

// history is what happened in a cell.
type history struct {
	mu    sync.Mutex
	start time.Time
	gauge gauge

	submit, wait, future, stop, done event // the end of each call
	begun, cancelled, ended          event // of the subject
	handled, panicked                []error

	subject *job
	others  []*job // fillers of the queue
	back    []*job // the leftover; nil for a call
	late    int    // a second time
	free    uint64 // how many ran at a time after the subject, if the pool was not stopped

	closed, again event // Close after all that
	rest          Stats
	refusals      []error // of what was submitted after the end
}

func (h *history) log(e *event, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.n, e.at, e.err = e.n+1, time.Since(h.start), err
}

func (h *history) until(d time.Duration) { time.Sleep(d - time.Since(h.start)) }

// make returns a job that counts as running while it does.
func (h *history) make(task Task) *job {
	j := &job{note: 1}
	j.run = func(ctx context.Context) error {
		h.gauge.enter()
		defer h.gauge.leave()
		defer func() { j.note++ }()
		return task(ctx)
	}
	return j
}

// hold keeps a worker until it is told to stop.
func hold(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(taskTime):
	}
	return nil
}

func (h *history) subjectOf(outcome string) Task {
	return func(ctx context.Context) error {
		h.log(&h.begun, nil)
		defer func() { h.log(&h.ended, nil) }()
		if outcome == "ignore" {
			time.Sleep(taskTime)
			return nil
		}
		_ = hold(ctx)
		if ctx.Err() != nil {
			h.log(&h.cancelled, context.Cause(ctx))
		}
		if outcome == "ok" {
			return nil
		}
		return fates[outcome]()
	}
}

// run makes the pool of the cell and lets the cell happen.
func (c *scenario) run(t *testing.T) *history {
	h := &history{start: time.Now()}
	opts := append([]Option{
		WithStrategy(strategy), WithWorkers(c.workers), WithBuffer(c.buffer),
		WithErrorHandler(func(err error) { h.handled = append(h.handled, err) }),
		WithPanicHandler(func(p *PanicError) { h.panicked = append(h.panicked, p) }),
	}, c.stop.opts...)
	if c.weight() > 1 {
		opts = append(opts, WithCapacity(int64(c.workers-1)+c.weight()))
	}
	if c.typed {
		p, err := NewTyped(func(ctx context.Context, j *job) error { return j.run(ctx) }, opts...)
		must(t, err)
		drive(t, c, h, p, func(j *job) *job { return j }, func(j *job) *job { return j })
		return h
	}
	p, err := New(opts...)
	must(t, err)
	drive(t, c, h, p, taskOf, jobOf)
	return h
}

// taskOf is what a Pool runs for j; jobOf returns j again.
func taskOf(j *job) Task {
	return func(ctx context.Context) error {
		if asked, ok := ctx.Value(probeKey{}).(**job); ok {
			*asked = j
			return nil
		}
		return j.run(ctx)
	}
}

func jobOf(task Task) (j *job) {
	_ = task(context.WithValue(bg, probeKey{}, &j))
	return j
}

// enter submits v by the call with this name.
func enter[T any](ctx context.Context, p intake[T], call string, weight int64, v T) error {
	switch call {
	case "TrySubmit":
		return p.TrySubmit(v)
	case "SubmitBatch":
		n, err := p.SubmitBatch(ctx, []T{v})
		if (n == 1) != (err == nil) {
			return fmt.Errorf("SubmitBatch returned %d and %w", n, err)
		}
		return err
	case "SubmitKeyed":
		return p.SubmitKeyed(ctx, 7, v)
	case "SubmitWeighted":
		return p.SubmitWeighted(ctx, weight, v)
	}
	return p.Submit(ctx, v)
}

func drive[T any](t *testing.T, c *scenario, h *history, p intake[T], in func(*job) T, out func(T) *job) {
	h.subject = h.make(h.subjectOf(c.outcome))
	var u *Future[int]
	submit := func() {
		if c.call != "Go" {
			h.log(&h.submit, enter(bg, p, c.call, c.weight(), in(h.subject)))
			return
		}
		u = Go(bg, any(p).(*Pool), func(ctx context.Context) (int, error) { return 42, h.subject.run(ctx) })
		h.log(&h.submit, nil)
		if c.waiter == "Future" {
			h.await(u)
		}
	}
	if c.when == "running" { // before the others: under PerWorker a key may be bound to a busy worker
		go submit()
		synctest.Wait()
	}
	for range c.blockers() {
		must(t, p.Submit(bg, in(h.make(hold))))
		synctest.Wait()
	}
	for range c.fillers() {
		j := h.make(func(context.Context) error { return nil })
		h.others = append(h.others, j)
		if c.when == "blocked" && c.keyedPerWorker() {
			must(t, enter(bg, p, c.call, 0, in(j)))
			continue
		}
		must(t, p.Submit(bg, in(j)))
	}
	if c.when != "running" {
		go submit()
		synctest.Wait()
	}
	if c.waiter == "Wait" {
		go func() { h.log(&h.wait, p.Wait(bg)) }()
	}
	go func() { <-p.Done(); h.log(&h.done, nil) }()
	h.until(atStop)
	if c.stop.call != nil {
		go func() { h.log(&h.stop, c.stop.call(p)) }()
	}
	h.until(atEnd)
	if c.stop.call == nil {
		h.free = atATime(t, p, c.workers, in)
	}
	h.log(&h.closed, p.Close())
	h.log(&h.again, p.Close())
	if u != nil && c.waiter != "Future" {
		h.await(u)
	}
	for _, v := range p.Leftover() {
		h.back = append(h.back, out(v))
	}
	h.late = len(p.Leftover())
	h.rest = p.Stats()
	for _, call := range []string{"Submit", "TrySubmit", "SubmitBatch", "SubmitKeyed", "SubmitWeighted"} {
		if c.buffer > 0 || call != "SubmitKeyed" {
			h.refusals = append(h.refusals, enter(bg, p, call, c.weight(), in(h.make(hold))))
		}
	}
	h.refusals = append(h.refusals, p.Resize(c.workers+1))
	synctest.Wait()
}

func (h *history) await(u *Future[int]) {
	v, err := u.Wait(bg)
	if err == nil && v != 42 {
		err = fmt.Errorf("the value is %d", v)
	}
	h.log(&h.future, err)
}

// atATime returns how many of n more tasks run at a time.
func atATime[T any](t *testing.T, p intake[T], n int, in func(*job) T) (running uint64) {
	g := make(gate)
	for range n {
		must(t, p.Submit(bg, in(&job{run: g.task})))
		synctest.Wait()
	}
	running = p.Stats().Running
	close(g)
	synctest.Wait()
	return running
}
