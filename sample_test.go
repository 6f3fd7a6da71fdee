package pool

import (
	"context"
	"encoding/json"
	"math"
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

// exact is what the tasks of a test have measured themselves.
type exact struct {
	mu        sync.Mutex
	wait, run []time.Duration
}

// task returns a task that takes d and notes how long it has waited since now.
func (x *exact) task(d time.Duration) Task {
	accepted := time.Now()
	return func(context.Context) error {
		begun := time.Now()
		time.Sleep(d)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.wait = append(x.wait, begun.Sub(accepted))
		x.run = append(x.run, time.Since(begun))
		return nil
	}
}

func quantile(all []time.Duration, q float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[max(1, int(math.Ceil(q*float64(len(all)))))-1]
}

// The quantiles of a sample are those of all tasks, and Little's law holds between what waits, the throughput, and the wait.
func TestSampledQuantiles(t *testing.T) {
	if raceBuild {
		t.Skip("80,000 tasks, and nothing that other tests do not do at once")
	}
	synctest.Test(t, func(t *testing.T) {
		const every, samples, workers = 8, 10_000, 16
		rnd := rand.New(rand.NewPCG(1, 2))
		p := mustNew(t, WithWorkers(workers), WithBuffer(1<<20), WithSampling(every))
		var x exact
		var queued, seconds float64
		for range every * samples {
			mean := 10 * float64(time.Millisecond)
			must(t, p.Submit(bg, x.task(time.Duration(rnd.ExpFloat64()*mean))))
			pause := time.Duration(rnd.ExpFloat64() * mean / workers / .9) // a load of 90 %
			synctest.Wait()
			queued += float64(p.Stats().Queued) * pause.Seconds()
			seconds += pause.Seconds()
			time.Sleep(pause)
		}
		must(t, p.Close())
		s := p.Stats()
		if s.Wait.Count != samples || s.Run.Count != samples {
			t.Fatalf("%d waits and %d runs were sampled, want %d", s.Wait.Count, s.Run.Count, samples)
		}
		for _, c := range []struct {
			what   string
			h      Histogram
			all    []time.Duration
			q, off float64
		}{
			{"wait", s.Wait, x.wait, .5, .05}, {"wait", s.Wait, x.wait, .99, .1},
			{"run", s.Run, x.run, .5, .05}, {"run", s.Run, x.run, .99, .1},
		} {
			want, got := quantile(c.all, c.q), c.h.Quantile(c.q)
			if math.Abs(float64(got-want)) > c.off*float64(want)+1 {
				t.Errorf("%s: quantile %v is %v, want %v", c.what, c.q, got, want)
			}
		}
		rate := float64(s.Completed) / seconds
		if law := s.Wait.Mean().Seconds() * rate; math.Abs(law-queued/seconds) > .1*queued/seconds {
			t.Errorf("%.2f tasks waited on average; by throughput and wait it is %.2f", queued/seconds, law)
		}
	})
}

// With WithSampling(1) each task is measured, exactly, whatever way it takes.
func TestEachTaskIsSampled(t *testing.T) {
	const n, d = 24, 3 * time.Second
	for name, c := range map[string]struct {
		opts []Option
		run  func(t *testing.T, p *Pool, task Task)
	}{
		"Submit": {run: func(t *testing.T, p *Pool, task Task) {
			for range n {
				must(t, p.Submit(bg, task))
			}
		}},
		"keyed": {run: func(t *testing.T, p *Pool, task Task) {
			for i := range n {
				must(t, p.SubmitKeyed(bg, KeyOf(i%3), task))
			}
		}},
		"weighted": {run: func(t *testing.T, p *Pool, task Task) {
			for i := range n {
				must(t, p.SubmitWeighted(bg, int64(1+i%3), task))
			}
		}},
		"SubmitBatch": {run: func(t *testing.T, p *Pool, task Task) {
			_, err := p.SubmitBatch(bg, slices.Repeat([]Task{task}, n))
			must(t, err)
		}},
		"Batcher": {run: func(t *testing.T, p *Pool, task Task) {
			b := p.Batcher()
			for range n {
				must(t, b.Add(bg, task))
			}
			must(t, b.Close())
		}},
		"Group": {run: func(t *testing.T, p *Pool, task Task) {
			g := NewGroup(bg, p)
			for range n {
				g.Go(task)
			}
			must(t, g.Wait())
		}},
		"Future": {run: func(t *testing.T, p *Pool, task Task) {
			for range n {
				Go(bg, p, func(ctx context.Context) (int, error) { return 0, task(ctx) })
			}
		}},
		"nested": {run: func(t *testing.T, p *Pool, task Task) {
			for range n / 2 {
				must(t, p.Submit(bg, func(ctx context.Context) error {
					must(t, p.Submit(ctx, task))
					return task(ctx)
				}))
			}
		}},
		"inside": {opts: []Option{WithBuffer(0)}, run: func(t *testing.T, p *Pool, task Task) {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				for range n - 1 {
					must(t, p.Submit(ctx, func(context.Context) error { return nil }))
				}
				return nil
			}))
		}},
		"CallerRuns": {opts: []Option{WithOverflow(CallerRuns), WithBuffer(1)}, run: func(t *testing.T, p *Pool, task Task) {
			for range n {
				must(t, p.Submit(bg, task))
			}
		}},
		"Goexit": {run: func(t *testing.T, p *Pool, task Task) {
			for range n {
				_ = p.Submit(bg, func(ctx context.Context) error { _ = task(ctx); runtime.Goexit(); return nil })
			}
		}},
		"panic": {opts: []Option{WithPanicHandler(func(*PanicError) {})}, run: func(t *testing.T, p *Pool, task Task) {
			for range n {
				_ = p.Submit(bg, func(ctx context.Context) error { _ = task(ctx); panic("p") })
			}
		}},
		"ForEach": {run: func(t *testing.T, p *Pool, task Task) {
			must(t, ForEach(bg, p, slices.Values(make([]int, n)), func(ctx context.Context, _ int) error { return task(ctx) }))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, append(c.opts, WithWorkers(4), WithSampling(1))...)
				defer p.Close()
				task := sleep(d)
				if name == "inside" {
					task = sleep(0)
				}
				c.run(t, p, task)
				must(t, p.Wait(bg))
				_ = p.Close()
				s := p.Stats()
				if s.Run.Count != n || s.Wait.Count != n {
					t.Fatalf("%d runs and %d waits, want %d", s.Run.Count, s.Wait.Count, n)
				}
				if name != "inside" && s.Run.Sum != n*d {
					t.Errorf("they have run for %v, want %v", s.Run.Sum, n*d)
				}
				if name == "Submit" && strategy != Elastic && s.Wait.Sum < 4*(1+2+3+4+5)*d-time.Microsecond {
					t.Errorf("they have waited for %v, want %v", s.Wait.Sum, 4*(1+2+3+4+5)*d)
				}
			})
		})
	}
}

// A typed batch is measured once for each of its tasks.
func TestBatchesAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewTypedBatch(func(context.Context, []int) error { time.Sleep(time.Second); return nil },
			WithStrategy(strategy), WithWorkers(1), WithBatch(5), WithLinger(time.Minute), WithSampling(1))
		must(t, err)
		for i := range 12 {
			must(t, p.Submit(bg, i))
		}
		must(t, p.Wait(bg))
		s := p.Stats()
		if s.Wait.Count != 12 || s.Run.Count != 12 || s.Run.Sum != 12*time.Second {
			t.Errorf("%d waits, %d runs, %v", s.Wait.Count, s.Run.Count, s.Run.Sum)
		}
		if q := s.Wait.Quantile(1); q < 58*time.Second || q > 62*time.Second {
			t.Errorf("the last two have waited for %v, want a minute", q)
		}
		must(t, p.Close())
	})
}

// A wait for room is measured apart from the wait in the queue.
func TestRoomIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithSampling(1))
		for range 5 {
			must(t, p.Submit(bg, sleep(time.Second)))
		}
		ctx, cancel := context.WithTimeout(bg, time.Second/2)
		defer cancel()
		wantIs(t, p.Submit(ctx, sleep(0)), context.DeadlineExceeded)
		must(t, p.Close())
		s := p.Stats()
		if s.Room.Count != 4 || s.Room.Sum != 3*time.Second+time.Second/2 {
			t.Errorf("room: %v in %d waits", s.Room.Sum, s.Room.Count)
		}
		if s.Wait.Count != 5 || s.Wait.Sum > 4*time.Second+time.Microsecond {
			t.Errorf("wait: %v in %d waits", s.Wait.Sum, s.Wait.Count)
		}
	})
}

// Without sampling there are counters only.
func TestNoSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBuffer(1), WithSampling(0))
		for i := range 20 {
			must(t, p.Submit(bg, sleep(time.Second)))
			must(t, p.SubmitKeyed(bg, KeyOf(i%2), sleep(time.Second)))
		}
		must(t, p.Close())
		if s := p.Stats(); s.Room.Count+s.Wait.Count+s.Run.Count != 0 || s.Busy != 40*time.Second {
			t.Errorf("%v", s)
		}
	})
}

// Workers are busy exactly while they have tasks.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3))
		busy := func(want time.Duration) {
			t.Helper()
			synctest.Wait()
			if s := p.Stats(); s.Busy != want {
				t.Errorf("busy for %v, want %v", s.Busy, want)
			}
		}
		busy(0)
		must(t, p.Submit(bg, sleep(10*time.Second)))
		must(t, p.Submit(bg, sleep(4*time.Second)))
		time.Sleep(3 * time.Second)
		busy(6 * time.Second)
		time.Sleep(3 * time.Second)
		busy(10 * time.Second)
		time.Sleep(time.Hour)
		busy(14 * time.Second)
		for range 6 {
			must(t, p.Submit(bg, sleep(time.Second)))
		}
		must(t, p.Wait(bg))
		busy(20 * time.Second)
		must(t, p.Close())
		busy(20 * time.Second)
	})
}

// The task that has run for longest is known by its age, and by its key.
func TestLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4))
		longest := func(d time.Duration, key uint64) {
			t.Helper()
			synctest.Wait()
			if s := p.Stats(); s.Longest != d || s.LongestKey != key {
				t.Errorf("%v with the key %d, want %v, %d", s.Longest, s.LongestKey, d, key)
			}
		}
		longest(0, 0)
		must(t, p.Submit(bg, sleep(10*time.Second)))
		time.Sleep(time.Second)
		longest(time.Second, 0)
		key := uint64(42)
		must(t, p.SubmitKeyed(bg, key, sleep(time.Minute)))
		must(t, p.SubmitKeyed(bg, key, sleep(time.Minute)))
		time.Sleep(5 * time.Second)
		longest(6*time.Second, 0)
		time.Sleep(5 * time.Second)
		if strategy == PerWorker {
			key = 0
		}
		longest(10*time.Second, key)
		time.Sleep(time.Minute)
		longest(10*time.Second, key)
		must(t, p.Close())
		longest(0, 0)
	})
}

// Rejections are counted by their reason.
func TestRejectedByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1))
		for range 2 {
			must(t, p.Submit(bg, sleep(time.Minute)))
		}
		done, cancel := context.WithTimeoutCause(bg, time.Second, errTest)
		defer cancel()
		_ = p.Submit(done, sleep(0))
		_, _ = p.SubmitBatch(done, []Task{sleep(0), sleep(0)})
		_ = p.TrySubmit(sleep(0))
		_ = p.Submit(bg, nil)
		_ = p.SubmitWeighted(bg, 99, sleep(0))
		must(t, p.Close())
		for range 3 {
			_ = p.Submit(bg, sleep(0))
		}
		s := p.Stats()
		if want := (RejectStats{Full: 1, Closed: 3, Context: 3, Invalid: 2}); s.Reject != want || s.Rejected != 9 {
			t.Errorf("%d: %+v, want %+v", s.Rejected, s.Reject, want)
		}
	})
}

// A histogram goes through JSON unharmed, and bad JSON is an error.
func TestHistogramJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithSampling(1))
		for i := range 100 {
			must(t, p.Submit(bg, sleep(time.Duration(i)*time.Millisecond)))
		}
		must(t, p.Close())
		before := p.Stats()
		data, err := json.Marshal(before)
		must(t, err)
		var after Stats
		must(t, json.Unmarshal(data, &after))
		if after.Run.Count != 100 || after.Run.Sum != before.Run.Sum || after.Run.Quantile(.7) != before.Run.Quantile(.7) {
			t.Errorf("%v became %v", before.Run, after.Run)
		}
		if d := after.Run.Since(before.Run); d.Count != 0 || d.Mean() != 0 || d.String() != "none measured" {
			t.Errorf("the difference is %v", d)
		}
		if m := after.Run.Merge(before.Run); m.Count != 200 || m.Sum != 2*before.Run.Sum || m.Mean() != before.Run.Mean() {
			t.Errorf("both are %v", m)
		}
		last, n := time.Duration(0), uint64(0)
		for upper, k := range before.Run.Buckets() {
			if upper <= last || k == 0 {
				t.Errorf("a bucket of %d up to %v, after %v", k, upper, last)
			}
			last, n = upper, n+k
		}
		if n != 100 {
			t.Errorf("%d are in buckets", n)
		}
	})
	for _, bad := range []string{`{"First":-1}`, `{"First":700,"Counts":[1]}`, `[]`} {
		if err := new(Histogram).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func stuckInside(ctx context.Context, g gate) error { return g.task(ctx) }

// Running tasks are told by age, key, name and stack.
func TestRunningTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4))
		if all := p.RunningTasks(10, true); len(all) != 0 {
			t.Errorf("at rest: %v", all)
		}
		g := make(gate)
		must(t, p.SubmitKeyed(bg, 42, func(ctx context.Context) error { return stuckInside(ctx, g) }))
		time.Sleep(time.Second)
		must(t, p.Submit(bg, func(ctx context.Context) error {
			_, err := Do(ctx, p, func(ctx context.Context) (int, error) { <-g; return 0, nil })
			return err
		}))
		time.Sleep(time.Second)
		key := uint64(42)
		if strategy == PerWorker {
			key = 0
		}
		all := p.RunningTasks(10, true)
		if len(all) < 2 || all[0].Age != 2*time.Second || all[0].Key != key || all[0].Waits || all[1].Age != time.Second {
			t.Fatalf("%+v", all)
		}
		if !strings.Contains(all[0].Stack, "stuckInside") {
			t.Errorf("the stack is %s", all[0].Stack)
		}
		if few := p.RunningTasks(1, false); len(few) != 1 || few[0].Stack != "" || few[0].Age != 2*time.Second {
			t.Errorf("one: %+v", few)
		}
		if none := p.RunningTasks(-1, true); none != nil {
			t.Errorf("none: %v", none)
		}
		close(g)
		must(t, p.Close())
	})
}

// The name of a task is that of its outermost function, below the pool's own.
func TestNameIn(t *testing.T) {
	only(t, Shared)
	const trace = `goroutine 7 [chan receive]:
example.com/app.(*DB).query(0x1, {0x2, 0x3})
	/src/db.go:9 +0x1
example.com/app.sendMail.func1({0x5b, 0x6})
	/src/mail.go:17 +0x22
github.com/headrace-go/pool.runTask({0xb157a8?, 0x20e54bfd26d0?}, 0x0?)
	/src/pool.go:45 +0x22
github.com/headrace-go/pool.(*worker[...]).batch(0xb331e0)
	/src/worker.go:248 +0x1d3
github.com/headrace-go/pool/internal/goroutine.Run(0x20e54bdf5fb8?, {0x20e54bfd26c8, 0x0})
	/src/goroutine.go:19 +0x12
created by github.com/headrace-go/pool.(*worker[...]).start in goroutine 6355
	/src/worker.go:132 +0xc5`
	own := strings.Index(trace, "\n"+packageName)
	for in, want := range map[string][2]string{
		trace:                    {"example.com/app.sendMail.func1", trace[:own]},
		"":                       {},
		"goroutine 7 [running]:": {"", "goroutine 7 [running]:"},
	} {
		if name, rest := nameIn(in); name != want[0] || rest != want[1] {
			t.Errorf("got %q and %q, want %q", name, rest, want)
		}
	}
}

// Snapshots that are stored as JSON name the strategy, and come back as they were.
func TestStatsAsJSON(t *testing.T) {
	for _, s := range strategies {
		b, err := json.Marshal(Stats{Strategy: s, Name: "x"})
		must(t, err)
		if !strings.Contains(string(b), `"Strategy":"`+s.String()+`"`) {
			t.Errorf("%s", b)
		}
		var back Stats
		if err := json.Unmarshal(b, &back); err != nil || back.Strategy != s || back.Name != "x" {
			t.Errorf("%v came back as %+v, %v", s, back, err)
		}
	}
	if err := new(Strategy).UnmarshalText([]byte("Best")); err == nil || !strings.Contains(err.Error(), "Best") {
		t.Errorf("an unknown strategy gave %v", err)
	}
}

// Busy never falls, and is never more than there was time for, whatever workers do meanwhile.
func TestStressBusy(t *testing.T) {
	p := mustNew(t, WithWorkers(3), WithSampling(1))
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 2 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				must(t, p.Submit(bg, nop))
				must(t, p.Wait(bg))
			}
		})
	}
	var last Stats
	for range rounds(10_000) {
		s := p.Stats()
		if s.Busy < last.Busy || s.Busy > 3*s.Uptime || s.Wait.Count < last.Wait.Count {
			t.Errorf("busy for %v of %v, and %d waits, after %v and %d", s.Busy, s.Uptime, s.Wait.Count, last.Busy, last.Wait.Count)
			break
		}
		last = s
	}
	close(stop)
	load.Wait()
	must(t, p.Close())
}

// Of a batch of several jobs each one with a stamp is timed, and no other.
func TestStampsInABatch(t *testing.T) {
	only(t, Shared)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithSampling(1))
		for range 200 { // the worker learns that tasks are tiny
			must(t, p.Submit(bg, nop))
		}
		must(t, p.Wait(bg))
		before := p.Stats()
		g := make(gate)
		must(t, p.Submit(bg, g.task))
		synctest.Wait()
		const n = 30
		for i := range n {
			must(t, p.Submit(bg, sleep(time.Duration(i)*time.Second)))
		}
		close(g)
		must(t, p.Wait(bg))
		s := p.Stats()
		run := s.Run.Since(before.Run)
		if run.Count != n+1 || run.Sum != n*(n-1)/2*time.Second {
			t.Errorf("%d runs of %v, want %d of %v", run.Count, run.Sum, n+1, n*(n-1)/2*time.Second)
		}
		taken := uint64(0)
		for i := 1; i < BatchSizes; i++ {
			taken += s.Batch.Taken[i] - before.Batch.Taken[i]
		}
		if taken == 0 {
			t.Error("there was no batch of several")
		}
		must(t, p.Close())
	})
}

// A worker that waits for the units of its task is not busy.
func TestBusyWithWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(4), WithCapacity(10))
		for range 3 {
			must(t, p.SubmitWeighted(bg, 9, sleep(time.Second)))
		}
		must(t, p.Wait(bg))
		if s := p.Stats(); s.Busy != 3*time.Second {
			t.Errorf("busy for %v, want 3s", s.Busy)
		}
		must(t, p.Close())
	})
}

// Nothing is measured of what was not run where it waited: a Future that its waiter ran, a task that was skipped.
func TestNotRunIsNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithSampling(1))
		must(t, p.Submit(bg, func(ctx context.Context) error {
			var all []*Future[int]
			for range 10 {
				all = append(all, Go(ctx, p, func(context.Context) (int, error) { time.Sleep(time.Second); return 0, nil }))
			}
			for _, u := range all {
				if _, err := u.Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		}))
		must(t, p.Wait(bg))
		ctx, cancel := context.WithCancel(bg)
		must(t, p.Submit(bg, sleep(time.Second)))
		g := NewGroup(ctx, p)
		for range 10 {
			g.Go(sleep(0))
		}
		cancel()
		wantIs(t, g.Wait(), context.Canceled)
		must(t, p.Close())
		if s := p.Stats(); s.Run.Count != 2 || s.Wait.Count != 2 {
			t.Errorf("%d runs and %d waits, want 2 of each", s.Run.Count, s.Wait.Count)
		}
	})
}

// Stamps are kept when a handler ends the goroutine in the midst of a batch, and when jobs are taken over that were claimed
// before there was a key.
func TestStampsAreKept(t *testing.T) {
	var ran atomic.Int64
	p := mustNew(t, WithWorkers(2), WithSampling(1), WithErrorHandler(func(error) { runtime.Goexit() }))
	gate := make(gate)
	task := func(context.Context) error { ran.Add(1); return nil }
	for i := range rounds(20_000) {
		switch {
		case i%1000 == 999:
			must(t, p.Submit(bg, func(context.Context) error { ran.Add(1); return errTest }))
		case i == 15_000:
			must(t, p.Submit(bg, func(ctx context.Context) error { ran.Add(1); return gate.task(ctx) }))
		case i == 15_500:
			must(t, p.SubmitKeyed(bg, 7, task))
			close(gate)
		default:
			must(t, p.Submit(bg, task))
		}
	}
	_ = p.Close()
	if s := p.Stats(); int64(s.Run.Count) != ran.Load() || int64(s.Wait.Count) != ran.Load() {
		t.Errorf("%d runs and %d waits of %d tasks", s.Run.Count, s.Wait.Count, ran.Load())
	}
}

// A goroutine that a task has started runs loops of its own inside the full pool, beside the task: what it does is not taken
// for the task's, and what the loops measure is counted once.
func TestRaceLoopsBesideATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const loops, values, tasks = 5, 4, 6
		p := mustNew(t, WithWorkers(1), WithBuffer(0), WithSampling(1))
		for range tasks {
			must(t, p.Submit(bg, func(ctx context.Context) error {
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						for range loops {
							must(t, ForEach(ctx, p, slices.Values(make([]int, values)), func(context.Context, int) error {
								time.Sleep(time.Millisecond)
								return nil
							}))
						}
					})
				}
				wg.Wait()
				return nil
			}))
		}
		must(t, p.Wait(bg))
		must(t, p.Close())
		if s := p.Stats(); s.Run.Count != tasks*(1+2*loops*values) {
			t.Errorf("%d runs, want %d", s.Run.Count, tasks*(1+2*loops*values))
		}
	})
}
