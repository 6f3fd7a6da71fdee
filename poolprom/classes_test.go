package poolprom

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
)

// Each number of a class is where it belongs.
func TestEachNumberOfClasses(t *testing.T) {
	want(t, scrape(t, register(t, each())), map[string]float64{
		`workerpool_class_queued{class="high",pool="mail"}`:             30,
		`workerpool_class_started_total{class="high",pool="mail"}`:      31,
		`workerpool_class_expired_total{class="high",pool="mail"}`:      32,
		`workerpool_class_busy_seconds_total{class="high",pool="mail"}`: 33.5,
		`workerpool_class_queued{class="low",pool="mail"}`:              40,
		`workerpool_class_started_total{class="low",pool="mail"}`:       41,
		`workerpool_class_expired_total{class="low",pool="mail"}`:       42,
		`workerpool_class_busy_seconds_total{class="low",pool="mail"}`:  43.5,
	})
}

// Known work gives known counters of classes, and no series of a tenant.
func TestClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		p := newPool(t, pool.WithName("mail"), pool.WithWorkers(1), pool.WithTenants(nil),
			pool.WithClasses(pool.Class{Name: "high", Share: .5}, pool.Class{Name: "low"}))
		reg := register(t, p)
		work := func(context.Context) error { time.Sleep(3 * time.Second); return nil }
		submit := func(a pool.Attrs) {
			a.Tenant = 4711
			must(t, p.SubmitAs(ctx, a, work))
			synctest.Wait()
		}
		submit(pool.Attrs{Class: 1})
		submit(pool.Attrs{Class: 1})
		submit(pool.Attrs{Class: 1, Deadline: time.Now().Add(time.Second)})
		submit(pool.Attrs{})
		want(t, scrape(t, reg), map[string]float64{
			`workerpool_class_queued{class="high",pool="mail"}`:       1,
			`workerpool_class_queued{class="low",pool="mail"}`:        2,
			`workerpool_class_started_total{class="low",pool="mail"}`: 1,
		})
		must(t, p.Close())
		got := scrape(t, reg)
		want(t, got, map[string]float64{
			`workerpool_class_queued{class="low",pool="mail"}`:              0,
			`workerpool_class_started_total{class="high",pool="mail"}`:      1,
			`workerpool_class_started_total{class="low",pool="mail"}`:       2,
			`workerpool_class_expired_total{class="low",pool="mail"}`:       1,
			`workerpool_class_busy_seconds_total{class="high",pool="mail"}`: 3,
			`workerpool_class_busy_seconds_total{class="low",pool="mail"}`:  6,
			`workerpool_tasks_total{outcome="expired",pool="mail"}`:         1,
			`workerpool_tasks_total{outcome="completed",pool="mail"}`:       3,
			`workerpool_throttled_seconds_total{pool="mail"}`:               0,
		})
		for name := range got {
			if strings.Contains(name, "4711") || strings.Contains(name, "tenant") {
				t.Errorf("%s has a tenant", name)
			}
		}
	})
}

// The rate is the only thing that the second task waits for.
func TestThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.WithName("mail"), pool.WithWorkers(2), pool.WithRate(.5, 1))
		for range 2 {
			must(t, p.Submit(context.Background(), func(context.Context) error { return nil }))
		}
		must(t, p.Close())
		d := p.Stats().Throttled
		if d.Round(time.Millisecond) != 2*time.Second {
			t.Errorf("throttled for %v", d)
		}
		want(t, scrape(t, register(t, p)), map[string]float64{`workerpool_throttled_seconds_total{pool="mail"}`: d.Seconds()})
	})
}

// classNamesOf returns the values of the label class.
func classNamesOf(got map[string]float64) (names []string) {
	for name := range got {
		if rest, ok := strings.CutPrefix(name, `workerpool_class_queued{class="`); ok {
			class, _, _ := strings.Cut(rest, `"`)
			names = append(names, class)
		}
	}
	slices.Sort(names)
	return names
}

// Classes are told apart, whatever their names are.
func TestClassNames(t *testing.T) {
	for _, c := range []struct{ names, want []string }{
		{nil, nil},
		{[]string{""}, []string{"unnamed"}},
		{[]string{"low", "", "high"}, []string{"high", "low", "unnamed"}},
		{[]string{"a\xff", "a\xfe"}, []string{"a\uFFFD", "a\uFFFD#2"}},
	} {
		var s fixed
		for _, name := range c.names {
			s.Classes = append(s.Classes, pool.ClassStats{Name: name})
		}
		if got := classNamesOf(scrape(t, register(t, s))); !slices.Equal(got, c.want) {
			t.Errorf("%q is shown as %q, want %q", c.names, got, c.want)
		}
	}
}

// changing is a source that has fewer classes each time, and more in the end.
type changing struct{ looks *int }

func (c changing) Stats() pool.Stats {
	*c.looks++
	all := []pool.ClassStats{{Name: "high"}, {Name: "low"}, {Name: "new"}}
	return pool.Stats{Classes: all[:[]int{2, 2, 1, 0, 3}[*c.looks-1]]}
}

// A source that does not keep its classes makes no scrape fail.
func TestClassesChange(t *testing.T) {
	reg := register(t, changing{new(int)})
	for _, want := range [][]string{{"high", "low"}, {"high"}, nil, {"high", "low"}} {
		if got := classNamesOf(scrape(t, reg)); !slices.Equal(got, want) {
			t.Errorf("classes %q, want %q", got, want)
		}
	}
}
