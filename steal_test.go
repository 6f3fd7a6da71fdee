package pool

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Children start from the youngest to the oldest.
func TestChildrenStartYoungestFirst(t *testing.T) {
	only(t, WorkStealing)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(100))
		var order record
		must(t, p.Submit(bg, func(ctx context.Context) error {
			must(t, p.Submit(bg, order.task(100)))
			for i := range 40 {
				must(t, p.Submit(ctx, order.task(i)))
			}
			_, err := p.SubmitBatch(ctx, []Task{order.task(40), order.task(41)})
			return err
		}))
		synctest.Wait()
		must(t, p.Close())
		got := order.get()
		children := slices.DeleteFunc(slices.Clone(got), func(i int) bool { return i == 100 })
		if len(got) != 43 || len(children) != 42 || !slices.IsSortedFunc(children, func(a, b int) int { return b - a }) {
			t.Fatalf("order %v", got)
		}
		checkRest(t, p.Stats())
	})
}

// F8: from one worker that has all the work, each idle one gets something, and the
// thieves steal from each other.
func TestEveryIdleWorkerSteals(t *testing.T) {
	only(t, WorkStealing)
	for _, children := range []int{7, 64, 1000} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(8), WithBuffer(1000))
			g := make(gate)
			must(t, p.Submit(bg, func(ctx context.Context) error {
				for range children {
					must(t, p.Submit(ctx, g.task))
				}
				<-g
				return nil
			}))
			synctest.Wait()
			if s := p.Stats(); s.Running != 8 || s.Queued != uint64(children-7) {
				t.Fatalf("%d children: %d run, %d are queued", children, s.Running, s.Queued)
			}
			close(g)
			must(t, p.Close())
			if s := p.Stats(); s.Completed != uint64(children+1) {
				t.Fatalf("%+v", s)
			}
			checkRest(t, p.Stats())
		})
	}
}

// F9: a child that is submitted while all others look for work, or go to sleep, is
// found.
func TestNoChildIsOverlooked(t *testing.T) {
	only(t, WorkStealing)
	p := mustNew(t, WithWorkers(4), WithBuffer(4))
	for range rounds(20000) {
		ran := make(chan struct{})
		must(t, p.Submit(bg, func(ctx context.Context) error {
			must(t, p.Submit(ctx, func(context.Context) error { close(ran); return nil }))
			<-ran // another worker has to take it
			return nil
		}))
		<-ran
	}
	must(t, p.Close())
	checkRest(t, p.Stats())
}

// An old task is not starved by a stream of new ones, with one worker: neither one
// from outside, nor an older child.
func TestStreamOfChildrenStarvesNobody(t *testing.T) {
	only(t, WorkStealing)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(100))
		var n, outside, child int
		var stream Task
		stream = func(ctx context.Context) error {
			if n++; n < 10*oldEvery*ringAfter {
				return p.Submit(ctx, stream)
			}
			return nil
		}
		must(t, p.Submit(bg, func(ctx context.Context) error {
			must(t, p.Submit(ctx, func(context.Context) error { child = n; return nil }))
			must(t, p.Submit(bg, func(context.Context) error { outside = n; return nil }))
			return p.Submit(ctx, stream)
		}))
		synctest.Wait()
		must(t, p.Close())
		if outside > 2*ringAfter || child > 2*oldEvery*ringAfter {
			t.Fatalf("the task from outside started after %d, the old child after %d of %d", outside, child, n)
		}
	})
}

// The buffer bounds what waits in all queues together. Children beyond it run at once,
// A worker's queue holds 256 children, what is more goes to the pool's queue, and what there is no room for runs
// inside its parent. The pool's queue has its own bound.
func TestChildrenAreBounded(t *testing.T) {
	only(t, WorkStealing)
	for _, buffer := range []int{0, 1, 3, 64} {
		t.Run(name("buffer", buffer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(1), WithBuffer(buffer))
				atOnce, ran := 0, 0
				must(t, p.Submit(bg, func(ctx context.Context) error {
					inside := true
					for i := range maxKids + buffer + 10 {
						must(t, p.Submit(ctx, func(context.Context) error {
							if ran++; inside {
								atOnce++
							}
							return nil
						}))
						if q := p.Stats().Queued; q != uint64(min(i+1, maxKids+buffer)) {
							t.Errorf("%d queued after %d", q, i+1)
						}
					}
					wantIs(t, p.TrySubmit(func(context.Context) error { return nil }), ErrFull)
					go func() { must(t, p.Submit(bg, func(context.Context) error { ran++; return nil })) }()
					inside = false
					return nil
				}))
				synctest.Wait()
				must(t, p.Close())
				if atOnce != 10 || ran != maxKids+buffer+11 {
					t.Errorf("%d ran at once, %d in all", atOnce, ran)
				}
				checkRest(t, p.Stats())
			})
		})
	}
}

// B14: an abort hands back what waits in every queue, once.
func TestAbortHandsChildrenBack(t *testing.T) {
	only(t, WorkStealing)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3), WithBuffer(1000))
		for range 3 {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				for range 100 {
					must(t, p.Submit(ctx, sleep(time.Second)))
				}
				return sleep(time.Second)(ctx)
			}))
		}
		time.Sleep(20500 * time.Millisecond)
		p.Abort()
		<-p.Done()
		s := p.Stats()
		checkRest(t, s)
		// 21 starts by each of three workers, three of which were the parents.
		if left := p.Leftover(); s.Accepted != 303 || len(left) != 303-3*21 || s.Unrun != uint64(len(left)) {
			t.Fatalf("%d were handed back: %+v", len(left), s)
		}
	})
}

// DropOldest discards what waits in the pool's queue, and no child that waits in its worker's.
func TestDropOldestLeavesChildren(t *testing.T) {
	only(t, WorkStealing)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(2), WithOverflow(DropOldest))
		var order record
		must(t, p.Submit(bg, func(ctx context.Context) error {
			for i := range 3 {
				must(t, p.Submit(ctx, order.task(i)))
				must(t, p.Submit(bg, order.task(10+i)))
			}
			return nil
		}))
		synctest.Wait()
		must(t, p.Close())
		got := order.get()
		slices.Sort(got)
		if !slices.Equal(got, []int{0, 1, 2, 11, 12}) {
			t.Fatalf("ran %v", got)
		}
	})
}

// A goroutine that outlives its task may go on to submit with the task's context.
func TestSubmitAfterTheTask(t *testing.T) {
	only(t, WorkStealing)
	p := mustNew(t, WithWorkers(2), WithBuffer(8))
	var ran atomic.Int64
	var wg sync.WaitGroup
	n := rounds(2000)
	for range n {
		must(t, p.Submit(bg, func(ctx context.Context) error {
			wg.Go(func() {
				for range 5 {
					must(t, p.Submit(ctx, func(context.Context) error { ran.Add(1); return nil }))
				}
			})
			return nil
		}))
	}
	must(t, p.Wait(bg))
	wg.Wait()
	must(t, p.Close())
	if got := ran.Load(); got != int64(5*n) {
		t.Fatalf("%d of %d ran", got, 5*n)
	}
	checkRest(t, p.Stats())
}

// B9, A1: trees of tasks run exactly once while the pool is resized.
func TestStressTrees(t *testing.T) {
	p := mustNew(t, WithWorkers(3), WithBuffer(50))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				must(t, p.Resize(1+i%4))
			}
		}
	})
	var ran atomic.Int64
	var left sync.WaitGroup
	var tree func(depth int) Task
	tree = func(depth int) Task {
		left.Add(1)
		return func(ctx context.Context) error {
			defer left.Done()
			ran.Add(1)
			for range 3 {
				if depth > 0 {
					must(t, p.Submit(ctx, tree(depth-1)))
				}
			}
			return nil
		}
	}
	const nodes = (3*3*3*3*3*3 - 1) / 2
	for i := range rounds(400) {
		must(t, p.Submit(bg, tree(5)))
		left.Wait()
		if got := ran.Load(); got != int64(nodes*(i+1)) {
			t.Fatalf("after %d trees %d tasks of %d ran", i+1, got, nodes*(i+1))
		}
	}
	close(stop)
	wg.Wait()
	must(t, p.Close())
	checkRest(t, p.Stats())
}

// A worker that finds all lanes taken, by workers whose tasks wait for their children, runs these children.
func TestWorkerWithoutLaneSteals(t *testing.T) {
	only(t, WorkStealing)
	defer watchdog("the run of children by a worker without a lane")()
	synctest.Test(t, func(t *testing.T) {
		lanes := max(8, 4*runtime.GOMAXPROCS(0))
		p := mustNew(t, WithWorkers(lanes+1), WithBuffer(lanes))
		g := make(gate)
		var ran record
		for i := range lanes {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				<-g
				done := make(chan struct{})
				for j := range 3 {
					must(t, p.Submit(ctx, func(context.Context) error {
						if ran.add(3*i + j); j == 0 {
							close(done) // the oldest is the last that its parent would take
						}
						return nil
					}))
				}
				<-done
				return nil
			}))
		}
		synctest.Wait()
		close(g)
		synctest.Wait()
		if s := p.Stats(); s.Running != 0 || s.Completed != uint64(4*lanes) || len(ran.get()) != 3*lanes {
			t.Fatalf("%+v", s)
		}
		must(t, p.Close())
		checkRest(t, p.Stats())
	})
}
