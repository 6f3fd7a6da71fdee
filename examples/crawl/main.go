// Crawl reads all pages of a site, each by a task that submits the pages it finds, and
// prints how many requests that took:
//
//	go run ./examples/crawl
//
// The site is its own: a web server on 127.0.0.1 whose pages are generated, the same for
// each run. Nothing else is asked.
//
// # What it shows
//
// Work that finds more work, on a bounded pool. The task of a page fetches it, reads its
// links, and calls [pool.Group.Go] for each page that was not known before. Nobody knows the
// number of tasks in advance; [pool.Group.Wait] returns when the last one has ended.
//
// The size of the pool follows from Little's law ([pool.LittlesLaw]): requests that take 10 ms,
// 800 a second, are 8 at a time. The latency is measured first, with one request after
// the other.
//
// Three ways run, one after the other, in one pool, each with a group of its own:
//
//	keep going          all pages are read, and the errors collected: some pages
//	                    answer with 500
//	fail fast, outage   after a third of the pages the site answers 503 to everything;
//	                    the first such answer ends the crawl
//	keep going, outage  the same, but all pages that are known are asked for all
//	                    the same
//
// In the last two a page with 500 does not count as an error: one bad page must not
// end a crawl. A 503, a connection that fails and a request that takes longer than -timeout
// do: then the server is down.
//
// # When it backfires
//
// The pool bounds how many requests are under way, not how many are sent in a second: a
// site that answers faster than it did when it was measured is asked more often, and one
// that answers slower less often. To keep to a rate that a site prescribes, use a rate limiter too.
//
// A crawl can know more pages than the pool has room for. Go does not block then, but runs
// the new task itself, inside the task that calls it. So a task must hold nothing while it
// calls Go that the new one needs. Here each answer is read and closed before: with a connection
// for each worker, and all of them held by tasks that wait for another one, nothing would go on.
// For the same reason no lock is held there. The tasks nest and the stack grows: where a site is
// much larger than the buffer, make the buffer larger ([pool.WithBuffer]). It takes memory only for
// what waits.
//
// # What to look at
//
// The rate of the first way, against the target, and N, the workers that the law gave.
// "busy" is how many requests were under way on average; little below N is good. If the
// rate is below the target all the same, answers take longer than was measured: look at
// the latency.
//
// Of the ways with an outage, "wasted" is how many requests were sent after the first 503 had
// come back. Failing fast wastes next to none. "lost" are the requests that brought nothing:
// answered by 503, or cut off. Interrupt it: the requests that are under way are cut off, and
// the row of the table shows how far it came.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/headrace-go/pool"
)

// The exit statuses.
const (
	statusOK      = 0
	statusFailed  = 1
	statusUsage   = 2
	statusStopped = 130 // as a shell reports a program ended by an interrupt
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings is what the command line says.
type settings struct {
	pages            int
	rate, errors     float64
	latency, timeout time.Duration
}

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("crawl", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.pages, "pages", 2000, "make a site of so many pages")
	flags.DurationVar(&s.latency, "latency", 10*time.Millisecond, "how long an answer takes on average; from half to one and a half of it")
	flags.Float64Var(&s.rate, "rate", 800, "requests a second to size the pool for")
	flags.Float64Var(&s.errors, "errors", 0.01, "share of the pages that answer with 500, from 0 to 1")
	flags.DurationVar(&s.timeout, "timeout", 5*time.Second, "give up a request after that time")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: crawl [flags]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return statusOK
		}
		return statusUsage
	}
	err := s.check(flags.Args())
	if err == nil {
		err = crawlAll(ctx, s, stdout)
	}
	var bad *usageError
	switch {
	case errors.As(err, &bad):
		fmt.Fprintln(stderr, "crawl:", err)
		return statusUsage
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "crawl: interrupted")
		return statusStopped
	case err != nil:
		fmt.Fprintln(stderr, "crawl:", err)
		return statusFailed
	}
	return statusOK
}

// A usageError is a fault of the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

const (
	maxPages = 1_000_000
	maxConns = 500 // each takes two file descriptors: one of the client, one of the server
)

// check returns what is wrong with the command line.
func (s settings) check(args []string) error {
	switch {
	case len(args) > 0:
		return usagef("takes no arguments, got %q", args[0])
	case s.pages < 1 || s.pages > maxPages:
		return usagef("-pages must be between 1 and %d, got %d", maxPages, s.pages)
	case s.latency < 0:
		return usagef("-latency must not be negative, got %v", s.latency)
	case !(s.rate > 0) || math.IsInf(s.rate, 0):
		return usagef("-rate must be positive and finite, got %v", s.rate)
	case !(s.errors >= 0 && s.errors <= 1):
		return usagef("-errors must be between 0 and 1, got %v", s.errors)
	case s.timeout <= 0:
		return usagef("-timeout must be positive, got %v", s.timeout)
	case s.timeout-s.latency <= s.latency/2:
		return usagef("-timeout must be more than one and a half of -latency %v, got %v", s.latency, s.timeout)
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
	{"keep going", pool.KeepGoing, false},
	{"fail fast, outage", pool.FailFast, true},
	{"keep going, outage", pool.KeepGoing, true},
}

// crawlAll starts the site, crawls it in all ways and prints what each took.
func crawlAll(ctx context.Context, s settings, out io.Writer) (err error) {
	site := newSite(s)
	if err := site.start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.stop()) }()
	reachable, failing := site.reachable()
	fmt.Fprintf(out, "site     %s: %d pages, of which %d can be reached, and %d of those answer 500\n", site.base, s.pages, reachable, failing)

	latency, n, err := measure(ctx, site.base, s)
	if err != nil {
		return fmt.Errorf("measuring the latency: %w", err)
	}
	fmt.Fprintf(out, "latency  %v, the mean of %d requests, one after the other\n", latency, n)

	p, err := pool.New(pool.WithSizing(pool.LittlesLaw(s.rate, latency)))
	if err != nil {
		return usagef("-rate %v: %v", s.rate, err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	workers := p.Stats().Workers
	if workers > maxConns {
		return usagef("-rate %v needs %d requests at a time when each takes %v, more than the limit of %d", s.rate, workers, latency, maxConns)
	}
	fmt.Fprintf(out, "pool     N = %d workers, by Little's law: %v requests/s of %v each are %.2f at a time\n\n", workers, s.rate, latency, s.rate*latency.Seconds())

	client := newClient(workers, s.timeout)
	defer client.CloseIdleConnections()
	fmt.Fprintf(out, "%-18s %8s %8s %6s %6s %8s %12s %8s %8s %10s %6s\n", "", "requests", "read", "500", "lost", "wasted", "never asked", "seconds", "per s", "latency", "busy")
	var notes strings.Builder
	notes.WriteString("\nlost: answered 503, or cut off. wasted: sent after the first 503 had come back. busy: requests under way, on average.\n")
	for i, w := range ways {
		site.set(-1)
		if w.outage {
			site.set(reachable / 3)
		}
		r := crawl(ctx, p, client, site.base, w)
		r.print(out, w, reachable)
		if err := r.wrong(ctx, w, reachable); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if i == 0 {
			fmt.Fprintf(&notes, "\n%s: %.0f requests/s, %.0f %% of the target of %v\n", w.name, r.rate(), 100*r.rate()/s.rate, s.rate)
		}
		r.explain(&notes, w)
	}
	_, err = io.WriteString(out, notes.String())
	return err
}

// wrong returns what is wrong with the result of a way, which is not what it is expected to be.
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

// print prints a row of the table.
func (r *result) print(out io.Writer, w way, reachable int) {
	mean := time.Duration(0)
	if r.asked > 0 {
		mean = (r.underWay / time.Duration(r.asked)).Round(10 * time.Microsecond)
	}
	wasted := "-"
	if w.outage {
		wasted = fmt.Sprint(r.wasted)
	}
	fmt.Fprintf(out, "%-18s %8d %8d %6d %6d %8s %12d %8.2f %8.0f %10v %6.1f\n", w.name, r.asked, r.read, r.failed, r.asked-r.read-r.failed, wasted,
		reachable-r.asked, r.took.Seconds(), r.rate(), mean, r.underWay.Seconds()/r.took.Seconds())
}

// explain prints the error of a way.
func (r *result) explain(out io.Writer, w way) {
	if r.err == nil {
		fmt.Fprintf(out, "\n%s: no errors\n", w.name)
		return
	}
	fmt.Fprintf(out, "\n%s: errors of tasks: %d. Wait returned:\n", w.name, r.errors)
	for line := range strings.Lines(r.err.Error() + "\n") {
		fmt.Fprint(out, "    ", line)
	}
}
