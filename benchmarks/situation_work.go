package main

import (
	"context"
	"io"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/headrace-go/pool"
)

// The situations about size, memory and queues.

// sizingClaims are about too many workers, and too few.
func sizingClaims(h *harness) []claim {
	return []claim{
		{1, "computing, each worker with a table of 256 KB", "256 goroutines on a channel", "CPU()", "ns/task", "%.0f", false,
			"avoids a loss of 30-50 %", gain(1.05, 1.43), "Go runs no more goroutines than processors at a time, so what too many of them cost is their memory and the caches.",
			h.dur(time.Second), h.tables},
		{1, "waiting 5 ms each for a service that serves 64 at a time", "a goroutine for each processor", "IO(64)", "% of the service's limit", "%.1f", true,
			"all of the limit instead of 5-10 %", gainMore(2, 8), "", h.dur(time.Second), h.downstream},
	}
}

// tables returns the time of a task that reads and writes all of its worker's table.
func (h *harness) tables(after bool, _ int) float64 {
	const many = 256
	type table [256 << 10 / 8]uint64
	tasks := int(h.dur(time.Second) / (50 * time.Microsecond))
	work := func(t *table) {
		for i := range t {
			t[i] = t[i]*3 + 1
		}
	}
	warm := 2 * many
	var done atomic.Int64
	var submit func()
	var stop func()
	if after {
		p, err := pool.New(pool.WithSizing(pool.CPU()),
			pool.WithState(func(context.Context) (*table, error) { return new(table), nil }, nil))
		must(err)
		task := func(ctx context.Context) error { work(stateOf[*table](ctx)); done.Add(1); return nil }
		submit = func() { must(p.Submit(background, task)) }
		stop = func() { must(p.Close()) }
	} else {
		ch := make(chan struct{}, h.buffer)
		var wg sync.WaitGroup
		for range many {
			wg.Go(func() {
				t := new(table)
				for range ch {
					work(t)
					done.Add(1)
				}
			})
		}
		submit = func() { ch <- struct{}{} }
		stop = func() { close(ch); wg.Wait() }
	}
	volley := func(n int) {
		want := done.Load() + int64(n)
		for range n {
			submit()
		}
		for done.Load() < want {
			time.Sleep(20 * time.Microsecond)
		}
	}
	volley(warm)
	begin := now()
	volley(tasks)
	per := float64(now()-begin) / float64(tasks)
	stop()
	return per
}

// downstream returns the throughput of calls to a service, in percent of what it can do.
func (h *harness) downstream(after bool, _ int) float64 {
	const limit = 64
	const wait = 5 * time.Millisecond
	service := make(chan struct{}, limit)
	l := &load{done: new(counter)}
	call := func() {
		service <- struct{}{}
		time.Sleep(wait)
		<-service
		l.done.add()
	}
	var x instance
	if after {
		p, err := pool.New(pool.WithSizing(pool.IO(limit)))
		must(err)
		x = &poolInstance{p, []pool.Task{func(context.Context) error { call(); return nil }}, 0}
	} else {
		c := openChannel(h, runtime.GOMAXPROCS(0), l).(*channelInstance)
		c.fns = []func(){call}
		x = c
	}
	tasks := pick(after, 100, 20*limit)
	begin := now()
	x.submit(0, tasks)
	l.await(tasks)
	rate := float64(tasks) / float64(now()-begin)
	x.close()
	return 100 * rate / (limit / float64(wait))
}

// reuseClaims are about tasks that need a buffer of 64 KB each, in a program with 40 MB of small objects.
func reuseClaims(h *harness) []claim {
	share := func(after bool, _ int) float64 { s, _ := h.buffers(after); return s }
	pauses := func(after bool, _ int) float64 { _, p := h.buffers(after); return p }
	return []claim{
		{6, "tasks that need a buffer of 64 KB: the collector's share", "make in each task", "WithState", "% of CPU", "%.2f", false,
			"from 20-40 % to under 5 %", gain(2, 4), "", h.dur(time.Second), share},
		{6, "the same: the world stopped, for each second", "make in each task", "WithState", "ms", "%.3f", false,
			"pauses up to 10 times shorter", gain(2, 10), "No single pause is shorter; there are fewer of them.", h.dur(time.Second), pauses},
	}
}

// buffers returns the collector's share of the CPU time in percent, and for how many milliseconds of each
// second it stopped the world.
func (h *harness) buffers(after bool) (share, stopped float64) {
	type node struct {
		next *node
		_    [3]uint64
	}
	var head *node
	for range 1_250_000 { // 40 MB
		head = &node{next: head}
	}
	const size = 64 << 10
	source := endless() // what buffers are mostly for, and why they are on the heap
	use := func(b []byte) {
		_, err := source.Read(b)
		must(err)
	}
	var x instance
	l := &load{done: new(counter)}
	n := runtime.GOMAXPROCS(0)
	if after {
		p, err := pool.New(pool.WithState(func(context.Context) ([]byte, error) { return make([]byte, size), nil }, nil))
		must(err)
		task := func(ctx context.Context) error { use(stateOf[[]byte](ctx)); l.done.add(); return nil }
		x = &poolInstance{p, []pool.Task{task}, 0}
	} else {
		c := openChannel(h, n, l).(*channelInstance)
		c.fns = []func(){func() { use(make([]byte, size)); l.done.add() }}
		x = c
	}
	runtime.GC()
	before, pausesBefore := gcTime()
	cpu, begin := cpuTime(), now()
	tasks := 0
	for now()-begin < int64(h.dur(time.Second)) {
		x.submit(0, 100)
		tasks += 100
	}
	l.await(tasks)
	wall := float64(now() - begin)
	busy := (cpuTime() - cpu).Seconds()
	after1, pausesAfter := gcTime()
	x.close()
	runtime.KeepAlive(head)
	return 100 * (after1 - before) / busy, 1e3 * float64(pausesAfter-pausesBefore) / wall
}

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// endless hides from the compiler what it reads from.
//
//go:noinline
func endless() io.Reader { return zeros{} }

// gcTime returns the CPU seconds that the collector has used, without what it did in idle time, and the
// nanoseconds for which it has stopped the world.
func gcTime() (seconds float64, pauses uint64) {
	s := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
	}
	metrics.Read(s)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return s[0].Value.Float64() - s[1].Value.Float64(), m.PauseTotalNs
}

const burstEvery = 20 * time.Millisecond

// burst returns for how many milliseconds a burst of submissions blocks its submitter.
func (h *harness) burst(after bool, _ int) float64 {
	const size, bursts = 500, 5
	n := runtime.GOMAXPROCS(0)
	l := &load{done: new(counter), iters: h.iters(20 * time.Microsecond)}
	narrow := *h
	narrow.buffer = 2 * n
	var x instance
	if after {
		x = openPool(h, n, l)
	} else {
		x = openChannel(&narrow, n, l)
	}
	defer x.close()
	blocked := int64(0)
	for i := range bursts {
		begin := now()
		x.submit(0, size)
		blocked += now() - begin
		l.await((i + 1) * size)
		time.Sleep(burstEvery - time.Duration(now()-begin))
	}
	return float64(blocked) / bursts / 1e6
}

// pairs returns the nanoseconds of an Acquire with its Release.
func pairs(h *harness) float64 {
	n := h.num(1_000_000)
	sem := semaphore.NewWeighted(2)
	begin := now()
	for range n {
		must(sem.Acquire(background, 1))
		sem.Release(1)
	}
	return float64(now()-begin) / float64(n)
}

// affinity returns the time of a task that changes all that belongs to its key.
func (h *harness) affinity(after bool, _ int) float64 {
	const keys = 64
	type state struct {
		mu    sync.Mutex
		bytes [16 << 10 / 8]uint64
	}
	n := runtime.GOMAXPROCS(0)
	states := make([]state, keys)
	tasks := int(h.dur(400*time.Millisecond) / (2 * time.Microsecond))
	var done counter
	work := func(s *state) {
		for i := range s.bytes {
			s.bytes[i]++
		}
		done.add()
	}
	ring := keySequence{1, keys}
	var submit func(key uint64)
	var stop func()
	if after {
		p, err := pool.New(pool.WithStrategy(pool.PerWorker), pool.WithWorkers(n), pool.WithBuffer(h.buffer))
		must(err)
		tasks := make([]pool.Task, keys)
		for k := range tasks {
			tasks[k] = func(context.Context) error { work(&states[k]); return nil }
		}
		submit = func(key uint64) { must(p.SubmitKeyed(background, key, tasks[key])) }
		stop = func() { must(p.Close()) }
	} else {
		ch := make(chan uint64, h.buffer)
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				for k := range ch {
					s := &states[k]
					s.mu.Lock()
					work(s)
					s.mu.Unlock()
				}
			})
		}
		submit = func(key uint64) { ch <- key }
		stop = func() { close(ch); wg.Wait() }
	}
	begin := now()
	for range tasks {
		submit(ring.next())
	}
	stop()
	return float64(now()-begin) / float64(tasks)
}

// p99 sorts what it is given.
func p99(vs []int64) float64 {
	slices.Sort(vs)
	return percentile(vs, .99)
}

// stateOf returns the state of the worker that runs the task with that context.
func stateOf[S any](ctx context.Context) S {
	s, err := pool.StateOf[S](ctx)
	must(err)
	return s
}
