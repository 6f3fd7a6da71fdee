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

// What went wrong with typed batches beside Wait, Resize and keys, each under the name of what went wrong.

// Jobs before and after a call of Wait were claimed together, and the handler called for the first ones, while the
// others lay where nobody else took them.
func TestSliceOfTwoEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		begin := time.Now()
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			if len(jobs) > 1 {
				t.Errorf("slice %v", jobs)
			}
			switch jobs[0] {
			case 0:
				<-g
			case 1:
				time.Sleep(time.Hour)
			case 2:
				if d := time.Since(begin); d > 0 {
					t.Errorf("began after %v", d)
				}
			}
			return nil
		}, WithWorkers(2), WithBatch(4))
		for range 2 {
			must(t, p.Submit(bg, 0))
			synctest.Wait()
		}
		must(t, p.Submit(bg, 1))
		waited := make(chan error)
		go func() { waited <- p.Wait(bg) }()
		synctest.Wait()
		must(t, p.Submit(bg, 2))
		close(g)
		must(t, <-waited)
		must(t, p.Close())
	})
}

// A worker that had to end, with one job in hand, left it where no worker of typed batches looked, though each saw it.
func TestStressTypedBatchAfterShrink(t *testing.T) {
	for round := range rounds(100) {
		synctest.Test(t, func(t *testing.T) {
			var ran atomic.Int64
			p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
				ran.Add(int64(len(jobs)))
				for range 3 {
					runtime.Gosched()
				}
				return nil
			}, WithWorkers(4), WithBatch(4))
			var wg sync.WaitGroup
			wg.Go(func() {
				for range 50 {
					must(t, p.Submit(bg, 1))
					runtime.Gosched()
				}
			})
			wg.Go(func() {
				for i := range 20 {
					must(t, p.Resize(1+3*(i%2)))
					for range round % 7 {
						runtime.Gosched()
					}
				}
			})
			wg.Wait()
			must(t, p.Wait(bg))
			must(t, p.Close())
			if ran.Load() != 50 {
				t.Errorf("%d ran", ran.Load())
			}
		})
	}
}

// A worker that found nothing ripe parked without giving up the key of the task that it had run.
func TestKeyOwedByLingeringWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		var ran atomic.Bool
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			if jobs[0] < 2 {
				<-g
			}
			if slices.Contains(jobs, 2) {
				ran.Store(true)
			}
			return nil
		}, WithWorkers(2), WithBatch(4), WithLinger(time.Millisecond))
		must(t, p.Submit(bg, 0))
		time.Sleep(time.Second)
		must(t, p.SubmitKeyed(bg, 7, 1))
		time.Sleep(time.Second) // it runs
		must(t, p.SubmitKeyed(bg, 7, 2))
		time.Sleep(time.Second) // it is behind the other one
		close(g)
		time.Sleep(time.Hour)
		if !ran.Load() {
			t.Errorf("not started, all workers are free: %+v", p.Stats())
		}
		must(t, p.Close())
	})
}

// A claim left something behind that was not ripe, and nobody set the timer for it.
func TestClaimLeavesSomethingToLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		var ran atomic.Int64
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			if ran.Add(int64(len(jobs))); jobs[0] == 0 {
				<-g
			}
			return nil
		}, WithWorkers(2), WithBatch(4), WithLinger(time.Millisecond))
		mustBatch(t, p, upToSlice(6))
		synctest.Wait()
		if n := ran.Load(); n != 4 {
			t.Errorf("%d have begun at once, want the full slice of 4", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := ran.Load(); n != 6 {
			t.Errorf("%d of 6 have begun after the linger time, beside a free worker", n)
		}
		close(g)
		must(t, p.Close())
	})
}

// A chunk whose tasks were too long to be taken together was made one strand, and nobody woken for the rest.
func TestStressChunkTakenApart(t *testing.T) {
	only(t, Shared, WorkStealing, Elastic)
	for round := range rounds(1000) {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2))
			short := func(context.Context) error {
				for range round % 5 {
					runtime.Gosched()
				}
				return nil
			}
			mustAll(t, p.Submit(bg, short), p.Submit(bg, short))
			for range round % 11 {
				runtime.Gosched()
			}
			long := sleep(time.Second)
			if n, err := p.SubmitBatch(bg, []Task{long, long, long, long}); n != 4 || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait()
			if s := p.Stats(); s.Running != 2 {
				t.Errorf("round %d: %+v", round, s)
			}
			must(t, p.Close())
		})
	}
}

func mustAll(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		must(t, err)
	}
}
