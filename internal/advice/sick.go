package main

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/headrace-go/pool"
)

// pick returns a, or b if advised.
func pick[V any](advised bool, a, b V) V {
	if advised {
		return b
	}
	return a
}

func waitOf(r pool.Report, _ pool.Stats) float64 {
	return max(r.Wait.Quantile(.9), time.Microsecond).Seconds()
}
func runOf(r pool.Report, _ pool.Stats) float64   { return r.Run.Quantile(.99).Seconds() }
func cpuOf(r pool.Report, _ pool.Stats) float64   { return r.Cores / r.Throughput }
func firstOf(_ pool.Report, s pool.Stats) float64 { return s.First.Quantile(.5).Seconds() }

// sick returns the sick services.
func sick() []service {
	const ms = time.Millisecond
	procs := runtime.GOMAXPROCS(0)
	return []service{
		{name: "tasks that wait 5 ms, a worker for each processor", want: pool.TooFewWorkers, warm: 300 * ms, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(pick(advised, procs, 4*procs)), pool.WithSampling(1))
				return load(ctx, p, 1, func(int) { _ = p.Submit(ctx, sleep(5*ms)) })
			}},
		{name: "tasks of some nanoseconds", want: pool.TinyTasks, warm: 300 * ms, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				p, tiny := open(), steps(5)
				many := make([]pool.Task, 64)
				for i := range many {
					many[i] = tiny
				}
				return load(ctx, p, 1, func(int) {
					if advised {
						_, _ = p.SubmitBatch(ctx, many)
					} else {
						_ = p.Submit(ctx, tiny)
					}
				})
			}},
		{name: "tasks that compute 1 ms, 64 workers", want: pool.TooManyCompute, warm: 500 * ms, window: 2 * time.Second, figure: runOf,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(pick(advised, 64, procs)), pool.WithSampling(1))
				return load(ctx, p, 1, func(int) { _ = p.Submit(ctx, computes(ms)) })
			}},
		{name: "keys of which some tasks are long, PerWorker", want: pool.BehindLong, warm: 500 * ms, window: 4 * time.Second,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithStrategy(pick(advised, pool.PerWorker, pool.Shared)), pool.WithWorkers(8), pool.WithBuffer(64), pool.WithSampling(1))
				return load(ctx, p, 1, func(i int) {
					d := ms
					if rand.IntN(20) == 0 {
						d = 30 * ms
					}
					_ = p.SubmitKeyed(ctx, pool.KeyOf(rand.IntN(10_000)), sleep(d))
				})
			}},
		{name: "one key in 60 of 100 tasks", want: pool.HotKey, warm: 500 * ms, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(8), pool.WithSampling(1))
				return load(ctx, p, 1, func(i int) {
					key := 1000 + i
					if i%10 < 6 {
						key = pick(advised, 0, i%16) // the key is split
					}
					_ = p.SubmitKeyed(ctx, pool.KeyOf(key), sleep(2*ms))
				})
			}},
		{name: "every fourth task weighs most of the capacity", want: pool.HeavyTask, warm: 300 * ms, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				capacity := pick(advised, int64(20), 40)
				p := open(pool.WithWorkers(16), pool.WithCapacity(capacity), pool.WithSampling(1))
				return load(ctx, p, 1, func(i int) {
					_ = p.SubmitWeighted(ctx, pick(i%4 == 3, int64(1), 18), sleep(2*ms))
				})
			}},
		{name: "bursts of 200 tasks, a buffer of 16, Reject", want: pool.BufferSmall, warm: 300 * ms, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(8), pool.WithBuffer(pick(advised, 16, 1024)), pool.WithOverflow(pool.Reject), pool.WithSampling(1))
				return paced(ctx, p, 100*ms, 200, func(int) { _ = p.Submit(ctx, sleep(ms)) })
			}},
		{name: "more work than the processors can do, a buffer of 2000", want: pool.BufferDelays, warm: 2 * time.Second, window: time.Second, figure: waitOf,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithBuffer(pick(advised, 2000, 2*procs)), pool.WithSampling(1))
				return load(ctx, p, 1, func(int) { _ = p.Submit(ctx, computes(ms)) })
			}},
		{name: "WithLazy(1ms), bursts every 5 ms", want: pool.WorkersChurn, warm: 300 * ms, window: 2 * time.Second, figure: cpuOf,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(8), pool.WithLazy(pick(advised, ms, time.Minute)), pool.WithSampling(1))
				return paced(ctx, p, 5*ms, 8, func(int) { _ = p.Submit(ctx, sleep(ms/10)) })
			}},
		{name: "a state that takes 30 ms to make", want: pool.ColdStart, window: time.Second, figure: firstOf,
			open: func(ctx context.Context, advised bool) running {
				make30 := func(context.Context) (int, error) { time.Sleep(30 * ms); return 0, nil }
				opts := []pool.Option{pool.WithWorkers(4), pool.WithState(make30, nil), pool.WithSampling(1)}
				use := func(ctx context.Context) error { _, err := pool.StateOf[int](ctx); return err }
				if advised {
					opts = append(opts, pool.WithWarmup(use, 1))
				}
				p := open(opts...)
				return paced(ctx, p, 2*ms, 4, func(int) {
					_ = p.Submit(ctx, func(ctx context.Context) error { time.Sleep(ms); return use(ctx) })
				})
			}},
		{name: "a typed batch that lingers 50 ms", want: pool.LingerHolds, warm: 300 * ms, window: time.Second, figure: waitOf,
			open: func(ctx context.Context, advised bool) running {
				p, err := pool.NewTypedBatch(func(context.Context, []int) error { time.Sleep(ms / 2); return nil },
					pool.WithWorkers(2), pool.WithBatch(1000), pool.WithLinger(pick(advised, 50*ms, 5*ms)), pool.WithSampling(1))
				if err != nil {
					panic(err)
				}
				return load(ctx, p, 1, func(i int) { time.Sleep(ms); _ = p.Submit(ctx, i) })
			}},
		{name: "one of four workers is stuck", want: pool.StuckTask, warm: 10 * time.Second, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(4), pool.WithSampling(1))
				_ = p.Submit(ctx, sleep(pick(advised, time.Hour, ms)))
				return load(ctx, p, 1, func(int) { _ = p.Submit(ctx, sleep(2*ms)) })
			}},
		{name: "every second task waits for one lock", want: pool.TasksLock, warm: 300 * ms, window: time.Second,
			open: func(ctx context.Context, advised bool) running {
				p := open(pool.WithWorkers(8), pool.WithSampling(1))
				var mu sync.Mutex
				locks := func(context.Context) error {
					mu.Lock()
					defer mu.Unlock()
					time.Sleep(2 * ms)
					return nil
				}
				return load(ctx, p, 1, func(i int) {
					switch {
					case i%8 != 0:
						_ = p.Submit(ctx, sleep(2*ms))
					case advised:
						_ = p.SubmitKeyed(ctx, 1, locks)
					default:
						_ = p.Submit(ctx, locks)
						_ = p.Submit(ctx, locks)
					}
				})
			}},
		{name: "tasks that make garbage beside a large heap", want: pool.Garbage, warm: time.Second, window: 2 * time.Second,
			open: func(ctx context.Context, advised bool) running {
				p, s := open(), pool.NewScratch(func() *[1 << 14]*int { return new([1 << 14]*int) }, func(*[1 << 14]*int) {})
				live := heap(1 << 21)
				r := load(ctx, p, 1, func(int) {
					_ = p.Submit(ctx, func(context.Context) error {
						var b *[1 << 14]*int
						if advised {
							b = s.Get()
							defer s.Put(b)
						} else {
							b = new([1 << 14]*int)
						}
						b[0] = new(int)
						compute(60 * time.Microsecond)
						return nil
					})
				})
				end := r.close
				r.close = func() { end(); runtime.KeepAlive(live) }
				return r
			}},
	}
}

type node struct {
	next *node
	_    [32]byte
}

// heap returns n nodes, which take the garbage collector a while to find.
func heap(n int) *node {
	var first *node
	for range n {
		first = &node{next: first}
	}
	return first
}
