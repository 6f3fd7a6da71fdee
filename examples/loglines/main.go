// Loglines parses an access log with one task for each line, in several ways of submitting the lines, and shows how fast each is:
//
//	go run ./examples/loglines
//	go run ./examples/loglines -generate 300000 -work 20us
//	go run ./examples/loglines /var/log/nginx/access.log
//
// The log is in the Common or the Combined Log Format of web servers. Without a FILE the program makes a log in memory, the same for
// each run.
//
// # What it shows
//
// Batches. Parsing a line takes a few hundred nanoseconds, so the cost of submitting it matters. There are five ways, with the same
// number of workers:
//
//	channel       send each line to a buffered channel, from which goroutines receive: no pool
//	Submit        submit each line
//	Batcher       add each line to the producer's buffer, which submits many at a time
//	SubmitBatch   submit slices of lines
//	typed batch   submit slices of lines, to a handler that takes slices
//
// Each worker counts in a summary of its own ([pool.WithState]), so workers share nothing. The summaries are added up at the end. All
// ways have to give the same answer.
//
// # When it backfires
//
// If a line takes long, for example because it is looked up in a database, all ways are equally fast, except for the typed batch: its
// lines wait for each other. Lines in a batch also start later. If the producer is slow, use Submit, or a Batcher, which holds nothing
// back while a worker is free.
//
// # What to look at
//
// Million lines a second, and the speed relative to the channel. With -work each line takes that much longer, and the differences
// vanish.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/loglines [flags] [FILE]

Parses an access log with one task for each line, submitted in several ways.`

func main() { cli.Main("loglines", run) }

// settings is what the command line says.
type settings struct {
	workers, batch, generate, rounds int
	work                             time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("loglines", flag.ContinueOnError)
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "parse `n` lines at a time")
	flags.IntVar(&s.batch, "batch", 64, "put `n` lines in a batch")
	flags.IntVar(&s.generate, "generate", 0, "make a log of `n` lines instead of reading one (without FILE: 1000000)")
	flags.IntVar(&s.rounds, "rounds", 3, "measure each way `n` times")
	flags.DurationVar(&s.work, "work", 0, "compute for this `time` more for each line")
	if err := cli.Parse(flags, args, 1, help, out); err != nil {
		return err
	}
	switch {
	case s.workers < 1 || s.batch < 1 || s.rounds < 1:
		return cli.Misusef("-workers, -batch and -rounds must be at least 1, got %d, %d and %d", s.workers, s.batch, s.rounds)
	case s.generate < 0 || s.work < 0:
		return cli.Misusef("-generate and -work must not be negative, got %d and %v", s.generate, s.work)
	case s.generate > 0 && flags.NArg() > 0:
		return cli.Misusef("want a FILE or -generate, got both")
	}
	cli.Say(out, "An access log is parsed with one task for each line: see how many million lines a second each way of submitting them reaches.\n\n")
	lines, err := input(ctx, s, flags.Arg(0))
	if err != nil {
		return err
	}
	return compare(ctx, s, lines, out)
}

// input returns the lines of the log.
func input(ctx context.Context, s settings, name string) ([]string, error) {
	if name == "" {
		return generate(ctx, cmp.Or(s.generate, 1_000_000))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" {
		return nil, cli.Misusef("%s is empty", name)
	}
	return strings.Split(text, "\n"), nil
}

// compare measures all ways and prints how fast each was, and their common answer.
func compare(ctx context.Context, s settings, lines []string, out io.Writer) error {
	fmt.Fprintf(out, "%d lines, %d workers, batches of %d\n\n%-8s", len(lines), s.workers, s.batch, "round")
	for _, w := range ways {
		fmt.Fprintf(out, " %12s", w.name)
	}
	best := make([]time.Duration, len(ways))
	speed := func(took time.Duration) float64 { return float64(len(lines)) / took.Seconds() / 1e6 }
	var answer *summary
	for round := range s.rounds {
		fmt.Fprintf(out, "\n%-8d", round+1)
		for i, w := range ways {
			begin := time.Now()
			a, err := w.count(ctx, s, lines)
			if err != nil {
				fmt.Fprintln(out)
				return fmt.Errorf("%s: %w", w.name, err)
			}
			took := time.Since(begin)
			if round == 0 || took < best[i] {
				best[i] = took
			}
			if answer == nil {
				answer = a
			}
			if !answer.equal(a) {
				return fmt.Errorf("%s gives another answer than %s", w.name, ways[0].name)
			}
			fmt.Fprintf(out, " %12.2f", speed(took))
		}
	}
	fmt.Fprintf(out, "\n%-8s", "best")
	for i := range ways {
		fmt.Fprintf(out, " %12.2f", speed(best[i]))
	}
	fmt.Fprintf(out, "\n%-8s", "relative")
	fastest := 0
	for i := range ways {
		fmt.Fprintf(out, " %11.2fx", best[0].Seconds()/best[i].Seconds())
		if best[i] < best[fastest] {
			fastest = i
		}
	}
	fmt.Fprintln(out)
	answer.print(out)
	cli.So(out, "a line took %.0f ns by way of the channel and %.0f ns by way of %s, the fastest.",
		1000/speed(best[0]), 1000/speed(best[fastest]), ways[fastest].name)
	return nil
}
