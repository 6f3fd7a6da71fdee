package pool

// Each test here is named after something that once went wrong.

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool/internal/ring"
)

// rounds is n, or a tenth in short mode, and less with the race detector.
func rounds(n int) int {
	switch {
	case testing.Short() && raceBuild:
		return n / 40
	case testing.Short():
		return n / 10
	}
	return n
}

// Two goroutines of one task wait; the first to come leaves first.
func TestWaitOfTwoGoroutinesOfOneTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3))
		must(t, p.Submit(bg, func(ctx context.Context) error {
			var wg sync.WaitGroup
			must(t, p.Submit(ctx, sleep(time.Second)))
			wg.Go(func() { must(t, p.Wait(ctx)) })
			synctest.Wait()
			must(t, p.Submit(ctx, sleep(3*time.Second)))
			wg.Go(func() { must(t, p.Wait(ctx)) })
			wg.Wait()
			return nil
		}))
		must(t, p.Wait(bg))
		p.Close()
	})
}

// A task that runs on its submitter's goroutine inside another such task waits.
func TestWaitInNestedCallerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns))
		g := make(gate)
		must(t, p.Submit(bg, g.task))
		synctest.Wait()
		must(t, p.Submit(bg, g.task))
		go func() { time.Sleep(time.Second); close(g) }()
		must(t, p.Submit(bg, func(ctx context.Context) error {
			return p.Submit(ctx, func(ctx context.Context) error {
				return p.Wait(ctx)
			})
		}))
		p.Close()
	})
}

// Many goroutines of such a task wait, and none returns early.
func TestWaitOfManyGoroutinesInCallerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns))
		g := make(gate)
		var ended atomic.Bool
		must(t, p.Submit(bg, func(context.Context) error { <-g; ended.Store(true); return nil }))
		synctest.Wait()
		must(t, p.Submit(bg, func(context.Context) error { return nil }))
		go func() { time.Sleep(time.Second); close(g) }()
		must(t, p.Submit(bg, func(ctx context.Context) error {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					must(t, p.Wait(ctx))
					if !ended.Load() {
						t.Error("Wait returned while a task is unfinished")
					}
				})
			}
			wg.Wait()
			return nil
		}))
		p.Close()
	})
}

// Without a queue, a place that Wait lends is given to a blocked submitter.
func TestLentPlaceWakesSubmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(0))
		c := make(gate)
		start := make(gate)
		must(t, p.Submit(bg, c.task)) // ends when B has run
		must(t, p.Submit(bg, func(ctx context.Context) error { <-start; return p.Wait(ctx) }))
		synctest.Wait()
		go p.Submit(bg, func(context.Context) error { close(c); return nil })
		synctest.Wait()
		close(start)
		synctest.Wait()
		select {
		case <-c:
		default:
			t.Errorf("submitter blocked beside a free place")
			p.Abort()
			close(c)
		}
		p.Close()
	})
}

// So is one that comes with a larger GOMAXPROCS.
func TestGrownPlaceWakesSubmitter(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithBuffer(0))
		c := make(gate)
		must(t, p.Submit(bg, c.task)) // ends when B has run
		var ran atomic.Bool
		go p.Submit(bg, func(context.Context) error { ran.Store(true); return nil })
		synctest.Wait()
		runtime.GOMAXPROCS(2)
		time.Sleep(time.Hour)
		if !ran.Load() {
			t.Errorf("not run after 1h, %+v", p.Stats())
		}
		close(c)
		p.Close()
	})
}

// GOMAXPROCS is watched also if the last submission came while a worker searched.
func TestWatchAfterASearch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t)
		c := make(gate)
		var ran atomic.Bool
		p.SubmitBatch(bg, []Task{c.task, func(context.Context) error { ran.Store(true); return nil }})
		synctest.Wait()
		runtime.GOMAXPROCS(2)
		time.Sleep(time.Hour)
		if !ran.Load() {
			t.Errorf("not run after 1h")
			s := p.Stats()
			time.Sleep(time.Hour)
			t.Errorf("not run after 1h, %+v %v", s, ran.Load())
		}
		close(c)
		p.Close()
	})
}

// A submission that notices that GOMAXPROCS has shrunk starts no worker.
func TestShrinkByGOMAXPROCSWhileEmploying(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t)
		var ga gauge
		task := func(context.Context) error { ga.enter(); time.Sleep(time.Second); ga.leave(); return nil }
		must(t, p.Submit(bg, task))
		synctest.Wait()
		runtime.GOMAXPROCS(1)
		for range 100 {
			must(t, p.Submit(bg, task))
		}
		p.Close()
		if ga.max.Load() > 1 {
			t.Errorf("max %d", ga.max.Load())
		}
	})
}

// Nor does one that had taken a token before a shrink.
func TestShrinkWithATokenInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		var ga gauge
		task := func(context.Context) error { ga.enter(); time.Sleep(time.Second); ga.leave(); return nil }
		must(t, p.Submit(bg, task))
		synctest.Wait()
		// a submitter between its CAS of gate and e.mu in employ
		if !p.takeToken() {
			t.Fatal()
		}
		must(t, p.Resize(1))
		p.employ(nil)
		for range 100 {
			must(t, p.Submit(bg, task))
		}
		p.Close()
		if ga.max.Load() > 1 {
			t.Errorf("max %d", ga.max.Load())
		}
	})
}

// A shrink and a grow while a token is in flight leave no token too many.
func TestShrinkAndGrowWithATokenInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		s1 := make(gate)
		must(t, p.Submit(bg, func(ctx context.Context) error { <-s1; return p.Wait(ctx) }))
		synctest.Wait()
		if !p.takeToken() {
			t.Fatal()
		}
		must(t, p.Resize(1))
		must(t, p.Resize(2))
		p.employ(nil)
		synctest.Wait()
		p.mu.Lock()
		if int((p.gate.Load()&gateIdleMask)/gateIdle) != len(p.parked)+p.unborn() {
			t.Errorf("tokens wrong")
		}
		p.mu.Unlock()
		c := make(gate)
		p.SubmitBatch(bg, []Task{c.task, c.task})
		synctest.Wait()
		close(c)
		close(s1)
		p.Close()
	})
}

// What a worker leaves behind at a shrink is started though the queue never runs dry.
func TestAbandonedLaneDoesNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		g1, g2 := make(gate), make(gate)
		must(t, p.Submit(bg, g2.task))
		synctest.Wait()
		for range 200 { // make batches long
			must(t, p.Submit(bg, func(context.Context) error { return nil }))
			synctest.Wait()
		}
		var ran atomic.Int64
		ts := []Task{g1.task}
		for range 50 {
			ts = append(ts, func(context.Context) error { ran.Add(1); return nil })
		}
		p.SubmitBatch(bg, ts)
		synctest.Wait()
		must(t, p.Resize(1))
		close(g1)
		synctest.Wait()
		n := 0
		fin := make(chan bool)
		var again Task
		again = func(ctx context.Context) error {
			if n++; n < 100000 {
				p.Submit(ctx, again)
			} else {
				if ran.Load() != 50 {
					t.Errorf("starved")
				}
				select {
				case <-fin:
				default:
					close(fin)
				}
			}
			return nil
		}
		p.Submit(bg, again)
		p.Submit(bg, again)
		close(g2)
		<-fin
		p.Close()
	})
}

// An error handler may submit to a full queue.
func TestErrorHandlerSubmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		var p0 atomic.Pointer[Pool]
		p = mustNew(t, WithWorkers(1), WithBuffer(1), WithErrorHandler(func(error) {
			p0.Load().Submit(bg, func(context.Context) error { return nil })
		}))
		p0.Store(p)
		g := make(gate)
		must(t, p.Submit(bg, func(context.Context) error { <-g; return errors.New("x") }))
		synctest.Wait()
		must(t, p.Submit(bg, func(context.Context) error { return errBad }))
		close(g)
		p.Close()
	})
}

// A Wait that found no free tag does not wait for what comes for ever.
func TestWaitWithoutATagUnderAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(20))
		start := time.Now()
		var wg sync.WaitGroup
		for range 12 {
			must(t, p.Submit(bg, sleep(time.Minute)))
			wg.Go(func() { must(t, p.Wait(bg)) })
			synctest.Wait()
		}
		stop := make(chan struct{})
		var stream sync.WaitGroup
		stream.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Second):
					must(t, p.Submit(bg, sleep(50*time.Second)))
				}
			}
		})
		wg.Wait()
		if d := time.Since(start); d > 3*time.Minute {
			t.Errorf("took %v", d)
		}
		close(stop)
		stream.Wait()
		p.Close()
	})
}

// Close is recognised below a deep stack.
func TestCloseDeepInsideCallerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns))
		g := make(gate)
		must(t, p.Submit(bg, g.task))
		synctest.Wait()
		must(t, p.Submit(bg, g.task))
		close(g)
		var rec func(n int) error
		rec = func(n int) error {
			if n == 0 {
				return p.Close()
			}
			return rec(n - 1)
		}
		must(t, p.Submit(bg, func(ctx context.Context) error { return rec(300) }))
		p.Close()
	})
}

// A child that runs inline on a goroutine that a task has started may close the pool.
func TestCloseInlineOnAGoroutineOfTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1))
		g := make(gate)
		must(t, p.Submit(bg, func(ctx context.Context) error {
			<-g
			done := make(chan bool)
			go func() {
				defer close(done)
				p.Submit(ctx, func(context.Context) error { return p.Close() })
			}()
			<-done
			return nil
		}))
		synctest.Wait()
		must(t, p.Submit(bg, func(context.Context) error { return nil }))
		close(g)
		<-p.Done()
	})
}

// A deadline at the instant at which the last task ends is missed by somebody, or not missed.
func TestDeadlineAtTheVeryEnd(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithShutdown(DrainFor(time.Second)))
			must(t, p.Submit(bg, sleep(time.Second)))
			err := p.Close()
			var d *DeadlineError
			if errors.As(err, &d) && d.Running == 0 && d.Unstarted == 0 {
				t.Error(err)
			}
		})
	}
}

// A Wait of a task's goroutine that outlives the task waits like any other: it
// does not return early, and its lent place is taken back.
func TestWaitThatOutlivesItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		must(t, p.Submit(bg, sleep(time.Hour)))
		synctest.Wait()
		start := time.Now()
		must(t, p.Submit(bg, func(ctx context.Context) error {
			go func() {
				must(t, p.Wait(ctx))
				if d := time.Since(start); d != time.Hour {
					t.Errorf("returned after %v", d)
				}
			}()
			time.Sleep(time.Second)
			return nil
		}))
		p.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1))
		var g gauge
		job := func(context.Context) error { g.enter(); time.Sleep(time.Second); g.leave(); return nil }
		must(t, p.Submit(bg, func(ctx context.Context) error {
			for range 10 {
				must(t, p.Submit(ctx, job))
			}
			go p.Wait(ctx)
			synctest.Wait()
			return nil
		}))
		must(t, p.Wait(bg))
		p.Close()
		if n := g.max.Load(); n > 1 {
			t.Errorf("%d ran at a time", n)
		}
	})
}

// A worker that claims several jobs wakes another one for them, also if those who
// submitted them left that to a searcher, who had found nothing yet.
func TestClaimWakesHelp(t *testing.T) {
	only(t, Shared, Elastic)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		hold, g := make(gate), make(gate)
		must(t, p.Submit(bg, hold.task))
		synctest.Wait()
		for _, w := range p.workers {
			w.limit = DefaultBatch // as after many short tasks
		}
		p.gate.Add(1) // somebody searches
		must(t, p.Submit(bg, g.task))
		var n atomic.Int64
		for range 10 {
			must(t, p.Submit(bg, func(context.Context) error { n.Add(1); return nil }))
		}
		p.gate.Add(^uint64(0)) // and is about to park
		close(hold)
		synctest.Wait()
		if n.Load() != 10 {
			t.Errorf("%d of 10 ran beside a free worker", n.Load())
		}
		close(g)
		must(t, p.Close())
	})
}

// C14, P11: a blocked submission is not overtaken for ever.
func TestBlockedSubmitIsNotStarved(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := mustNew(t, WithWorkers(1), WithBuffer(1))
	var turns int
	var accepted atomic.Bool
	var again Task
	again = func(context.Context) error {
		if turns++; turns == 1000 {
			t.Error("starved")
			return nil
		}
		if !accepted.Load() {
			_ = p.TrySubmit(again) // takes the room that this task has made
			pause(1_000_000)       // and keeps the only processor while there is none
		}
		return nil
	}
	g := make(gate)
	must(t, p.Submit(bg, g.task))
	must(t, p.Submit(bg, again))
	done := make(chan error)
	go func() {
		err := p.Submit(bg, func(context.Context) error { return nil })
		accepted.Store(true)
		done <- err
	}()
	for p.ctl.Load()&ctlRoom == 0 {
		runtime.Gosched()
	}
	close(g)
	must(t, <-done)
	if p.ring().IsReserved() {
		t.Error("the queue is reserved for a submission that is over")
	}
	must(t, p.Close())
}

// One for which the queue is reserved still obeys its context, and leaves no reservation.
func TestReservedSubmitObeysContext(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 100 {
		if reservedSubmitObeysContext(t) {
			return
		}
	}
	t.Error("never reserved")
}

// reservedSubmitObeysContext returns false if it was not reserved, since it found room before.
func reservedSubmitObeysContext(t *testing.T) bool {
	p := mustNew(t, WithWorkers(1), WithBuffer(1))
	g, hold, ended := make(gate), make(gate), make(gate)
	var reserved, found atomic.Bool
	turns := 0
	var again Task
	again = func(context.Context) error {
		if turns++; turns == 1000 || p.TrySubmit(again) != nil { // takes the room that this task has made
			close(ended)
			return nil
		}
		for p.ctl.Load()&ctlRoom == 0 && !p.ring().IsReserved() && !found.Load() {
			runtime.Gosched() // the submitter has not seen that yet
		}
		if p.ring().IsReserved() {
			reserved.Store(true)
			close(ended)
			<-hold
			turns = 999
		}
		return nil
	}
	must(t, p.Submit(bg, g.task))
	must(t, p.Submit(bg, again))
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() {
		err := p.Submit(ctx, func(context.Context) error { return nil })
		found.Store(true)
		done <- err
	}()
	for p.ctl.Load()&ctlRoom == 0 {
		runtime.Gosched()
	}
	close(g)
	<-ended
	cancel()
	if err := <-done; reserved.Load() {
		wantIs(t, err, context.Canceled)
	}
	if p.ring().IsReserved() {
		t.Error("the queue is reserved for a submission that is over")
	}
	p.Abort()
	close(hold)
	must(t, p.Close())
	return reserved.Load()
}

// A goroutine of a task that enters Wait while another one of it gets the worker's
// place back joins it: the place was lent twice, and weight was held in Wait.
func TestPlaceIsLentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithCapacity(2))
		must(t, p.SubmitWeighted(bg, 2, func(ctx context.Context) error {
			must(t, p.SubmitWeighted(ctx, 2, sleep(time.Second)))
			var wg sync.WaitGroup
			wg.Go(func() { must(t, p.Wait(ctx)) })
			synctest.Wait()
			must(t, p.SubmitWeighted(ctx, 2, sleep(10*time.Second)))
			time.Sleep(5 * time.Second) // the first Wait is over, and has no place
			wg.Go(func() { must(t, p.Wait(ctx)) })
			synctest.Wait()
			must(t, p.SubmitWeighted(ctx, 2, sleep(10*time.Second)))
			time.Sleep(time.Second)
			p.mu.Lock()
			if p.lent != 1 {
				t.Errorf("%d places are lent", p.lent)
			}
			p.mu.Unlock()
			wg.Wait()
			return nil
		}))
		must(t, p.Wait(bg))
		must(t, p.Close())
		if p.lent != 0 || p.sorter.used != 0 {
			t.Errorf("at the end %d places are lent, and weights of %d are taken", p.lent, p.sorter.used)
		}
	})
}

// A pool without a queue handed a task over by the rules of before its first weight, while
// that came: the task was not weighed.
func TestHandOverBesideTheFirstWeight(t *testing.T) {
	for round := range rounds(2000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(4), WithBuffer(0))
			var sum atomic.Int64
			task := func(weight int64) Task {
				return func(context.Context) error {
					if n := sum.Add(weight); n > 4 {
						t.Errorf("weights of %d run, the capacity is 4", n)
					}
					time.Sleep(time.Second)
					sum.Add(-weight)
					return nil
				}
			}
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					if (i+round)%3 == 2 { // the last one of them begins first, mostly
						must(t, p.SubmitWeighted(bg, 3, task(3)))
					} else {
						must(t, p.Submit(bg, task(1)))
					}
				})
			}
			wg.Wait()
			must(t, p.Close())
		})
	}
}

// Without a queue nobody kept the others out for a submission that had been overtaken.
func TestReservedWithoutQueue(t *testing.T) {
	p := mustNew(t, WithWorkers(1), WithBuffer(0))
	nop := func(context.Context) error { return nil }
	p.reserve(true)
	wantIs(t, p.TrySubmit(nop), ErrFull)
	if s := p.push(nop, nil, true); s != ring.OK {
		t.Errorf("the one it is reserved for got %v", s)
	}
	p.reserve(false)
	must(t, p.Submit(bg, nop))
	must(t, p.Close())
}

// Workers expired of which there were too many since a shrink, whose tokens somebody held: each left a token
// that stood for no place. One that came back from Wait took it, to end a parked worker, found none, and panicked with
// the pool locked.
func TestExpiryOfTooManyLeavesNoToken(t *testing.T) {
	only(t, Shared, PerWorker, WorkStealing)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithLazy(time.Second))
		occupy(t, p, 2)
		synctest.Wait()
		for range 2 {
			if !p.takeToken() {
				t.Fatal("no two are idle")
			}
		}
		must(t, p.Resize(1))
		time.Sleep(time.Minute)
		if s := p.Stats(); s.Goroutines != 0 {
			t.Fatalf("not expired: %+v", s)
		}
		if first, second := p.employ(nil), p.employ(nil); first || !second {
			t.Errorf("with the two tokens %t, %t, want one worker", first, second)
		}
		synctest.Wait()
		if idle := p.gate.Load() & gateIdleMask / gateIdle; idle != 1 {
			t.Errorf("%d places are idle, want 1", idle)
		}
		must(t, p.Close())
	})
}
