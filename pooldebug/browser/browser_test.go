// Package browser tests the page of pooldebug in a browser. It is a module of its own, for what it needs to drive one.
package browser

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/pooldebug"
)

var update = flag.Bool("update", false, "write the screenshots of the docs anew")

// waitsForTheDatabase is a task that is stuck.
func waitsForTheDatabase(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// serve shows a pool with a stuck task and some load.
func serve(t *testing.T) string {
	return show(t, func(i int, task pool.Task, p *pool.Pool) error { return p.Submit(context.Background(), task) })
}

// serveShared shows one that is shared by classes and tenants, with names and numbers that take much room.
func serveShared(t *testing.T) string {
	submit := func(i int, task pool.Task, p *pool.Pool) error {
		return p.SubmitAs(context.Background(), pool.Attrs{Tenant: 1<<64 - 1 - uint64(i), Class: i % 2}, task)
	}
	return show(t, submit, pool.WithTenants(nil), pool.WithRate(500, 10), pool.WithOverflow(pool.Reject), pool.WithBuffer(200_000),
		pool.WithClasses(pool.Class{Name: "interactive", Share: .25}, pool.Class{Name: "recomputationOfAllThumbnailsAtNight", Share: .5}))
}

// show shows a pool with a stuck task, and the load of four tasks every 5 ms that submit is called for.
func show(t *testing.T, submit func(i int, task pool.Task, p *pool.Pool) error, opts ...pool.Option) string {
	t.Helper()
	p, err := pool.New(append(opts, pool.WithName("mail"), pool.WithWorkers(4), pool.WithSampling(1))...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SubmitKeyed(t.Context(), 0xbeef, waitsForTheDatabase); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			for i := range 4 {
				_ = submit(i, func(context.Context) error { time.Sleep(time.Duration(1+i) * time.Millisecond); return nil }, p)
			}
		}
	}()
	mux := http.NewServeMux()
	mux.Handle("/debug/pool", pooldebug.Handler(p))
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		close(stop)
		<-done
		p.Abort()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL + "/debug/pool"
}

// open starts a browser and returns its context. The test fails if the page writes an error to the console.
func open(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium here")
	}
	ctx, cancel := chromedp.NewContext(context.Background(),
		chromedp.WithAllocatorOptions(chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true)),
		chromedp.WithListener(func(ev any) {
			switch ev := ev.(type) {
			case *runtime.EventExceptionThrown:
				t.Errorf("the page has thrown %v", ev.ExceptionDetails)
			case *log.EventEntryAdded:
				if ev.Entry.Level == log.EntryLevelError {
					t.Errorf("in the console: %s %s", ev.Entry.Text, ev.Entry.URL)
				}
			}
		}))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the end of the browser
		cancel()
	})
	run(t, ctx, chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, log.Enable, cdp.Empty{})
		return err
	}))
	return ctx
}

// run runs an action and returns its value.
func run[V any](t *testing.T, ctx context.Context, a chromedp.Action[V]) V {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shot writes a screenshot into the docs, if that was asked for.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if !*update {
		return
	}
	if err := os.WriteFile(filepath.Join("..", "..", "docs", name), run(t, ctx, chromedp.FullScreenshot(100)), 0o666); err != nil {
		t.Fatal(err)
	}
}

// follows is true once the page has got some snapshots.
const follows = `document.querySelector("polyline").getAttribute("points").split(" ").length > 4`

// The page loads, follows the pool, and shows what is stuck by name and age.
func TestPage(t *testing.T) {
	url, ctx := serve(t), open(t)
	run(t, ctx, chromedp.EmulateViewport(1100, 900))
	run(t, ctx, chromedp.Navigate(url))
	run(t, ctx, chromedp.WaitVisible(chromedp.CSS("section[data-pool=mail] polyline")))
	age := chromedp.Text(chromedp.CSS("table td"))
	first := run(t, ctx, age)
	run(t, ctx, chromedp.Poll[bool](follows))
	second := run(t, ctx, age)
	a, errA := time.ParseDuration(first)
	b, errB := time.ParseDuration(second)
	if errA != nil || errB != nil || b <= a {
		t.Errorf("the oldest task was %q old and then %q", first, second)
	}
	text := run(t, ctx, chromedp.Text(chromedp.CSS("main")))
	for _, part := range []string{"mail", "browser.waitsForTheDatabase", "0xbeef", "tasks a second", "live", "p99"} {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q on the page:\n%s", part, text)
		}
	}
	shot(t, ctx, "debug-page.png")
}

// At the width of a telephone nothing is cut off or has to be scrolled sideways, in the light and in the dark.
func TestNarrowAndDark(t *testing.T) {
	url, ctx := serve(t), open(t)
	for _, scheme := range []string{"light", "dark"} {
		isNarrow(t, ctx, url, scheme)
		shot(t, ctx, "debug-page-"+scheme+".png")
	}
}

// Neither do the tables of classes and tenants, which the page has.
func TestNarrowTables(t *testing.T) {
	url, ctx := serveShared(t), open(t)
	isNarrow(t, ctx, url, "dark")
	text := run(t, ctx, chromedp.Text(chromedp.CSS("main")))
	for _, part := range []string{"interactive", "recomputationOfAllThumbnailsAtNight", "CLASSES", "run time", "18446744073709551612", "throttled"} {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q on the page:\n%s", part, text)
		}
	}
}

// isNarrow opens the page in a window that is 400 wide, and checks that all of it is to be seen.
func isNarrow(t *testing.T, ctx context.Context, url, scheme string) {
	t.Helper()
	run(t, ctx, chromedp.EmulateViewport(400, 900, chromedp.EmulateMobile))
	run(t, ctx, chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
	run(t, ctx, chromedp.Navigate(url))
	run(t, ctx, chromedp.Poll[bool](follows))
	if w := run(t, ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); w > 400 {
		t.Errorf("%s: the page is %d wide, the window 400", scheme, w)
	}
	if c := run(t, ctx, chromedp.Evaluate[float64](contrastOf)); c < 4.5 {
		t.Errorf("%s: the least contrast is %.1f, want 4.5", scheme, c)
	}
}

// contrastOf returns the least contrast, as WCAG defines it, between a text on the page and what is behind it.
const contrastOf = `(() => {
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const light = c => rgb(c).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const behind = e => {
		for (; e; e = e.parentElement) {
			const c = getComputedStyle(e).backgroundColor;
			if (rgb(c)[3] !== 0) return c;
		}
		return "rgb(255, 255, 255)";
	};
	let least = 21;
	for (const e of document.querySelectorAll("main *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest("title")) continue;
		const style = getComputedStyle(e);
		const a = light(e.closest("svg") ? style.fill : style.color), b = light(behind(e));
		least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
	}
	return least;
})()`
