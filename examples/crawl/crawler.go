package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/headrace-go/pool"
)

// result is what a crawl has done.
type result struct {
	seen     int           // pages that are known
	asked    int           // requests sent
	read     int           // pages
	failed   int           // pages that answered 500
	wasted   int           // requests sent after the server was known to be down
	errors   int           // that tasks returned
	underWay time.Duration // of all requests together
	took     time.Duration
	err      error // of the group
}

// A crawler reads the pages of a site.
type crawler struct {
	client *http.Client
	base   *url.URL
	group  *pool.Group
	way    way

	mu     sync.Mutex
	known  map[string]bool // pages
	down   bool
	result result
}

// errDown says that the server does not work any more.
var errDown = errors.New("server down")

// shownErrors is how many errors of a crawl are kept.
const shownErrors = 3

// crawl reads all pages that can be reached from the first one.
func crawl(ctx context.Context, p *pool.Pool, client *http.Client, base *url.URL, w way) result {
	c := &crawler{client: client, base: base, group: pool.NewGroup(ctx, p), way: w, known: map[string]bool{}}
	c.group.SetErrorMode(w.mode)
	c.group.SetErrorLimit(shownErrors)
	begin := time.Now()
	c.discover(pagePath(0))
	c.result.err = c.group.Wait()
	c.result.took = time.Since(begin)
	c.result.seen = len(c.known)
	return c.result
}

// discover submits the page, unless it was known.
func (c *crawler) discover(page string) {
	c.mu.Lock()
	known := c.known[page]
	c.known[page] = true
	c.mu.Unlock()
	if !known { // no lock is held: Go may run the task before it returns
		c.group.Go(func(ctx context.Context) error { return c.visit(ctx, page) })
	}
}

// visit is the task of a page. Its context is the group's: it ends when the crawl does.
func (c *crawler) visit(ctx context.Context, page string) error {
	begin := c.sent()
	status, body, err := get(ctx, c.client, c.base.JoinPath(page))
	err = c.received(ctx, begin, page, status, err)
	if err != nil || status != http.StatusOK {
		return err
	}
	for _, link := range links(c.base.JoinPath(page), body) {
		c.discover(link)
	}
	return nil
}

// sent counts a request that is about to be sent.
func (c *crawler) sent() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.asked++
	if c.down {
		c.result.wasted++
	}
	return time.Now()
}

// received counts the outcome of a request, and returns the error of its task.
func (c *crawler) received(ctx context.Context, begin time.Time, page string, status int, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.underWay += time.Since(begin)
	switch {
	case err != nil && ctx.Err() != nil: // cut off
		return err
	case err != nil:
		c.down = true
		err = fmt.Errorf("%w: %w", errDown, err)
	case status == http.StatusServiceUnavailable:
		c.down = true
		err = fmt.Errorf("%w: %s answered %d", errDown, page, status)
	case status == http.StatusOK:
		c.result.read++
		return nil
	default:
		c.result.failed++
		if c.way.outage {
			return nil
		}
		err = fmt.Errorf("%s answered %d", page, status)
	}
	c.result.errors++
	return err
}

// newClient returns a client that has up to n connections to a server, and keeps them. With the
// default of two that are kept, most requests would make a new one.
func newClient(n int, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxConnsPerHost: n, MaxIdleConnsPerHost: n},
		Timeout:   timeout,
	}
}

// maxBody is the largest number of bytes that are read of a page.
const maxBody = 1 << 20

// get reads a page. When it returns, the connection is free for others.
func get(ctx context.Context, client *http.Client, page *url.URL) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, string(b), err
}

// links returns the paths of the pages of the same site that a page links to. It looks for the
// attribute as the pages of this program have it, and is no parser of HTML.
func links(base *url.URL, body string) []string {
	var paths []string
	for {
		_, rest, ok := strings.Cut(body, `<a href="`)
		if !ok {
			return paths
		}
		href, rest, ok := strings.Cut(rest, `"`)
		if !ok {
			return paths
		}
		body = rest
		if u, err := base.Parse(href); err == nil && u.Scheme == base.Scheme && u.Host == base.Host {
			paths = append(paths, u.Path)
		}
	}
}

// The latency is measured with at most maxSamples requests. After the time enough, minSamples are enough.
const (
	maxSamples = 50
	minSamples = 3
	enough     = time.Second
)

// measure returns the mean time that a request takes when nothing else is asked, and how many
// requests it has made for that. The law is one of means: the median would not do.
func measure(ctx context.Context, base *url.URL, s settings) (mean time.Duration, n int, err error) {
	client := newClient(1, s.timeout)
	defer client.CloseIdleConnections()
	if _, _, err := get(ctx, client, base.JoinPath(pagePath(0))); err != nil { // makes the connection
		return 0, 0, err
	}
	begin := time.Now()
	for n < minSamples || n < maxSamples && time.Since(begin) < enough {
		if _, _, err := get(ctx, client, base.JoinPath(pagePath(n%s.pages))); err != nil {
			return 0, 0, err
		}
		n++
	}
	return max(time.Microsecond, (time.Since(begin) / time.Duration(n)).Round(10*time.Microsecond)), n, nil
}
