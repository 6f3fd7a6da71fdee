package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slicesRun records the slices that a handler of typed batches gets.
type slicesRun struct {
	mu  sync.Mutex
	all [][]int
	at  []time.Time
}

func (s *slicesRun) add(jobs []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, slices.Clone(jobs)) // the slice is the pool's
	s.at = append(s.at, time.Now())
}

// take returns what there is and begins anew.
func (s *slicesRun) take() (all [][]int, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = s.all
	if len(s.at) > 0 {
		last = s.at[len(s.at)-1]
	}
	s.all, s.at = nil, nil
	return all, last
}

func (s *slicesRun) handle(_ context.Context, jobs []int) error {
	s.add(jobs)
	return nil
}

// behind returns a handler that waits for g.
func (s *slicesRun) behind(g gate) func(context.Context, []int) error {
	return func(_ context.Context, jobs []int) error {
		s.add(jobs)
		<-g
		return nil
	}
}

// flat returns all jobs, sorted, and the length of the longest slice.
func (s *slicesRun) flat() (jobs []int, longest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.all {
		jobs = append(jobs, v...)
		longest = max(longest, len(v))
	}
	slices.Sort(jobs)
	return jobs, longest
}

func (s *slicesRun) check(t *testing.T, n, most int) {
	t.Helper()
	jobs, longest := s.flat()
	if len(jobs) != n || longest > most {
		t.Fatalf("%d jobs in slices of up to %d, want %d and %d: %v", len(jobs), longest, n, most, s.all)
	}
	for i, v := range jobs {
		if v != i {
			t.Fatalf("job %d: %v", i, s.all)
		}
	}
}

func mustTypedBatch(t testing.TB, handle func(context.Context, []int) error, opts ...Option) *Typed[int] {
	t.Helper()
	p, err := NewTypedBatch(handle, append([]Option{WithStrategy(strategy)}, opts...)...)
	must(t, err)
	return p
}

// mustBatch submits all jobs at once.
func mustBatch(t testing.TB, p *Typed[int], jobs []int) {
	t.Helper()
	if n, err := p.SubmitBatch(bg, jobs); n != len(jobs) || err != nil {
		t.Fatalf("%d of %d accepted: %v", n, len(jobs), err)
	}
}

// upToSlice returns 0 to n-1.
func upToSlice(n int) []int { return slices.Collect(upTo(n)) }

func TestTypedBatchTakesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got slicesRun
		g := make(gate)
		p := mustTypedBatch(t, got.behind(g), WithWorkers(1), WithBatch(4))
		must(t, p.Submit(bg, 0))
		synctest.Wait()
		for i := 1; i <= 10; i++ {
			must(t, p.Submit(bg, i))
		}
		if s := p.Stats(); s.Running != 1 || s.Queued != 10 {
			t.Fatalf("got %+v", s)
		}
		g <- struct{}{}
		synctest.Wait()
		if s := p.Stats(); s.Running != 4 || s.Queued != 6 || s.Completed != 1 {
			t.Fatalf("a batch of 4 runs: got %+v", s)
		}
		close(g)
		must(t, p.Close())
		got.check(t, 11, 4)
		if len(got.all) != 4 {
			t.Errorf("slices %v", got.all)
		}
		checkRest(t, p.Stats())
	})
}

// F13: a batch is handed over when it is full or has lingered, once, and never empty.
func TestTypedBatchLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got slicesRun
		p := mustTypedBatch(t, got.handle, WithWorkers(3), WithBatch(4), WithLinger(time.Second))
		begin := time.Now()
		next := 0
		submit := func(n int) {
			for range n {
				must(t, p.Submit(bg, next))
				next++
			}
		}
		wantSlices := func(what string, d time.Duration, sizes ...int) {
			t.Helper()
			synctest.Wait()
			var have []int
			all, last := got.take()
			for _, s := range all {
				have = append(have, len(s))
			}
			slices.Sort(have)
			if !slices.Equal(have, sizes) || len(sizes) > 0 && last.Sub(begin) != d {
				t.Fatalf("%s: slices %v at %v, want lengths %v, the last at %v", what, all, last.Sub(begin), sizes, d)
			}
		}
		submit(3)
		time.Sleep(time.Second - 1*time.Nanosecond)
		wantSlices("too few, not yet lingered", 0)
		time.Sleep(1 * time.Nanosecond)
		wantSlices("lingered", time.Second, 3)
		time.Sleep(time.Second)
		submit(4)
		wantSlices("full", 2*time.Second, 4)
		submit(1)
		time.Sleep(time.Second)
		submit(1) // at the very instant
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		n := 0
		all, _ := got.take()
		for _, s := range all {
			if len(s) == 0 {
				t.Error("an empty slice")
			}
			n += len(s)
		}
		if n != 2 {
			t.Errorf("slices %v", all)
		}
		submit(2)
		wantSlices("waiting", 0)
		must(t, p.Close())
		wantSlices("closed", time.Since(begin), 2)
	})
}

// A job that has lingered while all workers were busy runs as soon as one is free.
func TestTypedBatchLingersWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got slicesRun
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			got.add(jobs)
			time.Sleep(10 * time.Second)
			return nil
		}, WithWorkers(1), WithBatch(2), WithLinger(time.Second))
		begin := time.Now()
		must(t, p.Submit(bg, 0))
		must(t, p.Submit(bg, 1))
		time.Sleep(5 * time.Second)
		must(t, p.Submit(bg, 2))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if all, last := got.take(); len(all) != 2 || last.Sub(begin) != 10*time.Second {
			t.Errorf("slices %v, the last at %v", all, last.Sub(begin))
		}
		must(t, p.Close())
	})
}

// F14: what lingers is handed over when the pool is closed, and handed back when it is aborted.
func TestTypedBatchLingersAtTheEnd(t *testing.T) {
	for _, abort := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var got slicesRun
			p := mustTypedBatch(t, got.handle, WithWorkers(2), WithBatch(100), WithLinger(time.Hour))
			for i := range 5 {
				must(t, p.Submit(bg, i))
			}
			synctest.Wait()
			if s := p.Stats(); s.Queued != 5 {
				t.Fatalf("got %+v", s)
			}
			if abort {
				p.Abort()
				<-p.Done()
				l := p.Leftover()
				if slices.Sort(l); !slices.Equal(l, []int{0, 1, 2, 3, 4}) {
					t.Fatalf("left over %v", l)
				}
			} else {
				must(t, p.Close())
				got.check(t, 5, 5)
			}
			if all, _ := got.take(); abort && len(all) != 0 {
				t.Errorf("ran %v", all)
			}
			checkRest(t, p.Stats())
		})
	}
}

// A full queue does not wait for more to come.
func TestTypedBatchLingersNoLongerThanThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got slicesRun
		p := mustTypedBatch(t, got.handle, WithWorkers(1), WithBatch(100), WithBuffer(3), WithLinger(time.Hour))
		begin := time.Now()
		for i := range 9 {
			must(t, p.Submit(bg, i))
		}
		synctest.Wait()
		if time.Since(begin) != 0 {
			t.Error("a submitter waited")
		}
		must(t, p.Close())
		got.check(t, 9, 4) // one more than wait, while the worker is idle
	})
}

// What was submitted together is one slice, as far as WithBatch allows.
func TestTypedBatchOfChunks(t *testing.T) {
	only(t, Shared, WorkStealing, Elastic)
	synctest.Test(t, func(t *testing.T) {
		var got slicesRun
		g := make(gate)
		p := mustTypedBatch(t, got.behind(g), WithWorkers(1), WithBatch(40))
		must(t, p.Submit(bg, 0))
		synctest.Wait()
		mustBatch(t, p, upToSlice(100)[1:])
		must(t, p.Submit(bg, 100))
		g <- struct{}{}
		synctest.Wait()
		if s := p.Stats(); s.Running != 40 || s.Queued != 60 || s.Completed != 1 {
			t.Fatalf("a batch of 40 runs: got %+v", s)
		}
		close(g)
		must(t, p.Close())
		var lens []int
		for _, jobs := range got.all {
			if lens = append(lens, len(jobs)); !slices.IsSorted(jobs) {
				t.Errorf("slice %v", jobs)
			}
		}
		if got.check(t, 101, 40); !slices.Equal(lens, []int{1, 40, 40, 20}) {
			t.Errorf("slices of %v", lens)
		}
		checkRest(t, p.Stats())
	})
}

// F16: a failure concerns the jobs of its slice, all of them and no others.
func TestTypedBatchFails(t *testing.T) {
	t.Run("single", func(t *testing.T) { synctest.Test(t, typedBatchFails(false)) })
	t.Run("chunks", func(t *testing.T) { synctest.Test(t, typedBatchFails(true)) })
}

func typedBatchFails(chunks bool) func(*testing.T) {
	return func(t *testing.T) {
		bad := errors.New("bad")
		var errs atomic.Int64
		g := make(gate)
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			switch jobs[0] {
			case -1:
				<-g
			case 0:
				return bad
			case 1:
				panic("p")
			case 2:
				runtime.Goexit()
			}
			return nil
		}, WithWorkers(1), WithBatch(4), WithPanicHandler(func(*PanicError) {}), WithErrorHandler(func(error) { errs.Add(1) }), WithErrorLimit(10))
		must(t, p.Submit(bg, -1))
		synctest.Wait()
		for v := range 4 {
			if chunks {
				mustBatch(t, p, slices.Repeat([]int{v}, 4))
				continue
			}
			for range 4 {
				must(t, p.Submit(bg, v))
			}
		}
		close(g)
		err := p.Close()
		wantIs(t, err, bad)
		wantIs(t, err, ErrGoexit)
		s := p.Stats()
		checkRest(t, s)
		if s.Failed != 4 || s.Panicked != 4 || s.Goexited != 4 || s.Completed != 5 || errs.Load() != 3 {
			t.Errorf("%d errors, got %+v", errs.Load(), s)
		}
	}
}

// Jobs with equal keys are in one slice, in order, or in slices that do not overlap.
func TestStressTypedBatchKeyed(t *testing.T) {
	for round := range rounds(100) {
		const keys, each = 7, 60
		var mu sync.Mutex
		busy, next := map[int]bool{}, map[int]int{}
		ran := 0
		p := mustTypedBatch(t, func(ctx context.Context, jobs []int) error {
			mu.Lock()
			mine := map[int]bool{}
			for _, v := range jobs {
				key, i := v%keys, v/keys
				if busy[key] && !mine[key] || next[key] != i {
					t.Errorf("key %d: job %d, the next is %d, one runs: %v", key, i, next[key], busy[key])
				}
				mine[key], busy[key] = true, true
				next[key]++
			}
			ran += len(jobs)
			mu.Unlock()
			runtime.Gosched()
			mu.Lock()
			for key := range mine {
				busy[key] = false
			}
			mu.Unlock()
			return nil
		}, WithWorkers(1+round%4), WithBuffer(1+round%50), WithBatch(1+round%20))
		var wg sync.WaitGroup
		for key := range keys {
			wg.Go(func() {
				for i := range each {
					must(t, p.SubmitKeyed(bg, uint64(key), i*keys+key))
				}
			})
		}
		wg.Wait()
		must(t, p.Close())
		if ran != keys*each {
			t.Fatalf("%d ran", ran)
		}
		checkRest(t, p.Stats())
	}
}

// With weights the slices have one job each, and the sum of the weights stays in bounds.
func TestTypedBatchWeighted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sum, most atomic.Int64
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			if len(jobs) != 1 {
				t.Errorf("slice %v", jobs)
			}
			w := int64(jobs[0])
			if s := sum.Add(w); s > most.Load() {
				most.Store(s)
			}
			time.Sleep(time.Second)
			sum.Add(-w)
			return nil
		}, WithWorkers(4), WithCapacity(5))
		for i := range 40 {
			w := 1 + i%4
			must(t, p.SubmitWeighted(bg, int64(w), w))
		}
		must(t, p.Close())
		if most.Load() > 5 {
			t.Errorf("sum %d", most.Load())
		}
	})
}

// A handler's Wait for its own pool is refused, and what the handler submits is waited for with its slice.
func TestTypedBatchWaitsInside(t *testing.T) {
	for _, how := range []string{"single", "keyed", "chunk"} {
		synctest.Test(t, func(t *testing.T) {
			var p *Typed[int]
			var ran, children atomic.Int64
			g := make(gate)
			p = mustTypedBatch(t, func(ctx context.Context, jobs []int) error {
				switch {
				case jobs[0] < 0:
					<-g
					return nil
				case jobs[0] < 100:
					wantIs(t, p.Wait(ctx), ErrInTask)
					wantIs(t, p.Wait(bg), ErrInTask)
					must(t, p.Submit(ctx, 100))
					children.Add(1)
				default:
					time.Sleep(time.Second)
				}
				ran.Add(int64(len(jobs)))
				return nil
			}, WithWorkers(1), WithBatch(8))
			must(t, p.Submit(bg, -1))
			synctest.Wait()
			for i := range 20 {
				switch how {
				case "single":
					must(t, p.Submit(bg, i))
				case "keyed":
					must(t, p.SubmitKeyed(bg, uint64(i%3), i))
				}
			}
			if how == "chunk" {
				mustBatch(t, p, upToSlice(20))
			}
			close(g)
			must(t, p.Wait(bg))
			if n := ran.Load(); children.Load() == 0 || n != 20+children.Load() {
				t.Errorf("%s: Wait returned after %d jobs, 20 and %d children were accepted", how, n, children.Load())
			}
			must(t, p.Close())
			checkRest(t, p.Stats())
		})
	}
}

// A1, A2: each job is in one slice, or handed back, exactly once, whatever the end.
func TestStressTypedBatch(t *testing.T) {
	for round := range rounds(300) {
		const producers, each = 4, 100
		have := make([]atomic.Int32, producers*each)
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			for _, v := range jobs {
				have[v].Add(1)
			}
			return nil
		}, WithWorkers(1+round%3), WithBuffer(round%40), WithBatch(1+round%33))
		var wg sync.WaitGroup
		accepted := make([]bool, producers*each)
		for s := range producers {
			wg.Go(func() {
				for i := 0; i < each; {
					v := s*each + i
					if i%7 == 0 {
						n := min(1+i*5%41, each-i)
						vs := make([]int, n)
						for k := range vs {
							vs[k] = v + k
						}
						n, _ = p.SubmitBatch(bg, vs)
						for k := range n {
							accepted[v+k] = true
						}
						i += len(vs)
						continue
					}
					accepted[v] = p.Submit(bg, v) == nil
					i++
				}
			})
		}
		stops := rand.IntN(3)
		if stops > 0 {
			for range rand.IntN(200) {
				runtime.Gosched()
			}
		} else {
			wg.Wait()
		}
		if stops == 1 {
			p.Abort()
			<-p.Done()
		} else {
			must(t, p.Close())
		}
		wg.Wait()
		for _, v := range p.Leftover() {
			have[v].Add(1)
		}
		for v := range have {
			if n := have[v].Load(); n != 0 && !accepted[v] || n != 1 && accepted[v] {
				t.Fatalf("round %d: job %d ran or came back %d times, accepted: %v", round, v, n, accepted[v])
			}
		}
		checkRest(t, p.Stats())
	}
}

func TestTypedBatchBadInput(t *testing.T) {
	if _, err := NewTypedBatch[int](nil); err == nil {
		t.Error("a nil handler was accepted")
	}
}
