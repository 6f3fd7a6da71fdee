package pool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

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

func ExampleLittlesLaw() {
	// 200 requests a second, each takes 45 ms: on average 9 are in flight.
	p, _ := pool.New(pool.WithSizing(pool.LittlesLaw(200, 45*time.Millisecond)))
	fmt.Println(p.Stats().Workers)
	_ = p.Close()
	// Output: 9
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

// Contradictory and bad options are errors that name them.
func ExampleNew() {
	_, err := pool.New(pool.WithWorkers(4), pool.WithSizing(pool.CPU()))
	fmt.Println(err)
	_, err = pool.New(pool.WithBuffer(-1))
	fmt.Println(err)
	// Output:
	// pool: WithWorkers(4): contradicts WithSizing(CPU())
	// pool: WithBuffer(-1): must be at least 0
}

func ExampleWithSizing() {
	workers := func(s pool.Sizing) int {
		p, err := pool.New(pool.WithSizing(s))
		if err != nil {
			panic(err)
		}
		defer p.Close()
		return p.Stats().Workers
	}
	fmt.Println(workers(pool.Fixed(3)), workers(pool.IO(50)))
	n := runtime.GOMAXPROCS(0)
	fmt.Println(workers(pool.CPU()) == n, workers(pool.Mixed()) == 2*n)
	// Output:
	// 3 50
	// true true
}

func ExampleMatchCPUQuota() {
	before := runtime.GOMAXPROCS(0)
	undo, err := pool.MatchCPUQuota(nil) // or log.Printf
	if err != nil {
		fmt.Println(err) // GOMAXPROCS is as it was
	}
	undo()
	fmt.Println(runtime.GOMAXPROCS(0) == before)
	// Output: true
}

// Two keys of a pool with a queue for each worker: the tasks of a key see one worker's state.
func ExampleWithStrategy_perWorker() {
	p, err := pool.New(pool.WithStrategy(pool.PerWorker), pool.WithWorkers(4), pool.WithState(
		func(context.Context) (map[string]int, error) { return make(map[string]int), nil },
		func(seen map[string]int) {
			for _, user := range slices.Sorted(maps.Keys(seen)) {
				fmt.Println(user, seen[user])
			}
		}))
	if err != nil {
		panic(err)
	}
	for range 100 {
		for _, user := range []string{"ann", "bob"} {
			_ = p.SubmitKeyed(context.Background(), pool.KeyOf(user), func(ctx context.Context) error {
				seen, err := pool.StateOf[map[string]int](ctx)
				if err != nil {
					return err
				}
				seen[user]++ // nobody else uses this worker's map
				return nil
			})
		}
	}
	_ = p.Close()
	// Unordered output:
	// ann 100
	// bob 100
}

// A worker that has nothing to do ends, and its state is closed.
func ExampleWithLazy() {
	closed := make(chan string)
	p, err := pool.New(pool.WithWorkers(1), pool.WithLazy(time.Millisecond), pool.WithState(
		func(context.Context) (string, error) { return "connection", nil },
		func(s string) { closed <- s }))
	if err != nil {
		panic(err)
	}
	_ = p.Submit(context.Background(), func(ctx context.Context) error {
		_, err := pool.StateOf[string](ctx)
		return err
	})
	fmt.Println(<-closed, "closed, and the pool is open")
	_ = p.Close()
	// Output: connection closed, and the pool is open
}

// Of two idle workers one stays.
func ExampleWithFloor() {
	var ended atomic.Int64
	first := make(chan bool, 2)
	p, err := pool.New(pool.WithWorkers(2), pool.WithLazy(time.Millisecond), pool.WithFloor(1), pool.WithState(
		func(context.Context) (int, error) { return 0, nil },
		func(int) { ended.Add(1); first <- true }))
	if err != nil {
		panic(err)
	}
	var both sync.WaitGroup
	both.Add(2)
	for range 2 {
		_ = p.Submit(context.Background(), func(ctx context.Context) error {
			both.Done()
			both.Wait() // so both workers run
			_, err := pool.StateOf[int](ctx)
			return err
		})
	}
	<-first
	fmt.Println(ended.Load(), "has ended")
	_ = p.Close()
	fmt.Println(ended.Load(), "have ended after Close")
	// Output:
	// 1 has ended
	// 2 have ended after Close
}

func ExampleWithWarmup() {
	var connections atomic.Int64
	p, err := pool.New(pool.WithWorkers(3),
		pool.WithState(func(context.Context) (int64, error) { return connections.Add(1), nil }, nil),
		pool.WithWarmup(func(ctx context.Context) error {
			_, err := pool.StateOf[int64](ctx)
			return err
		}, 1))
	if err != nil {
		panic(err)
	}
	fmt.Println(connections.Load(), "connections before the first task")
	_ = p.Close()
	// Output: 3 connections before the first task
}

// What belongs to a thread is opened, used and closed on it.
func ExampleWithLockedThread() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithLockedThread(), pool.WithState(
		func(context.Context) (string, error) { fmt.Println("open"); return "device", nil },
		func(string) { fmt.Println("close") }))
	if err != nil {
		panic(err)
	}
	for range 2 {
		_ = p.Submit(context.Background(), func(ctx context.Context) error {
			device, err := pool.StateOf[string](ctx)
			fmt.Println("use", device)
			return err
		})
	}
	_ = p.Close()
	// Output:
	// open
	// use device
	// use device
	// close
}

// With no room to wait, the pool accepts a task only while a worker is free.
func ExampleWithBuffer() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithBuffer(0))
	if err != nil {
		panic(err)
	}
	release := make(chan bool)
	hold := func(context.Context) error { <-release; return nil }
	fmt.Println(p.TrySubmit(hold))
	fmt.Println(p.TrySubmit(hold))
	close(release)
	_ = p.Close()
	// Output:
	// <nil>
	// pool: queue is full
}

// fill makes a pool of one worker and a buffer of 1 full, until the returned function is called.
func fill(p *pool.Pool) (release func()) {
	started, end := make(chan bool), make(chan bool)
	_ = p.Submit(context.Background(), func(context.Context) error { close(started); <-end; return nil })
	<-started
	_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	return func() { close(end) }
}

func ExampleWithOverflow_reject() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.Reject))
	if err != nil {
		panic(err)
	}
	release := fill(p)
	err = p.Submit(context.Background(), func(context.Context) error { return nil })
	fmt.Println(errors.Is(err, pool.ErrFull), p.Stats().Rejected)
	release()
	_ = p.Close()
	// Output: true 1
}

func ExampleWithOverflow_callerRuns() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.CallerRuns))
	if err != nil {
		panic(err)
	}
	release := fill(p)
	err = p.Submit(context.Background(), func(context.Context) error {
		fmt.Println("the caller runs this")
		return nil
	})
	fmt.Println("Submit returns", err)
	release()
	_ = p.Close()
	// Output:
	// the caller runs this
	// Submit returns <nil>
}

// Under Block, the default, the context bounds the wait for room.
func ExampleWithOverflow_block() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.Block))
	if err != nil {
		panic(err)
	}
	release := fill(p)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(p.Submit(ctx, func(context.Context) error { return nil }))
	release()
	_ = p.Close()
	// Output: context deadline exceeded
}

// The tasks see the values of the context, and its end aborts the pool.
func ExampleWithContext() {
	type name struct{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), name{}, "indexer"))
	p, err := pool.New(pool.WithContext(ctx))
	if err != nil {
		panic(err)
	}
	_ = p.Submit(context.Background(), func(ctx context.Context) error {
		fmt.Println("task of", ctx.Value(name{}))
		return nil
	})
	_ = p.Wait(context.Background())
	cancel()
	<-p.Done()
	fmt.Println(p.Submit(context.Background(), func(context.Context) error { return nil }))
	// Output:
	// task of indexer
	// pool: closed: context canceled
}

// The name is in the statistics, and a label of profiles.
func ExampleWithName() {
	p, err := pool.New(pool.WithName("thumbnails"))
	if err != nil {
		panic(err)
	}
	_ = p.Submit(context.Background(), func(ctx context.Context) error {
		label, _ := pprof.Label(ctx, "pool")
		fmt.Println("label", label)
		return nil
	})
	_ = p.Close()
	fmt.Println(p.Stats().Name)
	// Output:
	// label thumbnails
	// thumbnails
}

// Each task is measured, and the statistics say how long tasks wait and run.
func ExampleWithSampling() {
	p, err := pool.New(pool.WithWorkers(1), pool.WithSampling(1))
	if err != nil {
		panic(err)
	}
	for range 3 {
		_ = p.Submit(context.Background(), func(context.Context) error {
			time.Sleep(10 * time.Millisecond)
			return nil
		})
	}
	_ = p.Close()
	s := p.Stats()
	fmt.Println(s.Run.Count, "tasks, all longer than 9 ms:", s.Run.Quantile(0) > 9*time.Millisecond)
	fmt.Println("workers were busy for the time of three:", s.Busy >= 30*time.Millisecond)
	// Output:
	// 3 tasks, all longer than 9 ms: true
	// workers were busy for the time of three: true
}
