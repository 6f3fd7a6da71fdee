package poolprom

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/headrace-go/pool"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPool(t testing.TB, opts ...pool.Option) *pool.Pool {
	t.Helper()
	p, err := pool.New(opts...)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func register(t testing.TB, pools ...Source) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	must(t, reg.Register(NewCollector(pools...)))
	return reg
}

// fixed is a source of the same statistics for ever.
type fixed pool.Stats

func (f fixed) Stats() pool.Stats { return pool.Stats(f) }

// scrape returns all series by how the text format names them, without the buckets of histograms.
func scrape(t testing.TB, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for _, f := range gather(t, g) {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			braces := "{" + strings.Join(labels, ",") + "}"
			switch f.GetType() {
			case dto.MetricType_GAUGE:
				all[f.GetName()+braces] = m.Gauge.GetValue()
			case dto.MetricType_COUNTER:
				all[f.GetName()+braces] = m.Counter.GetValue()
			case dto.MetricType_HISTOGRAM:
				all[f.GetName()+"_count"+braces] = float64(m.Histogram.GetSampleCount())
				all[f.GetName()+"_sum"+braces] = m.Histogram.GetSampleSum()
			default:
				t.Fatalf("%s is a %v", f.GetName(), f.GetType())
			}
		}
	}
	return all
}

func gather(t testing.TB, g prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := g.Gather()
	must(t, err)
	return families
}

// want compares some series with what they should be.
func want(t *testing.T, got map[string]float64, series map[string]float64) {
	t.Helper()
	for name, n := range series {
		if x, ok := got[name]; !ok || x != n {
			t.Errorf("%s is %v (there: %v), want %v", name, x, ok, n)
		}
	}
}

// poolNames returns the values of the label pool.
func poolNames(got map[string]float64) []string {
	var names []string
	for name := range got {
		if rest, ok := strings.CutPrefix(name, `workerpool_workers{pool="`); ok {
			names = append(names, strings.TrimSuffix(rest, `"}`))
		}
	}
	slices.Sort(names)
	return names
}

// each is a source whose numbers are all different.
func each() fixed {
	return fixed{
		Name: "mail", Started: time.Unix(1e9, 0), Workers: 1, Goroutines: 2, Buffer: 3, Starts: 4, Queued: 5, Running: 6, Accepted: 7,
		Rejected: 26, Reject: pool.RejectStats{Full: 8, Closed: 9, Context: 10, Invalid: 11},
		Completed: 12, Failed: 13, Panicked: 14, Goexited: 15, Skipped: 16, Dropped: 17, Unrun: 18, Expired: 23,
		Busy: 19500 * time.Millisecond, Longest: 20500 * time.Millisecond, LongestKey: 4711, Capacity: 21, Units: 22,
		Throttled: 24500 * time.Millisecond, Classes: []pool.ClassStats{
			{Name: "high", Share: .7, Queued: 30, Started: 31, Expired: 32, Busy: 33500 * time.Millisecond},
			{Name: "low", Share: .1, Queued: 40, Started: 41, Expired: 42, Busy: 43500 * time.Millisecond},
		},
	}
}

// Each number of Stats is where it belongs.
func TestEachNumber(t *testing.T) {
	got := scrape(t, register(t, each()))
	want(t, got, map[string]float64{
		`workerpool_workers{pool="mail"}`:                         1,
		`workerpool_goroutines{pool="mail"}`:                      2,
		`workerpool_buffer{pool="mail"}`:                          3,
		`workerpool_worker_starts_total{pool="mail"}`:             4,
		`workerpool_queued{pool="mail"}`:                          5,
		`workerpool_running{pool="mail"}`:                         6,
		`workerpool_accepted_total{pool="mail"}`:                  7,
		`workerpool_rejected_total{pool="mail",reason="full"}`:    8,
		`workerpool_rejected_total{pool="mail",reason="closed"}`:  9,
		`workerpool_rejected_total{pool="mail",reason="context"}`: 10,
		`workerpool_rejected_total{pool="mail",reason="invalid"}`: 11,
		`workerpool_tasks_total{outcome="completed",pool="mail"}`: 12,
		`workerpool_tasks_total{outcome="failed",pool="mail"}`:    13,
		`workerpool_tasks_total{outcome="panicked",pool="mail"}`:  14,
		`workerpool_tasks_total{outcome="goexited",pool="mail"}`:  15,
		`workerpool_tasks_total{outcome="skipped",pool="mail"}`:   16,
		`workerpool_tasks_total{outcome="dropped",pool="mail"}`:   17,
		`workerpool_tasks_total{outcome="unrun",pool="mail"}`:     18,
		`workerpool_tasks_total{outcome="expired",pool="mail"}`:   23,
		`workerpool_throttled_seconds_total{pool="mail"}`:         24.5,
		`workerpool_busy_seconds_total{pool="mail"}`:              19.5,
		`workerpool_longest_running_seconds{pool="mail"}`:         20.5,
		`workerpool_capacity{pool="mail"}`:                        21,
		`workerpool_units{pool="mail"}`:                           22,
		`workerpool_room_seconds_count{pool="mail"}`:              0,
		`workerpool_wait_seconds_count{pool="mail"}`:              0,
		`workerpool_run_seconds_count{pool="mail"}`:               0,
	})
	for name := range got {
		if strings.Contains(name, "4711") {
			t.Errorf("%s has a key", name)
		}
	}
}

// There are as many series as NewCollector says.
func TestSeries(t *testing.T) {
	classes := pool.WithClasses(pool.Class{Name: "high"}, pool.Class{Name: "low"})
	for source, n := range map[Source]int{newPool(t): 74, newPool(t, pool.WithCapacity(3)): 76, newPool(t, classes): 74 + 2*4} {
		var text strings.Builder
		for _, f := range gather(t, register(t, source)) {
			_, err := expfmt.MetricFamilyToText(&text, f)
			must(t, err)
		}
		lines := 0
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "#") {
				lines++
			}
		}
		if lines != n {
			t.Errorf("%d series, want %d", lines, n)
		}
	}
}

// Counters say since when they count, if the source does.
func TestCreated(t *testing.T) {
	dateless := each()
	dateless.Name, dateless.Started = "sum", time.Time{}
	n := 0
	for _, f := range gather(t, register(t, each(), dateless)) {
		for _, m := range f.Metric {
			created := m.GetCounter().GetCreatedTimestamp()
			if f.GetType() == dto.MetricType_HISTOGRAM {
				created = m.GetHistogram().GetCreatedTimestamp()
			}
			switch mail := slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetValue() == "mail" }); {
			case mail && f.GetType() != dto.MetricType_GAUGE:
				n++
				if created.GetSeconds() != 1e9 {
					t.Errorf("%s is since %v", f.GetName(), created)
				}
			case created != nil:
				t.Errorf("%s is since %v", f.GetName(), created)
			}
		}
	}
	if n != 25 {
		t.Errorf("%d counters and histograms", n)
	}
}

// Known work gives known counters and durations.
func TestWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		p := newPool(t, pool.WithName("mail"), pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.Reject), pool.WithSampling(1))
		reg := register(t, p)
		work := func(err error) pool.Task {
			return func(context.Context) error { time.Sleep(3 * time.Second); return err }
		}
		must(t, p.Submit(ctx, work(nil)))
		synctest.Wait()
		must(t, p.Submit(ctx, work(errors.New("bad"))))
		if err := p.Submit(ctx, work(nil)); !errors.Is(err, pool.ErrFull) {
			t.Fatalf("error %v", err)
		}
		time.Sleep(time.Second)
		want(t, scrape(t, reg), map[string]float64{
			`workerpool_workers{pool="mail"}`:                         1,
			`workerpool_buffer{pool="mail"}`:                          1,
			`workerpool_running{pool="mail"}`:                         1,
			`workerpool_queued{pool="mail"}`:                          1,
			`workerpool_longest_running_seconds{pool="mail"}`:         1,
			`workerpool_busy_seconds_total{pool="mail"}`:              1,
			`workerpool_rejected_total{pool="mail",reason="full"}`:    1,
			`workerpool_tasks_total{outcome="completed",pool="mail"}`: 0,
		})
		if err := p.Close(); err == nil {
			t.Fatal("Close returned no error")
		}
		_ = p.Submit(ctx, work(nil))
		// The pool is closed now, and still shown.
		want(t, scrape(t, reg), map[string]float64{
			`workerpool_goroutines{pool="mail"}`:                      0,
			`workerpool_running{pool="mail"}`:                         0,
			`workerpool_queued{pool="mail"}`:                          0,
			`workerpool_longest_running_seconds{pool="mail"}`:         0,
			`workerpool_busy_seconds_total{pool="mail"}`:              6,
			`workerpool_worker_starts_total{pool="mail"}`:             1,
			`workerpool_accepted_total{pool="mail"}`:                  2,
			`workerpool_rejected_total{pool="mail",reason="full"}`:    1,
			`workerpool_rejected_total{pool="mail",reason="closed"}`:  1,
			`workerpool_tasks_total{outcome="completed",pool="mail"}`: 1,
			`workerpool_tasks_total{outcome="failed",pool="mail"}`:    1,
			`workerpool_wait_seconds_count{pool="mail"}`:              2,
			`workerpool_wait_seconds_sum{pool="mail"}`:                p.Stats().Wait.Sum.Seconds(),
			`workerpool_run_seconds_count{pool="mail"}`:               2,
			`workerpool_run_seconds_sum{pool="mail"}`:                 6,
			`workerpool_room_seconds_count{pool="mail"}`:              0,
		})
	})
}

// Units are shown as soon as there are weights.
func TestWeights(t *testing.T) {
	ctx := context.Background()
	p := newPool(t, pool.WithName("images"), pool.WithWorkers(2))
	reg := register(t, p)
	if _, ok := scrape(t, reg)[`workerpool_capacity{pool="images"}`]; ok {
		t.Error("a pool without weights has a capacity")
	}
	begun, release := make(chan struct{}), make(chan struct{})
	must(t, p.SubmitWeighted(ctx, 2, func(context.Context) error { close(begun); <-release; return nil }))
	<-begun
	want(t, scrape(t, reg), map[string]float64{`workerpool_capacity{pool="images"}`: 2, `workerpool_units{pool="images"}`: 2})
	close(release)
}

// Pools of all types are told apart, also without names, and with the names that others would get.
func TestNames(t *testing.T) {
	typed, err := pool.NewTyped(func(context.Context, int) error { return nil }, pool.WithName("typed"))
	must(t, err)
	defer typed.Close()
	for _, c := range []struct {
		pools []Source
		want  []string
	}{
		{nil, nil},
		{[]Source{newPool(t), typed}, []string{"typed", "unnamed"}},
		{[]Source{newPool(t), newPool(t)}, []string{"unnamed", "unnamed#2"}},
		{[]Source{fixed{Name: "a"}, fixed{Name: "a"}, fixed{Name: "a#2"}, fixed{Name: "a"}}, []string{"a", "a#2", "a#3", "a#4"}},
		{[]Source{typed, typed}, []string{"typed", "typed#2"}},
		{[]Source{fixed{Name: "a\xff"}, fixed{Name: "a\xfe"}}, []string{"a\uFFFD", "a\uFFFD#2"}},
	} {
		if got := poolNames(scrape(t, register(t, c.pools...))); !slices.Equal(got, c.want) {
			t.Errorf("names %q, want %q", got, c.want)
		}
	}
	// A name belongs to its pool, whatever comes before it.
	if got := namesOf([]pool.Stats{{Name: "a"}, {Name: "a"}, {Name: "a#2"}}); !slices.Equal(got, []string{"a", "a#3", "a#2"}) {
		t.Errorf("names %q", got)
	}
}

// Two collectors share a registry if their pools have different names.
func TestTwoCollectors(t *testing.T) {
	reg := register(t, fixed{Name: "a"}, fixed{Name: "b"})
	must(t, reg.Register(NewCollector(fixed{Name: "c"})))
	if got := poolNames(scrape(t, reg)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("names %q", got)
	}
	if err := reg.Register(NewCollector(fixed{Name: "b"})); err == nil {
		t.Error("b is there twice, and Register returned no error")
	}
}

func TestNil(t *testing.T) {
	for _, p := range []Source{nil, (*pool.Pool)(nil), (*pool.Typed[int])(nil)} {
		func() {
			defer func() {
				if got, want := recover(), "poolprom: NewCollector: pool is nil, at index 1"; got != want {
					t.Errorf("panic %v, want %s", got, want)
				}
			}()
			NewCollector(fixed{}, p)
		}()
	}
}

// A scrape shows what was measured since the last one, and a change of the sum alone.
func TestMeasuredSinceTheLastScrape(t *testing.T) {
	p := newPool(t, pool.WithName("mail"), pool.WithSampling(1))
	c := NewCollector(p)
	for want := range uint64(4) {
		reg := prometheus.NewPedanticRegistry()
		must(t, reg.Register(c))
		families, err := reg.Gather()
		must(t, err)
		for _, f := range families {
			if f.GetName() == "workerpool_run_seconds" {
				if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != want {
					t.Errorf("%d runs are shown, want %d", n, want)
				}
			}
		}
		must(t, p.Submit(context.Background(), func(context.Context) error { return nil }))
		must(t, p.Wait(context.Background()))
	}
	w := &watched{histograms: make([]*prometheus.Desc, 1), folded: make([]*histogram, 1)}
	h := pool.Histogram{Count: 0, Sum: 0}
	first := w.fold(0, h, nil)
	if w.fold(0, h, nil) != first {
		t.Error("what has not changed is folded again")
	}
	h.Sum = 1
	if w.fold(0, h, nil) == first {
		t.Error("a new sum is not shown")
	}
}
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(register(t, each()))
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Several scrape while tasks run. No counter falls, and in the end all of them are right.
func TestConcurrentScrapes(t *testing.T) {
	ctx := context.Background()
	p := newPool(t, pool.WithName("mail"), pool.WithWorkers(4), pool.WithSampling(1))
	reg := register(t, p)
	const tasks = 5000
	over := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			last := make(map[string]float64)
			for {
				select {
				case <-over:
					return
				default:
				}
				families, err := reg.Gather()
				if err != nil {
					t.Error(err)
					return
				}
				for _, f := range families {
					for i, m := range f.Metric {
						name := fmt.Sprint(f.GetName(), i)
						n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
						if n < last[name] {
							t.Errorf("%s falls from %v to %v", name, last[name], n)
						}
						last[name] = n
					}
				}
			}
		})
	}
	for range tasks {
		must(t, p.Submit(ctx, func(context.Context) error { return nil }))
	}
	must(t, p.Close())
	close(over)
	wg.Wait()
	want(t, scrape(t, reg), map[string]float64{
		`workerpool_accepted_total{pool="mail"}`:                  tasks,
		`workerpool_tasks_total{outcome="completed",pool="mail"}`: tasks,
		`workerpool_run_seconds_count{pool="mail"}`:               tasks,
	})
}

// The package starts no goroutine and no timer: the code has none, and a scrape leaves none.
func TestStartsNothing(t *testing.T) {
	names, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s has a go statement", name)
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains([]string{"After", "AfterFunc", "NewTicker", "NewTimer", "Tick"}, n.Sel.Name) {
					t.Errorf("%s has a timer: %s", name, n.Sel.Name)
				}
			}
			return true
		})
	}
	before := runtime.NumGoroutine()
	metrics := make(chan prometheus.Metric, 100)
	c := NewCollector(each())
	c.Collect(metrics)
	if after := runtime.NumGoroutine(); after > before || len(metrics) != 36 {
		t.Errorf("%d goroutines, before there were %d; %d metrics", after, before, len(metrics))
	}
}

// A pool is collected when its collector has been unregistered, and not before.
func TestCollected(t *testing.T) {
	freed := make(chan struct{})
	reg := prometheus.NewRegistry()
	c := func() prometheus.Collector {
		p := newPoolClosed(t)
		runtime.AddCleanup(p, func(freed chan struct{}) { close(freed) }, freed)
		return NewCollector(p)
	}()
	must(t, reg.Register(c))
	runtime.GC()
	if n := len(gather(t, reg)); n != 16 {
		t.Errorf("%d metrics", n)
	}
	select {
	case <-freed:
		t.Fatal("freed while it is registered")
	default:
	}
	if !reg.Unregister(c) {
		t.Fatal("was not registered")
	}
	c = nil
	for range 200 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(reg)
			return
		default:
			runtime.Gosched()
		}
	}
	t.Fatal("not freed")
}

func newPoolClosed(t *testing.T) *pool.Pool {
	t.Helper()
	p, err := pool.New(pool.WithName("mail"))
	must(t, err)
	must(t, p.Close())
	return p
}
