package pool_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

func ExampleNewTyped() {
	lengths := make(chan int, 3)
	p, err := pool.NewTyped(func(_ context.Context, word string) error {
		lengths <- len(word)
		return nil
	}, pool.WithWorkers(1))
	if err != nil {
		panic(err)
	}
	_, _ = p.SubmitBatch(context.Background(), []string{"a", "bb", "ccc"})
	_ = p.Close()
	fmt.Println(<-lengths, <-lengths, <-lengths)
	// Output: 1 2 3
}

// A handler that gets many jobs at a time: as many as wait when a worker is free, or, with
// WithLinger, as many as come within that time.
func ExampleNewTypedBatch() {
	p, err := pool.NewTypedBatch(func(_ context.Context, rows []string) error {
		fmt.Println("insert", len(rows), "rows:", rows)
		return nil // rows belongs to the pool again
	}, pool.WithWorkers(1), pool.WithBatch(3), pool.WithLinger(time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range []string{"a", "b", "c", "d"} {
		if err := p.Submit(context.Background(), row); err != nil {
			fmt.Println(err)
		}
	}
	if err := p.Close(); err != nil { // what waits for others to come is handled now
		fmt.Println(err)
	}
	// Output:
	// insert 3 rows: [a b c]
	// insert 1 rows: [d]
}

func ExampleScratch() {
	s := pool.NewScratch(nil, (*bytes.Buffer).Reset)
	b := s.Get()
	b.WriteString("used")
	s.Put(b)
	fmt.Println(s.Get().Len())
	// Output: 0
}

func ExampleTyped_SubmitKeyed() {
	type deposit struct {
		user   string
		amount int
	}
	balance := map[string]*int{"ann": new(int), "bob": new(int)}
	p, err := pool.NewTyped(func(_ context.Context, d deposit) error {
		*balance[d.user] += d.amount // no lock: a user's deposits come one at a time
		return nil
	}, pool.WithWorkers(4))
	if err != nil {
		panic(err)
	}
	for i := range 10 {
		for user := range balance {
			_ = p.SubmitKeyed(context.Background(), pool.KeyOf(user), deposit{user, i})
		}
	}
	_ = p.Close()
	fmt.Println(*balance["ann"], *balance["bob"])
	// Output: 45 45
}

func ExampleTyped_SubmitWeighted() {
	p, err := pool.NewTyped(func(_ context.Context, megabytes int64) error {
		fmt.Println("with", megabytes, "MB")
		return nil
	}, pool.WithWorkers(1), pool.WithCapacity(100))
	if err != nil {
		panic(err)
	}
	for _, megabytes := range []int64{80, 10} {
		_ = p.SubmitWeighted(context.Background(), megabytes, megabytes)
	}
	_ = p.Wait(context.Background())
	fmt.Println(p.SubmitWeighted(context.Background(), 200, 200))
	_ = p.Close()
	// Output:
	// with 80 MB
	// with 10 MB
	// pool: task is heavier than the capacity: weight 200, WithCapacity(100)
}

// Jobs that never started are handed back: the program can store them.
func ExampleTyped_Leftover() {
	started := make(chan bool, 1)
	p, err := pool.NewTyped(func(ctx context.Context, _ string) error {
		started <- true
		<-ctx.Done()
		return nil
	}, pool.WithWorkers(1))
	if err != nil {
		panic(err)
	}
	for _, job := range []string{"a", "b", "c"} {
		fmt.Println(job, p.TrySubmit(job))
	}
	<-started
	p.Abort()
	<-p.Done()
	fmt.Println(p.Leftover())
	// Output:
	// a <nil>
	// b <nil>
	// c <nil>
	// [b c]
}

func ExampleTyped_Batcher() {
	var sum atomic.Int64
	p, err := pool.NewTyped(func(_ context.Context, n int64) error { sum.Add(n); return nil }, pool.WithBatch(16))
	if err != nil {
		panic(err)
	}
	b := p.Batcher()
	for n := range int64(100) {
		_ = b.Add(context.Background(), n)
	}
	fmt.Println(b.Flush(context.Background()), b.Close(), p.Close(), sum.Load())
	// Output: <nil> <nil> <nil> 4950
}
