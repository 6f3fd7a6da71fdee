package poolexpvar

import (
	"context"
	"encoding/json"
	"expvar"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/headrace-go/pool"
)

func newPool(t *testing.T, opts ...pool.Option) *pool.Pool {
	t.Helper()
	p, err := pool.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// publish publishes p until the end of the test. Names are those of the tests.
func publish(t *testing.T, p Source) (unpublish func()) {
	t.Helper()
	unpublish, err := Publish(t.Name(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unpublish)
	return unpublish
}

// shown returns what is published, nil for null.
func shown(t *testing.T) (s *pool.Stats) {
	t.Helper()
	if err := json.Unmarshal([]byte(expvar.Get(t.Name()).String()), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func wantName(t *testing.T, want string) {
	t.Helper()
	if s := shown(t); s == nil || s.Name != want {
		t.Errorf("%+v is shown, want that of %q", s, want)
	}
}

// What is shown changes with the pool, and stays when it has ended.
func TestPublish(t *testing.T) {
	ctx := context.Background()
	p := newPool(t, pool.WithName("mail"), pool.WithWorkers(1), pool.WithBuffer(1), pool.WithOverflow(pool.Reject))
	publish(t, p)
	begun, release := make(chan struct{}), make(chan struct{})
	for i, task := range []pool.Task{
		func(context.Context) error { close(begun); <-release; return nil },
		func(context.Context) error { return nil },
		func(context.Context) error { return nil },
	} {
		if err := p.Submit(ctx, task); (err != nil) != (i == 2) {
			t.Fatalf("task %d: error %v", i, err)
		}
		<-begun
	}
	s := shown(t)
	if s.Name != "mail" || s.Workers != 1 || s.Buffer != 1 || s.Running != 1 || s.Queued != 1 || s.Accepted != 2 || s.Rejected != 1 {
		t.Errorf("%+v is shown", s)
	}
	close(release)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	want := p.Stats()
	got := *shown(t)
	if want.Uptime = got.Uptime; !reflect.DeepEqual(got, want) || got.Completed != 2 || got.Goroutines != 0 || got.Run.Count != 1 {
		t.Errorf("after Close %+v is shown, want %+v", got, want)
	}
}

// The names in the JSON object are those of the fields.
func TestFieldNames(t *testing.T) {
	publish(t, newPool(t))
	w := httptest.NewRecorder()
	expvar.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/vars", nil))
	var vars map[string]json.RawMessage
	if err := json.Unmarshal(w.Body.Bytes(), &vars); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(vars[t.Name()], &got); err != nil {
		t.Fatal(err)
	}
	var want []string
	for f := range reflect.TypeFor[pool.Stats]().Fields() {
		want = append(want, f.Name)
	}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// Classes are shown with what they have done.
func TestClasses(t *testing.T) {
	p := newPool(t, pool.WithClasses(pool.Class{Name: "high", Share: .5}, pool.Class{Name: "low"}), pool.WithRate(1000, 1))
	publish(t, p)
	for i := range 3 {
		if err := p.SubmitAs(context.Background(), pool.Attrs{Class: min(i, 1)}, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	want, got := p.Stats(), shown(t)
	if !reflect.DeepEqual(got.Classes, want.Classes) || got.Throttled != want.Throttled || got.Classes[1].Name != "low" || got.Classes[1].Started != 2 {
		t.Errorf("%+v and %v are shown, want %+v and %v", got.Classes, got.Throttled, want.Classes, want.Throttled)
	}
}

// total adds up pools.
type total []Source

func (t total) Stats() (sum pool.Stats) {
	for _, p := range t {
		sum.Workers += p.Stats().Workers
	}
	return sum
}

// The sources may be of different types, and need not be comparable.
func TestReplace(t *testing.T) {
	first := newPool(t, pool.WithName("first"), pool.WithWorkers(1))
	typed, err := pool.NewTyped(func(context.Context, int) error { return nil }, pool.WithName("typed"), pool.WithWorkers(2))
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	endFirst := publish(t, first)
	wantName(t, "first")
	endTyped := publish(t, typed)
	wantName(t, "typed")
	endFirst() // is over
	wantName(t, "typed")
	again := publish(t, typed)
	endTyped() // was replaced by the same pool
	wantName(t, "typed")
	endTotal := publish(t, total{first, typed})
	if s := shown(t); s.Workers != 3 {
		t.Errorf("%d workers in total", s.Workers)
	}
	again()
	if endTotal(); shown(t) != nil {
		t.Error("still shown")
	}
	publish(t, first)
	endTotal()
	wantName(t, "first")
}

func TestErrors(t *testing.T) {
	p := newPool(t)
	if expvar.Get(t.Name()) == nil { // once in the program
		expvar.NewInt(t.Name()).Set(7)
	}
	for name, want := range map[string]string{t.Name(): "*expvar.Int", "memstats": "expvar.Func"} {
		unpublish, err := Publish(name, p)
		if err == nil || unpublish != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got := expvar.Get(t.Name()).String(); got != "7" {
		t.Errorf("the other variable is %s", got)
	}
	if _, err := Publish("nil", nil); err == nil || expvar.Get("nil") != nil {
		t.Errorf("nil: error %v", err)
	}
}

// Many publish the same name, read it, and take it away again.
func TestConcurrent(t *testing.T) {
	p := newPool(t, pool.WithName("mail"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				unpublish, err := Publish(t.Name(), p)
				if err != nil {
					t.Error(err)
					return
				}
				_ = expvar.Get(t.Name()).String()
				unpublish()
			}
		})
	}
	wg.Wait()
	if s := shown(t); s != nil {
		t.Errorf("%+v is left", s)
	}
}

// A pool is collected when it has been unpublished or replaced, and not before.
func TestCollected(t *testing.T) {
	freed := make(chan string, 2)
	closed := func(name string) *pool.Pool {
		p, err := pool.New(pool.WithName(name))
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Close()
		runtime.AddCleanup(p, func(name string) { freed <- name }, name)
		return p
	}
	await := func(want string) {
		t.Helper()
		for range 200 {
			runtime.GC()
			select {
			case name := <-freed:
				if name != want {
					t.Fatalf("%s was freed, want %s", name, want)
				}
				return
			default:
				runtime.Gosched()
			}
		}
		t.Fatalf("%s was not freed", want)
	}
	publish(t, closed("first"))
	second := publish(t, closed("second"))
	await("first")
	second()
	await("second")
}
