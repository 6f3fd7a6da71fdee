package poolotel

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
)

// Known work gives known counters of classes, and no series of a tenant.
func TestClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, reader := newProvider()
		p := newPool(t, pool.WithName("mail"), pool.WithWorkers(1), pool.WithTenants(nil),
			pool.WithClasses(pool.Class{Name: "high", Share: .5}, pool.Class{Name: "low"}))
		_, err := Register(provider, p)
		check(t, err)
		submit := func(a pool.Attrs) {
			a.Tenant = 4711
			check(t, p.SubmitAs(t.Context(), a, func(context.Context) error { time.Sleep(3 * time.Second); return nil }))
			synctest.Wait()
		}
		submit(pool.Attrs{Class: 1})
		submit(pool.Attrs{Class: 1})
		submit(pool.Attrs{Class: 1, Deadline: time.Now().Add(time.Second)})
		submit(pool.Attrs{})
		wantClasses := func(want map[string]float64) {
			t.Helper()
			got, _ := collect(t, reader)
			maps.DeleteFunc(got, func(k string, _ float64) bool { return !strings.Contains(k, "class") && !strings.Contains(k, "4711") })
			wantValues(t, got, want)
		}
		wantClasses(map[string]float64{
			"workerpool.class.queue.length class=high pool.name=mail":  1,
			"workerpool.class.queue.length class=low pool.name=mail":   2,
			"workerpool.class.tasks.started class=high pool.name=mail": 0,
			"workerpool.class.tasks.started class=low pool.name=mail":  1,
			"workerpool.class.tasks.expired class=high pool.name=mail": 0,
			"workerpool.class.tasks.expired class=low pool.name=mail":  0,
			"workerpool.class.busy_time class=high pool.name=mail":     0,
			"workerpool.class.busy_time class=low pool.name=mail":      0,
		})
		check(t, p.Close())
		wantClasses(map[string]float64{
			"workerpool.class.queue.length class=high pool.name=mail":  0,
			"workerpool.class.queue.length class=low pool.name=mail":   0,
			"workerpool.class.tasks.started class=high pool.name=mail": 1,
			"workerpool.class.tasks.started class=low pool.name=mail":  2,
			"workerpool.class.tasks.expired class=high pool.name=mail": 0,
			"workerpool.class.tasks.expired class=low pool.name=mail":  1,
			"workerpool.class.busy_time class=high pool.name=mail":     3,
			"workerpool.class.busy_time class=low pool.name=mail":      6,
		})
	})
}

// changing is a source that has fewer classes in each snapshot.
type changing struct{ classes *int }

func (c changing) Stats() pool.Stats {
	all := []pool.ClassStats{{Name: "high"}, {Name: "low"}}[:*c.classes]
	*c.classes--
	return pool.Stats{Classes: all}
}

// A source that does not keep its classes makes no collection fail.
func TestClassesChange(t *testing.T) {
	provider, reader := newProvider()
	_, err := Register(provider, changing{new(2)})
	check(t, err)
	for _, want := range []int{1, 0} {
		got, _ := collect(t, reader)
		maps.DeleteFunc(got, func(k string, _ float64) bool { return !strings.HasPrefix(k, "workerpool.class.queue.length") })
		if len(got) != want {
			t.Errorf("%d classes are shown, want %d: %v", len(got), want, got)
		}
	}
}

// inProm are the metrics of package poolprom that show the same.
var inProm = map[string]string{
	"workerpool.workers.limit":        "workerpool_workers",
	"workerpool.workers.count":        "workerpool_goroutines",
	"workerpool.workers.started":      "workerpool_worker_starts_total",
	"workerpool.workers.busy_time":    "workerpool_busy_seconds_total",
	"workerpool.queue.limit":          "workerpool_buffer",
	"workerpool.queue.length":         "workerpool_queued",
	"workerpool.queue.reserved":       "workerpool_reserved",
	"workerpool.tasks.running":        "workerpool_running",
	"workerpool.tasks.accepted":       "workerpool_accepted_total",
	"workerpool.tasks.rejected":       "workerpool_rejected_total",
	"workerpool.tasks.ended":          "workerpool_tasks_total",
	"workerpool.tasks.throttled_time": "workerpool_throttled_seconds_total",
	"workerpool.task.longest":         "workerpool_longest_running_seconds",
	"workerpool.class.queue.length":   "workerpool_class_queued",
	"workerpool.class.tasks.started":  "workerpool_class_started_total",
	"workerpool.class.tasks.expired":  "workerpool_class_expired_total",
	"workerpool.class.busy_time":      "workerpool_class_busy_seconds_total",
	"workerpool.room.sum":             "workerpool_room_seconds",
	"workerpool.wait.sum":             "workerpool_wait_seconds",
	"workerpool.run.sum":              "workerpool_run_seconds",
}

// onlyProm are the metrics of package poolprom that this one has not.
var onlyProm = []string{"workerpool_capacity", "workerpool_units"}

// Package poolprom shows the same, with the same reasons, outcomes and classes. The test of its README.md compares that with a scrape.
func TestLikeProm(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "poolprom", "README.md"))
	if err != nil {
		t.Skip("package poolprom is not beside this one: ", err)
	}
	prom := make(map[string]string) // what tells the series of a metric apart
	code := regexp.MustCompile("`([^`]+)`")
	for _, row := range regexp.MustCompile("(?m)^\\| `(workerpool_\\w+)` \\| \\w+ \\| `pool`(.*)$").FindAllStringSubmatch(string(text), -1) {
		var words []string
		for _, m := range code.FindAllStringSubmatch(row[2], -1) {
			words = append(words, m[1])
		}
		prom[row[1]] = fmt.Sprint(words)
	}
	for _, name := range onlyProm {
		delete(prom, name)
	}
	for _, in := range instruments {
		name := inProm[in.name]
		if name == "" && (strings.HasSuffix(in.name, ".count") || strings.HasSuffix(in.name, ".quantile")) {
			continue // of a histogram
		}
		if got, ok := prom[name]; !ok || got != in.words() {
			t.Errorf("%s has the attribute and values %s, %q has %s (%v)", in.name, in.words(), name, got, ok)
		}
		delete(prom, name)
	}
	if len(prom) > 0 {
		t.Errorf("only package poolprom has %v", slices.Sorted(maps.Keys(prom)))
	}
}

// words returns the attribute that tells an instrument's figures apart, and its values, without those of classes.
func (in instrument) words() string {
	var words []string
	if in.key != "" {
		words = append(words, in.key)
	}
	for _, f := range in.figures(&pool.Stats{}) {
		if f.value != "" {
			words = append(words, f.value)
		}
	}
	return fmt.Sprint(words)
}
