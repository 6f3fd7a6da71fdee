package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// flood keeps tasks that take so long waiting, with the attributes, until ctx is done, and counts the run time.
func flood(ctx context.Context, p *Pool, a Attrs, run time.Duration, used *atomic.Int64) {
	task := func(context.Context) error {
		time.Sleep(run)
		used.Add(int64(run))
		return nil
	}
	go func() {
		for p.SubmitAs(ctx, a, task) == nil {
		}
	}()
}

// onceIfShort leaves a test of the table out for all strategies but one, if time is short: it is the same for all.
func onceIfShort(t *testing.T) {
	if testing.Short() {
		only(t, Shared)
	}
}

// shares checks that each has got its part of the run time, within so much of it.
func shares(t *testing.T, used []atomic.Int64, parts []float64, within float64) {
	t.Helper()
	sum, all := 0., 0.
	for i := range used {
		sum += float64(used[i].Load())
		all += parts[i]
	}
	for i := range used {
		got, want := float64(used[i].Load())/sum, parts[i]/all
		if got < (1-within)*want || got > (1+within)*want {
			t.Errorf("%d got %.4f of the run time, want %.4f", i, got, want)
		}
	}
}

// Tenants that always have tasks waiting get run time by their weights, whatever their tasks take: 100 tasks of the longest.
func TestTenantsShareRunTime(t *testing.T) {
	onceIfShort(t)
	runs := []time.Duration{100 * time.Microsecond, 100 * time.Millisecond, 3 * time.Millisecond, 20 * time.Millisecond}
	for _, c := range []struct{ workers, tenants int }{{1, 2}, {2, 3}, {16, 3}, {16, 10}, {16, 100}, {200, 50}, {1000, 20}, {16, 1000}} {
		t.Run(fmt.Sprint(c.workers, "/", c.tenants), func(t *testing.T) {
			if c.tenants > 3 && (testing.Short() || strategy != Shared) {
				t.Skip("it takes some seconds, and is the same under every strategy")
			}
			synctest.Test(t, func(t *testing.T) {
				runs := runs
				if max(c.workers, c.tenants) == 1000 { // or it would be millions of tasks
					runs = []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, 30 * time.Millisecond}
				}
				used, weights := make([]atomic.Int64, c.tenants), make([]float64, c.tenants)
				weight := func(n uint64) int { return []int{1, 2, 5}[n%3] }
				p := mustNew(t, WithWorkers(c.workers), WithBuffer(max(64, c.workers)*c.tenants), WithTenants(weight))
				ctx, stop := context.WithCancel(t.Context())
				all := make(gate) // until all have tasks waiting
				for range c.workers {
					must(t, p.Submit(ctx, func(context.Context) error { <-all; return nil }))
				}
				for i := range c.tenants {
					weights[i] = float64(weight(uint64(i)))
					flood(ctx, p, Attrs{Tenant: uint64(i)}, runs[i%len(runs)], &used[i])
				}
				synctest.Wait()
				close(all)
				time.Sleep(max(3*time.Second, time.Duration(100*c.tenants)*100*time.Millisecond/time.Duration(c.workers)))
				shares(t, used, weights, .05)
				stop()
				p.Abort()
				must(t, p.Close())
			})
		})
	}
}

// The same program has the same shares under another strategy, with other numbers of workers and places, and with its options in another order.
func TestSharesDoNotDepend(t *testing.T) {
	onceIfShort(t)
	program := func(seed uint64, opts ...Option) (got []float64) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			used := make([]atomic.Int64, 6)
			p := mustNew(t, opts...)
			ctx, stop := context.WithCancel(t.Context())
			for i := range used {
				run := time.Duration(1+r.IntN(10)) * time.Millisecond
				flood(ctx, p, Attrs{Tenant: uint64(i / 2), Class: i % 2}, run, &used[i])
			}
			time.Sleep(5 * time.Second)
			stop()
			p.Abort()
			must(t, p.Close())
			sum := 0.
			for i := range used {
				sum += float64(used[i].Load())
			}
			for i := range used {
				got = append(got, float64(used[i].Load())/sum)
			}
		})
		return got
	}
	classes := WithClasses(Class{"high", 0}, Class{"low", .3})
	tenants := WithTenants(func(n uint64) int { return []int{1, 2, 5}[n] })
	for seed := range uint64(rounds(40)) {
		want := program(seed, WithWorkers(1), classes, tenants)
		for n, opts := range [][]Option{
			{tenants, classes, WithWorkers(1)},
			{WithWorkers(2), classes, tenants},
			{WithWorkers(5), tenants, classes, WithBuffer(300)},
			{WithWorkers(1), classes, tenants, WithStrategy(WorkStealing)},
			{WithWorkers(2), classes, tenants, WithStrategy(PerWorker)},
			{WithWorkers(3), classes, tenants, WithStrategy(Elastic)},
			{WithWorkers(1), classes, tenants, WithQueueTimeout(time.Hour), WithBatch(1)},
		} {
			got := program(seed, opts...)
			for i := range got {
				if d := got[i] - want[i]; d < -.02 || d > .02 {
					t.Errorf("seed %d: shares %.3f with one worker, %.3f with the options %d", seed, want, got, n)
					break
				}
			}
		}
	}
}

// A tenant with little to do leaves the rest to the others, in equal parts.
func TestTenantsMaxMin(t *testing.T) {
	onceIfShort(t)
	synctest.Test(t, func(t *testing.T) {
		used := make([]atomic.Int64, 3)
		p := mustNew(t, WithWorkers(2), WithTenants(nil))
		ctx, stop := context.WithCancel(t.Context())
		for i := range 2 {
			flood(ctx, p, Attrs{Tenant: uint64(i)}, time.Duration(1+9*i)*time.Millisecond, &used[i])
		}
		for range 1000 { // 10 % of the two workers
			must(t, p.SubmitAs(ctx, Attrs{Tenant: 2}, func(context.Context) error { time.Sleep(2 * time.Millisecond); used[2].Add(2e6); return nil }))
			time.Sleep(10 * time.Millisecond)
		}
		shares(t, used, []float64{45, 45, 10}, .05)
		stop()
		p.Abort()
		must(t, p.Close())
	})
}

// One that has a single task at a time, a long one, gets no more than its share: what it was ahead is not forgotten while it has nothing.
func TestTenantsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		used := make([]atomic.Int64, 2)
		p := mustNew(t, WithWorkers(1), WithTenants(nil))
		ctx, stop := context.WithCancel(t.Context())
		flood(ctx, p, Attrs{Tenant: 1}, time.Millisecond, &used[0])
		go func() {
			for ctx.Err() == nil {
				done := make(chan struct{})
				if p.SubmitAs(ctx, Attrs{Tenant: 2}, func(context.Context) error {
					time.Sleep(100 * time.Millisecond)
					used[1].Add(1e8)
					close(done)
					return nil
				}) != nil {
					return
				}
				select {
				case <-done:
				case <-ctx.Done():
				}
			}
		}()
		time.Sleep(20 * time.Second)
		shares(t, used, []float64{1, 1}, .05)
		stop()
		p.Abort()
		must(t, p.Close())
	})
}

// A light tenant beside one that has a hundred thousand tasks waiting is never refused, and waits no longer than it takes each worker to end what it is at.
func TestLightTenant(t *testing.T) {
	onceIfShort(t)
	synctest.Test(t, func(t *testing.T) {
		const quantum = 10 * time.Millisecond
		p := mustNew(t, WithWorkers(4), WithBuffer(100_000), WithTenants(nil), WithOverflow(Reject))
		for range 100_000 {
			must(t, p.SubmitAs(t.Context(), Attrs{Tenant: 1}, func(context.Context) error { time.Sleep(quantum); return nil }))
		}
		for p.SubmitAs(t.Context(), Attrs{Tenant: 1}, noop) == nil { // until it has all places
		}
		time.Sleep(quantum / 2)
		for i := range 200 {
			begin, waited := time.Now(), make(chan time.Duration, 1)
			if err := p.TrySubmitAs(Attrs{Tenant: uint64(2 + i%3)}, func(context.Context) error { waited <- time.Since(begin); return nil }); err != nil {
				t.Fatal(err)
			}
			if d := <-waited; d > quantum {
				t.Fatalf("task %d has waited %v", i, d)
			}
			time.Sleep(quantum / 3)
		}
		p.Abort()
		must(t, p.Close())
	})
}

func noop(context.Context) error { return nil }

// A flood of one tenant keeps nobody out, and memory is only for tenants that have something.
func TestTenantsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithTenants(nil))
		for i := range uint64(20_000) {
			must(t, p.SubmitAs(t.Context(), Attrs{Tenant: i}, noop))
		}
		must(t, p.Wait(t.Context()))
		synctest.Wait()
		if all := p.Tenants(10); len(all) != 0 {
			t.Errorf("at rest there are %v", all)
		}
		must(t, p.Close())
	})
}

// At most so many tasks of a tenant run, the next one starts when one has ended, others are not delayed, and with a limit of 1 the order is kept: also if
// tasks panic, or end their goroutine.
func TestTenantLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g [3]gauge
		var order []int
		p := mustNew(t, WithWorkers(8), WithTenantLimit(func(n uint64) int { return int(n) }), WithPanicHandler(func(*PanicError) {}))
		for i := range 30 {
			for n := range uint64(3) {
				must(t, p.SubmitAs(t.Context(), Attrs{Tenant: n}, func(context.Context) error {
					g[n].enter()
					defer g[n].leave()
					time.Sleep(time.Second)
					if n == 1 {
						order = append(order, i)
					}
					switch i % 7 {
					case 1:
						panic("p")
					case 2:
						runtime.Goexit()
					}
					return nil
				}))
			}
		}
		begin := time.Now()
		must(t, p.Wait(t.Context()))
		if d := time.Since(begin); d != 30*time.Second { // tenant 1 needs 30 s
			t.Errorf("took %v", d)
		}
		if g[1].max.Load() != 1 || g[2].max.Load() != 2 || g[0].max.Load() < 5 {
			t.Errorf("at most %d, %d and %d ran at a time", g[0].max.Load(), g[1].max.Load(), g[2].max.Load())
		}
		if !slices.IsSorted(order) || len(order) != 30 {
			t.Errorf("tenant 1 ran %v", order)
		}
		_ = p.Close()
	})
}

// A tenant at its limit holds no worker: the others have all.
func TestTenantAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithTenantLimit(func(n uint64) int { return int(n) }))
		hold := make(gate)
		for range 100 {
			must(t, p.SubmitAs(t.Context(), Attrs{Tenant: 1}, func(context.Context) error { <-hold; return nil }))
		}
		for range 10 {
			must(t, p.SubmitAs(t.Context(), Attrs{Tenant: 2}, noop))
		}
		synctest.Wait()
		if s := p.Stats(); s.Completed != 10 || s.Running != 1 || s.Queued != 99 {
			t.Errorf("%v", s)
		}
		close(hold)
		must(t, p.Close())
	})
}

// A lower class gets its share while all have tasks waiting, and everything when nothing else has.
func TestClasses(t *testing.T) {
	onceIfShort(t)
	for _, workers := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			used := make([]atomic.Int64, 3)
			p := mustNew(t, WithWorkers(workers), WithClasses(Class{"a", 0}, Class{"b", .2}, Class{"c", .05}))
			high, stopHigh := context.WithCancel(t.Context())
			low, stopLow := context.WithCancel(t.Context())
			flood(high, p, Attrs{Class: 0}, 2*time.Millisecond, &used[0])
			flood(high, p, Attrs{Class: 1}, 30*time.Millisecond, &used[1])
			flood(low, p, Attrs{Class: 2}, 10*time.Millisecond, &used[2])
			time.Sleep(30 * time.Second)
			sum := float64(used[0].Load() + used[1].Load() + used[2].Load())
			for i, want := range []float64{.75, .2, .05} {
				if got := float64(used[i].Load()) / sum; got < want-.02 || got > want+.02 {
					t.Errorf("%d workers: class %d got %.3f, want %.2f", workers, i, got, want)
				}
			}
			stopHigh()
			for p.Stats().Classes[0].Queued+p.Stats().Classes[1].Queued > 0 {
				time.Sleep(time.Second)
			}
			before := used[2].Load()
			time.Sleep(10 * time.Second)
			if got := float64(used[2].Load()-before) / float64(workers) / 10e9; got < .98 {
				t.Errorf("%d workers: alone the lowest class got %.3f", workers, got)
			}
			stopLow()
			p.Abort()
			must(t, p.Close())
		})
	}
}

// A class gets its share also when what it has is kept out by a limit meanwhile, and when one task at a time waits.
func TestClassKeepsCredit(t *testing.T) {
	onceIfShort(t)
	limit := func(tenant uint64) int { return int(tenant) } // tenant 1 runs one at a time
	for _, c := range []struct {
		name string
		low  func(ctx context.Context, p *Pool, used *atomic.Int64)
		want float64
	}{
		{"limit", func(ctx context.Context, p *Pool, used *atomic.Int64) {
			flood(ctx, p, Attrs{Tenant: 1, Class: 1}, 10*time.Millisecond, used)
		}, .3},
		{"one", func(ctx context.Context, p *Pool, used *atomic.Int64) {
			go func() {
				for ctx.Err() == nil {
					_, _ = Do(WithAttrs(ctx, Attrs{Class: 1}), p, func(context.Context) (int, error) {
						time.Sleep(10 * time.Millisecond)
						used.Add(10e6)
						return 0, nil
					})
				}
			}()
		}, 10 / (10 + 10/.3/2)}, // it waits until its share of both workers is enough for a task
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(2), WithClasses(Class{"high", 0}, Class{"low", .3}), WithTenantLimit(limit))
				ctx, stop := context.WithCancel(t.Context())
				var high, low atomic.Int64
				flood(ctx, p, Attrs{}, time.Millisecond, &high)
				c.low(ctx, p, &low)
				time.Sleep(10 * time.Second)
				got := float64(low.Load()) / float64(high.Load()+low.Load())
				if c.name == "one" {
					got *= 2 // of one worker
				}
				if got < .9*c.want || got > 1.1*c.want {
					t.Errorf("got %.3f, want %.3f", got, c.want)
				}
				stop()
				p.Abort()
				must(t, p.Close())
			})
		})
	}
}

// What the highest class has is next, whatever waits below it.
func TestClassesAreStrict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithClasses(Class{"a", 0}, Class{"b", 0}))
		hold := make(gate)
		var order []int
		must(t, p.Submit(t.Context(), func(context.Context) error { <-hold; return nil }))
		synctest.Wait()
		for i := range 10 {
			must(t, p.SubmitAs(t.Context(), Attrs{Class: 1 - i%2}, func(context.Context) error { order = append(order, 1-i%2); return nil }))
		}
		close(hold)
		must(t, p.Close())
		if !slices.IsSorted(order) || len(order) != 10 {
			t.Errorf("ran classes %v", order)
		}
	})
}

// A task that has not started at its deadline never does. It is handed over once, at that moment though nothing is claimed, and whoever waits for it
// learns of it.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var late []time.Duration
		p := mustNew(t, WithWorkers(1), WithQueueTimeout(3*time.Second), WithExpiredHandler(func(Task) { late = append(late, time.Since(begin)) }))
		hold := make(gate)
		must(t, p.Submit(t.Context(), func(context.Context) error { <-hold; return nil }))
		synctest.Wait()
		ran := func(context.Context) error { t.Error("ran"); return nil }
		must(t, p.SubmitAs(t.Context(), Attrs{Deadline: begin.Add(2 * time.Second)}, ran))
		must(t, p.Submit(t.Context(), ran))
		must(t, p.SubmitKeyed(t.Context(), 1, ran))
		must(t, p.SubmitAs(t.Context(), Attrs{Deadline: begin.Add(time.Second), Key: 1}, ran))
		must(t, p.SubmitAs(t.Context(), Attrs{Deadline: begin.Add(time.Hour)}, noop))
		ctx := WithAttrs(t.Context(), Attrs{Deadline: begin.Add(4 * time.Second)})
		f := Go(ctx, p, func(context.Context) (int, error) { return 1, ran(nil) })
		g := NewGroup(ctx, p)
		g.Go(ran)
		if _, err := f.Wait(t.Context()); !errors.Is(err, ErrExpired) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 4*time.Second {
			t.Errorf("the future: %v after %v", err, time.Since(begin))
		}
		if err := g.Wait(); !errors.Is(err, ErrExpired) {
			t.Errorf("the group: %v", err)
		}
		if _, err := Do(t.Context(), p, func(context.Context) (int, error) { return 1, ran(nil) }); !errors.Is(err, ErrExpired) {
			t.Errorf("Do: %v", err)
		}
		if err := p.SubmitAs(t.Context(), Attrs{Deadline: begin}, ran); !errors.Is(err, ErrExpired) {
			t.Errorf("a submission after its deadline: %v", err)
		}
		close(hold)
		must(t, p.Wait(t.Context()))
		want := []time.Duration{1e9, 2e9, 3e9, 3e9, 4e9, 4e9, 7e9}
		if !slices.Equal(late, want) {
			t.Errorf("handed over at %v, want %v", late, want)
		}
		if s := p.Stats(); s.Expired != 7 || s.Completed != 2 || s.Accepted != 9 {
			t.Errorf("%v", s)
		}
		must(t, p.Close())
	})
}

// A claim makes room for its tenant, though the task goes on.
func TestClaimMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(4), WithTenants(nil))
		end := make(chan uint64) // lets the task that runs end, and tells its tenant
		submit := func(tenant uint64) {
			must(t, p.SubmitAs(t.Context(), Attrs{Tenant: tenant}, func(context.Context) error { end <- tenant; return nil }))
		}
		submit(9)
		synctest.Wait()
		for tenant := range uint64(2) {
			for range 4 { // the first has all places, and the other as many beyond
				submit(tenant)
			}
		}
		entered := false
		go func() {
			submit(1)
			entered = true
		}()
		for <-end != 0 {
			synctest.Wait()
		}
		if synctest.Wait(); !entered { // a task of tenant 1 runs
			t.Error("the tenant's next task waits for room beside a place")
		}
		go func() {
			for range end {
			}
		}()
		must(t, p.Close())
		close(end)
	})
}

// What has expired makes room.
func TestExpiredMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(2), WithOverflow(Reject), WithExpiredHandler(func(Task) {}))
		hold := make(gate)
		must(t, p.Submit(t.Context(), func(context.Context) error { <-hold; return nil }))
		synctest.Wait()
		for range 2 {
			must(t, p.SubmitAs(t.Context(), Attrs{Deadline: time.Now().Add(time.Second)}, noop))
		}
		if err := p.TrySubmit(noop); err != ErrFull {
			t.Errorf("full: %v", err)
		}
		time.Sleep(time.Second)
		must(t, p.TrySubmit(noop))
		close(hold)
		must(t, p.Close())
	})
}

// Also for what a Batcher holds, whoever finds first that it has expired: its producer or the timer.
func TestExpiredMakeRoomForBatcher(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithBuffer(1), WithExpiredHandler(func(Task) {}))
			hold := make(gate)
			must(t, p.Submit(t.Context(), func(context.Context) error { <-hold; return nil }))
			synctest.Wait()
			must(t, p.SubmitAs(t.Context(), Attrs{Deadline: time.Now().Add(time.Second)}, noop))
			b := p.Batcher()
			must(t, b.Add(t.Context(), noop))
			time.Sleep(time.Second)
			must(t, b.Flush(t.Context()))
			if s := p.Stats(); s.Expired != 1 || s.Queued != 1 {
				t.Errorf("%d expired, %d queued", s.Expired, s.Queued)
			}
			close(hold)
			must(t, b.Close())
			must(t, p.Close())
		})
	}
}

// Under twice the load that it can take, a pool with a timeout still gets done nearly what it could.
func TestGoodput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, late := 0, 0
		p := mustNew(t, WithWorkers(1), WithBuffer(10_000), WithQueueTimeout(100*time.Millisecond), WithExpiredHandler(func(Task) { late++ }))
		for range 2000 { // one in 5 ms, each takes 10 ms
			at := time.Now()
			must(t, p.Submit(t.Context(), func(context.Context) error {
				if time.Sleep(10 * time.Millisecond); time.Since(at) <= 110*time.Millisecond {
					good++
				}
				return nil
			}))
			time.Sleep(5 * time.Millisecond)
		}
		must(t, p.Close())
		if good < 900 || good+late != 2000 {
			t.Errorf("%d in time, %d expired", good, late)
		}
	})
}

// No more start than the rate says, and no fewer.
func TestRate(t *testing.T) {
	onceIfShort(t)
	for _, c := range []struct {
		rate  float64
		burst int
	}{{10, 1}, {10, 5}, {1000, 1}, {20000, 100}} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(4), WithBuffer(100_000), WithRate(c.rate, c.burst))
			var starts []time.Duration
			begin := time.Now()
			var mu = make(chan struct{}, 1)
			n := int(3*c.rate) + c.burst
			for range n {
				must(t, p.Submit(t.Context(), func(context.Context) error {
					mu <- struct{}{}
					starts = append(starts, time.Since(begin))
					<-mu
					return nil
				}))
			}
			must(t, p.Close()) // draining obeys it
			for i, at := range starts {
				want := time.Duration(float64(max(0, i-c.burst+1)) / c.rate * 1e9)
				if d := at - want; d < -2*time.Microsecond || d > 2*time.Microsecond {
					t.Fatalf("rate %v, burst %d: start %d at %v, want %v", c.rate, c.burst, i, at, want)
				}
			}
			if s := p.Stats(); s.Throttled < 2900*time.Millisecond {
				t.Errorf("throttled for %v", s.Throttled)
			}
		})
	}
}

// Abort does not wait for the rate.
func TestRateAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithRate(.001, 1))
		for range 3 {
			must(t, p.Submit(t.Context(), noop))
		}
		synctest.Wait()
		begin := time.Now()
		p.Abort()
		must(t, p.Close())
		if d := time.Since(begin); d != 0 || len(p.Leftover()) != 2 {
			t.Errorf("took %v", d)
		}
	})
}

// A task whose deadline passes while it waits for its units does not start.
func TestExpiresAtItsUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := 0
		p := mustNew(t, WithWorkers(2), WithCapacity(2), WithExpiredHandler(func(Task) { expired++ }))
		must(t, p.Submit(t.Context(), func(context.Context) error { time.Sleep(2 * time.Second); return nil }))
		synctest.Wait()
		must(t, p.SubmitAs(t.Context(), Attrs{Weight: 2, Deadline: time.Now().Add(time.Second)}, func(context.Context) error { t.Error("ran"); return nil }))
		must(t, p.Close())
		if s := p.Stats(); expired != 1 || s.Expired != 1 || s.Completed != 1 {
			t.Errorf("%d expired: %v", expired, s)
		}
	})
}

// Any buffer that New accepts has room.
func TestHugeBuffer(t *testing.T) {
	for name, o := range map[string]Option{
		"tenants": WithTenants(nil), "limit": WithTenantLimit(func(uint64) int { return 2 }), "classes": WithClasses(Class{"a", 0}, Class{"b", 0}),
		"rate": WithRate(1e9, 100), "timeout": WithQueueTimeout(time.Hour), "plain": WithName("x"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(3), WithBuffer(math.MaxInt), o)
				for range 100 {
					must(t, p.TrySubmit(empty))
					must(t, p.SubmitAs(t.Context(), Attrs{Key: 1}, empty))
				}
				must(t, p.Close())
			})
		})
	}
}

// A task that runs inside its parent, in a full pool, is not beyond the limit of another tenant.
func TestLimitInFullPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithTenantLimit(func(n uint64) int { return int(n) }))
		tenants := []uint64{1, 2}
		_, err := Do(WithAttrs(t.Context(), Attrs{Tenant: 1}), p, func(ctx context.Context) (none struct{}, err error) {
			for _, n := range tenants {
				for p.TrySubmitAs(Attrs{Tenant: n}, empty) == nil { // until it is full for n
				}
			}
			ran := make([]int, len(tenants))
			for i, n := range tenants {
				task := func(context.Context) error { ran[i]++; return nil }
				err := p.SubmitAs(ctx, Attrs{Tenant: n}, task)
				_, later := Go(WithAttrs(ctx, Attrs{Tenant: n}), p, func(context.Context) (int, error) { ran[i]++; return 0, nil }).Wait(ctx)
				if i == 0 && (err != nil || later != nil || ran[i] != 2) || i == 1 && (!errors.Is(err, ErrFull) || !errors.Is(later, ErrFull) || ran[i] != 0) {
					t.Errorf("tenant %d: %v and %v, and %d runs", n, err, later, ran[i])
				}
			}
			return none, nil
		})
		must(t, err)
		must(t, p.Close())
	})
}
