package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func TestForkSum(t *testing.T) {
	tree := newTree(16)
	want := tree.sum()
	for _, workers := range []int{1, 2, 8} {
		for _, buffer := range buffers {
			p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
			fork := NewFork(p, forkSum)
			sum := func(ctx context.Context) {
				got, err := fork.Run(ctx, tree)
				must(t, err)
				if got != want {
					t.Errorf("%d, want %d", got, want)
				}
			}
			sum(bg)
			inTask(t, p, sum)
			must(t, p.Close())
			checkRest(t, p.Stats())
		}
	}
}

// A list is a tree that leans to one side.
func TestForkDeep(t *testing.T) {
	p := mustNew(t, WithWorkers(2))
	const levels = 10_000
	left := NewFork(p, func(k *Fork[int, int], n int) int {
		if n <= 0 {
			return -n
		}
		a, b := k.Join(n-1, -1)
		return a + b
	})
	right := NewFork(p, func(k *Fork[int, int], n int) int {
		if n <= 0 {
			return -n
		}
		a, b := k.Join(-1, n-1)
		return a + b
	})
	for _, f := range []*Forks[int, int]{left, right} {
		got, err := f.Run(bg, levels)
		must(t, err)
		if got != levels {
			t.Errorf("%d, want %d", got, levels)
		}
	}
	must(t, p.Close())
}

// splits are the ways to divide the leaves 0 <= i < n among the workers; leaf has to take time.
var splits = []struct {
	name string
	run  func(ctx context.Context, p *Pool, n int, leaf func(i int)) error
}{
	{"Fork", func(ctx context.Context, p *Pool, n int, leaf func(i int)) error {
		_, err := NewFork(p, func(k *Fork[[2]int, int], r [2]int) int {
			if r[1] == 1 {
				leaf(r[0])
				return 1
			}
			near := r[1] / 2
			a, b := k.Join([2]int{r[0], near}, [2]int{r[0] + near, r[1] - near})
			return a + b
		}).Run(ctx, [2]int{0, n})
		return err
	}},
	{"ForRange", func(ctx context.Context, p *Pool, n int, leaf func(i int)) error {
		return ForRange(ctx, p, n, func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				leaf(i)
			}
			return nil
		})
	}},
	{"Reduce", func(ctx context.Context, p *Pool, n int, leaf func(i int)) error {
		got, err := Reduce(ctx, p, n, func(lo, hi int, acc []int) []int {
			for i := lo; i < hi; i++ {
				leaf(i)
				acc = append(acc, i)
			}
			return acc
		}, func(a, b []int) []int { return append(a, b...) })
		if err == nil && (len(got) != n || !slices.IsSorted(got)) {
			return fmt.Errorf("merged in the wrong order: %v", got)
		}
		return err
	}},
	{"Join", func(ctx context.Context, p *Pool, n int, leaf func(i int)) error {
		var tree func(ctx context.Context, lo, n int) error
		tree = func(ctx context.Context, lo, n int) error {
			if n == 1 {
				leaf(lo)
				return nil
			}
			return Join(ctx, p,
				func(ctx context.Context) error { return tree(ctx, lo, n/2) },
				func(ctx context.Context) error { return tree(ctx, lo+n/2, n-n/2) })
		}
		return tree(ctx, 0, n)
	}},
}

// forkBubbles runs f in a bubble for each way of splitting, and number of workers.
func forkBubbles(t *testing.T, f func(t *testing.T, workers int, run func(ctx context.Context, p *Pool, n int, leaf func(i int)) error)) {
	for _, s := range splits {
		for _, workers := range []int{1, 2, 5} {
			t.Run(name("workers", workers, s.name, 0), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { f(t, workers, s.run) })
			})
		}
	}
}

// Leaves run once, all workers have some, and no more run at a time than there are workers, with jobs from
// outside and from tasks at once.
func TestForkLimit(t *testing.T) {
	forkBubbles(t, func(t *testing.T, workers int, run func(context.Context, *Pool, int, func(int)) error) {
		p := mustNew(t, WithWorkers(workers))
		var g gauge
		job := func(ctx context.Context) error {
			var ran [100]atomic.Int32
			err := run(ctx, p, len(ran), func(i int) {
				g.enter()
				ran[i].Add(1)
				time.Sleep(time.Millisecond)
				g.leave()
			})
			for i := range ran {
				if n := ran[i].Load(); n != 1 {
					t.Errorf("leaf %d ran %d times", i, n)
				}
			}
			return err
		}
		begun := time.Now()
		must(t, job(bg))
		if took, most := time.Since(begun), 100*time.Millisecond/time.Duration(workers)*3; took > most {
			t.Errorf("took %v, want at most %v", took, most)
		}
		var wg sync.WaitGroup
		wg.Go(func() { must(t, job(bg)) })
		wg.Go(func() { inTask(t, p, func(ctx context.Context) { must(t, job(ctx)) }) })
		wg.Wait()
		if most := g.max.Load(); most > int64(workers) || most < min(4, int64(workers)) {
			t.Errorf("%d ran at a time with %d workers", most, workers)
		}
		must(t, p.Close())
		checkRest(t, p.Stats())
	})
}

// The part that is offered is the oldest, and its splitter takes it back if nobody comes.
func TestForkOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		var order record
		fork := NewFork(p, func(k *Fork[int, int], n int) int {
			switch {
			case n > 0: // 20: 19 and -20, 19: 18 and -19 ...
				time.Sleep(time.Millisecond)
				k.Join(n-1, -n)
			case n < 0:
				order.add(-n)
				time.Sleep(time.Hour)
			}
			return 0
		})
		_, err := fork.Run(bg, 20)
		must(t, err)
		if got := order.get(); got[0] != 20 {
			t.Errorf("ran in the order %v, want 20 first", got)
		}
		must(t, p.Close())
	})
}

// Whatever ends a job early, all that was begun has ended when it returns, and nothing begins later.
func TestForkFailure(t *testing.T) {
	ends := map[string]struct {
		end  func(p *Pool, cancel func())
		want error
	}{
		"panic":  {func(*Pool, func()) { panic(errTest) }, errTest},
		"goexit": {func(*Pool, func()) { runtime.Goexit() }, ErrGoexit},
		"cancel": {func(_ *Pool, cancel func()) { cancel() }, context.Canceled},
		"abort":  {func(p *Pool, _ func()) { go p.Abort() }, ErrAborted},
	}
	for what, c := range ends {
		t.Run(what, func(t *testing.T) {
			forkBubbles(t, func(t *testing.T, workers int, run func(context.Context, *Pool, int, func(int)) error) {
				for at := range 24 {
					p := mustNew(t, WithWorkers(workers), WithPanicHandler(func(*PanicError) {}))
					ctx, cancel := context.WithCancel(bg)
					var g gauge
					var ran atomic.Int32
					err := run(ctx, p, 200, func(i int) {
						g.enter()
						defer g.leave()
						ran.Add(1)
						time.Sleep(time.Duration(1+i%3) * time.Millisecond)
						if i == at {
							c.end(p, cancel)
							time.Sleep(time.Millisecond)
						}
					})
					if !errors.Is(err, c.want) {
						t.Errorf("leaf %d: got %v, want %v", at, err, c.want)
					}
					var pe *PanicError
					if what == "panic" && (!errors.As(err, &pe) || len(pe.Stack) == 0) {
						t.Errorf("the panic came without its stack: %v", err)
					}
					n := ran.Load()
					if g.now.Load() != 0 || n == 200 {
						t.Errorf("leaf %d: %d still run, %d ran", at, g.now.Load(), n)
					}
					time.Sleep(time.Hour)
					if ran.Load() != n {
						t.Errorf("leaf %d: %d leaves ran after the end", at, ran.Load()-n)
					}
					cancel()
					_ = p.Close()
				}
			})
		})
	}
}

// A job that runs when its pool is closed goes on without offering anything.
func TestForkClose(t *testing.T) {
	forkBubbles(t, func(t *testing.T, workers int, run func(context.Context, *Pool, int, func(int)) error) {
		p := mustNew(t, WithWorkers(workers))
		var ran atomic.Int32
		must(t, run(bg, p, 40, func(i int) {
			if ran.Add(1) == 5 {
				go p.Close()
			}
			time.Sleep(time.Millisecond)
		}))
		if ran.Load() != 40 {
			t.Errorf("%d ran, want 40", ran.Load())
		}
		must(t, p.Close())
		wantIs(t, run(bg, p, 40, func(int) { t.Error("ran in a closed pool") }), ErrClosed)
	})
}

// The error of a range is that of the job, and ends it.
func TestForRangeError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3))
		var ran atomic.Int32
		wantIs(t, ForRange(bg, p, 1000, func(lo, hi int) error {
			time.Sleep(time.Millisecond)
			if ran.Add(int32(hi-lo)) >= 30 {
				return errTest
			}
			return nil
		}), errTest)
		if ran.Load() > 100 {
			t.Errorf("%d ran after the error", ran.Load())
		}
		must(t, p.Close())
	})
}

// The first error of a and b is that of Join. After an error b does not begin, and one that has begun is told.
func TestJoinError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		fails := func(context.Context) error { return errTest }
		wantIs(t, Join(bg, p, fails, func(context.Context) error { t.Error("b ran"); return nil }), errTest)
		wantIs(t, Join(bg, p, func(context.Context) error { return nil }, fails), errTest)
		must(t, p.Resize(2))
		began := make(gate)
		nothing := func(context.Context) error { time.Sleep(time.Millisecond); return nil }
		until := func(ctx context.Context, c <-chan struct{}) { // joins until b has begun, or ended
			for {
				select {
				case <-c:
					return
				default:
					must(t, Join(context.WithoutCancel(ctx), p, nothing, nothing))
				}
			}
		}
		wantIs(t, Join(bg, p, func(ctx context.Context) error { until(ctx, began); return errTest }, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}), errTest)
		wantIs(t, Join(bg, p, func(ctx context.Context) error { until(ctx, ctx.Done()); return ctx.Err() }, fails), errTest)
		must(t, p.Close())
	})
}

// Parts have the attributes of the task: here its tenant, of which one may run at a time.
func TestForkTenant(t *testing.T) {
	for _, s := range splits {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(4), WithTenants(nil), WithTenantLimit(func(tenant uint64) int { return int(tenant) }))
			for _, tenant := range []uint64{1, 2} {
				var g gauge
				must(t, p.SubmitAs(bg, Attrs{Tenant: tenant}, func(ctx context.Context) error {
					return s.run(ctx, p, 50, func(int) {
						g.enter()
						time.Sleep(time.Millisecond)
						g.leave()
					})
				}))
				must(t, p.Wait(bg))
				if g.max.Load() != int64(tenant) {
					t.Errorf("%s: %d of tenant %d ran at a time", s.name, g.max.Load(), tenant)
				}
			}
			must(t, p.Close())
		})
	}
}

// What the queue drops, or does not start in time, its splitter runs.
func TestForkUnrun(t *testing.T) {
	for _, s := range splits {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2), WithQueueTimeout(time.Millisecond))
			long := func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil }
			var ran atomic.Int32
			must(t, p.Submit(bg, func(ctx context.Context) error {
				return s.run(ctx, p, 50, func(i int) {
					ran.Add(1)
					time.Sleep(3 * time.Millisecond)
					if i%5 == 0 {
						_ = p.TrySubmit(long)
					}
				})
			}))
			must(t, p.Wait(bg))
			if ran.Load() != 50 {
				t.Errorf("%s: %d ran, want 50", s.name, ran.Load())
			}
			must(t, p.Close())
		})
	}
}

// A panic that f recovers leaves the joins that it went through. What was offered there ends before the run does, and the joins around get the
// results of their own right sides.
func TestForkRecovered(t *testing.T) {
	for below := 4; below <= 64; below *= 2 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(5), WithPanicHandler(func(*PanicError) {}))
			var g gauge
			recovered := 0
			fork := NewFork(p, func(k *Fork[int, int], n int) (same int) { // returns n
				same = n
				if n >= 256 {
					g.enter()
					defer g.leave()
					time.Sleep(time.Millisecond)
					if n == 256+21 {
						panic(errTest)
					}
					return n
				}
				if n < below {
					defer func() {
						if r := recover(); r == any(errTest) {
							recovered++
						} else if r != nil {
							panic(r)
						}
					}()
				}
				l, r := k.Join(2*n, 2*n+1)
				if l != 2*n || r != 2*n+1 {
					t.Errorf("recovers below %d: at %d got %d and %d", below, n, l, r)
				}
				return n
			})
			_, err := fork.Run(bg, 1)
			must(t, err)
			if recovered != 1 || g.now.Load() != 0 {
				t.Errorf("recovers below %d: %d panics recovered, %d run after the end", below, recovered, g.now.Load())
			}
			must(t, p.Close())
		})
	}
}

// A Fork that did not get as far as its end leaves nothing, nor does one that did.
func TestForkKeepsNothing(t *testing.T) {
	only(t, Shared)
	p := mustNew(t, WithWorkers(2))
	type big struct{ n [1 << 10]int }
	var args []weak.Pointer[big]
	fork := NewFork(p, func(k *Fork[*big, *big], a *big) *big {
		if a.n[0] == 0 {
			return a
		}
		l, r := &big{}, &big{}
		l.n[0], r.n[0] = a.n[0]-1, a.n[0]-1
		_, out := k.Join(l, r)
		return out
	})
	run := func(ctx context.Context, levels int) {
		root := &big{}
		root.n[0] = levels
		out, err := fork.Run(ctx, root)
		must(t, err)
		args = append(args, weak.Make(root), weak.Make(out))
	}
	for range 20 {
		run(bg, 10)
	}
	// One that gives nothing away, and is used again.
	inTask(t, p, func(ctx context.Context) { run(ctx, 2) })
	// The worker's queue has other things in it.
	for range 100 {
		must(t, p.Submit(bg, sleep(0)))
	}
	must(t, p.Wait(bg))
	runtime.GC()
	for i, w := range args {
		if w.Value() != nil {
			t.Errorf("%d is still there", i)
		}
	}
	runtime.KeepAlive(fork)
	must(t, p.Close())
}

// Inside a task a run that gives nothing away allocates nothing.
func TestForkAllocs(t *testing.T) {
	if raceBuild {
		t.Skip("the race detector drops what a sync.Pool keeps")
	}
	p := mustNew(t, WithWorkers(1))
	tree := newTree(10)
	fork := NewFork(p, forkSum)
	inTask(t, p, func(ctx context.Context) {
		if n := testing.AllocsPerRun(100, func() { _, _ = fork.Run(ctx, tree) }); n >= 1 {
			t.Errorf("%v allocations, want none", n)
		}
	})
	must(t, p.Close())
}

func TestForkMisuse(t *testing.T) {
	p := mustNew(t)
	fork := NewFork(p, forkFib)
	ended, cancel := context.WithCancel(bg)
	cancel()
	body := func(int, int, int) int { return 0 }
	for what, f := range map[string]func(context.Context) error{
		"Run":      func(ctx context.Context) error { _, err := fork.Run(ctx, 1); return err },
		"ForRange": func(ctx context.Context) error { return ForRange(ctx, p, 1, func(int, int) error { return nil }) },
		"Reduce": func(ctx context.Context) error {
			_, err := Reduce(ctx, p, 1, body, func(int, int) int { return 0 })
			return err
		},
		"Join": func(ctx context.Context) error { return Join(ctx, p, sleep(0), sleep(0)) },
	} {
		if err := f(noContext); err != errNilContext {
			t.Errorf("%s without a context: %v", what, err)
		}
		if err := f(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", what, err)
		}
		must(t, f(bg))
	}
	_, err := Reduce(bg, p, 1, body, nil)
	for _, err := range []error{err, ForRange(bg, p, 1, nil), Join(bg, p, nil, sleep(0)), Join(bg, p, sleep(0), nil)} {
		wantIs(t, err, ErrNilTask)
	}
	for what, f := range map[string]func(){
		"a nil function": func() { NewFork[int, int](p, nil) },
		"a nil pool":     func() { NewFork(nil, forkFib) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewFork of %s did not panic", what)
				}
			}()
			f()
		}()
	}
	must(t, p.Close())
}
