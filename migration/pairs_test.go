package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"

	"github.com/headrace-go/pool"
)

var bg = context.Background()

// newPool returns a pool of four workers, which is closed at the end of the test.
func newPool(t *testing.T, opts ...pool.Option) *pool.Pool {
	t.Helper()
	p, err := pool.New(append([]pool.Option{pool.WithWorkers(4)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// A web has pages, some of which cannot be fetched, and counts how many are fetched at a time.
type web struct {
	bad       []string
	now, most atomic.Int64
}

var errGone = errors.New("gone")

func (w *web) fetch(_ context.Context, url string) (string, error) {
	w.begin()
	defer w.now.Add(-1)
	if slices.Contains(w.bad, url) {
		return "", fmt.Errorf("%s: %w", url, errGone)
	}
	return "page " + url, nil
}

func (w *web) begin() {
	n := w.now.Add(1)
	for {
		most := w.most.Load()
		if n <= most || w.most.CompareAndSwap(most, n) {
			return
		}
	}
}

// check fails if more than four pages were fetched at a time, or none.
func (w *web) check(t *testing.T, name string) {
	t.Helper()
	if n := w.most.Load(); n < 1 || n > 4 {
		t.Errorf("%s: %d fetched at a time, want 1 to 4", name, n)
	}
}

func urls(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("/", i)
	}
	return all
}

// A call is one side of a pair.
type call[T any] struct {
	name string
	f    func(fetcher) (T, error)
}

// both runs the two sides of a pair on equal webs: their results have to be equal, also to want if nothing
// is bad, and so have the sets of errors.
func both[T any](t *testing.T, bad []string, equal func(a, b T) bool, want T, theirs, ours call[T]) {
	t.Helper()
	var got [2]T
	var errs [2]error
	for i, c := range []call[T]{theirs, ours} {
		w := &web{bad: bad}
		got[i], errs[i] = c.f(w.fetch)
		w.check(t, c.name)
	}
	if len(bad) == 0 && !equal(got[0], want) {
		t.Errorf("%s: got %v, want %v", theirs.name, got[0], want)
	}
	if !equal(got[0], got[1]) {
		t.Errorf("%s: %v\n%s: %v", theirs.name, got[0], ours.name, got[1])
	}
	for i, err := range errs {
		if (err != nil) != (len(bad) > 0) || err != nil && !errors.Is(err, errGone) {
			t.Errorf("call %d: got error %v, with %d bad pages", i, err, len(bad))
		}
	}
	if a, b := lines(errs[0]), lines(errs[1]); !slices.Equal(a, b) {
		t.Errorf("%s: errors %q\n%s: errors %q", theirs.name, a, ours.name, b)
	}
}

// lines returns the lines of an error's message that name a page, sorted.
func lines(err error) []string {
	var found []string
	if err != nil {
		for line := range strings.FieldsFuncSeq(err.Error(), func(r rune) bool { return r == '\n' || r == ';' }) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	slices.Sort(found)
	return found
}

func same(a, b []string) bool { return slices.Equal(a, b) }

// wantPages are the pages of some URLs.
func wantPages(all []string) []string {
	pages := make([]string, len(all))
	for i, url := range all {
		pages[i] = "page " + url
	}
	return pages
}

func TestErrgroup(t *testing.T) {
	p, all := newPool(t), urls(100)
	theirs := call[[]string]{"errgroup", func(f fetcher) ([]string, error) { return pagesErrgroup(bg, all, f) }}
	ours := call[[]string]{"Group", func(f fetcher) ([]string, error) { return pagesGroup(bg, p, all, f) }}
	both(t, nil, same, wantPages(all), theirs, ours)
	// Which pages were fetched before the error came is a matter of luck.
	both(t, all[50:51], func(a, b []string) bool { return len(a) == len(b) }, nil, theirs, ours)
}

func TestErrgroupForEach(t *testing.T) {
	p, all := newPool(t), urls(100)
	for _, bad := range [][]string{nil, all[99:]} {
		both(t, bad, func(a, b int) bool { return a == b }, 0,
			call[int]{"errgroup", func(f fetcher) (int, error) { return 0, checkErrgroup(bg, all, f) }},
			call[int]{"ForEach", func(f fetcher) (int, error) { return 0, checkForEach(bg, p, all, f) }})
	}
}

func TestAnts(t *testing.T) {
	for name, run := range map[string]func([]func()) error{
		"ants": runAnts,
		"pool": func(jobs []func()) error { return runPool(bg, jobs) },
	} {
		var w web
		var sum atomic.Int64
		jobs := make([]func(), 3000)
		for i := range jobs {
			jobs[i] = func() {
				w.begin()
				sum.Add(int64(i))
				w.now.Add(-1)
			}
		}
		if err := run(jobs); err != nil || sum.Load() != 3000*2999/2 {
			t.Errorf("%s: %v, sum %d", name, err, sum.Load())
		}
		w.check(t, name)
	}
}

func TestAntsFunc(t *testing.T) {
	jobs := make([]int, 3000)
	for i := range jobs {
		jobs[i] = i
	}
	for name, run := range map[string]func([]int, func(int)) error{
		"ants":  handleAnts,
		"typed": func(jobs []int, handle func(int)) error { return handleTyped(bg, jobs, handle) },
	} {
		var w web
		var sum atomic.Int64
		err := run(jobs, func(job int) {
			w.begin()
			sum.Add(int64(job))
			w.now.Add(-1)
		})
		if err != nil || sum.Load() != 3000*2999/2 {
			t.Errorf("%s: %v, sum %d", name, err, sum.Load())
		}
		w.check(t, name)
	}
}

func TestAntsNonblocking(t *testing.T) {
	a, err := ants.NewPool(2, ants.WithNonblocking(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pool.New(pool.WithWorkers(2), pool.WithBuffer(0))
	if err != nil {
		t.Fatal(err)
	}
	for name, offer := range map[string]func(func()) (bool, error){
		"ants": func(job func()) (bool, error) { return offerAnts(a, job) },
		"pool": func(job func()) (bool, error) { return offerPool(p, job) },
	} {
		release := make(chan struct{})
		var done sync.WaitGroup
		for i, want := range []bool{true, true, false, false} {
			done.Add(1)
			ok, err := offer(func() {
				defer done.Done()
				<-release
			})
			if !ok {
				done.Done()
			}
			if ok != want || err != nil {
				t.Errorf("%s: offer %d: %t, %v, want %t", name, i, ok, err, want)
			}
		}
		close(release)
		done.Wait()
	}
	a.Release()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if ok, err := offerAnts(a, func() {}); ok || !errors.Is(err, ants.ErrPoolClosed) {
		t.Errorf("ants, after the end: %t, %v", ok, err)
	}
	if ok, err := offerPool(p, func() {}); ok || !errors.Is(err, pool.ErrClosed) {
		t.Errorf("pool, after the end: %t, %v", ok, err)
	}
}

func TestPond(t *testing.T) {
	theirs := pond.NewResultPool[string](4)
	defer theirs.StopAndWait()
	p := newPool(t)
	for _, bad := range [][]string{nil, {"/a"}, {"/b"}} {
		both(t, bad, func(a, b string) bool { return a == b }, "page /apage /b",
			call[string]{"pond", func(f fetcher) (string, error) { return bothPond(bg, theirs, "/a", "/b", f) }},
			call[string]{"Go", func(f fetcher) (string, error) { return bothGo(bg, p, "/a", "/b", f) }})
	}
}

func TestPondGroup(t *testing.T) {
	theirs := pond.NewResultPool[string](4)
	defer theirs.StopAndWait()
	p, all := newPool(t), urls(100)
	pairOf := func(bad []string, equal func(a, b []string) bool) {
		both(t, bad, equal, wantPages(all),
			call[[]string]{"pond", func(f fetcher) ([]string, error) { return pagesPond(bg, theirs, all, f) }},
			call[[]string]{"Map", func(f fetcher) ([]string, error) { return pagesMap(bg, p, all, f) }})
	}
	pairOf(nil, same)
	pairOf(all[50:51], func(a, b []string) bool { return true }) // what is returned beside an error differs
}

func TestConc(t *testing.T) {
	p, all := newPool(t), urls(100)
	for _, bad := range [][]string{nil, all[7:9]} {
		both(t, bad, func(a, b int) bool { return a == b }, 0,
			call[int]{"conc", func(f fetcher) (int, error) { return 0, checkConc(bg, all, f) }},
			call[int]{"Group", func(f fetcher) (int, error) { return 0, checkGroup(bg, p, all, f) }})
	}
}

func TestConcResults(t *testing.T) {
	p, all := newPool(t), urls(1000)
	size := func(url string) int { return len(url) }
	ours, err := gatherMap(bg, p, all, size)
	if err != nil {
		t.Fatal(err)
	}
	theirs := gatherConc(all, size)
	slices.Sort(ours) // neither promises an order
	slices.Sort(theirs)
	if len(theirs) != len(all) || !slices.Equal(ours, theirs) {
		t.Errorf("%d results and %d, want the same %d", len(theirs), len(ours), len(all))
	}
}

func TestConcMap(t *testing.T) {
	p, all := newPool(t), urls(100)
	for _, bad := range [][]string{nil, all[7:9]} {
		both(t, bad, same, wantPages(all),
			call[[]string]{"iter.MapErr", func(f fetcher) ([]string, error) { return mapConc(bg, all, f) }},
			call[[]string]{"Map", func(f fetcher) ([]string, error) { return mapPool(bg, p, all, f) }})
	}
}

func TestConcForEach(t *testing.T) {
	a := make([]int, 5000)
	for i := range a {
		a[i] = i
	}
	b := slices.Clone(a)
	doubleConc(a)
	if err := doublePool(bg, newPool(t), b); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a, b) || a[4999] != 9998 {
		t.Error("the slices differ")
	}
}

func TestChannelResults(t *testing.T) {
	p, all := newPool(t), urls(100)
	results := func(each func(use func(page)) error) ([]string, error) {
		var found []string
		var errs []error
		err := each(func(r page) {
			found = append(found, r.url+" "+r.text)
			errs = append(errs, r.err)
		})
		slices.Sort(found) // they come as they come
		return found, errors.Join(append(errs, err)...)
	}
	want := make([]string, len(all))
	for i, url := range all {
		want[i] = url + " page " + url
	}
	slices.Sort(want)
	for _, bad := range [][]string{nil, all[3:5]} {
		both(t, bad, same, want,
			call[[]string]{"channel", func(f fetcher) ([]string, error) {
				return results(func(use func(page)) error { eachChannel(bg, all, f, use); return nil })
			}},
			call[[]string]{"MapUnordered", func(f fetcher) ([]string, error) {
				return results(func(use func(page)) error { return eachPool(bg, p, all, f, use) })
			}})
	}
}

func TestChannelService(t *testing.T) {
	var sums [2]atomic.Int64
	theirs := newChannelService(func(job int) { sums[0].Add(int64(job)) })
	ours, err := newPoolService(func(job int) { sums[1].Add(int64(job)) })
	if err != nil {
		t.Fatal(err)
	}
	for job := range 1000 {
		if err := errors.Join(theirs.submit(bg, job), ours.submit(bg, job)); err != nil {
			t.Fatal(err)
		}
	}
	theirs.stop()
	if left, err := ours.stop(bg); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
	if a, b := sums[0].Load(), sums[1].Load(); a != 1000*999/2 || a != b {
		t.Errorf("sums %d and %d", a, b)
	}
}
