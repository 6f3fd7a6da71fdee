package pooldebug

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
)

var bg = context.Background()

func newPool(t *testing.T, opts ...pool.Option) *pool.Pool {
	t.Helper()
	p, err := pool.New(append([]pool.Option{pool.WithSampling(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get returns the answer to a request.
func get(t *testing.T, h http.Handler, method, query string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/debug/pool"+query, nil))
	return w.Code, w.Body.String()
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}

func askTheDatabase(gate chan struct{}) { <-gate }

// All formats tell of the pool, of a stuck task by its name and age, and of what to change.
func TestFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, gate := newPool(t, pool.WithName("<mail>"), pool.WithWorkers(2)), make(chan struct{})
		h := Handler(p)
		stuck := func(context.Context) error { askTheDatabase(gate); return nil }
		if err := p.SubmitKeyed(bg, 0xbeef, stuck); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if err := p.Submit(bg, func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(500 * time.Millisecond)
		_, text := get(t, h, "GET", "?format=text")
		wants(t, text, "tasks/s", "running for 500ms")
		for range 20 {
			time.Sleep(time.Second)
			get(t, h, "HEAD", "")
		}
		code, text := get(t, h, "GET", "?format=text&stacks=1")
		if code != 200 {
			t.Errorf("status %d", code)
		}
		wants(t, text, `"<mail>"`, " tasks/s", "stuck task", "20.5s", "0xbeef", "pooldebug.TestFormats", "askTheDatabase")
		_, text = get(t, h, "GET", "")
		wants(t, text, "&lt;mail&gt;", "<polyline", "<rect", "stuck task", "20.5s", "0xbeef", "pooldebug.TestFormats", "EventSource")
		if strings.Contains(text, "askTheDatabase") || strings.Contains(text, "<mail>") {
			t.Error("the page has stacks that nobody asked for, or is not escaped")
		}
		_, text = get(t, h, "GET", "?stacks=1")
		wants(t, text, "askTheDatabase")
		_, text = get(t, h, "GET", "?format=json")
		var views []View
		if err := json.Unmarshal([]byte(text), &views); err != nil {
			t.Fatal(err)
		}
		if v := views[0]; len(views) != 1 || v.Stats.Name != "<mail>" || v.Stats.Running == 0 || v.Running[0].Key != 0xbeef || v.Report.Findings[0].Code != pool.StuckTask || v.Stats.Run.Count < 400 {
			t.Errorf("%s", text)
		}

		if err := p.Resize(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_, text = get(t, h, "GET", "")
		wants(t, text, "2 to 1 workers")
		if err := p.Submit(bg, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- p.Close() }()
		time.Sleep(time.Second)
		_, text = get(t, h, "GET", "")
		wants(t, text, "closing:", "tasks queued")
		close(gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_, text = get(t, h, "GET", "")
		wants(t, text, ", ended")
	})
}

// What is asked in vain gets an error that names it.
func TestBadRequests(t *testing.T) {
	p := newPool(t)
	defer p.Close()
	h := Handler(p)
	if code, text := get(t, h, "GET", "?format=xml"); code != 400 || !strings.Contains(text, "xml") {
		t.Errorf("format=xml: %d, %s", code, text)
	}
	if code, _ := get(t, h, "POST", ""); code != 405 {
		t.Errorf("POST: %d", code)
	}
	for name, pools := range map[string][]Source{"none": nil, "nil": {nil}, "a nil pool": {p, (*pool.Pool)(nil)}} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), "pooldebug: Handler: ") {
					t.Errorf("%s: panic %v", name, r)
				}
			}()
			Handler(pools...)
		}()
	}
}

// The stream has the pools again and again, and ends with its reader.
func TestStream(t *testing.T) {
	p := newPool(t, pool.WithName("mail"))
	defer p.Close()
	s := httptest.NewServer(Handler(p))
	defer s.Close() // waits for the streams
	ctx, cancel := context.WithCancel(bg)
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+"?format=stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if c := answer.Header.Get("Content-Type"); c != "text/event-stream" {
		t.Errorf("content type %q", c)
	}
	lines, events := bufio.NewScanner(answer.Body), 0
	for events < 2 && lines.Scan() {
		switch line := lines.Text(); {
		case line == "":
			events++
		case !strings.HasPrefix(line, "data: "):
			t.Errorf("the line %q", line)
		}
	}
	if events != 2 {
		t.Errorf("%d events: %v", events, lines.Err())
	}
	cancel()
	_, _ = io.Copy(io.Discard, answer.Body)
}

// A handler keeps no pool: neither one that has ended nor, of another type, one that nobody ever used.
func TestKeepsNoPool(t *testing.T) {
	collected := make(chan string, 2)
	h := func() http.Handler {
		p := newPool(t, pool.WithName("mail"))
		q, err := pool.NewTyped(func(context.Context, string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(p, func(s string) { collected <- s }, "mail")
		runtime.AddCleanup(q, func(s string) { collected <- s }, "typed")
		h := Handler(p, q)
		get(t, h, "GET", "")
		if p.Close() != nil || q.Close() != nil {
			t.Error("Close failed")
		}
		return h
	}()
	for n := 0; n < 2; {
		runtime.GC()
		select {
		case <-collected:
			n++
		default:
			runtime.Gosched()
		}
	}
	_, text := get(t, h, "GET", "?format=text")
	wants(t, text, "mail")
	_, text = get(t, h, "GET", "")
	wants(t, text, "mail", ", ended")
}

// Several look at once while tasks run.
func TestRace(t *testing.T) {
	p := newPool(t)
	h := Handler(p)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				_ = p.Submit(bg, func(context.Context) error { return nil })
				get(t, h, "GET", []string{"", "?stacks=1", "?format=json", "?format=text"}[i])
			}
		})
	}
	wg.Wait()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkPage is what a page that is open costs each second.
func BenchmarkPage(b *testing.B) {
	p, err := pool.New(pool.WithSampling(1))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for range 1000 {
		_ = p.Submit(bg, func(context.Context) error { return nil })
	}
	h := Handler(p).(*handler)
	for range kept {
		h.watched[0].past, h.watched[0].at = append(h.watched[0].past, p.Observe()), append(h.watched[0].at, time.Now())
	}
	for b.Loop() {
		h.watched[0].at[kept-1] = time.Time{}
		render(io.Discard, "pools", h.views(false))
	}
}

// A full history is replaced, not changed under those who draw it.
func TestFullHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t)
		defer p.Close()
		h := Handler(p)
		for range kept {
			get(t, h, "HEAD", "?format=stream") // which does not stay
			time.Sleep(every)
			get(t, h, "GET", "?format=text")
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 20 {
					time.Sleep(every / 4 * time.Duration(i+1))
					get(t, h, "GET", "")
				}
			})
		}
		wg.Wait()
	})
}

// sleep is a task that takes so long.
func sleep(d time.Duration) pool.Task {
	return func(context.Context) error { time.Sleep(d); return nil }
}

// fairPool returns a pool that is in the middle of a known load of two classes and four tenants, and its handler.
func fairPool(t *testing.T) (*pool.Pool, http.Handler) {
	t.Helper()
	p := newPool(t, pool.WithWorkers(1), pool.WithTenants(nil), pool.WithRate(1, 2),
		pool.WithClasses(pool.Class{Name: "<high>", Share: .25}, pool.Class{Name: "low", Share: .5}))
	h := Handler(p)
	for _, a := range []pool.Attrs{
		{Tenant: 7, Class: 1}, {Tenant: 7, Class: 1}, {Tenant: 8}, {Tenant: 8}, {Tenant: 1<<64 - 1},
		{Tenant: 9, Class: 1, Deadline: time.Now().Add(10 * time.Millisecond)},
	} {
		if err := p.SubmitAs(bg, a, sleep(300*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	time.Sleep(1500 * time.Millisecond) // two start at once, and one each second
	return p, h
}

// All formats tell of classes and tenants, of what has expired and of the rate.
func TestClassesAndTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, h := fairPool(t)
		_, text := get(t, h, "GET", "?format=text")
		wants(t, text, `class "<high>": share 25 %, 1 queued, 2 started, busy share 67 %`, `class "low": share 50 %, 1 queued, 1 started, busy share 33 %`,
			"throttled for 600ms", "tenant 18446744073709551615: run time 300ms, 0 queued", "tenant 7: run time 300ms, 1 queued, 0 running, 1 ended", "1 expired")
		if strings.Contains(text, "tenant 9") {
			t.Errorf("a tenant is shown that has nothing: %s", text)
		}
		_, text = get(t, h, "GET", "")
		wants(t, text, "<h3>Classes</h3>", "<td>25 %</td><td>1</td><td>2</td><td>67 %</td><td>&lt;high&gt;</td>", "<h3>Tenants with most run time</h3>",
			"<td>300ms</td><td>1</td><td>0</td><td>1</td><td>7</td>", "<dt>expired</dt><dd>1</dd>", "<dt>throttled</dt><dd>600ms</dd>")
		_, text = get(t, h, "GET", "?format=json")
		var views []View
		if err := json.Unmarshal([]byte(text), &views); err != nil {
			t.Fatal(err)
		}
		v := views[0]
		if len(v.Classes) != 2 || v.Classes[0].Name != "<high>" || v.Classes[0].Started != 2 || v.Classes[1].Expired != 1 || v.Classes[1].BusyShare < .33 || v.Classes[1].BusyShare > .34 {
			t.Errorf("classes %+v", v.Classes)
		}
		if len(v.Tenants) != 3 || v.Tenants[0].Tenant != 7 || v.Tenants[2].Tenant != 1<<64-1 || v.Tenants[0].Busy != 300*time.Millisecond || v.Stats.Throttled.Round(time.Millisecond) != 600*time.Millisecond {
			t.Errorf("tenants %+v, throttled %v", v.Tenants, v.Stats.Throttled)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		_, text = get(t, h, "GET", "")
		wants(t, text, "<h3>Classes</h3>", ", ended")
		if strings.Contains(text, "Tenants") {
			t.Error("a pool that has ended has tenants")
		}
	})
}

// What a pool does not have is not shown.
func TestNoClassesAndTenants(t *testing.T) {
	for name, opts := range map[string][]pool.Option{"plain": nil, "rate": {pool.WithRate(1000, 1)}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, opts...)
			h := Handler(p)
			if err := p.Submit(bg, sleep(time.Minute)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for _, format := range []string{"", "?format=text", "?format=json"} {
				_, text := get(t, h, "GET", format)
				text = strings.Replace(text, `"Classes":null`, "", 1) // in the JSON of Stats
				for _, part := range []string{"Classes", "class ", "enant", "NaN"} {
					if strings.Contains(text, part) {
						t.Errorf("%s: there is %q in\n%s", name, part, text)
					}
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// foreign is a source that is no pool, and knows no tenants.
type foreign struct{ Source }

// A source needs no more than the methods of Source.
func TestForeignSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fairPool(t)
		_, text := get(t, Handler(foreign{p}), "GET", "?format=text")
		wants(t, text, `class "low"`, "busy share 0 %")
		if strings.Contains(text, "tenant ") {
			t.Errorf("there are tenants in\n%s", text)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
