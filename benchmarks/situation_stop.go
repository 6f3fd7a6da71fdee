package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/headrace-go/pool"
)

// The situations about workers' life and end.

// threads returns on how many threads a worker has run tasks that sleep, the worker with the most.
func (h *harness) threads(after bool, _ int) float64 {
	const workers, tasks = 4, 400
	var mu sync.Mutex
	var most int
	visit := func(seen map[int]bool) {
		time.Sleep(100 * time.Microsecond)
		seen[threadID()] = true
		mu.Lock()
		most = max(most, len(seen))
		mu.Unlock()
	}
	if after {
		p, err := pool.New(pool.WithWorkers(workers), pool.WithLockedThread(), pool.WithState(
			func(context.Context) (map[int]bool, error) { return map[int]bool{}, nil }, nil))
		must(err)
		for range tasks {
			must(p.Submit(background, func(ctx context.Context) error { visit(stateOf[map[int]bool](ctx)); return nil }))
		}
		must(p.Close())
		return float64(most)
	}
	ch := make(chan struct{}, h.buffer)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			seen := map[int]bool{}
			for range ch {
				visit(seen)
			}
		})
	}
	for range tasks {
		ch <- struct{}{}
	}
	close(ch)
	wg.Wait()
	return float64(most)
}

// lazily returns how many goroutines a pool of 1000 workers has some time after its work.
func (h *harness) lazily(after bool, _ int) float64 {
	const workers = 1000
	others := runtime.NumGoroutine()
	x, _ := occupied(h, contender{open: pick(after, openChannel, openWith(pool.WithLazy(10*time.Millisecond)))}, workers)
	time.Sleep(50 * time.Millisecond)
	left := runtime.NumGoroutine() - others
	x.close()
	return float64(max(0, left))
}

// prepare is what a worker needs before its first task.
func (h *harness) prepare() *[64]byte {
	_ = spin(h.iters(2 * time.Millisecond))
	return new([64]byte)
}

// warmth returns the 99th percentile of the time that the first 100 requests take, one after the other.
func (h *harness) warmth(after bool, _ int) float64 {
	const requests, workers = 100, 8
	l := &load{}
	var x instance
	done := make(chan struct{}, 1)
	if after {
		p, err := pool.New(pool.WithWorkers(workers),
			pool.WithState(func(context.Context) (*[64]byte, error) { return h.prepare(), nil }, nil),
			pool.WithWarmup(func(ctx context.Context) error { stateOf[*[64]byte](ctx); return nil }, 1))
		must(err)
		task := func(ctx context.Context) error {
			stateOf[*[64]byte](ctx)[0]++
			done <- struct{}{}
			return nil
		}
		x = &poolInstance{p, []pool.Task{task}, 0}
	} else {
		prepared := sync.Pool{New: func() any { return h.prepare() }}
		c := openChannel(h, workers, l).(*channelInstance)
		c.fns = []func(){func() {
			v := prepared.Get().(*[64]byte)
			v[0]++
			prepared.Put(v)
			done <- struct{}{}
		}}
		x = c
	}
	defer x.close()
	took := make([]int64, requests)
	for i := range took {
		begin := now()
		x.submit(0, 1)
		<-done
		took[i] = now() - begin
	}
	return p99(took) / 1e3
}

// lost returns how many of 500 tasks that were queued when the pool was stopped did not run.
func (h *harness) lost(after bool, _ int) float64 {
	const tasks = 500
	n := runtime.GOMAXPROCS(0)
	l := &load{done: new(counter), iters: h.iters(10 * time.Microsecond)}
	if after {
		x := newPool(h, n, l)
		x.submit(0, tasks)
		x.close()
		return float64(tasks - l.done.sum())
	}
	ch, quit := make(chan func(), h.buffer), make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				select {
				case f := <-ch:
					f()
				case <-quit:
					return
				}
			}
		})
	}
	fns, _ := l.funcs()
	for range tasks {
		ch <- fns[0]
	}
	close(quit)
	wg.Wait()
	return float64(tasks - l.done.sum())
}

// stopping returns how many milliseconds it takes until nothing runs any more.
func (h *harness) stopping(after bool, _ int) float64 {
	const workers, tasks = 8, 200
	const nap = 10 * time.Millisecond
	if after {
		p, err := pool.New(pool.WithWorkers(workers))
		must(err)
		for range tasks {
			must(p.Submit(background, func(ctx context.Context) error {
				select {
				case <-time.After(nap):
				case <-ctx.Done():
				}
				return nil
			}))
		}
		begin := now()
		p.Abort()
		_ = p.Close() // says that tasks were cancelled
		return float64(now()-begin) / 1e6
	}
	x := openChannel(h, workers, &load{nap: nap})
	x.submit(0, tasks)
	begin := now()
	x.close()
	return float64(now()-begin) / 1e6
}
