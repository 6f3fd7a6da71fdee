package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/headrace-go/pool"
)

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

// Close runs what was accepted. After it nothing is accepted, and a second Close does nothing.
func ExamplePool_Close() {
	p, err := pool.New(pool.WithWorkers(1))
	if err != nil {
		panic(err)
	}
	for i := range 3 {
		_ = p.Submit(context.Background(), func(context.Context) error {
			fmt.Println("task", i)
			return fmt.Errorf("task %d failed", i)
		})
	}
	fmt.Println(p.Close())
	fmt.Println(p.Close())
	fmt.Println(errors.Is(p.TrySubmit(func(context.Context) error { return nil }), pool.ErrClosed))
	// Output:
	// task 0
	// task 1
	// task 2
	// task 0 failed (and 2 more task errors)
	// <nil>
	// true
}

// Abort starts nothing more, and hands back what has not started.
func ExamplePool_Abort() {
	p, err := pool.New(pool.WithWorkers(1))
	if err != nil {
		panic(err)
	}
	started := make(chan bool)
	_ = p.Submit(context.Background(), func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		fmt.Println("cancelled:", context.Cause(ctx))
		return nil
	})
	_ = p.Submit(context.Background(), func(context.Context) error {
		fmt.Println("a task that never started")
		return nil
	})
	<-started
	p.Abort()
	<-p.Done()
	for _, task := range p.Leftover() {
		_ = task(context.Background())
	}
	// Output:
	// cancelled: pool: aborted
	// a task that never started
}

func ExampleWithShutdown() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithShutdown(pool.Abort))
	if err != nil {
		panic(err)
	}
	started := make(chan bool)
	_ = p.Submit(context.Background(), func(ctx context.Context) error { close(started); <-ctx.Done(); return nil })
	_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	<-started
	fmt.Println(p.Close(), p.Stats().Unrun)
	// Output: <nil> 1
}

func ExampleDrainFor() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithShutdown(pool.DrainFor(time.Millisecond)))
	if err != nil {
		panic(err)
	}
	started := make(chan bool)
	_ = p.Submit(context.Background(), func(ctx context.Context) error { close(started); <-ctx.Done(); return nil })
	_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	<-started
	fmt.Println(p.Close())
	// Output: pool: not drained in time: 1 tasks never started, 1 still running: context deadline exceeded
}

func ExampleWithErrorHandler() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithErrorHandler(func(err error) { fmt.Println("log:", err) }))
	if err != nil {
		panic(err)
	}
	for i := range 2 {
		_ = p.Submit(context.Background(), func(context.Context) error { return fmt.Errorf("task %d failed", i) })
	}
	_ = p.Close()
	// Output:
	// log: task 0 failed
	// log: task 1 failed
}

func ExampleWithErrorLimit() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithErrorLimit(2))
	if err != nil {
		panic(err)
	}
	for i := range 4 {
		_ = p.Submit(context.Background(), func(context.Context) error { return fmt.Errorf("task %d failed", i) })
	}
	fmt.Println(p.Close())
	// Output:
	// task 0 failed
	// task 1 failed (and 2 more task errors)
}

// errors.Is sees through a panic with an error.
func ExamplePanicError() {
	p, err := pool.New(pool.WithPanicHandler(func(*pool.PanicError) {}))
	if err != nil {
		panic(err)
	}
	_ = p.Submit(context.Background(), func(context.Context) error { panic(io.ErrUnexpectedEOF) })
	err = p.Close()
	var e *pool.PanicError
	fmt.Println(errors.As(err, &e), e.Value, len(e.Stack) > 0)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	// Output:
	// true unexpected EOF true
	// true
}
