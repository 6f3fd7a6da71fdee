package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

// open makes a pool.
func open(opts ...pool.Option) *pool.Pool {
	p, err := pool.New(opts...)
	if err != nil {
		panic(err)
	}
	return p
}

// load runs submit again and again in n goroutines, until ctx is done, and returns the service.
func load(ctx context.Context, p interface {
	watched
	Abort()
	Close() error
}, producers int, submit func(i int)) running {
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				submit(i)
			}
		})
	}
	return running{p, func() {
		p.Abort()
		wg.Wait()
		_ = p.Close()
	}}
}

// paced is load with n submissions every period.
func paced(ctx context.Context, p *pool.Pool, period time.Duration, n int, submit func(i int)) running {
	next := time.Now()
	return load(ctx, p, 1, func(i int) {
		next = next.Add(period)
		time.Sleep(time.Until(next))
		for j := range n {
			submit(i*n + j)
		}
	})
}

func sleep(d time.Duration) pool.Task {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return nil
	}
}

// burned takes what compute computes.
var burned atomic.Uint64

// perStep is how long a step of compute takes on a processor of its own.
var perStep = sync.OnceValue(func() float64 {
	const n = 10_000_000
	begun := time.Now()
	spin(n)
	return float64(time.Since(begun)) / n
})

func spin(n int) {
	x := uint64(1)
	for range n {
		x = x*6364136223846793005 + 1
	}
	burned.Store(x)
}

// compute computes for d of processor time.
func compute(d time.Duration) { spin(int(float64(d) / perStep())) }

func computes(d time.Duration) pool.Task {
	return func(context.Context) error { compute(d); return nil }
}

// steps computes so many steps of about a nanosecond, without a look at the clock.
func steps(n int) pool.Task {
	return func(context.Context) error {
		x := uint64(n)
		for range n {
			x = x*6364136223846793005 + 1
		}
		if x == 0 {
			burned.Store(x)
		}
		return nil
	}
}
