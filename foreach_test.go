package pool

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i != n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

func TestForEach(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		for _, buffer := range []int{0, 1, 1024} {
			p := mustNew(t, WithWorkers(n), WithBuffer(buffer))
			for _, size := range []int{0, 1, 3, 100, rounds(50000)} {
				var sum, count atomic.Int64
				must(t, ForEach(bg, p, upTo(size), func(_ context.Context, v int) error {
					sum.Add(int64(v))
					count.Add(1)
					return nil
				}))
				if sum.Load() != int64(size)*int64(size-1)/2 || count.Load() != int64(size) {
					t.Errorf("%d values: %d calls, sum %d", size, count.Load(), sum.Load())
				}
			}
			must(t, p.Close())
		}
	}
}

// Results come in the order of the values, with their errors in place (A9).
func TestMapOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4), WithPanicHandler(func(*PanicError) {}))
		i := 0
		for v, err := range Map(bg, p, upTo(100), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Duration(100-v) * time.Millisecond)
			switch v % 10 {
			case 3:
				return v, errTest
			case 5:
				panic(errTest)
			case 7:
				runtime.Goexit()
			}
			return v * 2, nil
		}) {
			switch i % 10 {
			case 3, 5:
				wantIs(t, err, errTest)
			case 7:
				wantIs(t, err, ErrGoexit)
			default:
				if err != nil || v != 2*i {
					t.Errorf("result %d: %d, %v", i, v, err)
				}
			}
			i++
		}
		if i != 100 {
			t.Errorf("%d results", i)
		}
		must(t, p.Close())
	})
}

func TestMapManyTiny(t *testing.T) {
	p := mustNew(t, WithWorkers(2))
	n := rounds(100000)
	i := 0
	for v, err := range Map(bg, p, upTo(n), func(_ context.Context, v int) (int, error) { return v, nil }) {
		if must(t, err); v != i {
			t.Fatalf("result %d is %d", i, v)
		}
		i++
	}
	seen := make([]bool, n)
	for v, err := range MapUnordered(bg, p, upTo(n), func(_ context.Context, v int) (int, error) { return v, nil }) {
		if must(t, err); seen[v] {
			t.Fatalf("%d twice", v)
		}
		seen[v] = true
	}
	if i != n || slices.Contains(seen, false) {
		t.Error("results are missing")
	}
	must(t, p.Close())
}

// A loop takes no more from the sequence than its window, whatever is slow (A10).
func TestLoopWindow(t *testing.T) {
	for _, results := range []int{-1, 0, 1, 7} {
		synctest.Test(t, func(t *testing.T) {
			opts := []Option{WithWorkers(3)}
			window := 6
			if results >= 0 {
				opts = append(opts, WithResultBuffer(results))
				window = 3 + results
			}
			p := mustNew(t, opts...)
			var taken, ended atomic.Int64
			count := func(yield func(int) bool) {
				for i := 0; ; i++ { // for ever
					taken.Add(1)
					if !yield(i) {
						return
					}
				}
			}
			slow := errors.New("enough")
			err := ForEach(bg, p, count, func(_ context.Context, v int) error {
				if n := taken.Load() - ended.Load(); n > int64(window)+1 {
					t.Errorf("ForEach: %d values are on their way, the window is %d", n, window)
				}
				time.Sleep(time.Second)
				if v == 100 {
					return slow
				}
				ended.Add(1)
				return nil
			})
			wantIs(t, err, slow)
			for name, f := range map[string]func(context.Context, *Pool, iter.Seq[int], func(context.Context, int) (int, error)) iter.Seq2[int, error]{
				"Map": Map[int, int], "MapUnordered": MapUnordered[int, int],
			} {
				taken.Store(0)
				var running gauge
				yielded := int64(0)
				for _, err := range f(bg, p, count, func(_ context.Context, v int) (int, error) {
					running.enter()
					time.Sleep(time.Second)
					running.leave()
					return v, nil
				}) {
					must(t, err)
					yielded++
					if n := taken.Load() - yielded; n > int64(window) {
						t.Errorf("%s: %d values are on their way, the window is %d", name, n, window)
					}
					if yielded > 50 {
						time.Sleep(10 * time.Second) // a slow consumer
					}
					if yielded == 100 {
						break
					}
				}
				// Under PerWorker a runner may wait behind another one.
				if most := running.max.Load(); running.now.Load() != 0 || most > 3 || most < 3 && strategy != PerWorker {
					t.Errorf("%s: %d run after the break, %d did at a time", name, running.now.Load(), running.max.Load())
				}
			}
			must(t, p.Close())
		})
	}
}

// Breaking out cancels what is at work and waits for it (A11).
func TestMapBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		var cancelled atomic.Int64
		begun := make(gate)
		for v, err := range Map(bg, p, upTo(-1), func(ctx context.Context, v int) (int, error) {
			switch {
			case v == 2 && strategy != PerWorker: // there 3 may wait behind it
				<-begun
				return v, nil
			case v < 3:
				return v, nil
			case v == 3:
				close(begun)
			}
			<-ctx.Done()
			time.Sleep(time.Second)
			cancelled.Add(1)
			return 0, ctx.Err()
		}) {
			if must(t, err); v == 2 {
				synctest.Wait()
				break
			}
		}
		if cancelled.Load() == 0 && strategy != PerWorker {
			t.Error("nothing was cancelled, or not waited for")
		}
		must(t, p.Close())
	})
}

// What the sequence waits for happens while it waits.
func TestLoopSequenceBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		work := make(chan int, 100000)
		work <- 0
		left := int64(1)
		seq := func(yield func(int) bool) {
			for v := range work {
				if !yield(v) {
					return
				}
			}
		}
		must(t, ForEach(bg, p, seq, func(_ context.Context, v int) error {
			for c := 2*v + 1; c <= 2*v+2 && c < 50000; c++ {
				atomic.AddInt64(&left, 1)
				work <- c
			}
			if atomic.AddInt64(&left, -1) == 0 {
				close(work)
			}
			return nil
		}))
		must(t, p.Close())
	})
}

func TestLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		ctx, cancel := context.WithTimeoutCause(bg, 10*time.Second, errTest)
		defer cancel()
		var running gauge
		f := func(ctx context.Context, _ int) error {
			running.enter()
			defer running.leave()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				time.Sleep(time.Minute)
			}
			return nil
		}
		err := ForEach(ctx, p, upTo(-1), f)
		wantIs(t, err, context.DeadlineExceeded)
		wantIs(t, err, errTest)
		if running.now.Load() != 0 {
			t.Error("something still runs")
		}
		wantIs(t, ForEach(ctx, p, upTo(3), f), context.DeadlineExceeded)
		time.AfterFunc(5*time.Second, p.Abort)
		wantIs(t, ForEach(bg, p, upTo(-1), f), ErrAborted)
		if running.now.Load() != 0 {
			t.Error("something still runs")
		}
		if err := ForEach(bg, p, upTo(3), f); !errors.Is(err, ErrAborted) && !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		n := 0
		for _, err = range Map(bg, p, upTo(-1), func(context.Context, int) (int, error) { return 0, nil }) {
			n++
		}
		if n != 1 || !errors.Is(err, ErrAborted) && !errors.Is(err, ErrClosed) {
			t.Errorf("%d results, the last with %v", n, err)
		}
		<-p.Done()
	})
}

// Loops inside tasks, at any depth, with one worker and with a queue that is full.
func TestLoopNested(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		for _, buffer := range []int{0, 1, 1024} {
			p := mustNew(t, WithWorkers(n), WithBuffer(buffer))
			var leaves atomic.Int64
			var tree func(ctx context.Context, depth int) error
			tree = func(ctx context.Context, depth int) error {
				if depth == 0 {
					leaves.Add(1)
					return nil
				}
				if depth%2 == 0 {
					return ForEach(ctx, p, upTo(5), func(ctx context.Context, _ int) error { return tree(ctx, depth-1) })
				}
				for _, err := range Map(ctx, p, upTo(5), func(ctx context.Context, _ int) (int, error) { return 0, tree(ctx, depth-1) }) {
					if err != nil {
						return err
					}
				}
				return nil
			}
			must(t, tree(bg, 4))
			if leaves.Load() != 625 {
				t.Errorf("%d leaves", leaves.Load())
			}
			// With another context than the task's.
			must(t, p.Submit(bg, func(context.Context) error {
				return ForEach(bg, p, upTo(10), func(context.Context, int) error { return nil })
			}))
			must(t, p.Wait(bg))
			must(t, p.Close())
		}
	}
}

// An endless loop leaves others their turn.
func TestLoopIsFair(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	started := make(chan struct{})
	go func() {
		n := 0
		done <- ForEach(ctx, p, upTo(-1), func(context.Context, int) error {
			if n++; n == 1000 {
				close(started)
			}
			return nil
		})
	}()
	<-started
	_, err := Do(bg, p, func(context.Context) (int, error) { return 1, nil })
	must(t, err)
	cancel()
	wantIs(t, <-done, context.Canceled)
	must(t, p.Close())
}

func TestForEachPanics(t *testing.T) {
	p := mustNew(t, WithWorkers(2), WithPanicHandler(func(*PanicError) {}))
	for _, inside := range []bool{false, true} {
		loop := func(ctx context.Context) (int, error) {
			return 0, ForEach(ctx, p, upTo(1000), func(_ context.Context, v int) error {
				if v == 700 {
					panic(errTest)
				}
				return nil
			})
		}
		var err error
		if inside {
			_, err = Do(bg, p, loop)
		} else {
			_, err = loop(bg)
		}
		wantIs(t, err, errTest)
	}
	must(t, p.Close())
}

// A pool that ends when all results have come, or all calls have returned, adds no error to them.
func TestPoolEndsWithTheLoop(t *testing.T) {
	for name, loop := range map[string]func(context.Context, *Pool, iter.Seq[int], func(context.Context, int) (int, error)) iter.Seq2[int, error]{
		"Map": Map[int, int], "MapUnordered": MapUnordered[int, int],
	} {
		for what, end := range map[string]func(*Pool){"Close": func(p *Pool) { _ = p.Close() }, "Abort": func(p *Pool) { p.Abort() }} {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(2))
				n := 0
				for v, err := range loop(bg, p, upTo(10), one1) {
					if must(t, err); v != 1 {
						t.Errorf("%s, %s: %d", name, what, v)
					}
					if n++; n == 10 {
						end(p)
					}
				}
				if n != 10 {
					t.Errorf("%s, %s: %d results", name, what, n)
				}
				must(t, p.Close())
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		values := func(yield func(int) bool) { // which closes the pool when the calls have returned
			if yield(1) {
				must(t, p.Close())
			}
		}
		must(t, ForEach(bg, p, values, func(context.Context, int) error { return nil }))
	})
}

func TestLoopBadInput(t *testing.T) {
	p := mustNew(t)
	f := func(context.Context, int) error { return nil }
	wantIs(t, ForEach(noContext, p, upTo(1), f), errNilContext)
	wantIs(t, ForEach[int](bg, p, nil, f), errNilSequence)
	wantIs(t, lastOf(Map(bg, p, nil, one1)), errNilSequence)
	wantIs(t, ForEach(bg, p, upTo(1), nil), ErrNilTask)
	for _, err := range Map[int, int](bg, p, upTo(1), nil) {
		wantIs(t, err, ErrNilTask)
	}
	must(t, p.Close())
	wantIs(t, ForEach(bg, p, upTo(1), f), ErrClosed)
	_, err := New(WithResultBuffer(-1))
	if err == nil {
		t.Error("WithResultBuffer(-1) is accepted")
	}
}

// A loop on a pool of any size has a ring of a bounded one.
func TestLoopOnLargePool(t *testing.T) {
	only(t, Shared, WorkStealing, Elastic) // PerWorker looks through the seats of so many workers
	p := mustNew(t, WithWorkers(maxWorkers))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for v, err := range Map(bg, p, upTo(2000), func(_ context.Context, v int) (int, error) { return v, nil }) {
		if must(t, err); v != n {
			t.Fatalf("result %d is %d", n, v)
		}
		n++
	}
	runtime.ReadMemStats(&after)
	if n != 2000 || after.TotalAlloc-before.TotalAlloc > 64<<20 {
		t.Errorf("%d results, %d MB allocated", n, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	must(t, p.Close())
}

// A loop goes on in a task that runs on its submitter's goroutine, though there is no room in the queue
// until another task has ended, and that may wait for this one.
func TestLoopOnTheCallerBesideAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns), WithPanicHandler(func(*PanicError) {}))
		long := make(gate)
		must(t, p.SubmitKeyed(bg, 1, long.task))
		synctest.Wait()
		must(t, p.SubmitKeyed(bg, 1, sleep(0))) // it has to wait
		if strategy == PerWorker {              // where jobs with keys wait apart
			must(t, p.Submit(bg, sleep(0)))
			must(t, p.Submit(bg, sleep(0)))
		}
		oks, fails, begun := 0, 0, time.Now()
		must(t, p.Submit(bg, func(ctx context.Context) error {
			for _, err := range Map(ctx, p, upTo(100), func(_ context.Context, i int) (int, error) {
				if i%10 == 0 {
					panic(i)
				}
				return i, nil
			}) {
				if err == nil {
					oks++
				} else {
					fails++
				}
			}
			return nil
		}))
		if oks != 90 || fails != 10 {
			t.Errorf("%d results, %d errors", oks, fails)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("the watch had to find out where the loop is: it took %v", took)
		}
		close(long)
		must(t, p.Wait(bg))
		_ = p.Close()
	})
}

// A runner that was interrupted, with values in hand, waits for room that there is not until the
// loop's own task has ended, since what waits has the same key.
func TestLoopTakesOverARunnerThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1))
		begin := make(gate)
		must(t, p.SubmitKeyed(bg, 1, func(ctx context.Context) error {
			<-begin
			l := newLoop(ctx, p, sinkNone, func(context.Context, int) (struct{}, error) { return struct{}{}, nil })
			r := l.runner()
			r.in, r.i, r.size = []int{0, 1, 2}, 1, 3
			l.runners.Add(1)
			r.again()
			l.await(3)
			l.end()
			if n := l.finished.Load(); n != 3 || l.runners.Load() != 0 {
				t.Errorf("%d values finished, %d runners left", n, l.runners.Load())
			}
			return nil
		}))
		synctest.Wait()
		must(t, p.SubmitKeyed(bg, 1, sleep(0)))
		if strategy == PerWorker { // where jobs with keys wait apart
			must(t, p.Submit(bg, sleep(0)))
			must(t, p.Submit(bg, sleep(0)))
		}
		close(begin)
		synctest.Wait() // Close would refuse the runner
		must(t, p.Close())
		if n := p.Stats().Rejected; n != 0 {
			t.Errorf("%d rejected", n)
		}
	})
}
