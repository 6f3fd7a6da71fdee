package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

// ran runs the program and returns what it printed.
func ran(ctx context.Context, args ...string) (status int, out, err string) {
	var o, e bytes.Buffer
	status = cli.Code(ctx, "crawl", run(ctx, args, &o), &e)
	return status, o.String(), e.String()
}

func TestSmallSites(t *testing.T) {
	for _, args := range [][]string{
		{"-pages=60", "-latency=1ms", "-errors=0.1"},
		{"-pages=60", "-latency=1ms", "-rate=1", "-errors=0"}, // one worker
		{"-pages=1", "-latency=1ms"},
		{"-pages=10", "-latency=1ms", "-errors=1"},
		{"-pages=60", "-latency=0"},
	} {
		status, out, e := ran(t.Context(), args...)
		if status != cli.OK || e != "" {
			t.Fatalf("%v: status %d, printed\n%s%s", args, status, out, e)
		}
		for _, w := range ways {
			if !strings.Contains(out, "\n"+w.name) {
				t.Errorf("%v: nothing about %s:\n%s", args, w.name, out)
			}
		}
		if !strings.Contains(out, "workers: by Little's law") || !strings.Contains(out, "server down: ") {
			t.Errorf("%v: printed\n%s", args, out)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"x", `got "x"`},
		{"-nonsense", "-nonsense"},
		{"-pages=0", "-pages must be between 1 and 1000000, got 0"},
		{"-pages=1000001", "got 1000001"},
		{"-latency=-1ms", "-latency must not be negative, got -1ms"},
		{"-rate=0", "-rate must be positive and finite, got 0"},
		{"-rate=NaN", "got NaN"},
		{"-rate=Inf", "got +Inf"},
		{"-rate=1e7 -latency=1ms", "-rate 1e+07 needs "},
		{"-rate=1e15 -latency=1ms", "-rate 1e+15: pool: WithSizing(LittlesLaw(1e+15, "},
		{"-errors=1.5", "-errors must be between 0 and 1, got 1.5"},
		{"-errors=NaN", "got NaN"},
		{"-timeout=0", "-timeout must be positive, got 0s"},
		{"-timeout=15ms", "-timeout must be more than one and a half of -latency 10ms, got 15ms"},
		{"-latency=2562047h", "got 5s"},
	} {
		status, _, e := ran(t.Context(), strings.Fields(c.args)...)
		if status != cli.Misused || !strings.Contains(e, c.want) {
			t.Errorf("%s: status %d, printed %q, want %q", c.args, status, e, c.want)
		}
	}
	if status, out, _ := ran(t.Context(), "-help"); status != cli.OK || !strings.HasPrefix(out, "usage: go run ./examples/crawl") {
		t.Errorf("-help: status %d, printed %q", status, out)
	}
}

// start starts a site, and a pool and a client for n requests at a time. wrap may be nil.
func start(t *testing.T, n int, s settings, wrap func(*site) http.Handler) (*site, *pool.Pool, *http.Client) {
	t.Helper()
	st := newSite(s)
	var h http.Handler = st
	if wrap != nil {
		h = wrap(st)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	st.base = base
	p, err := pool.New(pool.WithWorkers(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	client := newClient(n, time.Minute)
	t.Cleanup(client.CloseIdleConnections)
	return st, p, client
}

func TestEachPageIsAskedOnce(t *testing.T) {
	s := settings{pages: 500, errors: 0.1}
	st, p, client := start(t, 8, s, nil)
	pages, failing := st.reachable()
	r := crawl(t.Context(), p, client, st.base, ways[0])
	if r.seen != pages || r.asked != pages || r.failed != failing || r.errors != failing || r.read != pages-failing || r.wasted != 0 {
		t.Errorf("%d pages, %d of them failing, and the crawl did %+v", pages, failing, r)
	}
	if got := st.asked.Load(); got != int64(pages) {
		t.Errorf("the site got %d requests for %d pages", got, pages)
	}
	if r.err == nil || !strings.Contains(r.err.Error(), " answered 500") || !strings.Contains(r.err.Error(), "more errors") {
		t.Errorf("error %v", r.err)
	}
}

// With one worker the numbers are exact.
func TestOutage(t *testing.T) {
	s := settings{pages: 200, errors: 0.1}
	st, p, client := start(t, 1, s, nil)
	const third = 60

	st.set(third)
	r := crawl(t.Context(), p, client, st.base, ways[1])
	if !errors.Is(r.err, errDown) || r.asked != third+1 || r.read+r.failed != third || r.wasted != 0 || r.errors != 1 {
		t.Errorf("fail fast: %+v", r)
	}
	if r.failed == 0 {
		t.Error("no page answered 500: the test shows less than it should")
	}

	st.set(third)
	r = crawl(t.Context(), p, client, st.base, ways[2])
	if !errors.Is(r.err, errDown) || r.asked != r.seen || r.read+r.failed != third || r.wasted != r.seen-third-1 || r.wasted == 0 {
		t.Errorf("keep going: %+v", r)
	}
}

// With a queue that is full, tasks run inside of those that have found them.
func TestFullQueue(t *testing.T) {
	s := settings{pages: 300}
	st, _, client := start(t, 2, s, nil)
	p, err := pool.New(pool.WithWorkers(2), pool.WithBuffer(1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pages, _ := st.reachable()
	if r := crawl(t.Context(), p, client, st.base, ways[0]); r.err != nil || r.read != pages {
		t.Errorf("%d pages, and the crawl did %+v", pages, r)
	}
}

func TestUnreachableServer(t *testing.T) {
	st, p, client := start(t, 2, settings{pages: 10}, nil)
	nobody := httptest.NewServer(nil)
	base := *st.base
	base.Host = strings.TrimPrefix(nobody.URL, "http://")
	nobody.Close()
	r := crawl(t.Context(), p, client, &base, ways[1])
	if !errors.Is(r.err, errDown) || r.asked != 1 || r.read != 0 {
		t.Errorf("%+v", r)
	}
	if err := r.wrong(t.Context(), ways[0], 10); err == nil {
		t.Error("a crawl that found 1 of 10 pages is not wrong")
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status, _, e := ran(ctx, "-pages=60", "-latency=1ms"); status != cli.Interrupted || e != "crawl: interrupted\n" {
		t.Errorf("status %d, printed %q", status, e)
	}
}

// canceller is a writer that calls cancel when it is given text.
type canceller struct {
	bytes.Buffer
	text   string
	cancel func()
}

func (c *canceller) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.text) {
		c.cancel()
	}
	return c.Buffer.Write(b)
}

func TestInterruptBetweenWays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &canceller{text: ways[0].name, cancel: cancel}
	var e bytes.Buffer
	err := run(ctx, []string{"-pages=60", "-latency=1ms"}, out)
	if status := cli.Code(ctx, "crawl", err, &e); status != cli.Interrupted || strings.Contains(out.String(), ways[2].name) {
		t.Errorf("status %d, printed\n%s%s", status, out, &e)
	}
}

func TestInterruptOfACrawl(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const last = 20
	st, p, client := start(t, 4, settings{pages: 500}, func(st *site) http.Handler {
		var n atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) >= last { // this request is cut off
				cancel()
				<-r.Context().Done()
				return
			}
			st.ServeHTTP(w, r)
		})
	})
	r := crawl(ctx, p, client, st.base, ways[0])
	if !errors.Is(r.err, context.Canceled) || r.read >= last || r.seen <= r.read || r.wasted != 0 || r.errors != 0 {
		t.Errorf("%+v", r)
	}
}

func TestLinks(t *testing.T) {
	base, err := url.Parse("http://site/page/7")
	if err != nil {
		t.Fatal(err)
	}
	got := links(base, `<a href="1">1</a> <a href="/page/0#top">0</a> <a href="https://site/x"> <a href="http://other/x">
		<a href="http://site/page/2?q"> <a href="%zz"> <a href="unfinished`)
	if want := []string{"/page/1", "/page/0", "/page/2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
