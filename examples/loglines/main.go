// Loglines parses an access log, one task for each line, in several ways of
// handing the lines over, and prints what each costs:
//
//	go run ./examples/loglines -generate 1000000
//	go run ./examples/loglines access.log
//
// The log is in the Common or the Combined Log Format, as web servers write it.
// With -generate it makes one itself, in memory, the same for each run.
//
// # What it shows
//
// Batches. Parsing a line takes a few hundred nanoseconds, so the cost of submitting it
// matters. Five ways run, one after the other, on as many workers:
//
//	channel       a send for each line on a buffered channel, and goroutines that
//	              receive: the plain code
//	Submit        a submission for each line
//	Batcher       the producer's buffer: lines go to the queue many at a time
//	SubmitBatch   a slice of lines at a time
//	typed batch   the handler gets the lines as slices
//
// Each worker counts into a part of its own ([pool.WithState]), so that workers share
// nothing; the parts are added up at the end. All ways have to give the same answer.
//
// # When it backfires
//
// Where a line takes long, say when it is looked up in a database, all ways are equal
// but for the typed batch, whose lines wait for each other. And lines in a batch come
// late: behind a slow producer use Submit, or a Batcher, which keeps nothing
// back while a worker is free.
//
// # What to look at
//
// The speed in lines a second, and relative to the channel; below it the answer. With
// -work each line takes that much longer, and the differences vanish: try -work 100us.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
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
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings is what the command line says.
type settings struct {
	workers, batch, generate, rounds int
	work                             time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("loglines", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "how many lines are parsed at a time")
	flags.IntVar(&s.batch, "batch", 64, "lines in a batch")
	flags.IntVar(&s.generate, "generate", 0, "make a log of so many lines instead of reading one")
	flags.IntVar(&s.rounds, "rounds", 3, "measure each way so often, and print the fastest")
	flags.DurationVar(&s.work, "work", 0, "compute so long for each line in addition")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: loglines [flags] FILE, or loglines -generate LINES")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return statusOK
		}
		return statusUsage
	}
	lines, err := input(s, flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "loglines:", err)
		return statusUsage
	}
	err = compare(ctx, s, lines, stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "loglines: interrupted")
		return statusStopped
	case err != nil:
		fmt.Fprintln(stderr, "loglines:", err)
		return statusFailed
	}
	return statusOK
}

// input returns the lines of the log.
func input(s settings, files []string) ([]string, error) {
	switch {
	case s.workers < 1 || s.batch < 1 || s.rounds < 1 || s.generate < 0 || s.work < 0:
		return nil, errors.New("-workers, -batch and -rounds must be at least 1, -generate and -work not negative")
	case s.generate > 0 && len(files) == 0:
		return generate(s.generate), nil
	case s.generate > 0 || len(files) != 1:
		return nil, errors.New("want one FILE, or -generate LINES")
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" {
		return nil, fmt.Errorf("%s is empty", files[0])
	}
	return strings.Split(text, "\n"), nil
}

// compare runs all ways and prints how fast each was, and their common answer.
func compare(ctx context.Context, s settings, lines []string, out io.Writer) error {
	fmt.Fprintf(out, "%d lines, %d workers, batches of %d\n\n", len(lines), s.workers, s.batch)
	best := make([]time.Duration, len(ways))
	var answer *summary
	for range s.rounds {
		for i, w := range ways {
			begin := time.Now()
			a, err := w.count(ctx, s, lines)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if took := time.Since(begin); best[i] == 0 || took < best[i] {
				best[i] = took
			}
			if answer == nil {
				answer = a
			}
			if !answer.equal(a) {
				return fmt.Errorf("%s gives another answer than %s", w.name, ways[0].name)
			}
		}
	}
	for i, w := range ways {
		fmt.Fprintf(out, "%-12s %7.2f million lines/s %6.2fx\n", w.name, float64(len(lines))/best[i].Seconds()/1e6, best[0].Seconds()/best[i].Seconds())
	}
	answer.print(out)
	return nil
}
