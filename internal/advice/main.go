// Command advice tries what reports advise. It runs sick services and makes a report of each. It
// changes the option as the report says, and measures whether the gain is as predicted. Then it
// runs healthy services, of which no report may warn.
//
//	go run ./internal/advice
//
// takes about two minutes, and prints two tables. It ends with status 1 if they are worse than the
// project's bars: the right finding first in 13 of 14 services, the gain as predicted in 12 of
// them, and no warning about a healthy one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/headrace-go/pool"
)

// A service is a pool with a load.
type service struct {
	name string
	want pool.Code // "" if it is healthy
	// open starts it, with the change that its report advises or without. The load ends with ctx.
	open   func(ctx context.Context, advised bool) running
	warm   time.Duration // before the window
	window time.Duration
	// figure is what gets better: the throughput, unless it is set. Smaller is better then.
	figure func(pool.Report, pool.Stats) float64
}

// running is a service that was started.
type running struct {
	pool  watched
	close func()
}

type watched interface {
	pool.Source
	Report(ctx context.Context, window time.Duration) (pool.Report, error)
}

// watch runs the service and returns its report and its statistics at the end.
func (s service) watch(advised bool) (pool.Report, pool.Stats) {
	ctx, cancel := context.WithCancel(context.Background())
	r := s.open(ctx, advised)
	time.Sleep(s.warm)
	report, err := r.pool.Report(ctx, s.window)
	if err != nil {
		panic(err)
	}
	stats := r.pool.Stats()
	cancel()
	r.close()
	return report, stats
}

func main() {
	only := flag.String("run", "", "only services whose name matches this regular expression")
	verbose := flag.Bool("v", false, "print each report")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "advice: bad arguments; see -help")
		os.Exit(2)
	}
	ok := tryAll("sick", sick(), match, *verbose)
	ok = tryAll("healthy", healthy(), match, *verbose) && ok
	if !ok {
		os.Exit(1)
	}
}

// tryAll prints the table of some services, and reports whether they are as they should be.
func tryAll(what string, all []service, match *regexp.Regexp, verbose bool) bool {
	n, right, predicted, warned := 0, 0, 0, 0
	for _, s := range all {
		if !match.MatchString(s.name) {
			continue
		}
		if n++; n == 1 {
			fmt.Printf("\n| %s service | first finding | predicted gain | measured |\n|---|---|---|---|\n", what)
		}
		report, stats := s.watch(false)
		if verbose {
			fmt.Printf("\n%v\n%v\n", report, stats)
			for _, f := range report.Unknown {
				fmt.Printf("unknown: %s: %s\n", f.Code, f.Evidence)
			}
		}
		first := pool.Finding{Code: "none"}
		if len(report.Findings) > 0 {
			first = report.Findings[0]
		}
		if s.want == "" {
			if first.Severity > pool.Note {
				warned++
			}
			fmt.Printf("| %s | %v: %s | | |\n", s.name, first.Severity, first.Code)
			continue
		}
		if first.Code == s.want {
			right++
		}
		after, then := s.watch(true)
		gain := after.Throughput / report.Throughput
		if s.figure != nil {
			gain = s.figure(report, stats) / s.figure(after, then)
		}
		in := "no"
		if .95*first.Gain[0] <= gain && gain <= 1.05*first.Gain[1] {
			predicted++
			in = "yes"
		}
		fmt.Printf("| %s | %s | %s %.1f to %.1f | %.2f, %s |\n", s.name, first.Code, first.Of, first.Gain[0], first.Gain[1], gain, in)
	}
	if n == 0 {
		return true
	}
	if what == "healthy" {
		fmt.Printf("\n%d of %d were warned of.\n", warned, n)
		return warned == 0
	}
	fmt.Printf("\nThe right finding came first in %d of %d, and the gain was as predicted in %d.\n", right, n, predicted)
	return right >= n-1 && predicted >= n-2
}
