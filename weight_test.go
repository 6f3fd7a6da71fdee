package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// scale adds up the weights of the tasks that run.
type scale struct {
	limit    int64
	now, max atomic.Int64
}

func (s *scale) task(weight int64, body Task) Task {
	return func(ctx context.Context) error {
		s.add(weight)
		defer s.add(-weight)
		return body(ctx)
	}
}

func (s *scale) add(weight int64) {
	n := s.now.Add(weight)
	for m := s.max.Load(); n > m && !s.max.CompareAndSwap(m, n); m = s.max.Load() {
	}
}

func (s *scale) check(t testing.TB) {
	t.Helper()
	if m := s.max.Load(); m > s.limit {
		t.Errorf("weights of %d at a time, the capacity is %d", m, s.limit)
	}
}

// D2: the sum of the weights stays within the capacity, whether it is the number
// of workers or a number of its own, and with panics and Goexit.
func TestWeightsStayWithinCapacity(t *testing.T) {
	for _, capacity := range []int64{0, 3, 10} {
		for _, buffer := range buffers {
			t.Run(name("capacity", capacity, "buffer", buffer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := []Option{WithWorkers(5), WithBuffer(buffer), WithPanicHandler(func(*PanicError) {})}
					s := &scale{limit: 5}
					if capacity > 0 {
						opts = append(opts, WithCapacity(capacity))
						s.limit = capacity
					}
					p := mustNew(t, opts...)
					r := rand.New(rand.NewPCG(uint64(capacity), uint64(buffer)))
					var ran atomic.Int64
					for range 300 {
						w, kind, d := 1+r.Int64N(s.limit), r.IntN(10), time.Duration(r.IntN(3))*time.Second
						must(t, p.SubmitWeighted(bg, w, s.task(w, func(context.Context) error {
							ran.Add(1)
							time.Sleep(d)
							switch kind {
							case 0:
								panic("bad")
							case 1:
								runtime.Goexit()
							}
							return nil
						})))
					}
					must(t, p.Wait(bg))
					synctest.Wait()
					if p.engine.weights.Used() != 0 {
						t.Errorf("at rest %d are taken", p.engine.weights.Used())
					}
					p.Close()
					s.check(t)
					if ran.Load() != 300 {
						t.Errorf("%d ran", ran.Load())
					}
					checkRest(t, p.Stats())
				})
			})
		}
	}
}

// D5: a stream of light tasks does not starve a heavy one: it starts when those
// that ran before it have ended.
func TestHeavyTaskIsNotStarved(t *testing.T) {
	for _, buffer := range []int{0, 64} {
		t.Run(name("buffer", buffer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(4), WithBuffer(buffer))
				stop := make(chan struct{})
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * time.Second / 4)
						for {
							select {
							case <-stop:
								return
							default:
								must(t, p.Submit(bg, sleep(time.Second)))
								time.Sleep(time.Second)
							}
						}
					})
				}
				time.Sleep(10 * time.Second)
				start := time.Now()
				done := make(chan time.Duration)
				go func() {
					_ = p.SubmitWeighted(bg, 4, func(context.Context) error { done <- time.Since(start); return nil })
				}()
				most := time.Second
				if buffer == 0 {
					most = 2 * time.Second // it waits for a worker before it is accepted, and may be overtaken there
				}
				if strategy == PerWorker {
					most = 5 * time.Second // tasks that were bound to a worker before it
				}
				if d := <-done; d > most {
					t.Errorf("the heavy task started after %v", d)
				}
				close(stop)
				wg.Wait()
				must(t, p.Close())
			})
		})
	}
}

// D3, D7: a bad weight is refused at once, also when others wait, and takes nothing.
func TestBadWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithCapacity(4))
		g := make(gate)
		must(t, p.SubmitWeighted(bg, 4, g.task))
		synctest.Wait()
		must(t, p.SubmitWeighted(bg, 4, g.task))
		wantIs(t, p.SubmitWeighted(bg, 5, g.task), ErrTooHeavy)
		for _, w := range []int64{0, -1, -1 << 63} {
			if p.SubmitWeighted(bg, w, g.task) == nil {
				t.Errorf("weight %d was accepted", w)
			}
		}
		err := p.SubmitWeighted(bg, 1<<62, g.task)
		if wantIs(t, err, ErrTooHeavy); !strings.HasSuffix(err.Error(), ": weight 4611686018427387904, WithCapacity(4)") {
			t.Error(err)
		}
		wantIs(t, p.SubmitWeighted(bg, 2, nil), ErrNilTask)
		close(g)
		must(t, p.Close())
		checkRest(t, p.Stats())
		wantIs(t, p.SubmitWeighted(bg, 2, g.task), ErrClosed)
		wantIs(t, p.SubmitWeighted(bg, 5, g.task), ErrClosed) // for ever, so the weight does not matter
	})
}

// A heavy task that was accepted keeps those behind it waiting until it fits; the end of the context of its submission
// changes nothing.
func TestHeavyTaskWaitsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4), WithBuffer(8))
		g := make(gate)
		var ran record
		must(t, p.SubmitWeighted(bg, 2, g.task))
		synctest.Wait()
		ctx, cancel := context.WithCancel(bg)
		must(t, p.SubmitWeighted(ctx, 4, ran.task(1)))
		cancel()
		synctest.Wait()
		must(t, p.Submit(bg, ran.task(2)))
		synctest.Wait()
		if s := p.Stats(); s.Queued != 2 || s.Running != 1 || len(ran.get()) != 0 {
			t.Errorf("got %+v", s)
		}
		close(g)
		must(t, p.Wait(bg))
		if got := ran.get(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("ran in the order %v", got)
		}
		must(t, p.Close())
	})
}

// D9, P7: after a shrink nothing starts before it fits, and a task that will never
// fit any more runs alone.
func TestResizeWithWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4))
		g := make(gate)
		must(t, p.SubmitWeighted(bg, 3, g.task))
		synctest.Wait()
		var r record
		must(t, p.SubmitWeighted(bg, 4, r.task(4)))
		must(t, p.SubmitWeighted(bg, 2, r.task(2)))
		must(t, p.Submit(bg, r.task(1)))
		must(t, p.Resize(2))
		wantIs(t, p.SubmitWeighted(bg, 3, g.task), ErrTooHeavy)
		synctest.Wait()
		if got := r.get(); len(got) != 0 {
			t.Errorf("%v started beside a task of weight 3 and a capacity of 2", got)
		}
		close(g)
		must(t, p.Wait(bg))
		if got := fmt.Sprint(r.get()); got != "[4 2 1]" {
			t.Errorf("got %s", got)
		}
		g2 := make(gate)
		must(t, p.Submit(bg, g2.task))
		must(t, p.SubmitWeighted(bg, 2, g2.task))
		synctest.Wait()
		if s := p.Stats(); s.Running != 1 {
			t.Errorf("%d run", s.Running)
		}
		must(t, p.Resize(3)) // everybody who fits starts at once
		synctest.Wait()
		if s := p.Stats(); s.Running != 2 {
			t.Errorf("%d run after the grow", s.Running)
		}
		close(g2)
		must(t, p.Close())
	})
}

// A task that waits for others gives away its part of the capacity, and gets it back before it goes on.
func TestWaitGivesWeightAway(t *testing.T) {
	for _, buffer := range []int{0, 1, 64} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(2), WithBuffer(buffer), WithCapacity(7))
			start := time.Now()
			s := &scale{limit: 7}
			var children, ran atomic.Int64
			long := Go(bg, p, func(ctx context.Context) (int, error) { return 0, s.task(1, sleep(10*time.Second))(ctx) })
			synctest.Wait()
			for range 3 {
				must(t, p.SubmitWeighted(bg, 6, func(ctx context.Context) error {
					s.add(6)
					err := p.SubmitWeighted(ctx, 6, s.task(6, func(ctx context.Context) error { ran.Add(1); return sleep(time.Second)(ctx) }))
					if err == nil {
						children.Add(1)
					} else if buffer > 2 {
						t.Error(err)
					}
					s.add(-6)
					_, err = long.Wait(ctx)
					if ran.Load() != children.Load() {
						t.Errorf("%d of %d children ran while all others waited", ran.Load(), children.Load())
					}
					s.add(6)
					time.Sleep(time.Second)
					s.add(-6)
					return err
				}))
			}
			must(t, p.Wait(bg))
			if d := time.Since(start); d != 13*time.Second {
				t.Errorf("buffer %d: took %v", buffer, d)
			}
			must(t, p.Close())
			s.check(t)
			if n := p.engine.weights.Used(); n != 0 {
				t.Errorf("at the end %d are taken", n)
			}
		})
	}
}

// A task that had to wait for capacity takes the place of a heavier one: those behind it fit as
// well then, and idle workers, which had seen that the first one did not fit, are told.
func TestFreedWeightWakesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4), WithCapacity(8))
		start := time.Now()
		var at record
		light := func(context.Context) error {
			at.add(int(time.Since(start) / time.Second))
			return nil
		}
		must(t, p.SubmitWeighted(bg, 5, sleep(time.Second)))
		must(t, p.Submit(bg, sleep(time.Hour)))
		synctest.Wait()
		must(t, p.SubmitWeighted(bg, 4, sleep(time.Hour)))
		for range 2 {
			must(t, p.Submit(bg, light))
		}
		must(t, p.Close())
		for _, sec := range at.get() {
			if sec != 1 {
				t.Errorf("a task that fitted after 1 s ran after %d s, beside idle workers", sec)
			}
		}
	})
}

// What a task leaves behind may begin to wait when the task has just ended, and its worker goes on: no unit is lost.
func TestUnitsOfWhatATaskLeavesBehind(t *testing.T) {
	p := mustNew(t, WithWorkers(3), WithCapacity(3), WithBuffer(8))
	g := make(gate)
	long := Go(bg, p, func(context.Context) (int, error) { <-g; return 0, nil })
	var wg sync.WaitGroup
	for range rounds(20000) {
		must(t, p.Submit(bg, func(ctx context.Context) error {
			wg.Go(func() { _, _ = long.Wait(ctx) })
			return nil
		}))
	}
	close(g)
	must(t, p.Close())
	wg.Wait()
	if n := p.engine.weights.Used(); n != 0 {
		t.Fatalf("at the end %d units are taken", n)
	}
}

// A heavy task that comes back from a wait needs no more than the capacity, also when that shrinks while it waits for its
// units.
func TestCapacityShrinksBeneathATaskThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3), WithBuffer(4))
		f, g := make(gate), make(gate)
		first := Go(bg, p, func(context.Context) (int, error) { <-f; return 0, nil })
		synctest.Wait()
		must(t, p.SubmitWeighted(bg, 2, func(ctx context.Context) error {
			_, err := first.Wait(ctx)
			return err
		}))
		for range 2 {
			must(t, p.Submit(bg, g.task))
		}
		synctest.Wait()
		close(f)
		synctest.Wait()
		must(t, p.Resize(1))
		close(g)
		must(t, p.Close())
		if n := p.engine.weights.Used(); n != 0 {
			t.Errorf("at the end %d units are taken", n)
		}
		checkRest(t, p.Stats())
	})
}

// A worker that keeps its units for the next heavy task wakes another for the light one behind it.
func TestLightTaskBehindHeavyOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithCapacity(4))
		first, second := make(chan struct{}), make(chan struct{})
		began, ran := false, false
		must(t, p.SubmitWeighted(bg, 3, func(context.Context) error { <-first; return nil }))
		must(t, p.SubmitWeighted(bg, 3, func(context.Context) error { began = true; <-second; return nil }))
		must(t, p.Submit(bg, func(context.Context) error { ran = true; return nil }))
		synctest.Wait()
		if began || ran {
			t.Fatalf("behind the first one: %v, %v", began, ran)
		}
		close(first)
		synctest.Wait()
		if !began || !ran {
			t.Errorf("the second one has begun: %v, the light one has run: %v", began, ran)
		}
		close(second)
		must(t, p.Close())
	})
}
