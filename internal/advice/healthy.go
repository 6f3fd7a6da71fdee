package main

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/headrace-go/pool"
)

// healthy returns the services in which there is nothing to change.
func healthy() []service {
	const ms = time.Millisecond
	procs := runtime.GOMAXPROCS(0)
	every := pool.WithSampling(1)
	on := func(name string, open func(ctx context.Context) running) service {
		return service{name: name, warm: 300 * ms, window: time.Second, open: func(ctx context.Context, _ bool) running { return open(ctx) }}
	}
	steady := func(name string, period time.Duration, n int, task pool.Task, opts ...pool.Option) service {
		return on(name, func(ctx context.Context) running {
			p := open(opts...)
			return paced(ctx, p, period, n, func(int) { _ = p.Submit(ctx, task) })
		})
	}
	return []service{
		on("nothing to do", func(ctx context.Context) running {
			p := open(every)
			return running{p, func() { _ = p.Close() }}
		}),
		steady("a task now and then", 100*ms, 1, sleep(ms)),
		steady("computes, a third of the time", 3*ms, procs, computes(ms), every),
		steady("waits, half of the time", 10*ms, 8, sleep(5*ms), pool.WithWorkers(8), every),
		steady("waits, small bursts", 20*ms, 12, sleep(4*ms), pool.WithWorkers(16), every),
		steady("Elastic", 5*ms, 4, sleep(2*ms), pool.WithWorkers(16), pool.WithStrategy(pool.Elastic), every),
		steady("lazy, long rests", 50*ms, 4, sleep(ms), pool.WithWorkers(8), pool.WithLazy(time.Second), every),
		steady("a floor", 50*ms, 4, sleep(ms), pool.WithWorkers(8), pool.WithLazy(time.Second), pool.WithFloor(2), every),
		steady("Reject, and there is room", 10*ms, 20, sleep(ms), pool.WithWorkers(8), pool.WithOverflow(pool.Reject), every),
		steady("a thread for each worker", 10*ms, 4, sleep(ms), pool.WithWorkers(8), pool.WithLockedThread(), every),
		steady("WorkStealing", 5*ms, 4, computes(ms/2), pool.WithStrategy(pool.WorkStealing), every),
		steady("a large buffer, seldom used", 50*ms, 100, computes(100*time.Microsecond), pool.WithBuffer(1<<20), every),
		on("computes all the time", func(ctx context.Context) running {
			p := open(pool.WithBuffer(2*procs), every)
			return load(ctx, p, 1, func(int) { _ = p.Submit(ctx, computes(ms)) })
		}),
		on("computes in small steps, all the time", func(ctx context.Context) running {
			p := open()
			return load(ctx, p, 1, func(int) { _ = p.Submit(ctx, computes(20*time.Microsecond)) })
		}),
		on("many keys", func(ctx context.Context) running {
			p := open(pool.WithWorkers(8), every)
			return paced(ctx, p, 4*ms, 6, func(i int) { _ = p.SubmitKeyed(ctx, pool.KeyOf(i%1000), sleep(2*ms)) })
		}),
		on("many keys, PerWorker", func(ctx context.Context) running {
			p := open(pool.WithWorkers(8), pool.WithStrategy(pool.PerWorker), every)
			return paced(ctx, p, 10*ms, 4, func(int) { _ = p.SubmitKeyed(ctx, pool.KeyOf(rand.IntN(1000)), sleep(2*ms)) })
		}),
		on("weights that fit", func(ctx context.Context) running {
			p := open(pool.WithWorkers(8), pool.WithCapacity(100), every)
			return paced(ctx, p, 10*ms, 8, func(i int) { _ = p.SubmitWeighted(ctx, int64(1+i%10), sleep(2*ms)) })
		}),
		on("typed batches", func(ctx context.Context) running {
			p, err := pool.NewTypedBatch(func(context.Context, []int) error { time.Sleep(ms); return nil }, pool.WithWorkers(4), every)
			if err != nil {
				panic(err)
			}
			return load(ctx, p, 1, func(i int) { time.Sleep(ms); _ = p.Submit(ctx, i) })
		}),
		on("ForEach over chunks", func(ctx context.Context) running {
			p := open()
			return load(ctx, p, 1, func(int) {
				_ = pool.ForEach(ctx, p, slices.Values(make([]int, 100)), func(context.Context, int) error { compute(100 * time.Microsecond); return nil })
			})
		}),
		on("one request at a time", func(ctx context.Context) running {
			p := open(every)
			return load(ctx, p, 1, func(int) {
				_, _ = pool.Do(ctx, p, func(context.Context) (int, error) { time.Sleep(ms); return 0, nil })
			})
		}),
	}
}
