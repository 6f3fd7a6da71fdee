package poolotel

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/headrace-go/pool"
)

func newPool(t *testing.T, opts ...pool.Option) *pool.Pool {
	t.Helper()
	p, err := pool.New(opts...)
	check(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newProvider returns a meter provider, and who reads it.
func newProvider() (*sdk.MeterProvider, *sdk.ManualReader) {
	r := sdk.NewManualReader()
	return sdk.NewMeterProvider(sdk.WithReader(r)), r
}

// collected is what a reader has got, without the values.
type collected struct {
	kind, unit string
	attributes map[string][]string // the values of each
}

// collect returns the value of each series, and each instrument.
func collect(t testing.TB, r sdk.Reader) (map[string]float64, map[string]collected) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	values, all := make(map[string]float64), make(map[string]collected)
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name != scopeName {
			t.Errorf("scope %q", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			if m.Description == "" {
				t.Errorf("%s has no description", m.Name)
			}
			in := collected{unit: m.Unit, attributes: make(map[string][]string)}
			add := func(set attribute.Set, v float64) {
				key := m.Name
				for _, a := range set.ToSlice() {
					key += fmt.Sprintf(" %s=%s", a.Key, a.Value.AsString())
					if vs := in.attributes[string(a.Key)]; !slices.Contains(vs, a.Value.AsString()) {
						in.attributes[string(a.Key)] = append(vs, a.Value.AsString())
					}
				}
				values[key] = v
			}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				in.kind = sumKind(d.IsMonotonic)
				for _, p := range d.DataPoints {
					add(p.Attributes, float64(p.Value))
				}
			case metricdata.Sum[float64]:
				in.kind = sumKind(d.IsMonotonic)
				for _, p := range d.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				in.kind = "gauge"
				for _, p := range d.DataPoints {
					add(p.Attributes, p.Value)
				}
			default:
				t.Errorf("%s: %T", m.Name, d)
			}
			all[m.Name] = in
		}
	}
	return values, all
}

func sumKind(monotonic bool) string {
	if monotonic {
		return "counter"
	}
	return "up-down counter"
}

// fixed is a source that always says the same.
type fixed pool.Stats

func (f fixed) Stats() pool.Stats { return pool.Stats(f) }

// durations returns a histogram of these.
func durations(t *testing.T, ds ...time.Duration) (h pool.Histogram) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, err := pool.New(pool.WithSampling(1), pool.WithWorkers(1))
		check(t, err)
		for _, d := range ds {
			check(t, p.Submit(t.Context(), func(context.Context) error { time.Sleep(d); return nil }))
		}
		check(t, p.Close())
		h = p.Stats().Run
	})
	if h.Count != uint64(len(ds)) {
		t.Fatalf("%d durations", h.Count)
	}
	return h
}

// upTo returns all durations of up to n seconds.
func upTo(n int) (ds []time.Duration) {
	for i := range n {
		ds = append(ds, time.Duration(i+1)*time.Second)
	}
	return ds
}

// full returns a snapshot in which every number differs from all others.
func full(t *testing.T) pool.Stats {
	return pool.Stats{
		Name: "mail", Workers: 101, Goroutines: 102, Buffer: 103, Starts: 104, Queued: 105, Running: 106, Reserved: 124,
		Accepted: 107, Rejected: 108, Reject: pool.RejectStats{Full: 109, Closed: 110, Context: 111, Invalid: 112},
		Completed: 113, Failed: 114, Panicked: 115, Goexited: 116, Skipped: 117, Dropped: 118, Unrun: 119, Expired: 122,
		Busy: 120500 * time.Millisecond, Longest: 121250 * time.Millisecond, Throttled: 123750 * time.Millisecond,
		Classes: []pool.ClassStats{
			{Name: "high", Share: .7, Queued: 130, Started: 131, Expired: 132, Busy: 133500 * time.Millisecond},
			{Name: "low", Share: .1, Queued: 140, Started: 141, Expired: 142, Busy: 143500 * time.Millisecond},
		},
		Room: durations(t, time.Second),
		Wait: durations(t, time.Second, 2*time.Second),
		Run:  durations(t, upTo(20)...),
	}
}

// Each series has the number of the snapshot that it is about.
func TestValues(t *testing.T) {
	provider, reader := newProvider()
	s := full(t)
	if _, err := Register(provider, fixed(s)); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"workerpool.workers.limit pool.name=mail":                  101,
		"workerpool.workers.count pool.name=mail":                  102,
		"workerpool.workers.started pool.name=mail":                104,
		"workerpool.workers.busy_time pool.name=mail":              120.5,
		"workerpool.queue.limit pool.name=mail":                    103,
		"workerpool.queue.length pool.name=mail":                   105,
		"workerpool.tasks.running pool.name=mail":                  106,
		"workerpool.queue.reserved pool.name=mail":                 124,
		"workerpool.tasks.accepted pool.name=mail":                 107,
		"workerpool.tasks.rejected pool.name=mail reason=full":     109,
		"workerpool.tasks.rejected pool.name=mail reason=closed":   110,
		"workerpool.tasks.rejected pool.name=mail reason=context":  111,
		"workerpool.tasks.rejected pool.name=mail reason=invalid":  112,
		"workerpool.tasks.ended outcome=completed pool.name=mail":  113,
		"workerpool.tasks.ended outcome=failed pool.name=mail":     114,
		"workerpool.tasks.ended outcome=panicked pool.name=mail":   115,
		"workerpool.tasks.ended outcome=goexited pool.name=mail":   116,
		"workerpool.tasks.ended outcome=skipped pool.name=mail":    117,
		"workerpool.tasks.ended outcome=dropped pool.name=mail":    118,
		"workerpool.tasks.ended outcome=unrun pool.name=mail":      119,
		"workerpool.tasks.ended outcome=expired pool.name=mail":    122,
		"workerpool.tasks.throttled_time pool.name=mail":           123.75,
		"workerpool.class.queue.length class=high pool.name=mail":  130,
		"workerpool.class.tasks.started class=high pool.name=mail": 131,
		"workerpool.class.tasks.expired class=high pool.name=mail": 132,
		"workerpool.class.busy_time class=high pool.name=mail":     133.5,
		"workerpool.class.queue.length class=low pool.name=mail":   140,
		"workerpool.class.tasks.started class=low pool.name=mail":  141,
		"workerpool.class.tasks.expired class=low pool.name=mail":  142,
		"workerpool.class.busy_time class=low pool.name=mail":      143.5,
		"workerpool.task.longest pool.name=mail":                   121.25,
		"workerpool.room.count pool.name=mail":                     1,
		"workerpool.room.sum pool.name=mail":                       s.Room.Sum.Seconds(),
		"workerpool.wait.count pool.name=mail":                     2,
		"workerpool.wait.sum pool.name=mail":                       s.Wait.Sum.Seconds(),
		"workerpool.run.count pool.name=mail":                      20,
		"workerpool.run.sum pool.name=mail":                        s.Run.Sum.Seconds(),
	}
	for what, h := range map[string]pool.Histogram{"room": s.Room, "wait": s.Wait, "run": s.Run} {
		for _, q := range []float64{.5, .9, .99} {
			want[fmt.Sprintf("workerpool.%s.quantile pool.name=mail quantile=%v", what, q)] = h.Quantile(q).Seconds()
		}
	}
	got, _ := collect(t, reader)
	wantValues(t, got, want)
	text, err := os.ReadFile("README.md")
	check(t, err)
	if says := fmt.Sprintf("up to %d series, and 4 more for each class", len(got)-4*len(s.Classes)); !strings.Contains(string(text), says) {
		t.Errorf("README.md does not say %q", says)
	}
}

func wantValues(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok || v != want[k] {
			t.Errorf("%s is %v (%v), want %v", k, v, ok, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			t.Errorf("%s is collected: %v", k, got[k])
		}
	}
}

// README.md has a line for each instrument, and no other lines.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	check(t, err)
	// | `name` | kind | unit | attribute: a, b | what |
	line := regexp.MustCompile("(?m)^\\| `(workerpool\\.[^`]+)` \\| ([^|]+) \\| `([^`]+)` \\|([^|]*)\\| [^|]+ \\|$")
	want := make(map[string]collected)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		in := collected{m[2], m[3], map[string][]string{nameKey: {"mail"}}}
		if key, values, ok := strings.Cut(strings.TrimSpace(m[4]), ": "); ok {
			in.attributes[strings.Trim(key, "`")] = strings.Split(values, ", ")
		}
		want[m[1]] = in
	}
	provider, reader := newProvider()
	if _, err := Register(provider, fixed(full(t))); err != nil {
		t.Fatal(err)
	}
	_, got := collect(t, reader)
	for _, all := range []map[string]collected{got, want} {
		for _, in := range all {
			for _, vs := range in.attributes {
				slices.Sort(vs)
			}
			if in.attributes[classKey] != nil {
				in.attributes[classKey] = []string{"any"}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s is %+v, README.md has %+v", name, got[name], want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 || len(got) == 0 {
		t.Errorf("not collected: %+v", want)
	}
}

// What is shown changes with the pool, and stays when it has ended.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, reader := newProvider()
		p, err := pool.New(pool.WithName("mail"), pool.WithWorkers(1), pool.WithBuffer(2), pool.WithOverflow(pool.Reject), pool.WithSampling(1))
		check(t, err)
		unregister, err := Register(provider, p)
		check(t, err)
		got, _ := collect(t, reader)
		if v, ok := got["workerpool.wait.quantile pool.name=mail quantile=0.5"]; ok {
			t.Errorf("nothing has waited, the median is %v", v)
		}
		for i := range 4 {
			err := p.Submit(t.Context(), func(context.Context) error { time.Sleep(4 * time.Second); return nil })
			if (err != nil) != (i == 3) {
				t.Fatalf("task %d: error %v", i, err)
			}
			synctest.Wait()
		}
		time.Sleep(time.Second)
		got, _ = collect(t, reader)
		for k, want := range map[string]float64{
			"tasks.running": 1, "queue.length": 2, "task.longest": 1, "workers.count": 1, "tasks.accepted": 3, "workers.busy_time": 1,
		} {
			if v := got["workerpool."+k+" pool.name=mail"]; v != want {
				t.Errorf("%s is %v, want %v", k, v, want)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		s := p.Stats()
		got, _ = collect(t, reader)
		for k, want := range map[string]float64{
			"workers.count pool.name=mail": 0, "queue.length pool.name=mail": 0,
			"workers.busy_time pool.name=mail": 12, "wait.count pool.name=mail": 3, "wait.sum pool.name=mail": s.Wait.Sum.Seconds(),
			"run.sum pool.name=mail":                       s.Run.Sum.Seconds(),
			"wait.quantile pool.name=mail quantile=0.99":   s.Wait.Quantile(.99).Seconds(),
			"tasks.rejected pool.name=mail reason=full":    1,
			"tasks.ended outcome=completed pool.name=mail": 3,
		} {
			if v := got["workerpool."+k]; v != want {
				t.Errorf("after Close %s is %v, want %v", k, v, want)
			}
		}
		for range 2 {
			check(t, unregister())
			if got, _ := collect(t, reader); len(got) > 0 {
				t.Errorf("still shown: %v", got)
			}
		}
	})
}

// One pool may be without a name, and the sources may be of different types.
func TestSeveral(t *testing.T) {
	provider, reader := newProvider()
	typed, err := pool.NewTyped(func(context.Context, int) error { return nil }, pool.WithName("typed"), pool.WithWorkers(2))
	check(t, err)
	defer typed.Close()
	if _, err := Register(provider, newPool(t, pool.WithName("mail"), pool.WithWorkers(1)), typed); err != nil {
		t.Fatal(err)
	}
	end, err := Register(provider, newPool(t, pool.WithWorkers(3)))
	check(t, err)
	got, _ := collect(t, reader)
	for name, want := range map[string]float64{" pool.name=mail": 1, " pool.name=typed": 2, "": 3} {
		if v := got["workerpool.workers.limit"+name]; v != want {
			t.Errorf("%q has %v workers, want %v", name, v, want)
		}
	}
	check(t, end())
	got, _ = collect(t, reader)
	if _, ok := got["workerpool.workers.limit"]; ok || got["workerpool.workers.limit pool.name=mail"] != 1 {
		t.Errorf("after unregister: %v", got)
	}
}

func TestErrors(t *testing.T) {
	provider, reader := newProvider()
	var none *pool.Pool
	mail, unnamed := newPool(t, pool.WithName("mail")), newPool(t)
	for _, c := range []struct {
		pools []Source
		want  []string
	}{
		{nil, []string{"no pool"}},
		{[]Source{mail, nil}, []string{"nil", "index 1"}},
		{[]Source{none}, []string{"nil", "*pool.Pool", "index 0"}},
		{[]Source{mail, unnamed}, []string{"no name", "index 1", "WithName"}},
		{[]Source{unnamed, mail}, []string{"no name", "index 0"}},
		{[]Source{mail, fixed{Name: "x"}, newPool(t, pool.WithName("mail"))}, []string{`"mail"`, "index 0 and 2"}},
	} {
		unregister, err := Register(provider, c.pools...)
		if err == nil || unregister != nil {
			t.Errorf("%v: no error", c.want)
			continue
		}
		for _, w := range append(c.want, "poolotel: Register: ") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q does not say %q", err, w)
			}
		}
	}
	if got, _ := collect(t, reader); len(got) > 0 {
		t.Errorf("shown: %v", got)
	}
}

var errRefused = errors.New("refused")

// refusing is a provider that refuses an instrument, or if that has no name the callback.
type refusing struct {
	metric.MeterProvider
	name  string
	ended int
}

func (r *refusing) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return refusingMeter{r.MeterProvider.Meter(name, opts...), r}
}

type refusingMeter struct {
	metric.Meter
	r *refusing
}

func (m refusingMeter) Float64ObservableCounter(name string, opts ...metric.Float64ObservableCounterOption) (metric.Float64ObservableCounter, error) {
	if name == m.r.name {
		return nil, errRefused
	}
	return m.Meter.Float64ObservableCounter(name, opts...)
}

func (m refusingMeter) RegisterCallback(f metric.Callback, insts ...metric.Observable) (metric.Registration, error) {
	reg, err := m.Meter.RegisterCallback(f, insts...)
	if m.r.name == "" {
		err = errRefused
	}
	return refusedRegistration{reg, m.r}, err
}

type refusedRegistration struct {
	metric.Registration
	r *refusing
}

func (r refusedRegistration) Unregister() error {
	r.r.ended++
	return r.Registration.Unregister()
}

// What the provider refuses is an error, and nothing is left of it.
func TestRefused(t *testing.T) {
	for _, name := range []string{"workerpool.run.sum", ""} {
		inner, reader := newProvider()
		r := &refusing{MeterProvider: inner, name: name}
		unregister, err := Register(r, fixed{})
		if !errors.Is(err, errRefused) || unregister != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: error %v", name, err)
		}
		if got, _ := collect(t, reader); len(got) > 0 || (name == "") != (r.ended == 1) {
			t.Errorf("%q: shown: %v; %d ends", name, got, r.ended)
		}
	}
}

// once has the tests that ran, and may not run again in a process: an SDK is installed once.
var once sync.Map

func onlyOnce(t *testing.T) {
	t.Helper()
	if _, again := once.LoadOrStore(t.Name(), true); again {
		t.Skip("an SDK is installed once in a process")
	}
}

// The callback is taken from the provider once.
func TestUnregister(t *testing.T) {
	inner, _ := newProvider()
	r := &refusing{MeterProvider: inner, name: "none of these"}
	unregister, err := Register(r, fixed{})
	check(t, err)
	check(t, unregister())
	if r.ended != 1 {
		t.Errorf("%d ends", r.ended)
	}
}

// A program may install its SDK after it has registered its pools.
func TestGlobal(t *testing.T) {
	onlyOnce(t)
	before, err := Register(nil, fixed{Name: "before", Workers: 1})
	check(t, err)
	gone, err := Register(nil, fixed{Name: "gone", Workers: 2})
	check(t, err)
	check(t, gone())
	provider, reader := newProvider()
	old := otel.GetMeterProvider()
	otel.SetMeterProvider(provider)
	t.Cleanup(func() { otel.SetMeterProvider(old) })
	after, err := Register(nil, fixed{Name: "after", Workers: 3})
	check(t, err)
	limits := func() map[string]float64 {
		got, _ := collect(t, reader)
		maps.DeleteFunc(got, func(k string, _ float64) bool { return !strings.HasPrefix(k, "workerpool.workers.limit") })
		return got
	}
	wantValues(t, limits(), map[string]float64{
		"workerpool.workers.limit pool.name=before": 1,
		"workerpool.workers.limit pool.name=after":  3,
	})
	check(t, before())
	check(t, after())
	wantValues(t, limits(), nil)
}

// falling is a source whose workers were busy for less in every later snapshot.
type falling struct {
	mu   sync.Mutex
	busy time.Duration
}

func (f *falling) Stats() pool.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy -= time.Second
	return pool.Stats{Busy: f.busy}
}

func TestBusyNeverFalls(t *testing.T) {
	provider, reader := newProvider()
	if _, err := Register(provider, &falling{busy: time.Minute}); err != nil {
		t.Fatal(err)
	}
	first, _ := collect(t, reader)
	second, _ := collect(t, reader)
	if a, b := first["workerpool.workers.busy_time"], second["workerpool.workers.busy_time"]; a != b || a != 58 {
		t.Errorf("%v, then %v seconds", a, b)
	}
}

// Several readers collect from a pool that works, while others are registered and taken away. Counters never fall.
func TestConcurrent(t *testing.T) {
	readers := make([]sdk.Reader, 3)
	opts := make([]sdk.Option, len(readers))
	for i := range readers {
		readers[i] = sdk.NewManualReader()
		opts[i] = sdk.WithReader(readers[i])
	}
	provider := sdk.NewMeterProvider(opts...)
	p := newPool(t, pool.WithName("mail"), pool.WithWorkers(4), pool.WithSampling(1))
	if _, err := Register(provider, p); err != nil {
		t.Fatal(err)
	}
	var wg, tasks sync.WaitGroup
	stop := make(chan struct{})
	tasks.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := p.Submit(t.Context(), func(context.Context) error { return nil }); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for _, r := range readers {
		wg.Go(func() {
			last := make(map[string]float64)
			for range 50 {
				got, all := collect(t, r)
				for k, v := range got {
					name, _, _ := strings.Cut(k, " ")
					if all[name].kind == "counter" && v < last[k] {
						t.Errorf("%s falls from %v to %v", k, last[k], v)
					}
				}
				last = got
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			unregister, err := Register(provider, fixed{Name: fmt.Sprint(i)})
			if err != nil {
				t.Error(err)
				return
			}
			for range 2 {
				wg.Go(func() {
					if err := unregister(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
	wg.Wait()
	close(stop)
	tasks.Wait()
	for _, r := range readers {
		if got, _ := collect(t, r); got["workerpool.workers.limit pool.name=mail"] != 4 || len(got) < 20 {
			t.Errorf("at the end: %v", got)
		}
	}
}

// A pool is collected as garbage when it has been taken away, also while its unregister is kept, and not before.
func TestCollected(t *testing.T) {
	provider, reader := newProvider()
	freed := make(chan string, 2)
	register := func(name string) (unregister func() error) {
		p, err := pool.New(pool.WithName(name))
		check(t, err)
		check(t, p.Close())
		runtime.AddCleanup(p, func(name string) { freed <- name }, name)
		unregister, err = Register(provider, p)
		check(t, err)
		return unregister
	}
	isFreed := func(tries int) string {
		for range tries {
			runtime.GC()
			select {
			case name := <-freed:
				return name
			default:
				runtime.Gosched()
			}
		}
		return ""
	}
	first, second := register("first"), register("second")
	collect(t, reader)
	if name := isFreed(5); name != "" {
		t.Errorf("%s was freed", name)
	}
	check(t, first())
	if name := isFreed(200); name != "first" {
		t.Errorf("%q was freed", name)
	}
	if got, _ := collect(t, reader); len(got) == 0 {
		t.Error("the second pool is not shown")
	}
	check(t, second())
	if name := isFreed(200); name != "second" {
		t.Errorf("%q was freed", name)
	}
	runtime.KeepAlive(first)
	runtime.KeepAlive(second)
	runtime.KeepAlive(provider)
}

// The package has no goroutine, no timer, and no variable that changes.
func TestNothingRuns(t *testing.T) {
	names, err := filepath.Glob("*.go")
	check(t, err)
	files := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		check(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && regexp.MustCompile("^(After|New|Tick|Sleep)").MatchString(n.Sel.Name) {
					t.Errorf("%s: time.%s", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
	if files == 0 {
		t.Error("no files")
	}
	// A bubble does not end before its goroutines.
	synctest.Test(t, func(t *testing.T) {
		provider, reader := newProvider()
		if _, err := Register(provider, fixed{}); err != nil {
			t.Fatal(err)
		}
		collect(t, reader)
	})
}

func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("pools=%d", n), func(b *testing.B) {
			provider, reader := newProvider()
			var pools []Source
			for i := range n {
				p, err := pool.New(pool.WithName(fmt.Sprint(i)), pool.WithWorkers(2), pool.WithSampling(1))
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Submit(b.Context(), func(context.Context) error { return nil }); err != nil {
					b.Fatal(err)
				}
				if err := p.Close(); err != nil {
					b.Fatal(err)
				}
				pools = append(pools, p)
			}
			if _, err := Register(provider, pools...); err != nil {
				b.Fatal(err)
			}
			var rm metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				if err := reader.Collect(context.Background(), &rm); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
