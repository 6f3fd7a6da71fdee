package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errTest = errors.New("test")

func TestGroup(t *testing.T) {
	p := mustNew(t, WithWorkers(2))
	defer p.Close()
	g := NewGroup(bg, p)
	for round := range 3 {
		var n atomic.Int64
		for range 5000 {
			g.Go(func(context.Context) error { n.Add(1); return nil })
		}
		must(t, g.Wait())
		if n.Load() != 5000 {
			t.Fatalf("round %d: %d ran", round, n.Load())
		}
	}
	if s := p.Stats(); s.Failed != 0 {
		t.Fatalf("%+v", s)
	}
}

// The first error is the group's, cancels its context, and nothing starts after it (E9, E14).
func TestGroupFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithErrorHandler(func(err error) { t.Errorf("handler got %v", err) }))
		g, other := NewGroup(bg, p), NewGroup(bg, p)
		var ran, others atomic.Int64
		g.Go(func(context.Context) error { time.Sleep(time.Second); return errTest })
		var cause error
		g.Go(func(ctx context.Context) error { <-ctx.Done(); cause = context.Cause(ctx); return ctx.Err() })
		for range 1000 {
			g.Go(func(context.Context) error { ran.Add(1); return nil })
		}
		for range 3 {
			other.Go(func(ctx context.Context) error { time.Sleep(time.Second); others.Add(1); return ctx.Err() })
		}
		if err := g.Wait(); err != errTest || cause != errTest || ran.Load() != 0 {
			t.Errorf("got %v, cause %v, %d ran", err, cause, ran.Load())
		}
		g.Go(func(context.Context) error { ran.Add(1); return nil })
		wantIs(t, g.Wait(), errTest)
		must(t, other.Wait())
		must(t, p.Close()) // the errors are the group's
		if ran.Load() != 0 || others.Load() != 3 {
			t.Errorf("%d ran after the failure, %d of another group", ran.Load(), others.Load())
		}
	})
}

// A task that fails after the first one, with an error of its own, does not replace its error.
func TestGroupKeepsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3))
		g := NewGroup(bg, p)
		for i, err := range []error{errTest, errBad, errors.New("third")} {
			g.Go(func(context.Context) error {
				time.Sleep(time.Duration(i+1) * time.Second) // whatever happens to its context
				return err
			})
		}
		if err := g.Wait(); err != errTest {
			t.Errorf("got error %v, want the first one", err)
		}
		must(t, p.Close())
	})
}

// A failure ends the wait of Go for room (E11).
func TestGroupFailureUnblocksGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1))
		g := NewGroup(bg, p)
		g.Go(func(context.Context) error { time.Sleep(time.Second); return errTest })
		ran := false
		for range 10 {
			g.Go(func(context.Context) error { ran = true; return nil })
		}
		wantIs(t, g.Wait(), errTest)
		must(t, p.Close())
		if ran {
			t.Error("ran after the failure")
		}
	})
}

// What others return because of the end of the context does not hide the error (E10).
func TestGroupErrorIsTheRealOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(8))
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		g := NewGroup(ctx, p)
		for range 3 {
			g.Go(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		}
		g.Go(func(context.Context) error { time.Sleep(time.Second); synctest.Wait(); return errTest })
		wantIs(t, g.Wait(), errTest)
		must(t, p.Close())
	})
}

// A parent that is done is no success, whatever the tasks return.
func TestGroupParentDone(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	defer p.Close()
	ctx, cancel := context.WithCancelCause(bg)
	g := NewGroup(ctx, p)
	ran := false
	g.Go(func(context.Context) error { cancel(errTest); return nil })
	err := g.Wait()
	wantIs(t, err, context.Canceled)
	wantIs(t, err, errTest)
	g = NewGroup(ctx, p)
	g.Go(func(context.Context) error { ran = true; return nil })
	wantIs(t, g.Wait(), context.Canceled)
	if ran {
		t.Error("ran with a context that was done")
	}
}

func TestGroupPanicAndGoexit(t *testing.T) {
	var panics atomic.Int64
	p := mustNew(t, WithWorkers(2), WithPanicHandler(func(*PanicError) { panics.Add(1) }))
	g := NewGroup(bg, p)
	g.Go(func(context.Context) error { panic(errTest) })
	err := g.Wait()
	wantIs(t, err, errTest)
	var pe *PanicError
	if !errors.As(err, &pe) || pe.Value != error(errTest) || !strings.Contains(string(pe.Stack), "TestGroupPanicAndGoexit") {
		t.Errorf("got %v", err)
	}
	g = NewGroup(bg, p)
	g.Go(func(context.Context) error { runtime.Goexit(); return nil })
	wantIs(t, g.Wait(), ErrGoexit)
	must(t, p.Wait(bg))
	s := p.Stats()
	if panics.Load() != 1 || s.Panicked != 1 || s.Goexited != 1 {
		t.Errorf("%d panics, %+v", panics.Load(), s)
	}
	must(t, p.Close())
}

// All errors, in the order of submission, with a bound (E12).
func TestGroupKeepsGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4), WithPanicHandler(func(*PanicError) {}))
		g := NewGroup(bg, p)
		g.SetErrorMode(KeepGoing)
		g.SetErrorLimit(5)
		for i := range 20 {
			g.Go(func(context.Context) error {
				time.Sleep(time.Duration(20-i) * time.Second)
				switch {
				case i%2 == 1:
					return nil
				case i == 4:
					panic(errTest)
				}
				return fmt.Errorf("error %d", i)
			})
		}
		err := g.Wait()
		wantIs(t, err, errTest)
		var lines []string
		for l := range strings.Lines(err.Error()) {
			if strings.HasPrefix(l, "error") || strings.HasPrefix(l, "pool:") {
				lines = append(lines, strings.TrimSpace(l))
			}
		}
		if want := []string{"error 0", "error 2", "pool: task panicked: test", "error 6", "error 8", "pool: and 5 more errors"}; !slices.Equal(lines, want) {
			t.Errorf("got %q", lines)
		}
		must(t, p.Close())
	})
}

// A tree of groups completes at any depth, with one worker too, whatever the queue holds (C6).
func TestGroupNested(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		for _, buffer := range []int{0, 1, 64} {
			t.Run(fmt.Sprintf("workers=%d/buffer=%d", n, buffer), func(t *testing.T) {
				p := mustNew(t, WithWorkers(n), WithBuffer(buffer))
				var tree func(ctx context.Context, depth int) (int, error)
				tree = func(ctx context.Context, depth int) (int, error) {
					if depth == 0 {
						return 1, nil
					}
					g := NewGroup(ctx, p)
					var sums [3]int
					for i := range sums {
						g.Go(func(ctx context.Context) (err error) {
							sums[i], err = tree(ctx, depth-1)
							return err
						})
					}
					err := g.Wait()
					return sums[0] + sums[1] + sums[2], err
				}
				sum, err := tree(bg, 6)
				if must(t, err); sum != 729 {
					t.Errorf("got %d", sum)
				}
				must(t, p.Close())
			})
		}
	}
}

// A task of a group submits to it, also at its limit, and when the queue is full.
func TestGroupGoInsideItsTask(t *testing.T) {
	for _, limit := range []int{-1, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2), WithBuffer(1))
			g := NewGroup(bg, p)
			g.SetLimit(limit)
			var running gauge
			var n atomic.Int64
			var discover func(depth int) Task
			discover = func(depth int) Task {
				return func(context.Context) error {
					running.enter()
					n.Add(1)
					running.leave()
					for range 3 * min(depth, 1) {
						g.Go(discover(depth - 1))
					}
					return nil
				}
			}
			g.Go(discover(5))
			must(t, g.Wait())
			if n.Load() != 364 || limit > 0 && running.max.Load() > int64(limit) {
				t.Errorf("limit %d: %d ran, %d at a time", limit, n.Load(), running.max.Load())
			}
			must(t, p.Close())
		})
	}
}

// Wait in a task whose group was made outside, by tasks that fill the pool.
func TestGroupWaitInsideWithoutItsContext(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	must(t, p.Submit(bg, func(context.Context) error {
		g := NewGroup(bg, p)
		for range 3 {
			g.Go(func(context.Context) error { return nil })
		}
		return g.Wait()
	}))
	must(t, p.Wait(bg))
	must(t, p.Close())
}

func TestGroupLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(8))
		g := NewGroup(bg, p)
		g.SetLimit(2)
		var running gauge
		task := func(context.Context) error { running.enter(); time.Sleep(time.Second); running.leave(); return nil }
		start := time.Now()
		for range 6 {
			g.Go(task)
		}
		if g.TryGo(task) || time.Since(start) != 2*time.Second {
			t.Errorf("TryGo succeeded, or Go did not wait: %v", time.Since(start))
		}
		must(t, g.Wait())
		if running.max.Load() != 2 {
			t.Errorf("%d at a time", running.max.Load())
		}
		g.SetLimit(0)
		if g.TryGo(task) {
			t.Error("TryGo succeeded with limit 0")
		}
		g.SetLimit(-1)
		if !g.TryGo(task) {
			t.Error("TryGo failed without a limit")
		}
		must(t, g.Wait())
		must(t, p.Close())
	})
}

// When the pool stops, what was not begun never runs, and what runs is waited for.
func TestGroupAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		g := NewGroup(bg, p)
		ran := 0
		var cause error
		g.Go(func(ctx context.Context) error {
			ran++
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Second)
			return nil
		})
		for range 10 {
			g.Go(func(context.Context) error { ran++; return nil })
		}
		synctest.Wait()
		p.Abort()
		start := time.Now()
		wantIs(t, g.Wait(), ErrAborted)
		if ran != 1 || cause != ErrAborted || time.Since(start) != time.Second {
			t.Errorf("%d ran, cause %v, after %v", ran, cause, time.Since(start))
		}
		<-p.Done()
		for _, task := range p.Leftover() {
			must(t, task(bg)) // does nothing any more
		}
		g.Go(func(context.Context) error { ran++; return nil })
		wantIs(t, g.Wait(), ErrAborted)
		wantIs(t, NewGroup(bg, p).Wait(), nil)
		late := NewGroup(bg, p)
		late.Go(func(context.Context) error { ran++; return nil })
		if err := late.Wait(); !errors.Is(err, ErrAborted) && !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		if ran != 1 {
			t.Errorf("%d ran", ran)
		}
	})
}

func TestGroupBadInput(t *testing.T) {
	p := mustNew(t)
	g := NewGroup(bg, p)
	g.Go(nil)
	wantIs(t, g.Wait(), ErrNilTask)
	g = NewGroup(noContext, p)
	g.Go(func(context.Context) error { t.Error("ran"); return nil })
	wantIs(t, g.Wait(), errNilContext)
	must(t, p.Close())
	g = NewGroup(bg, p)
	g.Go(func(context.Context) error { t.Error("ran"); return nil })
	wantIs(t, g.Wait(), ErrClosed)
}

// Groups, with failures at random, beside each other and a stop of the pool: each call has one
// outcome, and every Wait returns.
func TestStressGroups(t *testing.T) {
	for round := range rounds(300) {
		p := mustNew(t, WithWorkers(1+round%4), WithBuffer([]int{0, 1, 16, 1024}[round/4%4]))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				g := NewGroup(bg, p)
				var begun, ended atomic.Int64
				for j := range 50 {
					g.Go(func(ctx context.Context) error {
						begun.Add(1)
						defer ended.Add(1)
						in := NewGroup(ctx, p)
						for range j % 3 {
							in.Go(func(context.Context) error { return nil })
						}
						err := in.Wait()
						if i == 3 && j == 25 {
							return errTest
						}
						return err
					})
				}
				err := g.Wait()
				if begun.Load() != ended.Load() {
					t.Errorf("%d begun, %d ended", begun.Load(), ended.Load())
				}
				if err == nil && (i == 3 || begun.Load() != 50) {
					t.Errorf("no error, %d of 50 ran", begun.Load())
				}
			})
		}
		if round%5 == 4 {
			runtime.Gosched()
			p.Abort()
		}
		wg.Wait()
		if err := p.Close(); err != nil && !errors.Is(err, ErrAborted) {
			t.Error(err)
		}
	}
}

// Of 10,000 jobs the 50th fails: at most as many start after it as there are workers, those that
// end at the same moment (E9).
func TestWastedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 4
		p := mustNew(t, WithWorkers(workers))
		var failed atomic.Bool
		var late atomic.Int64
		job := func(i int) error {
			if failed.Load() {
				late.Add(1)
			}
			time.Sleep(time.Second)
			if i == 50 {
				failed.Store(true)
				return errTest
			}
			return nil
		}
		g := NewGroup(bg, p)
		for i := range 10000 {
			g.Go(func(context.Context) error { return job(i) })
		}
		wantIs(t, g.Wait(), errTest)
		if late.Load() > workers {
			t.Errorf("%d jobs of the group started after the failure", late.Load())
		}
		failed.Store(false)
		late.Store(0)
		wantIs(t, ForEach(bg, p, upTo(10000), func(_ context.Context, i int) error { return job(i) }), errTest)
		if late.Load() > workers {
			t.Errorf("%d jobs of the loop started after the failure", late.Load())
		}
		must(t, p.Close())
	})
}

// Under CallerRuns a task of a group may run on the goroutine that calls Go. At the group's
// limit a Go inside of it must not wait for itself.
func TestGroupAtItsLimitUnderCallerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(0), WithOverflow(CallerRuns))
		defer p.Close()
		hold := make(gate)
		must(t, p.Submit(bg, hold.task)) // the worker is busy
		g := NewGroup(bg, p)
		g.SetLimit(1)
		ran := false
		g.Go(func(ctx context.Context) error { // runs here
			g.Go(func(context.Context) error { ran = true; return nil })
			return nil
		})
		must(t, g.Wait())
		if !ran {
			t.Error("the inner task did not run")
		}
		close(hold)
	})
}

// A task whose function was not called, since its context was done, is neither completed nor failed.
func TestSkipped(t *testing.T) {
	const n = 100
	group := func(mode ErrorMode) func(context.Context, *Pool, Task) {
		return func(ctx context.Context, p *Pool, f Task) {
			g := NewGroup(ctx, p)
			g.SetErrorMode(mode)
			for range n {
				g.Go(f)
			}
			time.Sleep(2 * time.Second)
			_ = g.Wait()
		}
	}
	for what, submit := range map[string]func(context.Context, *Pool, Task){
		"Group, FailFast":  group(FailFast),
		"Group, KeepGoing": group(KeepGoing),
		"Go": func(ctx context.Context, p *Pool, f Task) {
			for range n {
				Go(ctx, p, func(ctx context.Context) (int, error) { return 0, f(ctx) })
			}
		},
	} {
		for _, inside := range []bool{false, true} {
			for _, fails := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					p := mustNew(t, WithWorkers(2), WithBuffer(2*n))
					must(t, p.Submit(bg, sleep(time.Minute)))
					var calls atomic.Uint64
					run := func(ctx context.Context) error {
						ctx, cancel := context.WithCancel(ctx)
						time.AfterFunc(time.Second, cancel)
						submit(ctx, p, func(context.Context) error {
							calls.Add(1)
							time.Sleep(time.Second / 2)
							if fails {
								return errTest
							}
							return nil
						})
						return nil
					}
					others := uint64(1)
					if inside {
						must(t, p.Submit(bg, run))
						others++
					} else {
						_ = run(bg)
					}
					must(t, p.Wait(bg))
					s := p.Stats()
					checkRest(t, s)
					if s.Completed+s.Failed != calls.Load()+others || s.Skipped != n-calls.Load() || !fails && s.Failed > 0 {
						t.Errorf("%s, inside: %t, fails: %t: %d calls, %+v", what, inside, fails, calls.Load(), s)
					}
					must(t, p.Close())
				})
			}
		}
	}
}
