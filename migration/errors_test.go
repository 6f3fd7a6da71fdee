package migration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	conciter "github.com/sourcegraph/conc/iter"
	concpool "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// after returns v, after so many hours.
func after[T any](hours int, v T) T {
	time.Sleep(time.Duration(hours) * time.Hour)
	return v
}

// TestOrderOfErrors is of two tasks that fail, the second one earlier.
func TestOrderOfErrors(t *testing.T) {
	tasks := []func() error{
		func() error { return after(2, errors.New("slow")) },
		func() error { return after(1, errors.New("fast")) },
	}
	group := func(t *testing.T, m pool.ErrorMode) error {
		g := pool.NewGroup(bg, newPool(t))
		g.SetErrorMode(m)
		for _, f := range tasks {
			g.Go(func(context.Context) error { return f() })
		}
		return g.Wait()
	}
	conc := func(p *concpool.ErrorPool) error {
		for _, f := range tasks {
			p.Go(f)
		}
		return p.Wait()
	}
	for name, c := range map[string]struct {
		want string
		run  func(t *testing.T) error
	}{
		"errgroup": {"fast", func(*testing.T) error {
			var g errgroup.Group
			for _, f := range tasks {
				g.Go(f)
			}
			return g.Wait()
		}},
		"pond":                 {"fast", func(*testing.T) error { return pond.NewPool(2).NewGroup().SubmitErr(tasks...).Wait() }},
		"conc":                 {"fast\nslow", func(*testing.T) error { return conc(concpool.New().WithErrors()) }},
		"conc, WithFirstError": {"fast", func(*testing.T) error { return conc(concpool.New().WithErrors().WithFirstError()) }},
		"Group":                {"fast", func(t *testing.T) error { return group(t, pool.FailFast) }},
		"Group, KeepGoing":     {"slow\nfast", func(t *testing.T) error { return group(t, pool.KeepGoing) }},
		"Submit": {"fast (and 1 more task errors)", func(t *testing.T) error {
			var handled []string
			p := newPool(t, pool.WithErrorHandler(func(err error) { handled = append(handled, err.Error()) }))
			for _, f := range tasks {
				wantIs(t, "Submit", p.Submit(bg, func(context.Context) error { return f() }), nil)
			}
			err := p.Close()
			if !slices.Equal(handled, []string{"fast", "slow"}) {
				t.Errorf("handled %q", handled)
			}
			return err
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			if got := fmt.Sprint(c.run(t)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestManyErrors(t *testing.T) {
	p := concpool.New().WithErrors()
	g := pool.NewGroup(bg, newPool(t))
	g.SetErrorMode(pool.KeepGoing)
	for range 103 {
		p.Go(func() error { return errGone })
		g.Go(func(context.Context) error { return errGone })
	}
	if n := strings.Count(p.Wait().Error(), "gone"); n != 103 {
		t.Errorf("conc: %d errors, want 103", n)
	}
	if err := g.Wait(); strings.Count(err.Error(), "gone") != 100 || !strings.HasSuffix(err.Error(), "and 3 more errors") {
		t.Errorf("Group: got %v, want 100 errors and 3 more", err)
	}
}

// TestOrderOfResults is of two calls, the second of which ends first.
func TestOrderOfResults(t *testing.T) {
	hours := []int{2, 1}
	call := func(_ context.Context, h int) (int, error) { return after(h, h), nil }
	collect := func(t *testing.T, results iter.Seq2[int, error]) (all []int) {
		for n, err := range results {
			wantIs(t, "result", err, nil)
			all = append(all, n)
		}
		return all
	}
	for name, c := range map[string]struct {
		want []int
		run  func(t *testing.T) []int
	}{
		"conc, results": {[]int{1, 2}, func(*testing.T) []int {
			p := concpool.NewWithResults[int]()
			for _, h := range hours {
				p.Go(func() int { return after(h, h) })
			}
			return p.Wait()
		}},
		"iter.Map": {[]int{2, 1}, func(*testing.T) []int {
			m := conciter.Mapper[int, int]{MaxGoroutines: 2}
			return m.Map(hours, func(h *int) int { return after(*h, *h) })
		}},
		"Map": {[]int{2, 1}, func(t *testing.T) []int {
			return collect(t, pool.Map(bg, newPool(t), slices.Values(hours), call))
		}},
		"MapUnordered": {[]int{1, 2}, func(t *testing.T) []int {
			return collect(t, pool.MapUnordered(bg, newPool(t), slices.Values(hours), call))
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			if got := c.run(t); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestPondResultsBesideError is of a call that succeeds, one that fails after it, one that succeeds after that,
// and one that is not begun.
func TestPondResultsBesideError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hours := []int{1, 2, 3, 4}
		call := func(h int) (int, error) {
			if after(h, h) == 2 {
				return 2, errGone
			}
			return h, nil
		}
		g := pond.NewResultPool[int](2).NewGroup()
		for _, h := range hours {
			g.SubmitErr(func() (int, error) { return call(h) })
		}
		theirs, err := g.Wait()
		wantIs(t, "pond", err, errGone)
		var ours []int
		seq := pool.Map(bg, newPool(t), slices.Values(hours), func(_ context.Context, h int) (int, error) { return call(h) })
		for n, err := range seq {
			if err != nil {
				wantIs(t, "Map", err, errGone)
				continue
			}
			ours = append(ours, n)
		}
		if !slices.Equal(theirs, []int{1, 0, 0, 0}) || !slices.Equal(ours, []int{1, 3, 4}) {
			t.Errorf("pond: %v, Map: %v", theirs, ours)
		}
	})
}

// A logger gives away what ants logs.
type logger chan string

func (l logger) Printf(format string, args ...any) { l <- fmt.Sprintf(format, args...) }

func TestAntsLogsPanic(t *testing.T) {
	logged := make(logger, 1)
	a := newAnts(t, 1, ants.WithLogger(logged))
	done := make(chan struct{})
	wantIs(t, "ants", a.Submit(func() { defer close(done); _ = boom() }), nil)
	<-done
	if line := <-logged; !strings.Contains(line, "boom") {
		t.Errorf("logged %q", line)
	}
	wantIs(t, "after the panic", a.Submit(func() {}), nil)
}

// TestGoexitOfWorkers ends as many tasks by Goexit as there are workers, and submits one more.
func TestGoexitOfWorkers(t *testing.T) {
	for name, c := range map[string]struct {
		want  bool
		start func(t *testing.T) (submit func(func()))
	}{
		"ants": {true, func(t *testing.T) func(func()) {
			told := func(v any) { t.Errorf("ants: told of %v", v) }
			a := newAnts(t, 4, ants.WithPanicHandler(told))
			return func(f func()) { wantIs(t, "ants", a.Submit(f), nil) }
		}},
		"pond": {true, func(*testing.T) func(func()) {
			p := pond.NewPool(4)
			return func(f func()) { p.Submit(f) }
		}},
		"channel": {false, func(t *testing.T) func(func()) {
			jobs := make(chan func(), 5)
			s := newChannelService(func(int) { (<-jobs)() })
			t.Cleanup(s.stop)
			return func(f func()) {
				jobs <- f
				wantIs(t, "channel", s.submit(bg, 0), nil)
			}
		}},
		"pool": {true, func(t *testing.T) func(func()) {
			p := newPool(t)
			t.Cleanup(func() {
				wantIs(t, "Close", p.Close(), pool.ErrGoexit)
				if n := p.Stats().Goexited; n != 4 {
					t.Errorf("Goexited is %d, want 4", n)
				}
			})
			return func(f func()) { wantIs(t, "pool", p.Submit(bg, func(context.Context) error { f(); return nil }), nil) }
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			submit, ran := c.start(t), false
			for range 4 {
				submit(runtime.Goexit)
			}
			synctest.Wait()
			submit(func() { ran = true })
			synctest.Wait()
			if ran != c.want {
				t.Errorf("a task after that ran: %t, want %t", ran, c.want)
			}
		})
	}
}
