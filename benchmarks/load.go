package main

import (
	"context"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/headrace-go/pool"
)

// A load is the work of one measurement, in every shape that a contender may
// want: func(), func() error, pool.Task, or the number of the task. The functions
// are built before the clock starts, so no contender pays for a closure.
type load struct {
	iters int           // spins in every task
	nap   time.Duration // how long every task sleeps
	block chan struct{} // until it is closed every task waits; nil for tasks that do not
	done  *counter      // counts completions; nil if the contender counts its own

	// The rest is for loads whose n tasks differ. Without it one function serves
	// for all tasks.
	start []int64   // start[i] is when task i started
	extra func(int) // what task i does beside spinning and sleeping; may be nil
}

// numbered reports whether the tasks differ.
func (l *load) numbered() bool { return l.start != nil }

// unit is a task of a load whose tasks are all equal.
func (l *load) unit() {
	if l.iters > 0 {
		_ = spin(l.iters)
	}
	if l.nap > 0 {
		time.Sleep(l.nap)
	}
	if l.block != nil {
		<-l.block
	}
	if l.done != nil {
		l.done.add()
	}
}

// run is task i.
func (l *load) run(i int) {
	if l.numbered() {
		l.start[i] = now()
	}
	if l.extra != nil {
		l.extra(i)
	}
	l.unit()
}

// build returns one function for each task, or a single one if all are equal, and
// a mask that takes a task's number to its function's index.
func build[F any](l *load, unit F, task func(i int) F) (fns []F, mask int) {
	if !l.numbered() {
		return []F{unit}, 0
	}
	fns = make([]F, len(l.start))
	for i := range fns {
		fns[i] = task(i)
	}
	return fns, -1
}

func (l *load) funcs() ([]func(), int) {
	return build(l, func() { l.unit() }, func(i int) func() {
		return func() { l.run(i) }
	})
}

func (l *load) errFuncs() ([]func() error, int) {
	return build(l, func() error { l.unit(); return nil }, func(i int) func() error {
		return func() error { l.run(i); return nil }
	})
}

func (l *load) tasks() ([]pool.Task, int) {
	return build[pool.Task](l, func(context.Context) error { l.unit(); return nil }, func(i int) pool.Task {
		return func(context.Context) error { l.run(i); return nil }
	})
}

// handle is the handler of a typed pool, whose jobs are the numbers.
func (l *load) handle(_ context.Context, i int) error {
	if l.numbered() {
		l.run(i)
	} else {
		l.unit()
	}
	return nil
}

// await returns once n tasks have completed. It sleeps between looks, to leave
// the processors to the workers. A sleep takes up to 1 ms, which is late by half
// a percent of a measurement, for all contenders alike.
func (l *load) await(n int) {
	for l.done.sum() < n {
		time.Sleep(20 * time.Microsecond)
	}
}

// A counter counts completed tasks. One shared word would cost more than most of
// the queues that are measured here, so there are many, chosen by the address of
// the caller's stack: in effect one for each goroutine, some 6 ns per task for all
// contenders alike. It is also the proof that no task was lost.
type counter struct {
	cells [256]struct {
		n atomic.Int64
		_ [120]byte // two cache lines: neighbours are fetched in pairs
	}
}

func (c *counter) add() {
	var here byte
	h := uint64(uintptr(unsafe.Pointer(&here))>>11) * 0x9e3779b97f4a7c15
	c.cells[h>>56].n.Add(1)
}

func (c *counter) sum() int {
	n := 0
	for i := range c.cells {
		n += int(c.cells[i].n.Load())
	}
	return n
}

// spin computes for n iterations, in registers only.
//
//go:noinline
func spin(n int) uint64 {
	x := uint64(n)
	for range n {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// calibrateSpin returns the nanoseconds of one iteration of spin, undisturbed.
func calibrateSpin() float64 {
	const n = 1_000_000
	best := now()
	for range 20 {
		t := now()
		_ = spin(n)
		best = min(best, now()-t)
	}
	return float64(best) / n
}

// iters is how many iterations of spin take d.
func (h *harness) iters(d time.Duration) int {
	return max(1, int(float64(d)/h.nsPerIter+0.5))
}

var epoch = time.Now().Add(-time.Hour)

// now is the monotonic clock in nanoseconds.
func now() int64 { return int64(time.Since(epoch)) }
