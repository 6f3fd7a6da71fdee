package pool

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// produce calls submit b.N times from the given number of goroutines.
func produce(b *testing.B, producers int, submit func()) {
	var wg sync.WaitGroup
	for i := range producers {
		n := b.N / producers
		if i < b.N%producers {
			n++
		}
		wg.Go(func() {
			for range n {
				submit()
			}
		})
	}
	wg.Wait()
}

func BenchmarkSubmit(b *testing.B) {
	ctx := context.Background()
	for _, workers := range []int{1, runtime.GOMAXPROCS(0), 1000} {
		for _, producers := range []int{1, 2, 16, 1000} {
			name := fmt.Sprintf("workers=%d/producers=%d", workers, producers)
			b.Run("pool=task/"+name, func(b *testing.B) {
				p, _ := New(WithWorkers(workers))
				defer p.Close()
				task := Task(func(context.Context) error { return nil })
				b.ReportAllocs()
				b.ResetTimer()
				produce(b, producers, func() { _ = p.Submit(ctx, task) })
				_ = p.Wait(ctx)
			})
			b.Run("pool=channel/"+name, func(b *testing.B) {
				ch := make(chan func(), 1024)
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for f := range ch {
							f()
						}
					})
				}
				f := func() {}
				b.ReportAllocs()
				b.ResetTimer()
				produce(b, producers, func() { ch <- f })
				close(ch)
				wg.Wait()
			})
		}
	}
}

// BenchmarkNew is a pool of 100,000 workers, before its first task.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := New(WithWorkers(100_000))
		if err != nil {
			b.Fatal(err)
		}
		_ = p.Close()
	}
}

// BenchmarkStats is a snapshot of a pool with parked workers.
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
			for b.Loop() {
				p.Stats()
			}
			close(release)
		})
	}
}
