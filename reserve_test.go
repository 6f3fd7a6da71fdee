package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func mustReserve(t testing.TB, p *Pool, most, want int) *Slots {
	t.Helper()
	s, err := p.Reserve(bg, most)
	must(t, err)
	if s.Len() != want {
		t.Fatalf("Reserve(%d) got %d places, want %d", most, s.Len(), want)
	}
	return s
}

// No more is reserved than there is, and what is reserved is taken for all others.
func TestReserveTakesWhatIsFree(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		one := mustReserve(t, p, 1, 1)
		g := make(gate)
		for range workers + buffer - 1 {
			must(t, p.TrySubmit(g.task))
		}
		wantIs(t, p.TrySubmit(g.task), ErrFull)
		must(t, one.Submit(g.task))
		wantIs(t, one.Submit(g.task), ErrFull)
		close(g)
		must(t, p.Wait(bg))
		all := mustReserve(t, p, 1000, workers+buffer)
		wantIs(t, p.TrySubmit(g.task), ErrFull)
		if n := p.Stats().Reserved; n != workers+buffer {
			t.Errorf("Stats says %d, want %d", n, workers+buffer)
		}
		must(t, all.Submit(g.task))
		all.Release()
		all.Release()
		must(t, p.Wait(bg))
		if n := p.Stats().Reserved; n != 0 {
			t.Errorf("%d places left", n)
		}
		must(t, p.Close())
		checkRest(t, p.Stats())
	})
}

// Plain submissions had room before, and have none when it is reserved.
func TestReserveTakesRoomAway(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		must(t, p.TrySubmit(sleep(0)))
		must(t, p.Wait(bg))
		all := mustReserve(t, p, 1000, workers+buffer)
		wantIs(t, p.TrySubmit(sleep(0)), ErrFull)
		all.Release()
		must(t, p.TrySubmit(sleep(0)))
		must(t, p.Close())
	})
}

// Who waits for a place gets one when a task ends, when one is released, and when a context ends; submitters likewise.
func TestReserveWaits(t *testing.T) {
	for _, free := range []string{"end", "Release", "context", "Resize"} {
		for _, who := range []string{"Reserve", "Submit"} {
			t.Run(free+"/"+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := mustNew(t, WithWorkers(1), WithBuffer(1))
					ctx, cancel := context.WithCancel(bg)
					defer cancel()
					g := make(gate)
					must(t, p.TrySubmit(g.task))
					s, err := p.Reserve(ctx, 5)
					must(t, err)
					var got atomic.Bool
					go func() {
						if who == "Submit" {
							must(t, p.Submit(bg, func(context.Context) error { return nil }))
						} else {
							s, err := p.Reserve(bg, 1)
							must(t, err)
							s.Release()
						}
						got.Store(true)
					}()
					synctest.Wait()
					if got.Load() {
						t.Fatal("did not wait")
					}
					switch free {
					case "end":
						close(g)
					case "Release":
						s.Release()
					case "context":
						cancel()
					case "Resize":
						must(t, p.Resize(2))
					}
					synctest.Wait()
					if !got.Load() {
						t.Fatal("still waits")
					}
					if free == "context" {
						wantIs(t, s.Submit(g.task), context.Canceled)
					}
					s.Release()
					if free != "end" {
						close(g)
					}
					must(t, p.Close())
				})
			})
		}
	}
}

// A pool that ends releases those who wait for places, and refuses what is submitted into them.
func TestReserveAtTheEnd(t *testing.T) {
	ends := map[string]func(p *Pool){
		"Close":    func(p *Pool) { _ = p.Close() },
		"Abort":    func(p *Pool) { p.Abort() },
		"Shutdown": func(p *Pool) { _ = p.Shutdown(bg) },
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(2), WithBuffer(2))
				s := mustReserve(t, p, 9, 4)
				must(t, s.Submit(func(context.Context) error { return nil }))
				synctest.Wait()
				mustReserve(t, p, 1, 1)
				var wg sync.WaitGroup
				wg.Go(func() {
					_, err := p.Reserve(bg, 1)
					wantIs(t, err, ErrClosed)
				})
				synctest.Wait()
				end(p)
				wg.Wait()
				<-p.Done()
				wantIs(t, s.Submit(func(context.Context) error { return nil }), ErrClosed)
				_, err := p.Reserve(bg, 1)
				wantIs(t, err, ErrClosed)
				if n := p.Stats().Reserved + s.Len(); n != 0 {
					t.Errorf("%d places in a closed pool", n)
				}
				s.Release()
				checkRest(t, p.Stats())
			})
		})
	}
}

// A shrink takes no place back, and nobody gets one until there is room again.
func TestReserveAndResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(5), WithBuffer(0))
		s := mustReserve(t, p, 9, 5)
		must(t, p.Resize(2))
		var g gauge
		for range 4 {
			must(t, s.Submit(func(context.Context) error {
				g.enter()
				time.Sleep(time.Second)
				g.leave()
				return nil
			}))
		}
		synctest.Wait()
		wantIs(t, p.TrySubmit(sleep(0)), ErrFull)
		time.Sleep(1500 * time.Millisecond)
		wantIs(t, p.TrySubmit(sleep(0)), ErrFull) // two run, and one place is reserved
		time.Sleep(time.Second)
		mustReserve(t, p, 9, 1).Release()
		s.Release()
		mustReserve(t, p, 9, 2).Release()
		must(t, p.Resize(3))
		mustReserve(t, p, 9, 3).Release()
		must(t, p.Close())
		if g.max.Load() > 2 {
			t.Errorf("%d tasks ran at a time", g.max.Load())
		}
	})
}

// Reserve waits under every overflow policy, and the policies go on as before.
func TestReserveAndOverflow(t *testing.T) {
	for _, o := range []Overflow{Block, Reject, CallerRuns, DropOldest} {
		t.Run(name("overflow", int(o)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(1), WithBuffer(1), WithOverflow(o))
				s := mustReserve(t, p, 9, 2)
				var got atomic.Bool
				go func() {
					s, err := p.Reserve(bg, 1)
					must(t, err)
					got.Store(true)
					s.Release()
				}()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(bg, time.Second)
				defer cancel()
				err := p.Submit(ctx, sleep(0))
				switch o {
				case Block:
					wantIs(t, err, context.DeadlineExceeded)
				case CallerRuns:
					must(t, err)
				default:
					wantIs(t, err, ErrFull)
				}
				if got.Load() {
					t.Error("Reserve did not wait")
				}
				g := make(gate)
				must(t, s.Submit(g.task))
				must(t, s.Submit(g.task))
				synctest.Wait()
				if o == DropOldest { // the second one goes
					must(t, p.Submit(bg, g.task))
				}
				close(g)
				synctest.Wait()
				if !got.Load() {
					t.Error("Reserve still waits")
				}
				must(t, p.Close())
				checkRest(t, p.Stats())
			})
		})
	}
}

func TestReserveErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(0))
		if _, err := p.Reserve(noContext, 1); err != errNilContext {
			t.Error(err)
		}
		if _, err := p.Reserve(bg, 0); err == nil {
			t.Error("no error for 0 places")
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_, err := p.Reserve(ctx, 1)
		wantIs(t, err, context.Canceled)
		must(t, p.Submit(bg, func(ctx context.Context) error {
			_, err := p.Reserve(ctx, 1)
			wantIs(t, err, ErrFull)
			return nil
		}))
		synctest.Wait()
		s := mustReserve(t, p, 1, 1)
		wantIs(t, s.Submit(nil), ErrNilTask)
		if err := s.SubmitAs(Attrs{Weight: -1}, sleep(0)); err == nil {
			t.Error("no error for a negative weight")
		}
		must(t, s.Submit(sleep(0)))
		must(t, p.Close())

		fair := mustNew(t, WithTenants(nil))
		if _, err := fair.Reserve(bg, 1); err != errReserveFair {
			t.Error(err)
		}
		must(t, fair.Close())
	})
}

// What is submitted into places may have keys and weights; places are counted with keys too, wherever their tasks wait.
func TestReserveKeysAndWeights(t *testing.T) {
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		var r record
		var in, most atomic.Int64
		for i := range 40 {
			s, err := p.Reserve(bg, 3)
			must(t, err)
			n := in.Add(1)
			most.Store(max(most.Load(), n))
			must(t, s.SubmitAs(Attrs{Key: 7}, func(context.Context) error {
				r.add(i)
				time.Sleep(time.Millisecond)
				in.Add(-1)
				return nil
			}))
			s.Release()
		}
		must(t, p.Wait(bg))
		for i, v := range r.get() {
			if i != v {
				t.Fatalf("order %v", r.get())
			}
		}
		if most.Load() > int64(workers+buffer) {
			t.Errorf("%d tasks in %d places", most.Load(), workers+buffer)
		}
		s := mustReserve(t, p, 1, 1)
		must(t, s.SubmitAs(Attrs{Weight: int64(workers)}, sleep(0)))
		must(t, p.Close())
		checkRest(t, p.Stats())
	})
}

// A call of Wait waits for what was submitted into places before it.
func TestReserveAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(8))
		s := mustReserve(t, p, 4, 4)
		var ended atomic.Int64
		task := func(context.Context) error { time.Sleep(time.Second); ended.Add(1); return nil }
		must(t, s.Submit(task))
		first := make(chan struct{})
		go func() { must(t, p.Wait(bg)); close(first) }()
		synctest.Wait()
		must(t, s.Submit(task)) // while the queue is split
		<-first
		must(t, s.Submit(task))
		must(t, p.Wait(bg))
		if n := ended.Load(); n != 3 {
			t.Errorf("%d tasks have ended, want 3", n)
		}
		must(t, p.Close())
	})
}

// TestStressReserve: consumers, plain submitters and somebody who resizes never have more in the pool than there are places, nobody
// waits for ever, and at the end all places are there.
func TestStressReserve(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		for _, c := range []struct{ workers, buffer, resizes int }{{1, 0, 0}, {2, 1, 0}, {3, 7, 0}, {4, 2, 100}} {
			t.Run(fmt.Sprintf("keyed=%v/workers=%d/buffer=%d/resizes=%d", keyed, c.workers, c.buffer, c.resizes), func(t *testing.T) {
				stressReserve(t, keyed, c.workers, c.buffer, c.resizes)
			})
		}
	}
}

func stressReserve(t *testing.T, keyed bool, workers, buffer, resizes int) {
	defer watchdog(t.Name())()
	p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
	each := 2000
	if testing.Short() {
		each = 400
	}
	var in, ran, tried atomic.Int64
	bound := int64(workers + buffer)
	enter := func(n int64) {
		if n := in.Add(n); resizes == 0 && n > bound {
			t.Errorf("%d in %d places", n, bound)
		}
	}
	task := func(context.Context) error {
		ran.Add(1)
		in.Add(-1)
		return nil
	}
	var wg sync.WaitGroup
	want := int64(0)
	for i := range 3 {
		want += int64(each)
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		wg.Go(func() {
			for n := each; n > 0; {
				ctx, cancel := context.WithCancel(bg)
				s, err := p.Reserve(ctx, 1+rnd.IntN(5))
				must(t, err)
				got := int64(s.Len())
				enter(got) // what is promised counts as what is accepted
				for range min(rnd.IntN(6), n) {
					a := Attrs{}
					if keyed {
						a.Key = 1 + rnd.Uint64N(4)
					}
					err := s.SubmitAs(a, task)
					if err == ErrFull {
						break
					}
					must(t, err)
					n--
					got--
				}
				in.Add(-got)
				if rnd.IntN(2) == 0 {
					cancel()
				}
				s.Release()
				cancel()
			}
		})
	}
	if !keyed { // under PerWorker plain tasks and those with keys have places of their own
		want += int64(each)
		wg.Go(func() {
			for range each {
				must(t, p.Submit(bg, task))
				in.Add(1)
			}
		})
		wg.Go(func() {
			for range each {
				if p.TrySubmit(task) == nil {
					tried.Add(1)
					in.Add(1)
				}
			}
		})
	}
	for i := range resizes {
		must(t, p.Resize(1+i%(workers+2)))
		runtime.Gosched()
	}
	wg.Wait()
	must(t, p.Resize(workers))
	must(t, p.Wait(bg))
	want += tried.Load()
	if ran.Load() != want || in.Load() != 0 {
		t.Errorf("%d tasks ran, want %d; %d counted as inside", ran.Load(), want, in.Load())
	}
	mustReserve(t, p, 1000, workers+buffer).Release()
	must(t, p.Close())
	checkRest(t, p.Stats())
}

// FuzzReserve runs random operations at coinciding moments of virtual time, and ends the pool in one of the ways.
func FuzzReserve(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		defer watchdog(t.Name())()
		synctest.Test(t, func(t *testing.T) { reserveProgram(t, rand.New(rand.NewPCG(seed, 3))) })
	})
}

func reserveProgram(t *testing.T, r *rand.Rand) {
	var mu sync.Mutex
	rnd := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
	workers, buffer := 1+rnd(3), buffers[rnd(len(buffers))]
	over := []Overflow{Block, Reject, CallerRuns, DropOldest}[rnd(4)]
	if over == DropOldest {
		buffer = max(1, buffer)
	}
	p := mustNew(t, WithWorkers(workers), WithBuffer(buffer), WithOverflow(over))
	var accepted, ran atomic.Int64
	task := func(context.Context) error {
		time.Sleep(time.Duration(rnd(3)) * time.Second)
		ran.Add(1)
		return nil
	}
	var wg sync.WaitGroup
	for range 3 + rnd(5) {
		wg.Go(func() {
			for range 6 {
				time.Sleep(time.Duration(rnd(4)) * time.Second)
				ctx, cancel := context.WithTimeout(bg, time.Duration(rnd(6))*time.Second)
				switch rnd(5) {
				case 0:
					if p.Submit(ctx, task) == nil {
						accepted.Add(1)
					}
				case 1:
					if p.TrySubmit(task) == nil {
						accepted.Add(1)
					}
				default:
					s, err := p.Reserve(ctx, 1+rnd(4))
					if err != nil {
						break
					}
					for range rnd(5) {
						time.Sleep(time.Duration(rnd(2)) * time.Second)
						a := Attrs{}
						if over != DropOldest {
							a.Key = uint64(rnd(3))
						}
						if s.SubmitAs(a, task) == nil {
							accepted.Add(1)
						}
					}
					if rnd(4) > 0 {
						s.Release()
					} else {
						<-ctx.Done()
					}
				}
				cancel()
			}
		})
	}
	final := workers
	if rnd(2) == 0 {
		time.Sleep(time.Duration(rnd(15)) * time.Second)
		final = 1 + rnd(4)
		must(t, p.Resize(final))
	}
	end := rnd(4)
	if end < 2 {
		time.Sleep(time.Duration(rnd(20)) * time.Second)
		if end == 0 {
			p.Abort()
		} else {
			must(t, p.Close())
		}
	}
	wg.Wait()
	synctest.Wait()
	if end >= 2 {
		must(t, p.Wait(bg))
		mustReserve(t, p, 1000, final+buffer).Release()
	}
	must(t, p.Close())
	s := p.Stats()
	checkRest(t, s)
	if n := ran.Load() + int64(len(p.Leftover())) + int64(s.Dropped); n != accepted.Load() {
		t.Errorf("%d tasks ran, were handed back or dropped; %d were accepted", n, accepted.Load())
	}
}

func BenchmarkReserve(b *testing.B) {
	nothing := func(context.Context) error { return nil }
	for _, most := range []int{0, 1, 8, 64, 256} {
		how := fmt.Sprint("most=", most)
		if most == 0 {
			how = "TrySubmit"
		}
		b.Run(how, func(b *testing.B) {
			p := mustNew(b, WithWorkers(1), WithBuffer(1024))
			b.ReportAllocs()
			left := 0
			var s *Slots
			for b.Loop() {
				if most == 0 {
					for p.TrySubmit(nothing) != nil {
						runtime.Gosched()
					}
					continue
				}
				if left == 0 {
					s, _ = p.Reserve(bg, most)
					left = s.Len()
				}
				if s.Submit(nothing) != nil {
					b.Fatal("no place")
				}
				left--
			}
			if s != nil {
				s.Release()
			}
			must(b, p.Close())
		})
	}
}
