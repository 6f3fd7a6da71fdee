// Crawl reads all pages of a site, with one task for each page, which submits the pages that it finds. It shows how many requests that
// takes, with and without an outage of the site:
//
//	go run ./examples/crawl
//	go run ./examples/crawl -pages 500 -rate 200
//
// The site is part of the program: a web server on 127.0.0.1 with generated pages, the same for each run. The program sends no request
// to anybody else.
//
// # What it shows
//
// Tasks that submit more tasks, in a bounded pool. The task of a page fetches it, reads its links, and calls [pool.Group.Go] for each page
// that was not known before. Nobody knows the number of tasks in advance; [pool.Group.Wait] returns when the last one has ended.
//
// Little's law gives the number of workers ([pool.LittlesLaw]): 800 requests a second, of 10 ms each, are 8 at a time. The program first
// measures the latency, with one request after the other.
//
// Three crawls run one after the other, in one pool, each with a group of its own:
//
//	no outage    all pages are read, and errors are collected: some pages answer with 500
//	fail fast    after a third of the pages the site answers 503 to everything, and the first such answer ends the crawl
//	keep going   the same outage, but the crawl requests all the pages that it knows
//
// In the last two a page with 500 does not count as an error: one bad page must not end a crawl. The server counts as down when it answers
// 503, when a connection fails, and when a request takes longer than -timeout.
//
// # When it backfires
//
// The pool bounds how many requests are open, not how many are sent in a second. If the site answers faster than it did in the
// measurement, it gets more requests, and if it answers slower, it gets fewer. If a site prescribes a rate, use [pool.WithRate], too.
//
// A crawl can know more pages than the pool has room for. Then Go does not block, but runs the new task itself, inside the task that
// calls it. So a task that calls Go must not hold anything that the new task needs. Here a task reads and closes its answer first: if
// every task held its connection while the new task waits for one, the crawl would never end. For the same reason it holds no lock. Such
// tasks nest, and the stack grows. If the site is much larger than the buffer, use a larger buffer ([pool.WithBuffer]); its memory
// follows the number of tasks that wait.
//
// # What to look at
//
// The rate of the first crawl, beside the target, and N, the number of workers that the law gives. "busy" is the average number of open
// requests: it should be a little below N. If the rate is below the target all the same, answers take longer than in the measurement.
//
// In the other crawls, "wasted" is the number of requests that were sent after the first 503 had come back. Failing fast wastes next to
// none. "lost" is the number of requests without a page: answered with 503, or cut off. Press Ctrl-C: the requests that are open are cut
// off, and the row shows how far the crawl came.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/crawl [flags]

Reads all pages of a site of its own, with and without an outage.`

func main() { cli.Main("crawl", run) }

// settings is what the command line says.
type settings struct {
	pages            int
	rate, errors     float64
	latency, timeout time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("crawl", flag.ContinueOnError)
	flags.IntVar(&s.pages, "pages", 2000, "make a site of `n` pages")
	flags.DurationVar(&s.latency, "latency", 10*time.Millisecond, "average `time` of an answer; half of it to one and a half")
	flags.Float64Var(&s.rate, "rate", 800, "`requests` a second that the pool is sized for")
	flags.Float64Var(&s.errors, "errors", 0.01, "`share` of the pages that answer with 500, from 0 to 1")
	flags.DurationVar(&s.timeout, "timeout", 5*time.Second, "give up a request after this `time`")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	return crawlAll(ctx, s, out)
}

const (
	maxPages = 1_000_000
	maxConns = 500 // each takes two file descriptors: one of the client, one of the server
)

// check returns an error if the command line is wrong.
func (s settings) check() error {
	switch {
	case s.pages < 1 || s.pages > maxPages:
		return cli.Misusef("-pages must be between 1 and %d, got %d", maxPages, s.pages)
	case s.latency < 0:
		return cli.Misusef("-latency must not be negative, got %v", s.latency)
	case !(s.rate > 0) || math.IsInf(s.rate, 0):
		return cli.Misusef("-rate must be positive and finite, got %v", s.rate)
	case !(s.errors >= 0 && s.errors <= 1):
		return cli.Misusef("-errors must be between 0 and 1, got %v", s.errors)
	case s.timeout <= 0:
		return cli.Misusef("-timeout must be positive, got %v", s.timeout)
	case s.timeout-s.latency <= s.latency/2:
		return cli.Misusef("-timeout must be more than one and a half of -latency %v, got %v", s.latency, s.timeout)
	}
	return nil
}

// A way of crawling.
type way struct {
	name   string
	mode   pool.ErrorMode
	outage bool // the site goes down
}

var ways = []way{
	{"no outage", pool.KeepGoing, false},
	{"fail fast", pool.FailFast, true},
	{"keep going", pool.KeepGoing, true},
}

// crawlAll starts the site, crawls it in all ways and prints what each took.
func crawlAll(ctx context.Context, s settings, out io.Writer) (err error) {
	cli.Say(out, "A crawler reads a site on as many workers as the rate needs: see how many requests it sends in vain when the site goes down.\n\n")
	site := newSite(s)
	if err := site.start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.stop()) }()
	reachable, failing := site.reachable()
	cli.Say(out, "site     %s: %d pages, %d of them can be reached, and %d of those answer 500", site.base, s.pages, reachable, failing)

	latency, n, err := measure(ctx, site.base, s)
	if err != nil {
		return fmt.Errorf("measuring the latency: %w", err)
	}
	fmt.Fprintf(out, "latency  %v, the mean of %d requests, one after the other\n", latency, n)

	p, err := pool.New(pool.WithSizing(pool.LittlesLaw(s.rate, latency)))
	if err != nil {
		return cli.Misusef("-rate %v: %v", s.rate, err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	workers := p.Stats().Workers
	if workers > maxConns {
		return cli.Misusef("-rate %v needs %d requests at a time when each takes %v, more than the limit of %d", s.rate, workers, latency, maxConns)
	}
	cli.Say(out, "pool     N = %d workers: by Little's law %v requests/s of %v are %.2f at a time\n\n", workers, s.rate, latency, s.rate*latency.Seconds())

	client := newClient(workers, s.timeout)
	defer client.CloseIdleConnections()
	fmt.Fprintf(out, "%-10s %8s %6s %5s %6s %6s %9s %7s %6s %5s\n", "crawl", "requests", "read", "500", "lost", "wasted", "not asked", "seconds", "per s", "busy")
	var notes strings.Builder
	var wasted []int
	for i, w := range ways {
		site.set(-1)
		if w.outage {
			site.set(reachable / 3)
		}
		before := ended(p)
		end := cli.Progress(out, func() string { return fmt.Sprintf("%s: %d requests", w.name, ended(p)-before) })
		r := crawl(ctx, p, client, site.base, w)
		end()
		r.print(out, w, reachable)
		if err := r.wrong(ctx, w, reachable); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if i == 0 {
			cli.Say(&notes, "\n%s: %.0f requests/s of %v each, %.0f %% of the target of %v", w.name, r.rate(), r.latency(), 100*r.rate()/s.rate, s.rate)
		}
		r.explain(&notes, w)
		wasted = append(wasted, r.wasted)
	}
	cli.Say(out, "\nlost: answered 503, or cut off. wasted: sent after the first 503 had come back. busy: open requests, on average.\n%s", &notes)
	cli.So(out, "after the outage failing fast sent %d requests in vain, and keeping going %d.", wasted[1], wasted[2])
	return nil
}

// ended is how many tasks of p have ended.
func ended(p *pool.Pool) uint64 {
	s := p.Stats()
	return s.Completed + s.Failed
}

// wrong returns an error if the result of a way is not the expected one.
func (r *result) wrong(ctx context.Context, w way, reachable int) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case w.outage && !errors.Is(r.err, errDown):
		return fmt.Errorf("the outage was not noticed, the error is: %v", r.err)
	case !w.outage && r.seen != reachable:
		return fmt.Errorf("found %d pages, but %d can be reached; the errors are: %w", r.seen, reachable, r.err)
	}
	return nil
}

func (r *result) rate() float64 { return float64(r.asked) / r.took.Seconds() }

// latency is the mean time of a request.
func (r *result) latency() time.Duration {
	return (r.underWay / time.Duration(max(1, r.asked))).Round(10 * time.Microsecond)
}

// print prints a row of the table.
func (r *result) print(out io.Writer, w way, reachable int) {
	wasted := "-"
	if w.outage {
		wasted = fmt.Sprint(r.wasted)
	}
	fmt.Fprintf(out, "%-10s %8d %6d %5d %6d %6s %9d %7.2f %6.0f %5.1f\n", w.name, r.asked, r.read, r.failed, r.asked-r.read-r.failed, wasted,
		reachable-r.asked, r.took.Seconds(), r.rate(), r.underWay.Seconds()/r.took.Seconds())
}

// explain prints the error of a way.
func (r *result) explain(out io.Writer, w way) {
	if r.err == nil {
		fmt.Fprintf(out, "\n%s: no errors\n", w.name)
		return
	}
	fmt.Fprintf(out, "\n%s: tasks with an error: %d. Wait returned:\n", w.name, r.errors)
	for line := range strings.Lines(r.err.Error() + "\n") {
		cli.Say(out, "    %s", line)
	}
}
