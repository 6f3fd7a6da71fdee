package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

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
		b, err := half.Wait(ctx) // runs it here, if it has not started
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

func ExampleGroup_SetLimit() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	g := pool.NewGroup(context.Background(), p)
	g.SetLimit(1)
	release := make(chan bool)
	hold := func(context.Context) error { <-release; return nil }
	fmt.Println(g.TryGo(hold))
	fmt.Println(g.TryGo(hold)) // Go would wait
	close(release)
	fmt.Println(g.Wait())
	// Output:
	// true
	// false
	// <nil>
}

// The group's context ends at the first error, with that as its cause.
func ExampleGroup_Context() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	g := pool.NewGroup(context.Background(), p)
	g.Go(func(context.Context) error { return errors.New("no such host") })
	<-g.Context().Done()
	fmt.Println(context.Cause(g.Context()))
	g.Go(func(context.Context) error { fmt.Println("does not run"); return nil })
	fmt.Println(g.Wait())
	// Output:
	// no such host
	// no such host
}

func ExampleGroup_SetErrorLimit() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	g := pool.NewGroup(context.Background(), p)
	g.SetErrorMode(pool.KeepGoing)
	g.SetErrorLimit(2)
	for i := range 5 {
		g.Go(func(context.Context) error { return fmt.Errorf("part %d failed", i) })
	}
	fmt.Println(g.Wait())
	// Output:
	// part 0 failed
	// part 1 failed
	// pool: and 3 more errors
}

// A crawler: tasks that find more tasks, even with one worker.
func ExampleGroup_Go() {
	p, err := pool.New(pool.WithWorkers(1))
	if err != nil {
		panic(err)
	}
	defer p.Close()
	pages := map[string][]string{"/": {"/a", "/b"}, "/a": {"/c"}}
	g := pool.NewGroup(context.Background(), p)
	var seen atomic.Int64
	var visit func(page string)
	visit = func(page string) {
		g.Go(func(context.Context) error {
			seen.Add(1)
			for _, next := range pages[page] {
				visit(next)
			}
			return nil
		})
	}
	visit("/")
	fmt.Println(g.Wait(), seen.Load())
	// Output: <nil> 4
}

// A caller that gives up waiting changes nothing for the function, nor for other callers.
func ExampleFuture_Wait() {
	p, err := pool.New()
	if err != nil {
		panic(err)
	}
	defer p.Close()
	ctx := context.Background()
	release := make(chan bool)
	u := pool.Go(ctx, p, func(context.Context) (string, error) { <-release; return "the answer", nil })
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = u.Wait(short)
	fmt.Println(err)
	close(release)
	for range 2 {
		fmt.Println(u.Wait(ctx))
	}
	// Output:
	// context deadline exceeded
	// the answer <nil>
	// the answer <nil>
}

// With one worker and no buffered results at most one value is in flight, and the next one waits
// for room.
func ExampleWithResultBuffer() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithResultBuffer(0))
	if err != nil {
		panic(err)
	}
	defer p.Close()
	numbers := func(yield func(int) bool) {
		for i := 1; ; i++ { // without an end
			fmt.Println("take", i)
			if !yield(i) {
				return
			}
		}
	}
	for v, err := range pool.Map(context.Background(), p, numbers, func(_ context.Context, v int) (int, error) { return v * v, nil }) {
		fmt.Println("use", v, err)
		if v == 4 {
			break
		}
	}
	// Output:
	// take 1
	// take 2
	// use 1 <nil>
	// take 3
	// use 4 <nil>
}
