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

// plan is what a life is to be: the pool's options, the load, and the end.
type plan struct {
	Workers  int
	Sizing   string // instead of Workers, if not empty
	Buffer   int
	Batch    int
	Results  int // -1: not given
	Capacity int64
	Lazy     time.Duration
	Floor    int
	Linger   time.Duration
	Warm     bool
	Locked   bool
	State    bool
	Overflow pool.Overflow
	Drops    bool // a drop handler
	Panics   bool // a panic handler
	Errors   bool // an error handler
	FailFast bool
	Shutdown pool.ShutdownMode

	Load      string
	Producers int
	Length    time.Duration
	Keys      int  // 0: no tasks with keys
	Weights   bool // tasks with weights
	Calls     bool // groups, futures and loops
	Batchers  bool
	Impatient bool // contexts end while a task waits
	Resizes   bool
	Rest      bool // the pool comes to rest once before the end
	Calm      bool // the producers have stopped before the end
	End       end
}

// end is how a life ends.
type end int

const (
	endClose    end = iota
	endShutdown     // with a short deadline
	endAbort
	endContext // that of WithContext ends
	endInside  // a task calls Close
	ends
)

func (e end) String() string {
	return [ends]string{"Close", "Shutdown", "Abort", "context", "Close inside a task"}[e]
}

func (p plan) String() string {
	type plain plan // without this method
	return fmt.Sprintf("%+v", plain(p))
}

// oneOf returns one of vs.
func oneOf[T any](r *rand.Rand, vs ...T) T { return vs[r.IntN(len(vs))] }

// chance is true once in n times.
func chance(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// newPlan makes a plan that New accepts.
func newPlan(r *rand.Rand, st pool.Strategy) plan {
	p := plan{
		Workers: oneOf(r, 1, 1, 2, 3, 4, 8, 16),
		Buffer:  oneOf(r, 0, 1, 2, 7, 64, 64, 1024),
		Batch:   oneOf(r, 1, 3, pool.DefaultBatch, pool.DefaultBatch, 1000),
		Results: oneOf(r, -1, -1, 0, 1, 10),

		Overflow: oneOf(r, pool.Block, pool.Block, pool.Reject, pool.CallerRuns, pool.DropOldest),
		Panics:   !chance(r, 4),
		Errors:   chance(r, 2),
		FailFast: chance(r, 6),
		Shutdown: oneOf(r, pool.Drain, pool.Drain, pool.Abort, pool.DrainFor(time.Duration(1+r.IntN(20))*time.Millisecond)),

		Load:      oneOf(r, "tiny", "mixed", "mixed", "sleepy", "nested"),
		Producers: oneOf(r, 1, 2, 4, 8),
		Length:    time.Duration(50+r.IntN(450)) * time.Millisecond,
		Calls:     chance(r, 2),
		Batchers:  chance(r, 2),
		Impatient: chance(r, 2),
		Resizes:   chance(r, 2),
		Rest:      chance(r, 3),
		Calm:      chance(r, 3),
		End:       end(r.IntN(int(ends))),
	}
	if chance(r, 5) {
		p.Length += time.Second
	}
	if chance(r, 8) {
		p.Sizing = oneOf(r, "CPU", "Mixed")
	}
	if p.Buffer == 0 && p.Overflow == pool.DropOldest {
		p.Buffer = 1
	}
	p.Drops = p.Overflow == pool.DropOldest && !chance(r, 4)
	if p.Buffer > 0 && p.Overflow != pool.DropOldest && chance(r, 2) {
		p.Keys = oneOf(r, 1, 3, 50)
	}
	if p.Weights = chance(r, 3); p.Weights && chance(r, 2) {
		p.Capacity = int64(oneOf(r, 1, 2, 5, 20))
	}
	if p.Buffer > 0 && chance(r, 4) {
		p.Linger = time.Duration(1+r.IntN(2000)) * time.Microsecond
	}
	p.State = p.Overflow != pool.CallerRuns && chance(r, 3)
	if st == pool.Elastic {
		return p
	}
	p.Warm = chance(r, 5)
	switch p.Locked = p.Overflow != pool.CallerRuns && chance(r, 6); {
	case !p.Locked && chance(r, 2):
		p.Lazy = time.Duration(1+r.IntN(20)) * time.Millisecond
		if p.Sizing == "" {
			p.Floor = r.IntN(p.Workers + 1)
		}
	}
	return p
}

// workers returns how many workers the pool may have at first, at most.
func (p plan) workers() int {
	procs := max(8, runtime.GOMAXPROCS(0)) // the most that GOMAXPROCS is changed to
	switch p.Sizing {
	case "CPU":
		return procs
	case "Mixed":
		return 2 * procs
	}
	return p.Workers
}

// limited reports whether Stats().Workers stays what it is without Resize.
func (p plan) limited() bool { return p.Sizing == "" }

// workerState is the value of a worker under WithState.
type workerState struct{ closed atomic.Bool }

var errCreate = errors.New("soak: no state this time")

// options are the pool's options for the plan.
func (l *life) options(ctx context.Context) []pool.Option {
	p := l.plan
	opts := []pool.Option{pool.WithStrategy(l.strategy), pool.WithBuffer(p.Buffer), pool.WithBatch(p.Batch),
		pool.WithOverflow(p.Overflow), pool.WithShutdown(p.Shutdown), pool.WithContext(ctx)}
	add := func(yes bool, o pool.Option) {
		if yes {
			opts = append(opts, o)
		}
	}
	add(p.Sizing == "", pool.WithWorkers(p.Workers))
	add(p.Sizing == "CPU", pool.WithSizing(pool.CPU()))
	add(p.Sizing == "Mixed", pool.WithSizing(pool.Mixed()))
	add(p.Results >= 0, pool.WithResultBuffer(p.Results))
	add(p.Capacity > 0, pool.WithCapacity(p.Capacity))
	add(p.Lazy > 0, pool.WithLazy(p.Lazy))
	add(p.Floor > 0, pool.WithFloor(p.Floor))
	add(p.Linger > 0, pool.WithLinger(p.Linger))
	add(p.Warm, pool.WithWarmup(func(context.Context) error { return nil }, 2))
	add(p.Locked, pool.WithLockedThread())
	add(p.State, pool.WithState(l.createState, l.closeState))
	add(p.Drops, pool.WithDropHandler(l.dropped))
	add(p.Panics, pool.WithPanicHandler(func(err *pool.PanicError) {
		if _, ok := err.Value.(*job); !ok {
			l.fail("not a panic of a task: %v", err)
		}
		l.count.panicsSeen.Add(1)
	}))
	add(p.Errors, pool.WithErrorHandler(func(error) { l.count.errorsSeen.Add(1) }))
	add(p.FailFast, pool.WithErrorMode(pool.FailFast))
	return opts
}

func (l *life) createState(context.Context) (*workerState, error) {
	if l.count.created.Add(1)%10 == 0 {
		l.count.created.Add(-1)
		return nil, errCreate
	}
	return new(workerState), nil
}

func (l *life) closeState(s *workerState) {
	if s.closed.Swap(true) {
		l.fail("a worker's state was closed twice")
	}
	l.count.closed.Add(1)
}
