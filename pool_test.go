package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func name(kv ...any) string {
	var s []string
	for i := 0; i < len(kv); i += 2 {
		s = append(s, fmt.Sprintf("%v=%v", kv[i], kv[i+1]))
	}
	return strings.Join(s, "/")
}

// A1, H2: everything accepted runs once.
func TestExactlyOnce(t *testing.T) {
	const submitters = 8
	each := rounds(20000)
	for _, workers := range []int{1, 2, 16} {
		for _, buffer := range []int{0, 1, 7, 64, 1024} {
			t.Run(name("workers", workers, "buffer", buffer), func(t *testing.T) {
				have := make([]atomic.Int32, submitters*each)
				var g gauge
				p, err := NewTyped(func(_ context.Context, i int) error {
					g.enter()
					have[i].Add(1)
					g.leave()
					return nil
				}, WithWorkers(workers), WithBuffer(buffer))
				must(t, err)
				var wg sync.WaitGroup
				for s := range submitters {
					wg.Go(func() {
						for i := s * each; i < (s+1)*each; i++ {
							if err := p.Submit(bg, i); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				must(t, p.Close())
				for i := range have {
					if n := have[i].Load(); n != 1 {
						t.Fatalf("job %d ran %d times", i, n)
					}
				}
				if m := g.max.Load(); m > int64(workers) {
					t.Fatalf("%d jobs ran at a time with %d workers", m, workers) // D1
				}
				s := p.Stats()
				checkRest(t, s)
				if s.Accepted != uint64(len(have)) || s.Goroutines != 0 {
					t.Fatalf("got %+v", s)
				}
			})
		}
	}
}

// A3, A4: what happens before Submit is seen by the task, and what the task does
// is seen after Wait and Close. The race build checks it.
func TestHappensBefore(t *testing.T) {
	for _, buffer := range buffers {
		p := mustNew(t, WithWorkers(3), WithBuffer(buffer))
		plain := make([]int, 200)
		for i := range plain {
			plain[i] = 1
			must(t, p.Submit(bg, func(context.Context) error { plain[i]++; return nil }))
		}
		must(t, p.Wait(bg))
		for i := range plain {
			if plain[i] != 2 {
				t.Fatal("Wait returned too early")
			}
			must(t, p.Submit(bg, func(context.Context) error { plain[i]++; return nil }))
		}
		must(t, p.Close())
		for i := range plain {
			if plain[i] != 3 {
				t.Fatal("Close returned too early")
			}
		}
	}
}

// A6: a func value submitted twice runs twice.
func TestSameTaskTwice(t *testing.T) {
	var n atomic.Int32
	task := func(context.Context) error { n.Add(1); return nil }
	p := mustNew(t)
	must(t, p.Submit(bg, task))
	must(t, p.Submit(bg, task))
	must(t, p.Close())
	if n.Load() != 2 {
		t.Fatalf("ran %d times", n.Load())
	}
}

// F17: with one worker tasks start in the order of acceptance.
func TestOrderWithOneWorker(t *testing.T) {
	for _, buffer := range buffers {
		var r record
		p := mustNew(t, WithWorkers(1), WithBuffer(buffer))
		for i := range 5000 {
			must(t, p.Submit(bg, r.task(i)))
		}
		must(t, p.Close())
		if got := r.get(); !slices.IsSorted(got) || len(got) != 5000 {
			t.Fatalf("buffer %d: out of order", buffer)
		}
	}
}

// The bound on waiting tasks is exact, also for sizes that are no power of two.
func TestBufferIsExact(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		g := make(gate)
		for range workers {
			must(t, p.Submit(bg, g.task))
		}
		synctest.Wait()
		for i := range buffer {
			if err := p.TrySubmit(g.task); err != nil {
				t.Fatalf("task %d: %v", i, err)
			}
		}
		wantIs(t, p.TrySubmit(g.task), ErrFull)
		s := p.Stats() // H3
		if s.Running != uint64(workers) || s.Queued != uint64(buffer) || s.Rejected != 1 {
			t.Fatalf("got %+v", s)
		}
		close(g)
		must(t, p.Close())
		checkRest(t, p.Stats())
	})
}

// H3: the snapshot is exact whenever everything is blocked, in the middle of a
// batch as well.
func TestStatsAreExactWhenBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		defer p.Close()
		nothing := func(context.Context) error { return nil }
		for range 2000 { // makes the worker claim many at a time
			must(t, p.Submit(bg, nothing))
		}
		must(t, p.Wait(bg))
		hold := make(gate)
		must(t, p.Submit(bg, hold.task))
		synctest.Wait()
		g := make(gate)
		bad := errors.New("bad")
		for _, task := range []Task{nothing, func(context.Context) error { return bad }, nothing, g.task, nothing, nothing} {
			must(t, p.Submit(bg, task))
		}
		close(hold)
		synctest.Wait()
		s := p.Stats()
		if s.Completed != 2003 || s.Failed != 1 || s.Running != 1 || s.Queued != 2 {
			t.Fatalf("got %+v", s)
		}
		close(g)
		synctest.Wait()
		checkRest(t, p.Stats())
	})
}

// C1, P6: a blocked submission obeys its context at once and leaves nothing.
func TestBlockedSubmitObeysContext(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		g := make(gate)
		for range workers + buffer {
			must(t, p.Submit(bg, g.task))
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		start := time.Now()
		wantIs(t, p.Submit(ctx, func(context.Context) error { t.Error("ran"); return nil }), context.DeadlineExceeded)
		if d := time.Since(start); d != time.Second {
			t.Fatalf("returned after %v", d)
		}
		var ran atomic.Bool
		done := make(chan error)
		go func() { done <- p.Submit(bg, func(context.Context) error { ran.Store(true); return nil }) }()
		synctest.Wait()
		close(g)
		must(t, <-done)
		must(t, p.Close())
		if !ran.Load() {
			t.Fatal("the next submission did not get the room")
		}
	})
}

// C3: a context that is already done is never accepted.
func TestDoneContextIsNeverAccepted(t *testing.T) {
	p := mustNew(t)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for range 1000 {
		wantIs(t, p.Submit(ctx, func(context.Context) error { t.Error("ran"); return nil }), context.Canceled)
		n, err := p.SubmitBatch(ctx, []Task{func(context.Context) error { t.Error("ran"); return nil }})
		wantIs(t, err, context.Canceled)
		if n != 0 {
			t.Fatalf("accepted %d", n)
		}
	}
	must(t, p.Close())
	if s := p.Stats(); s.Accepted != 0 || s.Rejected != 2000 {
		t.Fatalf("got %+v", s)
	}
}

// C14: blocked submissions are served in the order of their arrival, one for each
// place that becomes free, at that very moment.
func TestBlockedSubmitOrder(t *testing.T) {
	for _, buffer := range buffers {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithBuffer(buffer))
			var r record
			for range 1 + buffer {
				must(t, p.Submit(bg, sleep(time.Second)))
				if buffer == 0 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			var accepted atomic.Int64
			for i := range 50 {
				go func() {
					if err := p.Submit(bg, func(context.Context) error { r.add(i); time.Sleep(time.Second); return nil }); err != nil {
						t.Error(err)
					}
					accepted.Add(1)
				}()
				synctest.Wait()
			}
			for i := range int64(50) {
				if n := accepted.Load(); n != i {
					t.Fatalf("after %d s %d were accepted", i, n)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			must(t, p.Close())
			if got := r.get(); !slices.IsSorted(got) || len(got) != 50 {
				t.Fatalf("buffer %d: started in order %v", buffer, got)
			}
		})
	}
}

// C11: bad input is refused where it is given.
func TestBadInput(t *testing.T) {
	p := mustNew(t)
	var nilCtx context.Context
	ok := Task(func(context.Context) error { return nil })
	wantIs(t, p.Submit(bg, nil), ErrNilTask)
	wantIs(t, p.TrySubmit(nil), ErrNilTask)
	n, err := p.SubmitBatch(bg, []Task{ok, nil})
	wantIs(t, err, ErrNilTask)
	if n != 0 || !strings.Contains(err.Error(), "index 1") {
		t.Fatalf("got %d, %v", n, err)
	}
	for _, err := range []error{p.Submit(nilCtx, ok), p.Wait(nilCtx), p.Shutdown(nilCtx)} {
		if err == nil || !strings.Contains(err.Error(), "context is nil") {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := NewTyped[int](nil); err == nil {
		t.Fatal("no error for a nil handler")
	}
	must(t, p.Close())
	if s := p.Stats(); s.Accepted != 0 || s.Rejected != 5 {
		t.Fatalf("got %+v", s)
	}
}

// C12, C13: bad and contradictory options are errors that name what is wrong.
func TestBadOptions(t *testing.T) {
	done, cancel := context.WithCancel(bg)
	cancel()
	var nilCtx context.Context
	form := regexp.MustCompile(`^pool: (With\w+(\(.*\))?: [a-z]|option is nil)`)
	for _, c := range []struct {
		opts []Option
		want []string
	}{
		{[]Option{WithWorkers(0)}, []string{"WithWorkers", "(0)"}},
		{[]Option{WithWorkers(-1)}, []string{"WithWorkers", "(-1)"}},
		{[]Option{WithWorkers(math.MaxInt)}, []string{"WithWorkers", "1<<"}},
		{[]Option{WithSizing(Fixed(-2))}, []string{"Fixed", "-2"}},
		{[]Option{WithSizing(IO(0))}, []string{"WithSizing(IO(0))", "1<<24"}},
		{[]Option{WithErrorHandler(nil)}, []string{"WithErrorHandler(nil)"}},
		{[]Option{WithPanicHandler(nil)}, []string{"WithPanicHandler(nil)"}},
		{[]Option{WithOverflow(DropOldest), WithDropHandler[Task](nil)}, []string{"WithDropHandler(nil)"}},
		{[]Option{WithWorkers(0), WithBuffer(-1), WithLazy(0)}, []string{"WithWorkers(0)", "WithBuffer(-1)", "WithLazy(0s)"}},
		{[]Option{WithSizing(LittlesLaw(-1, time.Second))}, []string{"LittlesLaw", "-1"}},
		{[]Option{WithSizing(LittlesLaw(math.NaN(), time.Second))}, []string{"LittlesLaw", "NaN"}},
		{[]Option{WithSizing(LittlesLaw(math.Inf(1), time.Second))}, []string{"LittlesLaw", "Inf"}},
		{[]Option{WithSizing(LittlesLaw(1, 0))}, []string{"LittlesLaw", "0s"}},
		{[]Option{WithSizing(LittlesLaw(1e300, time.Hour))}, []string{"LittlesLaw", "limit"}},
		{[]Option{WithWorkers(3), WithSizing(CPU())}, []string{"WithWorkers(3)", "CPU()"}},
		{[]Option{WithBuffer(-1)}, []string{"WithBuffer", "-1"}},
		{[]Option{WithBuffer(math.MinInt)}, []string{"WithBuffer", "must be at least 0"}},
		{[]Option{WithOverflow(99)}, []string{"WithOverflow", "99"}},
		{[]Option{WithOverflow(DropOldest), WithBuffer(0)}, []string{"DropOldest", "WithBuffer(0)"}},
		{[]Option{WithDropHandler(func(Task) {})}, []string{"WithDropHandler", "DropOldest"}},
		{[]Option{WithOverflow(DropOldest), WithDropHandler(func(int) {})}, []string{"WithDropHandler", "func(int)"}},
		{[]Option{WithShutdown(DrainFor(0))}, []string{"WithShutdown", "0s"}},
		{[]Option{WithShutdown(DrainFor(-time.Second))}, []string{"WithShutdown", "-1s"}},
		{[]Option{WithErrorMode(7)}, []string{"WithErrorMode", "7"}},
		{[]Option{WithErrorLimit(0)}, []string{"WithErrorLimit", "0"}},
		{[]Option{WithSampling(-1)}, []string{"WithSampling", "-1"}},
		{[]Option{WithSampling(1 << 21)}, []string{"WithSampling", "2097152"}},
		{[]Option{WithStrategy(9)}, []string{"WithStrategy", "9"}},
		{[]Option{WithCapacity(0)}, []string{"WithCapacity", "(0)"}},
		{[]Option{WithCapacity(math.MaxInt64)}, []string{"WithCapacity", "1<<"}},
		{[]Option{WithLazy(0)}, []string{"WithLazy", "0s"}},
		{[]Option{WithLazy(-time.Second)}, []string{"WithLazy", "-1s"}},
		{[]Option{WithLazy(time.Second), WithStrategy(Elastic)}, []string{"WithLazy", "Elastic"}},
		{[]Option{WithLazy(time.Second), WithLockedThread()}, []string{"WithLazy", "WithLockedThread"}},
		{[]Option{WithFloor(1)}, []string{"WithFloor(1)", "WithLazy"}},
		{[]Option{WithFloor(-1), WithLazy(time.Second)}, []string{"WithFloor", "-1"}},
		{[]Option{WithFloor(3), WithLazy(time.Second), WithWorkers(2)}, []string{"WithFloor(3)", "WithWorkers(2)"}},
		{[]Option{WithWarmup(nil, 1)}, []string{"WithWarmup", "nil"}},
		{[]Option{WithWarmup(func(context.Context) error { return nil }, 0)}, []string{"WithWarmup(f, 0)"}},
		{[]Option{WithWarmup(func(context.Context) error { return nil }, 1), WithStrategy(Elastic)}, []string{"WithWarmup", "Elastic"}},
		{[]Option{WithLockedThread(), WithStrategy(Elastic)}, []string{"WithLockedThread", "Elastic"}},
		{[]Option{WithLockedThread(), WithOverflow(CallerRuns)}, []string{"WithLockedThread", "CallerRuns"}},
		{[]Option{WithState[int](nil, nil)}, []string{"WithState", "nil"}},
		{[]Option{WithState(func(context.Context) (int, error) { return 0, nil }, nil), WithOverflow(CallerRuns)}, []string{"WithState", "CallerRuns"}},
		{[]Option{WithContext(done)}, []string{"WithContext", "canceled"}},
		{[]Option{WithContext(nilCtx)}, []string{"WithContext", "nil"}},
		{[]Option{nil}, []string{"option is nil"}},
	} {
		_, err := New(c.opts...)
		if err == nil {
			t.Errorf("no error, want one with %q", c.want)
			continue
		}
		for _, w := range append(c.want, "pool: ") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q does not say %q", err, w)
			}
		}
		for line := range strings.Lines(err.Error()) {
			if !form.MatchString(line) {
				t.Errorf("error %q has another form", line)
			}
		}
	}
}

func TestSizing(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		s    Sizing
		want int
	}{
		{Fixed(7), 7},
		{IO(1), 1},
		{CPU(), procs},
		{Sizing{}, procs},
		{Mixed(), 2 * procs},
		{LittlesLaw(100, 200*time.Millisecond), 20},
		{LittlesLaw(30, 100*time.Millisecond), 3},
		{LittlesLaw(101, 200*time.Millisecond), 21},
		{LittlesLaw(0.001, time.Millisecond), 1},
	} {
		p := mustNew(t, WithSizing(c.s))
		if got := p.Stats().Workers; got != c.want {
			t.Errorf("%s: got %d workers, want %d", c.s.name, got, c.want)
		}
		must(t, p.Close())
	}
}

// The last option of a kind counts.
func TestRepeatedOption(t *testing.T) {
	p := mustNew(t, WithBuffer(-1), WithBuffer(3), WithWorkers(9), WithWorkers(2))
	if s := p.Stats(); s.Buffer != 3 || s.Workers != 2 {
		t.Fatalf("got %+v", s)
	}
	must(t, p.Close())
}

// CPU sizing follows GOMAXPROCS while all workers are busy and nobody submits.
func TestSizingFollowsGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, buffer := range []int{0, 64} {
		runtime.GOMAXPROCS(2)
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithSizing(CPU()), WithBuffer(buffer))
			g := make(gate)
			for range 8 {
				go p.Submit(bg, g.task)
			}
			synctest.Wait()
			if n := p.Stats().Running; n != 2 {
				t.Fatalf("%d run", n)
			}
			runtime.GOMAXPROCS(4)
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			p.mu.Lock()
			n := p.live
			p.mu.Unlock()
			if n != 4 {
				t.Fatalf("%d workers with GOMAXPROCS 4", n)
			}
			runtime.GOMAXPROCS(1)
			time.Sleep(200 * time.Millisecond)
			close(g)
			must(t, p.Wait(bg))
			if s := p.Stats(); s.Workers != 1 || s.Goroutines > 1 {
				t.Fatalf("got %+v", s)
			}
			must(t, p.Resize(3)) // ends the following
			runtime.GOMAXPROCS(2)
			if s := p.Stats(); s.Workers != 3 {
				t.Fatalf("got %+v", s)
			}
			must(t, p.Close())
		})
	}
}

// D18: a task that sleeps for ten years costs a few looks at GOMAXPROCS.
func TestTimeJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithSizing(CPU()))
		const years = 10 * 365 * 24 * time.Hour
		for range runtime.GOMAXPROCS(0) + 1 {
			must(t, p.Submit(bg, sleep(years)))
		}
		ctx, cancel := context.WithDeadline(bg, time.Now().Add(-time.Second))
		defer cancel()
		wantIs(t, p.Submit(ctx, sleep(0)), context.DeadlineExceeded)
		start := time.Now()
		must(t, p.Close())
		if d := time.Since(start); d != 2*years {
			t.Fatalf("took %v", d)
		}
	})
}

// D13, B15: no goroutine before the first task; Close of an unused pool returns.
func TestNothingBeforeTheFirstTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(64))
		if n := p.Stats().Goroutines; n != 0 {
			t.Fatalf("%d goroutines", n)
		}
		must(t, p.Close())
		must(t, p.Close())
	})
}

// The workers are never more than the tasks that ran at a time, by much (D14).
func TestFewWorkersForSequentialTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(64))
		for range 1000 {
			must(t, p.Submit(bg, func(context.Context) error { return nil }))
			synctest.Wait()
		}
		if n := p.Stats().Goroutines; n > 1 {
			t.Fatalf("%d workers for one task at a time", n)
		}
		must(t, p.Close())
	})
}

// A burst is spread over the workers by waking one after the other, also when it
// comes as one batch, and when a worker has claimed all of it.
func TestBurstUsesAllWorkers(t *testing.T) {
	for _, batch := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(8))
			for range 3000 { // lets workers claim many at a time
				must(t, p.Submit(bg, func(context.Context) error { return nil }))
			}
			must(t, p.Wait(bg))
			if strategy == PerWorker {
				synctest.Wait() // a worker that has not come to rest gets no more than another one
			}
			g := make(gate)
			if batch {
				n, err := p.SubmitBatch(bg, slices.Repeat([]Task{g.task}, 20))
				must(t, err)
				if n != 20 {
					t.Fatalf("accepted %d", n)
				}
			} else {
				for range 20 {
					must(t, p.Submit(bg, g.task))
				}
			}
			synctest.Wait()
			if s := p.Stats(); s.Running != 8 || s.Queued != 12 {
				t.Fatalf("got %+v", s)
			}
			close(g)
			must(t, p.Close())
		})
	}
}

// A batch behind a long task does not wait for it while others are free.
func TestNothingIsStrandedBehindALongTask(t *testing.T) {
	only(t, Shared, Elastic)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4))
		for range 3000 {
			must(t, p.Submit(bg, func(context.Context) error { return nil }))
		}
		must(t, p.Wait(bg))
		var n atomic.Int64
		for i := range 100 {
			must(t, p.Submit(bg, func(context.Context) error {
				n.Add(1)
				if i == 3 || i == 50 || i == 51 {
					time.Sleep(time.Hour)
				}
				return nil
			}))
		}
		synctest.Wait()
		if n.Load() != 100 {
			t.Fatalf("%d of 100 started", n.Load())
		}
		must(t, p.Close())
	})
}

func TestSubmitBatch(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		g := make(gate)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		tasks := slices.Repeat([]Task{g.task}, 100)
		n, err := p.SubmitBatch(ctx, tasks)
		wantIs(t, err, context.DeadlineExceeded)
		if n != workers+buffer {
			t.Fatalf("accepted %d, want %d", n, workers+buffer)
		}
		close(g)
		n, err = p.SubmitBatch(bg, tasks)
		must(t, err)
		if n != 100 {
			t.Fatalf("accepted %d", n)
		}
		if n, err = p.SubmitBatch(bg, nil); n != 0 || err != nil {
			t.Fatalf("got %d, %v for no tasks", n, err)
		}
		must(t, p.Close())
		s := p.Stats()
		checkRest(t, s)
		if s.Accepted != uint64(workers+buffer)+100 || s.Rejected != 100-uint64(workers+buffer) {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestTyped(t *testing.T) {
	type job struct{ a, b int }
	var sum atomic.Int64
	p, err := NewTyped(func(_ context.Context, j job) error { sum.Add(int64(j.a * j.b)); return nil })
	must(t, err)
	must(t, p.Submit(bg, job{2, 3}))
	must(t, p.TrySubmit(job{4, 5}))
	n, err := p.SubmitBatch(bg, []job{{1, 1}, {2, 2}})
	must(t, err)
	must(t, p.Wait(bg))
	if n != 2 || sum.Load() != 31 {
		t.Fatalf("got %d, sum %d", n, sum.Load())
	}
	must(t, p.Close())
	if l := p.Leftover(); len(l) != 0 {
		t.Fatalf("left over: %v", l)
	}
}

// Submitting allocates nothing (the closure is the caller's own).
func TestSubmitDoesNotAllocate(t *testing.T) {
	if raceBuild {
		t.Skip("the race build allocates on its own account")
	}
	p := mustNew(t, WithWorkers(2))
	defer p.Close()
	task := Task(func(context.Context) error { return nil })
	typed, err := NewTyped(func(context.Context, [4]int) error { return nil })
	must(t, err)
	defer typed.Close()
	batch := slices.Repeat([]Task{task}, 16)
	for range 5000 {
		_ = p.Submit(bg, task)
	}
	for what, f := range map[string]func(){
		"Pool.Submit":      func() { _ = p.Submit(bg, task) },
		"Pool.TrySubmit":   func() { _ = p.TrySubmit(task) },
		"Pool.SubmitBatch": func() { _, _ = p.SubmitBatch(bg, batch) },
		"Typed.Submit":     func() { _ = typed.Submit(bg, [4]int{}) },
	} {
		if n := testing.AllocsPerRun(10000, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
