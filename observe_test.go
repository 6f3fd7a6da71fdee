package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// labelsHere returns the labels of the calling goroutine, as the goroutine profile shows them.
//
//go:noinline
func labelsHere(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Error(err)
	}
	return labelsOf(t, b.String(), "pool.labelsHere")
}

// labelsOf returns the labels in profile of the goroutines that are inside of function.
func labelsOf(t testing.TB, profile, function string) string {
	t.Helper()
	labels, found := "", false
	for _, record := range strings.Split(profile, "\n\n") {
		if !strings.Contains(record, function+"+") {
			continue
		}
		l := ""
		if _, rest, ok := strings.Cut(record, "# labels: "); ok {
			l, _, _ = strings.Cut(rest, "\n")
		}
		if found && l != labels {
			t.Errorf("goroutines in %s with labels %s and %s", function, labels, l)
		}
		labels, found = l, true
	}
	if !found {
		t.Errorf("no goroutine in %s in\n%s", function, profile)
	}
	return labels
}

// do runs f as a task of p and returns when it has ended.
func do(t testing.TB, p *Pool, f func(ctx context.Context)) {
	t.Helper()
	must(t, p.Submit(bg, func(ctx context.Context) error { f(ctx); return nil }))
	must(t, p.Wait(bg))
}

// labelOf returns the labels that a task of p finds on its goroutine.
func labelOf(t testing.TB, p *Pool) (labels string) {
	t.Helper()
	do(t, p, func(context.Context) { labels = labelsHere(t) })
	return labels
}

// held is a task that can be found in a profile.
//
//go:noinline
func held(g gate) { <-g }

func wantLabels(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: labels %s, want %s", what, got, want)
	}
}

const ofMail = `{"pool":"mail"}`

// All workers carry the name of their pool, whoever has started them, and other pools' workers do not.
func TestWorkersAreLabelled(t *testing.T) {
	for _, buffer := range buffers {
		t.Run(name("buffer", buffer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithName("mail"), WithWorkers(3), WithBuffer(buffer))
				other := mustNew(t, WithWorkers(1), WithBuffer(buffer))
				g := make(gate)
				pprof.Do(bg, pprof.Labels("who", "submitter"), func(ctx context.Context) {
					for range 3 {
						must(t, p.Submit(ctx, func(context.Context) error { held(g); return nil }))
					}
				})
				synctest.Wait()
				var b bytes.Buffer
				must(t, pprof.Lookup("goroutine").WriteTo(&b, 1))
				wantLabels(t, "a worker", labelsOf(t, b.String(), "pool.held"), ofMail)
				wantLabels(t, "another pool's worker", labelOf(t, other), "")
				wantLabels(t, "the submitter", labelsHere(t), "")
				close(g)
				must(t, p.Close())
				must(t, other.Close())
			})
		})
	}
}

func TestStatsName(t *testing.T) {
	for want, opts := range map[string][]Option{
		"":     {WithName("mail"), WithName("")},
		"mail": {WithName("x"), WithName("mail")},
	} {
		p := mustNew(t, opts...)
		if got := p.Stats().Name; got != want {
			t.Errorf("got name %q, want %q", got, want)
		}
		if want == "" {
			wantLabels(t, "without a name", labelOf(t, p), "")
		}
		must(t, p.Close())
		if got := p.Stats().Name; got != want {
			t.Errorf("after Close: got name %q, want %q", got, want)
		}
	}
	typed, err := NewTyped(func(context.Context, int) error { return nil }, WithName("mail"))
	must(t, err)
	if got := typed.Stats().Name; got != "mail" {
		t.Errorf("typed: got name %q", got)
	}
	must(t, typed.Close())
}

// The label outlives a task that panics, that ends its goroutine, and that uses labels of its own as it
// should. Goroutines of tasks inherit it.
func TestLabelStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithName("mail"), WithWorkers(1), WithPanicHandler(func(*PanicError) {}))
		do(t, p, func(context.Context) { panic("bad") })
		wantLabels(t, "after a panic", labelOf(t, p), ofMail)
		do(t, p, func(context.Context) { runtime.Goexit() })
		wantLabels(t, "after Goexit", labelOf(t, p), ofMail)
		do(t, p, func(ctx context.Context) {
			pprof.Do(ctx, pprof.Labels("step", "parse"), func(context.Context) {
				wantLabels(t, "inside pprof.Do", labelsHere(t), `{"pool":"mail", "step":"parse"}`)
			})
			wantLabels(t, "behind pprof.Do", labelsHere(t), ofMail)
			inherited := make(chan string)
			go func() { inherited <- labelsHere(t) }()
			wantLabels(t, "a goroutine of a task", <-inherited, ofMail)
		})
		wantLabels(t, "after pprof.Do", labelOf(t, p), ofMail)
		_ = p.Close()
	})
}

// A thread that a panic may have left in any state ends, and the label is on the next one.
func TestLabelWithLockedThread(t *testing.T) {
	only(t, Shared, PerWorker, WorkStealing)
	p := mustNew(t, WithName("mail"), WithWorkers(1), WithLockedThread(), WithPanicHandler(func(*PanicError) {}))
	do(t, p, func(context.Context) { panic("bad") })
	wantLabels(t, "after a panic", labelOf(t, p), ofMail)
	_ = p.Close()
}

// The labels of WithContext are those of the workers; the submitter's are not.
func TestLabelsOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := pprof.WithLabels(bg, pprof.Labels("service", "web", "pool", "outer"))
		p := mustNew(t, WithName("mail"), WithContext(ctx), WithWorkers(1))
		wantLabels(t, "a task", labelOf(t, p), `{"pool":"mail", "service":"web"}`)
		g := NewGroup(pprof.WithLabels(bg, pprof.Labels("group", "g")), p)
		g.Go(func(context.Context) error {
			wantLabels(t, "a group's task", labelsHere(t), `{"pool":"mail", "service":"web"}`)
			return nil
		})
		must(t, g.Wait())
		must(t, p.Close())
	})
}

// A task that runs on its submitter's goroutine finds and leaves the labels that are there.
func TestCallersLabelsAreUntouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithName("mail"), WithWorkers(1), WithBuffer(0), WithOverflow(CallerRuns))
		g := make(gate)
		must(t, p.Submit(bg, g.task))
		const mine = `{"who":"submitter"}`
		pprof.Do(bg, pprof.Labels("who", "submitter"), func(ctx context.Context) {
			ran := false
			must(t, p.Submit(ctx, func(ctx context.Context) error {
				wantLabels(t, "a task on its submitter's goroutine", labelsHere(t), mine)
				pprof.Do(ctx, pprof.Labels("step", "parse"), func(context.Context) {})
				ran = true
				return nil
			}))
			if !ran {
				t.Error("the task has not run in Submit")
			}
			wantLabels(t, "the submitter", labelsHere(t), mine)
		})
		close(g)
		must(t, p.Close())
	})
}

// A child that runs inside its parent's Submit, and one that runs inside Wait, find the worker's label.
func TestLabelOfInlineRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithName("mail"), WithWorkers(1), WithBuffer(1))
		ran := 0
		child := func(context.Context) error {
			ran++
			wantLabels(t, "a child", labelsHere(t), ofMail)
			return nil
		}
		do(t, p, func(ctx context.Context) {
			for range maxKids + 2 { // more than fit under any strategy
				must(t, p.Submit(ctx, child))
			}
			if ran == 0 {
				t.Error("no child has run inside its parent")
			}
			wantLabels(t, "the parent", labelsHere(t), ofMail)
			g := NewGroup(ctx, p)
			g.Go(child)
			must(t, g.Wait())
			wantLabels(t, "the parent after Wait", labelsHere(t), ofMail)
		})
		must(t, p.Close()) // Wait need not have covered the child that was queued
		if ran != maxKids+3 {
			t.Errorf("%d children ran", ran)
		}
	})
}

// traced returns the execution trace of f.
func traced(t *testing.T, f func()) []byte {
	t.Helper()
	if trace.IsEnabled() {
		t.Skip("this program is being traced")
	}
	var b bytes.Buffer
	must(t, trace.Start(&b))
	f()
	trace.Stop()
	return b.Bytes()
}

// A batch is a region of the trace, however it ends, if the pool has a name.
func TestTraceRegions(t *testing.T) {
	ways := map[string]func(context.Context) error{
		"returns": func(context.Context) error { return nil },
		"fails":   func(context.Context) error { return errors.New("bad") },
		"goexits": func(context.Context) error { runtime.Goexit(); return nil },
	}
	for what, task := range ways {
		for _, buffer := range []int{0, 64} {
			t.Run(name("task", what, "buffer", buffer), func(t *testing.T) {
				const region = "pool regional"
				run := func(p *Pool) { must(t, p.Submit(bg, task)); must(t, p.Wait(bg)) }
				named := mustNew(t, WithName("regional"), WithBuffer(buffer))
				plain := mustNew(t, WithBuffer(buffer))
				run(named) // not traced
				if b := traced(t, func() { run(plain) }); bytes.Contains(b, []byte(region)) {
					t.Errorf("%q in the trace of another pool", region)
				}
				if b := traced(t, func() { run(named) }); !bytes.Contains(b, []byte(region)) {
					t.Errorf("no %q in a trace of %d bytes", region, len(b))
				}
				_, _ = named.Close(), plain.Close()
			})
		}
	}
}

// Beside a panic handler too there are regions, and handlers are called as without them.
func TestTraceRegionOfPanic(t *testing.T) {
	const region = "pool panics"
	panics := 0
	p := mustNew(t, WithName("panics"), WithWorkers(1), WithPanicHandler(func(*PanicError) { panics++ }))
	b := traced(t, func() {
		do(t, p, func(context.Context) { panic("bad") })
		do(t, p, func(context.Context) {})
	})
	_ = p.Close()
	if s := p.Stats(); panics != 1 || s.Panicked != 1 || s.Completed != 1 {
		t.Errorf("%d panics were handled, %+v", panics, s)
	}
	if !bytes.Contains(b, []byte(region)) {
		t.Errorf("no %q in a trace of %d bytes", region, len(b))
	}
}

// A task that runs on its submitter's goroutine is in no region.
func TestTraceOfCallerRuns(t *testing.T) {
	p := mustNew(t, WithName("callers"), WithWorkers(1), WithBuffer(0), WithOverflow(CallerRuns))
	g, begun := make(gate), make(gate)
	must(t, p.Submit(bg, func(context.Context) error { close(begun); <-g; return nil }))
	<-begun
	b := traced(t, func() { must(t, p.Submit(bg, func(context.Context) error { return nil })) })
	if bytes.Contains(b, []byte("pool callers")) {
		t.Error("a region on the submitter's goroutine")
	}
	close(g)
	must(t, p.Close())
}

// A name costs a task no allocation.
func TestNameDoesNotAllocate(t *testing.T) {
	if raceBuild {
		t.Skip("the race build allocates on its own account")
	}
	tasks := 100
	if strategy == PerWorker || strategy == Elastic {
		tasks = 1 // now and then a queue grows, or a goroutine is made
	}
	for _, name := range []string{"", "mail"} {
		p := mustNew(t, WithName(name), WithWorkers(2))
		task := Task(func(context.Context) error { return nil })
		f := func() {
			for range tasks {
				_ = p.Submit(bg, task)
			}
		}
		for range 5000 / tasks {
			f()
		}
		if n := testing.AllocsPerRun(10000/tasks, f); n != 0 {
			t.Errorf("name %q: %v allocations for %d tasks", name, n, tasks)
		}
		must(t, p.Close())
	}
}

// Printed statistics are one line without zeros.
func TestStatsString(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithName("mail"), WithWorkers(2), WithSampling(1))
		must(t, p.Submit(bg, sleep(time.Second)))
		must(t, p.Wait(bg))
		s := p.Stats()
		s.Goroutines = 1 // the worker may have ended
		want := `pool "mail": 2 workers, 1 goroutines, buffer 1024, 1 accepted, 1 completed, wait p50 0s p99 0s, run p50 990ms p99 990ms`
		if got := fmt.Sprintf("%+v", s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		must(t, p.Close())
	})
}
