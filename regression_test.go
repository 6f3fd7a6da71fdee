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
		start := time.Now()
		begin := func(seconds time.Duration) *Future[int] {
			u := Go(bg, p, func(ctx context.Context) (int, error) { return 0, sleep(seconds * time.Second)(ctx) })
			synctest.Wait()
			return u
		}
		a, b := begin(1), begin(3)
		must(t, p.Submit(bg, func(ctx context.Context) error {
			var wg sync.WaitGroup
			for i, u := range []*Future[int]{a, b} {
				wg.Go(func() {
					_, err := u.Wait(ctx)
					must(t, err)
					if d, want := time.Since(start), time.Duration(1+2*i)*time.Second; d != want {
						t.Errorf("goroutine %d returned after %v, want %v", i, d, want)
					}
				})
				synctest.Wait()
			}
			wg.Wait()
			return nil
		}))
		must(t, p.Wait(bg))
		if p.lent != 0 {
			t.Errorf("at the end %d places are lent", p.lent)
		}
		must(t, p.Close())
	})
}

// A task that runs on its submitter's goroutine inside another such task waits, with many
// goroutines. None returns early.
func TestWaitInNestedCallerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(CallerRuns))
		g := make(gate)
		var ended atomic.Int64
		held := func(context.Context) (int, error) { <-g; ended.Add(1); return 0, nil }
		a := Go(bg, p, held)
		synctest.Wait()
		b := Go(bg, p, held)
		go func() { time.Sleep(time.Second); close(g) }()
		must(t, p.Submit(bg, func(ctx context.Context) error {
			return p.Submit(ctx, func(ctx context.Context) error {
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						_, err := []*Future[int]{a, b}[i%2].Wait(ctx)
						must(t, err)
						if ended.Load() == 0 {
							t.Error("Wait returned while the call is unfinished")
						}
					})
				}
				wg.Wait()
				return nil
			})
		}))
		if ended.Load() != 2 {
			t.Errorf("%d of 2 have ended", ended.Load())
		}
		must(t, p.Close())
	})
}

// Without a queue, a place that a waiting task lends is given to a blocked submitter.
func TestLentPlaceWakesSubmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(0))
		c, start := make(gate), make(gate)
		u := Go(bg, p, func(ctx context.Context) (int, error) { return 0, c.task(ctx) }) // ends when B has run
		synctest.Wait()
		must(t, p.Submit(bg, func(ctx context.Context) error { <-start; _, err := u.Wait(ctx); return err }))
		synctest.Wait()
		go p.Submit(bg, func(context.Context) error { close(c); return nil }) // B
		synctest.Wait()
		select {
		case <-c:
			t.Error("B was accepted while both workers were busy")
		default:
		}
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
		// a submitter between its CAS of the idle word and e.mu in employ
		if !p.idle.Take() {
			t.Fatal()
		}
		must(t, p.Resize(1))
		p.employ()
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
		must(t, p.Submit(bg, s1.task))
		synctest.Wait()
		if !p.idle.Take() {
			t.Fatal()
		}
		must(t, p.Resize(1))
		must(t, p.Resize(2))
		p.employ()
		synctest.Wait()
		p.mu.Lock()
		if p.idle.Load().Idle() < p.parked.Len+p.unborn() {
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

// A wait of a task's goroutine that outlives the task waits like any other: it
// does not return early, and its lent place is taken back at the task's end.
func TestWaitThatOutlivesItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2))
		start := time.Now()
		u := Go(bg, p, func(ctx context.Context) (int, error) { return 0, sleep(time.Hour)(ctx) })
		synctest.Wait()
		var g gauge
		must(t, p.Submit(bg, func(ctx context.Context) error {
			for range 10 {
				must(t, p.Submit(ctx, func(context.Context) error {
					g.enter()
					time.Sleep(time.Second)
					g.leave()
					if d := time.Since(start); d > 10*time.Second {
						t.Errorf("ended after %v", d)
					}
					return nil
				}))
			}
			go func() {
				_, err := u.Wait(ctx)
				must(t, err)
				if d := time.Since(start); d != time.Hour {
					t.Errorf("returned after %v", d)
				}
			}()
			synctest.Wait() // the place is lent
			return nil
		}))
		must(t, p.Wait(bg))
		must(t, p.Close())
		if n := g.max.Load(); n != 1 {
			t.Errorf("%d ran at a time beside the long one, with 2 workers", n)
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
		p.idle.Search() // somebody searches
		must(t, p.Submit(bg, g.task))
		var n atomic.Int64
		for range 10 {
			must(t, p.Submit(bg, func(context.Context) error { n.Add(1); return nil }))
		}
		p.idle.Found() // and is about to park
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
	for p.flags.word.Load() < flagRoom {
		runtime.Gosched()
	}
	close(g)
	must(t, <-done)
	if p.main.queue.IsHeld() {
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
		for p.flags.word.Load() < flagRoom && !p.main.queue.IsHeld() && !found.Load() {
			runtime.Gosched() // the submitter has not seen that yet
		}
		if p.main.queue.IsHeld() {
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
	for p.flags.word.Load() < flagRoom {
		runtime.Gosched()
	}
	close(g)
	<-ended
	cancel()
	if err := <-done; reserved.Load() {
		wantIs(t, err, context.Canceled)
	}
	if p.main.queue.IsHeld() {
		t.Error("the queue is reserved for a submission that is over")
	}
	p.Abort()
	close(hold)
	must(t, p.Close())
	return reserved.Load()
}

// A goroutine of a task that begins to wait while another one of it gets the worker's
// place back joins it: the place was lent twice, and weight was held in the wait.
func TestPlaceIsLentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3), WithCapacity(4))
		s := &scale{limit: 4}
		long := func(d time.Duration) *Future[int] {
			u := Go(bg, p, func(ctx context.Context) (int, error) { return 0, s.task(1, sleep(d))(ctx) })
			synctest.Wait()
			return u
		}
		a, b := long(time.Second), long(30*time.Second)
		must(t, p.SubmitWeighted(bg, 2, func(ctx context.Context) error {
			var wg sync.WaitGroup
			wait := func(u *Future[int]) {
				wg.Go(func() { _, err := u.Wait(ctx); must(t, err) })
				synctest.Wait()
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.lent > 1 {
					t.Errorf("%d places are lent", p.lent)
				}
			}
			wait(a)
			for range 2 { // they take the place and the weight
				must(t, p.SubmitWeighted(ctx, 2, s.task(2, sleep(10*time.Second))))
			}
			time.Sleep(5 * time.Second) // the first wait is over, and has no weight
			wait(b)
			wg.Wait()
			return nil
		}))
		must(t, p.Wait(bg))
		must(t, p.Close())
		s.check(t)
		if p.lent != 0 || p.engine.weights.Used() != 0 {
			t.Errorf("at the end %d places are lent, and weights of %d are taken", p.lent, p.engine.weights.Used())
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
			if !p.idle.Take() {
				t.Fatal("no two are idle")
			}
		}
		must(t, p.Resize(1))
		time.Sleep(time.Minute)
		if s := p.Stats(); s.Goroutines != 0 {
			t.Fatalf("not expired: %+v", s)
		}
		p.employ()
		p.employ() // it ends here or, if the worker of the first has parked, when somebody next comes with it
		g := make(gate)
		must(t, p.Submit(bg, g.task))
		synctest.Wait()
		must(t, p.Submit(bg, g.task))
		synctest.Wait()
		close(g)
		synctest.Wait()
		if idle, live := p.idle.Load().Idle(), p.live; idle != 1 || live != 1 {
			t.Errorf("with two tokens: %d places are idle and %d workers live, want one of each", idle, live)
		}
		must(t, p.Close())
	})
}
