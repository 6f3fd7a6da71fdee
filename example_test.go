package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

func Example() {
	ctx := context.Background()
	p, err := pool.New(pool.WithWorkers(4))
	if err != nil {
		panic(err)
	}
	squares := make([]int, 5)
	for i := range squares {
		err := p.Submit(ctx, func(context.Context) error {
			squares[i] = i * i
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	if err := p.Close(); err != nil { // waits for all tasks
		panic(err)
	}
	fmt.Println(squares)
	// Output: [0 1 4 9 16]
}

func ExamplePool_TrySubmit() {
	p, _ := pool.New(pool.WithWorkers(1), pool.WithBuffer(1))
	started, release := make(chan bool), make(chan bool)
	hold := func(context.Context) error { close(started); <-release; return nil }
	fmt.Println(p.TrySubmit(hold))
	<-started
	rest := func(context.Context) error { return nil }
	fmt.Println(p.TrySubmit(rest)) // waits in the queue
	fmt.Println(p.TrySubmit(rest)) // no room
	close(release)
	_ = p.Close()
	// Output:
	// <nil>
	// <nil>
	// pool: queue is full
}

func ExamplePool_SubmitKeyed() {
	p, _ := pool.New(pool.WithWorkers(4))
	balance := map[string]int{"ann": 0, "bob": 0}
	var mu sync.Mutex
	for i := range 10 {
		for _, user := range []string{"ann", "bob"} {
			// The updates of a user never overlap, and happen in order.
			_ = p.SubmitKeyed(context.Background(), pool.KeyOf(user), func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				balance[user] = 2*balance[user] + i
				return nil
			})
		}
	}
	_ = p.Close()
	fmt.Println(balance)
	// Output: map[ann:1013 bob:1013]
}

func ExamplePool_SubmitWeighted() {
	// At most 100 MB at a time, in at most 8 tasks.
	p, _ := pool.New(pool.WithWorkers(8), pool.WithCapacity(100))
	err := p.SubmitWeighted(context.Background(), 60, func(context.Context) error {
		fmt.Println("60 MB")
		return nil
	})
	_ = p.Wait(context.Background())
	fmt.Println(err)
	err = p.SubmitWeighted(context.Background(), 101, func(context.Context) error { return nil })
	fmt.Println(errors.Is(err, pool.ErrTooHeavy))
	_ = p.Close()
	// Output:
	// 60 MB
	// <nil>
	// true
}

// A producer of many small tasks submits them many at a time.
func ExamplePool_Batcher() {
	p, err := pool.New(pool.WithWorkers(2), pool.WithBatch(100), pool.WithLinger(time.Millisecond))
	if err != nil {
		panic(err)
	}
	var sum atomic.Int64
	b := p.Batcher()
	for i := range int64(1000) {
		if err := b.Add(context.Background(), func(context.Context) error { sum.Add(i); return nil }); err != nil {
			panic(err)
		}
	}
	if err := b.Close(); err != nil { // flushes
		panic(err)
	}
	if err := p.Close(); err != nil {
		panic(err)
	}
	fmt.Println(sum.Load())
	// Output: 499500
}

func ExamplePool_Stats() {
	p, _ := pool.New(pool.WithWorkers(2), pool.WithBuffer(8))
	_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	_ = p.Submit(context.Background(), func(context.Context) error { return errors.New("bad") })
	_ = p.Close()
	s := p.Stats()
	fmt.Println(s.Accepted, "accepted,", s.Completed, "completed,", s.Failed, "failed")
	// Output: 2 accepted, 1 completed, 1 failed
}

func ExamplePool_SubmitBatch() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	var sum atomic.Int64
	tasks := make([]pool.Task, 100)
	for i := range tasks {
		tasks[i] = func(context.Context) error { sum.Add(int64(i)); return nil }
	}
	n, err := p.SubmitBatch(context.Background(), tasks)
	fmt.Println(n, "accepted:", err)
	fmt.Println(p.Close(), sum.Load())
	// Output:
	// 100 accepted: <nil>
	// <nil> 4950
}

// Wait waits for what was submitted before, and the pool stays open.
func ExamplePool_Wait() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	ctx := context.Background()
	for round := range 2 {
		var n atomic.Int64
		for range 10 {
			_ = p.Submit(ctx, func(context.Context) error { n.Add(1); return nil })
		}
		fmt.Println("round", round, p.Wait(ctx), n.Load())
	}
	// Output:
	// round 0 <nil> 10
	// round 1 <nil> 10
}

func ExamplePool_Resize() {
	p, err := pool.New(pool.WithWorkers(2))
	if err != nil {
		panic(err)
	}
	defer p.Close()
	fmt.Println(p.Resize(8), p.Stats().Workers)
	fmt.Println(p.Resize(0) != nil, p.Stats().Workers)
	// Output:
	// <nil> 8
	// true 8
}

// A key of two values.
func ExampleKeyOf() {
	type account struct {
		bank   string
		number int
	}
	a, b := account{"north", 1}, account{"north", 2}
	fmt.Println(pool.KeyOf(a) == pool.KeyOf(account{"north", 1}), pool.KeyOf(a) == pool.KeyOf(b))
	// Output: true false
}

// What a Batcher holds goes to the queue when it is full, when a worker is free, and on Flush.
func ExampleBatcher_Flush() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithBatch(3))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	started, release := make(chan bool), make(chan bool)
	_ = p.Submit(ctx, func(context.Context) error { close(started); <-release; return nil })
	<-started // the worker is busy
	b := p.Batcher()
	show := func() {
		s := p.Stats()
		fmt.Println(s.Queued, "queued,", s.Batch.Full, "flushes of a full batch,", s.Batch.Asked, "by Flush")
	}
	for range 4 {
		_ = b.Add(ctx, func(context.Context) error { return nil })
	}
	show()
	_ = b.Flush(ctx)
	show()
	close(release)
	fmt.Println(b.Close(), p.Close())
	// Output:
	// 3 queued, 1 flushes of a full batch, 0 by Flush
	// 4 queued, 1 flushes of a full batch, 1 by Flush
	// <nil> <nil>
}
