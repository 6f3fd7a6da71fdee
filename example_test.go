package pool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
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

func ExamplePool_Shutdown() {
	p, _ := pool.New(pool.WithWorkers(1))
	started := make(chan bool)
	_ = p.Submit(context.Background(), func(ctx context.Context) error {
		close(started)
		<-ctx.Done() // a long task that obeys its context
		return context.Cause(ctx)
	})
	_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := p.Shutdown(ctx)
	var d *pool.DeadlineError
	if errors.As(err, &d) {
		fmt.Println(d.Unstarted, "never started,", d.Running, "still running")
	}
	<-p.Done()
	fmt.Println(len(p.Leftover()), "handed back")
	// Output:
	// 1 never started, 1 still running
	// 1 handed back
}

func ExampleWithErrorMode() {
	p, _ := pool.New(pool.WithWorkers(1), pool.WithErrorMode(pool.FailFast))
	bad := errors.New("server is down")
	_ = p.Submit(context.Background(), func(context.Context) error { return bad })
	<-p.Done()
	err := p.Submit(context.Background(), func(context.Context) error { return nil })
	fmt.Println(err)
	fmt.Println(errors.Is(err, pool.ErrClosed), errors.Is(err, bad))
	fmt.Println(p.Close())
	// Output:
	// pool: closed: server is down
	// true true
	// server is down
}

func ExampleWithPanicHandler() {
	p, _ := pool.New(pool.WithPanicHandler(func(e *pool.PanicError) {
		fmt.Println("recovered:", e.Value)
	}))
	_ = p.Submit(context.Background(), func(context.Context) error { panic("boom") })
	err := p.Close()
	var e *pool.PanicError
	fmt.Println(errors.As(err, &e))
	// Output:
	// recovered: boom
	// true
}

func ExampleLittlesLaw() {
	// 200 requests a second, each takes 45 ms: on average 9 are in flight.
	p, _ := pool.New(pool.WithSizing(pool.LittlesLaw(200, 45*time.Millisecond)))
	fmt.Println(p.Stats().Workers)
	_ = p.Close()
	// Output: 9
}

func ExampleWithDropHandler() {
	started, release := make(chan bool), make(chan bool)
	p, _ := pool.NewTyped(func(_ context.Context, reading int) error {
		if reading == 0 {
			close(started)
			<-release
		}
		fmt.Println("stored", reading)
		return nil
	}, pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.DropOldest),
		pool.WithDropHandler(func(reading int) { fmt.Println("dropped", reading) }))
	ctx := context.Background()
	_ = p.Submit(ctx, 0)
	<-started
	_ = p.Submit(ctx, 1)
	_ = p.Submit(ctx, 2)
	close(release)
	_ = p.Close()
	// Output:
	// dropped 1
	// stored 0
	// stored 2
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

func ExampleWithState() {
	p, _ := pool.New(pool.WithWorkers(1), pool.WithState(
		func(context.Context) (*bytes.Buffer, error) { return new(bytes.Buffer), nil },
		func(b *bytes.Buffer) { fmt.Println("closed with", b) }))
	for _, word := range []string{"one ", "buffer ", "for each worker"} {
		_ = p.Submit(context.Background(), func(ctx context.Context) error {
			b, err := pool.StateOf[*bytes.Buffer](ctx)
			if err != nil {
				return err
			}
			b.WriteString(word)
			return nil
		})
	}
	_ = p.Close()
	// Output: closed with one buffer for each worker
}

func ExampleWithStrategy() {
	// A goroutine exists only while a task runs, and at most 100 at a time.
	p, _ := pool.New(pool.WithStrategy(pool.Elastic), pool.WithCapacity(100))
	_ = p.Submit(context.Background(), func(context.Context) error { fmt.Println("ran"); return nil })
	_ = p.Close()
	fmt.Println(p.Stats().Goroutines)
	// Output:
	// ran
	// 0
}

func ExampleWithStrategy_workStealing() {
	// Tasks that submit tasks. The context tells the pool whose child a task is.
	p, _ := pool.New(pool.WithStrategy(pool.WorkStealing))
	var leaves atomic.Int64
	var done sync.WaitGroup
	var tree func(depth int) pool.Task
	tree = func(depth int) pool.Task {
		return func(ctx context.Context) error {
			defer done.Done()
			if depth == 0 {
				leaves.Add(1)
				return nil
			}
			done.Add(2)
			return errors.Join(p.Submit(ctx, tree(depth-1)), p.Submit(ctx, tree(depth-1)))
		}
	}
	done.Add(1)
	_ = p.Submit(context.Background(), tree(10))
	done.Wait()
	fmt.Println(leaves.Load(), p.Close())
	// Output: 1024 <nil>
}

func ExampleScratch() {
	s := pool.NewScratch(nil, (*bytes.Buffer).Reset)
	b := s.Get()
	b.WriteString("used")
	s.Put(b)
	fmt.Println(s.Get().Len())
	// Output: 0
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

func ExampleNewGroup() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	g := pool.NewGroup(context.Background(), p)
	var total atomic.Int64
	for i := range 10 {
		g.Go(func(ctx context.Context) error {
			total.Add(int64(i))
			return ctx.Err() // the group's: it is done after the first error
		})
	}
	fmt.Println(g.Wait(), total.Load())
	// Output: <nil> 45
}

func ExampleGroup_SetErrorMode() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	g := pool.NewGroup(context.Background(), p)
	g.SetErrorMode(pool.KeepGoing)
	for i := range 4 {
		g.Go(func(context.Context) error {
			if i%2 == 1 {
				return fmt.Errorf("part %d failed", i)
			}
			return nil
		})
	}
	fmt.Println(g.Wait())
	// Output:
	// part 1 failed
	// part 3 failed
}

func ExampleGo() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	ctx := context.Background()
	a := pool.Go(ctx, p, func(context.Context) (int, error) { return 20, nil })
	b := pool.Go(ctx, p, func(context.Context) (int, error) { return 22, nil })
	x, err := a.Wait(ctx)
	if err != nil {
		panic(err)
	}
	y, err := b.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(x + y)
	// Output: 42
}

func ExampleDo() {
	p, err := pool.New(pool.WithWorkers(1))
	if err != nil {
		panic(err)
	}
	defer p.Close()
	var fib func(ctx context.Context, n int) (int, error)
	fib = func(ctx context.Context, n int) (int, error) {
		if n < 2 {
			return n, nil
		}
		half := pool.Go(ctx, p, func(ctx context.Context) (int, error) { return fib(ctx, n-2) })
		a, err := fib(ctx, n-1)
		if err != nil {
			return 0, err
		}
		b, err := half.Wait(ctx) // runs it here, if nobody has begun it
		return a + b, err
	}
	fmt.Println(pool.Do(context.Background(), p, func(ctx context.Context) (int, error) { return fib(ctx, 10) }))
	// Output: 55 <nil>
}

func ExampleForEach() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	var n atomic.Int64
	err = pool.ForEach(context.Background(), p, slices.Values([]string{"a", "bc", "def"}), func(_ context.Context, s string) error {
		n.Add(int64(len(s)))
		return nil
	})
	fmt.Println(n.Load(), err)
	// Output: 6 <nil>
}

func ExampleMap() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	squares := pool.Map(context.Background(), p, slices.Values([]int{1, 2, 3}), func(_ context.Context, v int) (int, error) {
		return v * v, nil
	})
	for v, err := range squares {
		fmt.Println(v, err)
	}
	// Output:
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
}

func ExampleMapUnordered() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	found := pool.MapUnordered(context.Background(), p, slices.Values([]int{3, 12, 7}), func(_ context.Context, v int) (int, error) {
		return v, nil
	})
	for v, err := range found {
		if err == nil && v > 10 {
			fmt.Println(v)
			break // cancels the others, and waits for them
		}
	}
	// Output: 12
}
