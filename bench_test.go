package pool

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// These measure the pool alone, for comparing two versions of it with benchstat; see
// docs/benchmarking.md. One operation is one task. The tasks are empty, unless there is work=, and made
// once. What the pool gains over anything else is measured in the module benchmarks.

var (
	benchStrategies = []Strategy{Shared, WorkStealing, PerWorker, Elastic}
	empty           = Task(func(context.Context) error { return nil })
)

// produce divides b.N among the given number of goroutines, each of which calls submit once.
func produce(b *testing.B, producers int, submit func(n int)) {
	var wg sync.WaitGroup
	for i := range producers {
		n := b.N / producers
		if i < b.N%producers {
			n++
		}
		wg.Go(func() { submit(n) })
	}
	wg.Wait()
}

// benchPool measures what submit does to a pool until all tasks have completed.
func benchPool(b *testing.B, producers int, submit func(p *Pool, n int), opts ...Option) {
	p, err := New(opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.ReportAllocs()
	b.ResetTimer()
	produce(b, producers, func(n int) { submit(p, n) })
	if err := p.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func submitEmpty(p *Pool, n int) {
	ctx := context.Background()
	for range n {
		_ = p.Submit(ctx, empty)
	}
}

func BenchmarkSubmit(b *testing.B) {
	for _, s := range benchStrategies {
		for _, workers := range []int{1, runtime.GOMAXPROCS(0), 8, 1000} {
			for _, producers := range []int{1, 2, 16, 1000} {
				b.Run(fmt.Sprintf("strategy=%v/workers=%d/producers=%d", s, workers, producers), func(b *testing.B) {
					benchPool(b, producers, submitEmpty, WithStrategy(s), WithWorkers(workers))
				})
			}
		}
	}
}

// BenchmarkWork is tasks that compute, submitted by one goroutine.
func BenchmarkWork(b *testing.B) {
	begin := time.Now()
	burned.Store(burn(1_000_000))
	perNs := 1_000_000 / float64(time.Since(begin))
	for _, s := range benchStrategies {
		for _, work := range []time.Duration{100 * time.Nanosecond, time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
			n := int(float64(work) * perNs)
			b.Run(fmt.Sprintf("strategy=%v/work=%v", s, work), func(b *testing.B) {
				task := Task(func(context.Context) error { burned.Store(burn(n)); return nil })
				benchPool(b, 1, func(p *Pool, n int) {
					for range n {
						_ = p.Submit(context.Background(), task)
					}
				}, WithStrategy(s))
			})
		}
	}
}

// burned takes what burn computes, so that it is not left out.
var burned atomic.Uint64

// burn computes n times, without touching memory.
//
//go:noinline
func burn(n int) (x uint64) {
	for range n {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

func BenchmarkSubmitBatch(b *testing.B) {
	for _, size := range []int{8, 64, 256} {
		for _, producers := range []int{1, 16} {
			b.Run(fmt.Sprintf("size=%d/producers=%d", size, producers), func(b *testing.B) {
				benchPool(b, producers, func(p *Pool, n int) {
					tasks := make([]Task, size)
					for i := range tasks {
						tasks[i] = empty
					}
					for n > 0 {
						done, _ := p.SubmitBatch(context.Background(), tasks[:min(n, size)])
						n -= done
					}
				})
			})
		}
	}
}

func BenchmarkBatcher(b *testing.B) {
	for _, producers := range []int{1, 16} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			benchPool(b, producers, func(p *Pool, n int) {
				buffer := p.Batcher()
				for range n {
					_ = buffer.Add(context.Background(), empty)
				}
				_ = buffer.Close()
			})
		})
	}
}

func BenchmarkSubmitKeyed(b *testing.B) {
	for _, s := range []Strategy{Shared, WorkStealing, PerWorker} {
		for _, keys := range []uint64{16, 64, 100_000} {
			for _, producers := range []int{1, 16} {
				b.Run(fmt.Sprintf("strategy=%v/keys=%d/producers=%d", s, keys, producers), func(b *testing.B) {
					var seed atomic.Uint64
					benchPool(b, producers, func(p *Pool, n int) {
						x := seed.Add(0x9e3779b97f4a7c15)
						for range n {
							x = x*6364136223846793005 + 1442695040888963407
							_ = p.SubmitKeyed(context.Background(), x>>32%keys, empty)
						}
					}, WithStrategy(s))
				})
			}
		}
	}
}

func BenchmarkSubmitWeighted(b *testing.B) {
	for _, s := range benchStrategies {
		b.Run(fmt.Sprintf("strategy=%v", s), func(b *testing.B) {
			benchPool(b, 1, func(p *Pool, n int) {
				for range n {
					_ = p.SubmitWeighted(context.Background(), 1, empty)
				}
			}, WithStrategy(s), WithCapacity(int64(runtime.GOMAXPROCS(0))))
		})
	}
}

// pairs returns the median over rounds of what a task costs in a new pool on which with was called, to what it costs in one on which
// without was. Tasks are empty and submitted by one goroutine.
func pairs(b *testing.B, with, without func() (*Pool, error)) float64 {
	const tasks, rounds = 50_000, 25
	once := func(open func() (*Pool, error)) float64 {
		p, err := open()
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		submitEmpty(p, tasks/5)
		begin := time.Now()
		submitEmpty(p, tasks)
		if err := p.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
		return float64(time.Since(begin)) / tasks
	}
	var ratios []float64
	for range rounds {
		before := once(without)
		ratios = append(ratios, once(with)/before)
	}
	slices.Sort(ratios)
	return ratios[rounds/2]
}

// BenchmarkAfterOne is empty tasks in a pool that has run one task that needed more than the plain path: that one
// must not make all later ones dearer. It fails if they take more than 1.2 times as long as in a pool that has not.
func BenchmarkAfterOne(b *testing.B) {
	kinds := []struct {
		name string
		run  func(p *Pool) error
	}{
		{"heavy", func(p *Pool) error { return p.SubmitWeighted(context.Background(), 2, empty) }},
		{"keyed", func(p *Pool) error { return p.SubmitKeyed(context.Background(), 1, empty) }},
		{"batch", func(p *Pool) error { _, err := p.SubmitBatch(context.Background(), []Task{empty, empty}); return err }},
		{"nested", func(p *Pool) error {
			_, err := Do(context.Background(), p, func(ctx context.Context) (int, error) {
				return Do(ctx, p, func(context.Context) (int, error) { return 0, nil })
			})
			return err
		}},
		{"state", func(p *Pool) error {
			return p.Submit(context.Background(), func(ctx context.Context) error { _, err := StateOf[int](ctx); return err })
		}},
	}
	for _, strategy := range benchStrategies {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("strategy=%v/after=%s", strategy, kind.name), func(b *testing.B) {
				open := func() (*Pool, error) {
					return New(WithStrategy(strategy), WithState(func(context.Context) (int, error) { return 0, nil }, nil))
				}
				after := func() (*Pool, error) {
					p, err := open()
					if err == nil {
						err = kind.run(p)
					}
					return p, err
				}
				for b.Loop() {
					ratio := pairs(b, after, open)
					for again := 0; ratio > 1.2 && again < 2; again++ { // the machine may have been busy
						ratio = min(ratio, pairs(b, after, open))
					}
					b.ReportMetric(ratio, "ratio")
					if ratio > 1.2 {
						b.Errorf("%.2f times the time of a task without", ratio)
					}
				}
			})
		}
	}
}

// BenchmarkSampling is empty tasks with WithSampling, to such without.
func BenchmarkSampling(b *testing.B) {
	for _, strategy := range benchStrategies {
		for _, every := range []int{DefaultSampling, 1} {
			b.Run(fmt.Sprintf("strategy=%v/every=%d", strategy, every), func(b *testing.B) {
				for b.Loop() {
					b.ReportMetric(pairs(b, func() (*Pool, error) {
						return New(WithStrategy(strategy), WithSampling(every))
					}, func() (*Pool, error) {
						return New(WithStrategy(strategy), WithSampling(0))
					}), "ratio")
				}
			})
		}
	}
}

// BenchmarkRoundTrip is one task at a time, and a wait for its end, beside a goroutine for each.
func BenchmarkRoundTrip(b *testing.B) {
	var wg sync.WaitGroup
	b.Run("goroutine", func(b *testing.B) {
		for b.Loop() {
			wg.Add(1)
			go wg.Done()
			wg.Wait()
		}
	})
	done := Task(func(context.Context) error { wg.Done(); return nil })
	for _, strategy := range benchStrategies {
		b.Run(fmt.Sprintf("strategy=%v", strategy), func(b *testing.B) {
			benchPool(b, 1, func(p *Pool, n int) {
				for range n {
					wg.Add(1)
					_ = p.Submit(context.Background(), done)
					wg.Wait()
				}
			}, WithStrategy(strategy))
		})
	}
}

func BenchmarkNested(b *testing.B) {
	for _, s := range benchStrategies {
		b.Run(fmt.Sprintf("strategy=%v", s), func(b *testing.B) {
			benchPool(b, 1, func(p *Pool, n int) {
				_ = p.Submit(context.Background(), func(ctx context.Context) error {
					for range n {
						_ = p.Submit(ctx, empty)
					}
					return nil
				})
			}, WithStrategy(s))
		})
	}
}

func BenchmarkTyped(b *testing.B) {
	type record [5]uint64
	b.Run("job=int", func(b *testing.B) { benchTyped(b, 1) })
	b.Run("job=pointer", func(b *testing.B) { benchTyped(b, new(record)) })
	b.Run("job=40B", func(b *testing.B) { benchTyped(b, record{}) })
}

func benchTyped[T any](b *testing.B, job T) {
	p, err := NewTyped(func(context.Context, T) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Submit(ctx, job)
	}
	_ = p.Wait(ctx)
}

func nothing(context.Context) (int, error) { return 0, nil }

// BenchmarkFuture is functions whose results are waited for one by one.
func BenchmarkFuture(b *testing.B) {
	for _, producers := range []int{1, 16} {
		ctx := context.Background()
		b.Run(fmt.Sprintf("call=GoWait/producers=%d", producers), func(b *testing.B) {
			benchPool(b, producers, func(p *Pool, n int) {
				for range n {
					_, _ = Go(ctx, p, nothing).Wait(ctx)
				}
			})
		})
		b.Run(fmt.Sprintf("call=Do/producers=%d", producers), func(b *testing.B) {
			benchPool(b, producers, func(p *Pool, n int) {
				for range n {
					_, _ = Do(ctx, p, nothing)
				}
			})
		})
	}
}

func BenchmarkGroup(b *testing.B) {
	benchPool(b, 1, func(p *Pool, n int) {
		g := NewGroup(context.Background(), p)
		for range n {
			g.Go(empty)
		}
		_ = g.Wait()
	})
}

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func BenchmarkForEach(b *testing.B) {
	benchPool(b, 1, func(p *Pool, n int) {
		_ = ForEach(context.Background(), p, count(n), func(context.Context, int) error { return nil })
	})
}

func BenchmarkMap(b *testing.B) {
	same := func(_ context.Context, v int) (int, error) { return v, nil }
	b.Run("order=input", func(b *testing.B) {
		benchPool(b, 1, func(p *Pool, n int) {
			for range Map(context.Background(), p, count(n), same) {
			}
		})
	})
	b.Run("order=completion", func(b *testing.B) {
		benchPool(b, 1, func(p *Pool, n int) {
			for range MapUnordered(context.Background(), p, count(n), same) {
			}
		})
	})
}

// BenchmarkNew is a pool that is closed before its first task.
func BenchmarkNew(b *testing.B) {
	for _, workers := range []int{2, 100_000} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := New(WithWorkers(workers))
				if err != nil {
					b.Fatal(err)
				}
				_ = p.Close()
			}
		})
	}
}

// BenchmarkStats is a snapshot of a pool whose workers are all busy.
func BenchmarkStats(b *testing.B) {
	for _, workers := range []int{2, 1000} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			p, _ := New(WithWorkers(workers))
			defer p.Close()
			var started sync.WaitGroup
			release := make(chan struct{})
			for range workers {
				started.Add(1)
				_ = p.Submit(context.Background(), func(context.Context) error {
					started.Done()
					<-release
					return nil
				})
			}
			started.Wait()
			b.ReportAllocs()
			for b.Loop() {
				p.Stats()
			}
			close(release)
		})
	}
}

// BenchmarkObserve is what a report looks at, and what of it is the process.
func BenchmarkObserve(b *testing.B) {
	p, _ := New()
	defer p.Close()
	b.Run("Observe", func(b *testing.B) {
		for b.Loop() {
			p.Observe()
		}
	})
	b.Run("ReadProcess", func(b *testing.B) {
		for b.Loop() {
			ReadProcess()
		}
	})
}

// BenchmarkRunningTasks is the ten tasks that have run for longest, of as many as there are workers, all of them busy.
func BenchmarkRunningTasks(b *testing.B) {
	for _, workers := range []int{10, 1000} {
		for _, stacks := range []bool{false, true} {
			b.Run(fmt.Sprintf("workers=%d/stacks=%v", workers, stacks), func(b *testing.B) {
				p, _ := New(WithWorkers(workers))
				defer p.Close()
				release := make(chan struct{})
				var started sync.WaitGroup
				started.Add(workers)
				for range workers {
					_ = p.Submit(context.Background(), func(context.Context) error { started.Done(); <-release; return nil })
				}
				started.Wait()
				for b.Loop() {
					p.RunningTasks(10, stacks)
				}
				close(release)
			})
		}
	}
}

// How much longer tasks of one tenant, and of 64, take with WithTenants than without: the median of 15 pairs.
func BenchmarkTenantsAtWork(b *testing.B) {
	begin := time.Now()
	burned.Store(burn(1_000_000))
	perNs := 1_000_000 / float64(time.Since(begin))
	for _, work := range []time.Duration{time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
		for _, tenants := range []uint64{1, 64} {
			b.Run(fmt.Sprintf("work=%v/tenants=%d", work, tenants), func(b *testing.B) {
				n := int(float64(work) * perNs)
				task := Task(func(context.Context) error { burned.Store(burn(n)); return nil })
				took := func(submit func(p *Pool, i uint64) error, opts ...Option) time.Duration {
					p, err := New(opts...)
					must(b, err)
					begin := time.Now()
					for i := range uint64(20 * time.Millisecond / work) {
						must(b, submit(p, i))
					}
					must(b, p.Close())
					return time.Since(begin)
				}
				for range b.N {
					var ratios []float64
					for range 15 {
						plain := took(func(p *Pool, _ uint64) error { return p.Submit(context.Background(), task) })
						fair := took(func(p *Pool, i uint64) error {
							return p.SubmitAs(context.Background(), Attrs{Tenant: i % tenants}, task)
						}, WithTenants(nil))
						ratios = append(ratios, float64(fair)/float64(plain))
					}
					slices.Sort(ratios)
					b.ReportMetric(ratios[len(ratios)/2], "of-plain")
				}
			})
		}
	}
}

// What tenants cost, with empty tasks. The tenants of a producer come in turn.
func BenchmarkSubmitAs(b *testing.B) {
	for _, c := range []struct {
		name    string
		tenants uint64
		opts    []Option
	}{
		{"plain", 1, nil},
		{"tenants=1", 1, []Option{WithTenants(nil)}},
		{"tenants=64", 64, []Option{WithTenants(nil)}},
		{"tenants=100000", 100_000, []Option{WithTenants(nil)}},
		{"limit=1/tenants=64", 64, []Option{WithTenantLimit(func(uint64) int { return 1 })}},
		{"classes=2", 1, []Option{WithClasses(Class{"a", .5}, Class{"b", .5})}},
		{"deadline", 1, []Option{WithQueueTimeout(time.Minute)}},
		{"rate", 1, []Option{WithRate(1e9, 1e6)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for _, producers := range []int{1, 16} {
				b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
					benchPool(b, producers, func(p *Pool, n int) {
						for i := range uint64(n) {
							a := Attrs{Tenant: i % c.tenants}
							_ = p.SubmitAs(context.Background(), a, empty)
						}
					}, c.opts...)
				})
			}
		})
	}
}
