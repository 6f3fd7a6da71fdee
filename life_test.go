package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// occupy makes n tasks run at a time, and returns when they have ended.
func occupy(t testing.TB, p *Pool, n int) {
	t.Helper()
	var in, out sync.WaitGroup
	in.Add(n)
	out.Add(n)
	g := make(gate)
	for range n {
		must(t, p.Submit(bg, func(ctx context.Context) error {
			defer out.Done()
			in.Done()
			return g.task(ctx)
		}))
	}
	in.Wait()
	close(g)
	out.Wait()
}

// A lazy pool's workers end when they have rested for the idle time, not before,
// and leave nothing behind: no goroutine, no timer, no queue (D13, B17, D19).
func TestLazyExpiry(t *testing.T) {
	only(t, notElastic()...)
	for _, buffer := range buffers {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(5), WithBuffer(buffer), WithLazy(10*time.Second))
			check := func(when string, want int) {
				t.Helper()
				synctest.Wait()
				if n := p.Stats().Goroutines; n != want {
					t.Errorf("%s: %d workers, want %d", when, n, want)
				}
			}
			for round := range 3 {
				check("before", 0)
				occupy(t, p, 5)
				check("after", 5)
				time.Sleep(10*time.Second - 1)
				check("just before the idle time", 5)
				time.Sleep(time.Nanosecond)
				check("after the idle time", 0)
				p.mu.Lock()
				if p.main.queue.Large() || p.expiry.set {
					t.Errorf("round %d: queue is large: %v, timer set: %v", round, p.main.queue.Large(), p.expiry.set)
				}
				p.mu.Unlock()
			}
			// One that works now and then stays, the others go.
			occupy(t, p, 5)
			for range 10 {
				time.Sleep(6 * time.Second)
				must(t, p.Submit(bg, func(context.Context) error { return nil }))
			}
			check("with little work", 1)
			time.Sleep(10 * 365 * 24 * time.Hour) // D18
			check("after ten years", 0)
			must(t, p.Submit(bg, func(context.Context) error { return nil }))
			must(t, p.Close())
		})
	}
}

// Workers that began to rest at different times end at different times: the timer, when it is
// set again, was set for one that had rested less.
func TestExpiryOneByOne(t *testing.T) {
	only(t, notElastic()...)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4), WithLazy(10*time.Second))
		for i := range 4 {
			must(t, p.Submit(bg, sleep(time.Duration(i)*time.Second)))
			synctest.Wait()
		}
		time.Sleep(10*time.Second - 1)
		for want := 3; want >= 0; want-- {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := p.Stats().Goroutines; n != want {
				t.Errorf("%d workers, want %d", n, want)
			}
		}
		must(t, p.Close())
	})
}

// D17: the floor is kept, and needs no timer.
func TestLazyFloor(t *testing.T) {
	only(t, notElastic()...)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(5), WithLazy(time.Second), WithFloor(2))
		occupy(t, p, 5)
		time.Sleep(time.Hour)
		if n := p.Stats().Goroutines; n != 2 {
			t.Errorf("%d workers, want 2", n)
		}
		p.mu.Lock()
		if p.expiry.set {
			t.Error("a timer is set")
		}
		p.mu.Unlock()
		must(t, p.Resize(1)) // below the floor
		time.Sleep(time.Hour)
		if n := p.Stats().Goroutines; n != 1 {
			t.Errorf("%d workers after Resize(1)", n)
		}
		must(t, p.Close())
	})
}

// P13: a task that arrives at the very instant of an expiry runs.
func TestExpiryLosesNoWakeup(t *testing.T) {
	only(t, notElastic()...)
	for _, buffer := range buffers {
		for workers := range 3 {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(1+workers), WithBuffer(buffer), WithLazy(time.Second))
				for range 1000 {
					ran := make(chan struct{})
					must(t, p.Submit(bg, func(context.Context) error { close(ran); return nil }))
					<-ran
					time.Sleep(time.Second)
				}
				must(t, p.Close())
				checkRest(t, p.Stats())
			})
		}
	}
}

// A lazy pool on real processors, with an idle time that ends all the time.
func TestStressLazy(t *testing.T) {
	only(t, notElastic()...)
	for round := range rounds(200) {
		p := mustNew(t, WithWorkers(1+round%4), WithBuffer(round%5), WithLazy(time.Microsecond))
		var n atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 100 {
					must(t, p.Submit(bg, func(context.Context) error { n.Add(1); return nil }))
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
		must(t, p.Wait(bg))
		must(t, p.Close())
		if n.Load() != 300 {
			t.Fatalf("%d ran", n.Load())
		}
		checkRest(t, p.Stats())
	}
}

// A goroutine of an elastic pool exists only while a task runs, and its queue only
// while something waits.
func TestElasticIsEmptyAtRest(t *testing.T) {
	only(t, Elastic)
	bubbles(t, func(t *testing.T, workers, buffer int) {
		p := mustNew(t, WithWorkers(workers), WithBuffer(buffer))
		for range 3 {
			for range 20 {
				must(t, p.Submit(bg, sleep(time.Second)))
			}
			must(t, p.Wait(bg))
			synctest.Wait()
			if s := p.Stats(); s.Goroutines != 0 {
				t.Errorf("%d goroutines at rest", s.Goroutines)
			}
			p.mu.Lock()
			if p.main.queue.Large() {
				t.Error("the queue is still there")
			}
			p.mu.Unlock()
		}
		must(t, p.Close())
	})
}

// The capacity alone is the limit of an elastic pool, and Resize changes it.
func TestElasticCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(WithStrategy(Elastic), WithCapacity(10))
		must(t, err)
		g := make(gate)
		for range 20 {
			must(t, p.Submit(bg, g.task))
		}
		synctest.Wait()
		if n := p.Stats().Running; n != 10 {
			t.Errorf("%d run", n)
		}
		wantIs(t, p.SubmitWeighted(bg, 11, g.task), ErrTooHeavy)
		must(t, p.Resize(15))
		synctest.Wait()
		if n := p.Stats().Running; n != 15 {
			t.Errorf("%d run after Resize(15)", n)
		}
		must(t, p.SubmitWeighted(bg, 11, g.task))
		close(g)
		must(t, p.Close())
	})
}

// D22: New returns when every worker has run the warm-up, and these are the
// workers that run the tasks.
func TestWarmup(t *testing.T) {
	only(t, notElastic()...)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[context.Context]int{}
		p := mustNew(t, WithWorkers(5), WithWarmup(func(ctx context.Context) error {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			seen[ctx]++
			return nil
		}, 3))
		if d := fmt.Sprint(len(seen)); d != "5" {
			t.Errorf("%s workers are warm", d)
		}
		for _, n := range seen {
			if n != 3 {
				t.Errorf("one ran it %d times", n)
			}
		}
		for range 5 {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				if seen[ctx] == 0 {
					t.Error("a cold worker")
				}
				time.Sleep(time.Second)
				return nil
			}))
		}
		must(t, p.Close())
		s := p.Stats()
		checkRest(t, s)
		if s.Accepted != 5 || s.Completed != 5 {
			t.Errorf("the warm-up was counted: %+v", s)
		}
	})
}

// D22: a warm-up that fails, in any way, is New's error and leaves nothing.
func TestWarmupFails(t *testing.T) {
	only(t, notElastic()...)
	bad := errors.New("bad")
	for what, c := range map[string]struct {
		f    Task
		want error
	}{
		"error":  {func(context.Context) error { return bad }, bad},
		"panic":  {func(context.Context) error { panic(bad) }, bad},
		"goexit": {func(context.Context) error { runtime.Goexit(); return nil }, ErrGoexit},
		"cancel": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded},
		"ignore": {sleep(time.Hour), context.DeadlineExceeded},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails if anything is left
				ctx, cancel := context.WithTimeout(bg, time.Minute)
				defer cancel()
				var n atomic.Int64
				start := time.Now()
				p, err := New(WithStrategy(strategy), WithWorkers(4), WithContext(ctx), WithPanicHandler(func(*PanicError) {}),
					WithWarmup(func(ctx context.Context) error {
						if n.Add(1) == 3 || what == "cancel" || what == "ignore" {
							return c.f(ctx)
						}
						return sleep(time.Second)(ctx)
					}, 2))
				if p != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), "WithWarmup") {
					t.Errorf("got %v, %v", p, err)
				}
				if d := time.Since(start); what != "ignore" && d > time.Minute {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

// A worker that is warm keeps its state.
func TestWarmupMakesState(t *testing.T) {
	only(t, notElastic()...)
	var made atomic.Int64
	p := mustNew(t, WithWorkers(3), WithState(func(context.Context) (int64, error) { return made.Add(1), nil }, nil),
		WithWarmup(func(ctx context.Context) error { _, err := StateOf[int64](ctx); return err }, 1))
	if n := made.Load(); n != 3 {
		t.Errorf("%d states were made", n)
	}
	for range 100 {
		must(t, p.Submit(bg, func(ctx context.Context) error { _, err := StateOf[int64](ctx); return err }))
	}
	must(t, p.Close())
	if n := made.Load(); n != 3 {
		t.Errorf("%d states were made in all", n)
	}
}

// tid is the kernel's number of the calling thread.
func tid(t testing.TB) string {
	s, err := os.Readlink("/proc/thread-self")
	if err != nil {
		t.Skip("no /proc/thread-self:", err)
	}
	return s
}

// D24: a locked worker's tasks run on one thread that runs nothing else, and a
// thread on which a task panicked or called Goexit runs no other.
func TestLockedThread(t *testing.T) {
	only(t, notElastic()...)
	tid(t)
	p := mustNew(t, WithWorkers(3), WithLockedThread(), WithPanicHandler(func(*PanicError) {}))
	var mu sync.Mutex
	dirty := map[string]bool{}
	threadOf := map[context.Context]string{}
	for i := range 2000 {
		must(t, p.Submit(bg, func(ctx context.Context) error {
			id := tid(t)
			mu.Lock()
			if dirty[id] {
				t.Error("a dirty thread ran a task")
			}
			if was := threadOf[ctx]; was != "" && was != id && !dirty[was] {
				t.Errorf("worker moved from clean thread %s to %s", was, id)
			}
			threadOf[ctx] = id
			bad := i%50 == 7 || i%50 == 30
			dirty[id] = bad
			mu.Unlock()
			switch i % 50 {
			case 7:
				panic("bad")
			case 30:
				runtime.Goexit()
			}
			return nil
		}))
	}
	must(t, p.Wait(bg))
	if n := len(threadOf); n > 3 {
		t.Errorf("%d workers", n)
	}
	p.Close()
}

// D24: the threads of a pool are gone with it, and 1000 dirty ones leave none.
func TestLockedThreadsEnd(t *testing.T) {
	only(t, notElastic()...)
	threads := func() int {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skip(err)
		}
		_, after, _ := strings.Cut(string(b), "Threads:")
		n, err := strconv.Atoi(strings.Fields(after)[0])
		must(t, err)
		return n
	}
	before := threads()
	p := mustNew(t, WithWorkers(4), WithLockedThread())
	for range 1000 {
		must(t, p.Submit(bg, func(context.Context) error { runtime.Goexit(); return nil }))
	}
	p.Close()
	for range 1000 { // the kernel takes a moment to end a thread
		if threads() <= before+10 {
			return
		}
		runtime.Gosched()
		pause(1_000_000)
	}
	t.Errorf("%d threads, %d before", threads(), before)
}

// notElastic are the strategies with workers that stay.
func notElastic() []Strategy {
	var ss []Strategy
	for _, s := range strategies {
		if s != Elastic {
			ss = append(ss, s)
		}
	}
	return ss
}
