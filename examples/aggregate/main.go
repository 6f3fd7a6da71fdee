// Aggregate adds up the amounts of an event file for each user, in a pool and in a plain loop, and
// compares the two:
//
//	go run ./examples/aggregate
//	go run ./examples/aggregate FILE
//	go run ./examples/aggregate -generate 500000 FILE
//
// A line of the file is an event: the user and an amount in cents, with a comma between
// them. With -generate it writes such a file first; without FILE it makes one in a temporary directory.
//
// # What it shows
//
// State without locks. Each user has an account, and an event is a task that changes
// it. [pool.Pool.SubmitKeyed] with the user as the key ([pool.KeyOf]) runs the events of a
// user one at a time and in the order of the file, on whatever worker is free, while those of other
// users run beside them. So an account needs no mutex. It also has a chain of hashes, each of an event and of
// the hash before it, as an audit log has: it comes out right only in the order of the file.
//
// # When it backfires
//
// A user's events are done one after the other. If half of the events are those of one user, the pool
// is at most twice as fast as the loop, with any number of workers (try -hot 0.9). And
// submitting an event costs more than adding two numbers: with -hashes 0 the loop wins.
// Where the order does not matter, as for the mere sums, give each worker a map of its own
// ([pool.WithState]) and add the maps up.
//
// # What to look at
//
// Events a second, and relative to the loop; below it the two limits of that ratio: the number of
// workers (and of processors), and one divided by the share of the user with the most events.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "aggregate: interrupted")
		os.Exit(130) // as a shell reports a program ended by an interrupt
	default:
		fmt.Fprintln(os.Stderr, "aggregate:", err)
		os.Exit(1)
	}
}

// settings is what the command line says.
type settings struct {
	generate, users, workers, hashes, rounds int
	hot                                      float64
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("aggregate", flag.ExitOnError)
	flags.IntVar(&s.generate, "generate", 0, "write a file of so many events first (without FILE: 50000)")
	flags.IntVar(&s.users, "users", 1000, "how many users it has")
	flags.Float64Var(&s.hot, "hot", 0.2, "share of the events that are those of one user, from 0 to 1")
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "how many events are worked on at a time")
	flags.IntVar(&s.hashes, "hashes", 100, "hash each event so often into the chain of its user")
	flags.IntVar(&s.rounds, "rounds", 3, "do both ways so often, and print the fastest of each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 1:
		return fmt.Errorf("takes one FILE, got %d", flags.NArg())
	case s.generate < 0 || s.hashes < 0:
		return errors.New("-generate and -hashes must not be negative")
	case s.users < 1 || s.workers < 1 || s.rounds < 1:
		return errors.New("-users, -workers and -rounds must be at least 1")
	case !(s.hot >= 0 && s.hot <= 1):
		return fmt.Errorf("-hot must be between 0 and 1, got %v", s.hot)
	}
	if name := flags.Arg(0); name != "" {
		return aggregate(ctx, s, name, out)
	}
	dir, err := os.MkdirTemp("", "aggregate")
	if err != nil {
		return err
	}
	if s.generate == 0 {
		s.generate = 50_000
	}
	return errors.Join(aggregate(ctx, s, filepath.Join(dir, "events"), out), os.RemoveAll(dir))
}

// aggregate writes the file, if that was asked for, and compares the ways.
func aggregate(ctx context.Context, s settings, name string, out io.Writer) error {
	if s.generate > 0 {
		if err := generate(ctx, name, s); err != nil {
			return err
		}
	}
	return compare(ctx, s, name, out)
}

// A way of aggregating a file.
type way struct {
	name      string
	aggregate func(ctx context.Context, name string, s settings) (accounts, error)
}

var ways = [...]way{{"plain loop", sequential}, {"SubmitKeyed", pooled}}

// compare aggregates the file in both ways, and prints how fast they were, and the totals.
func compare(ctx context.Context, s settings, name string, out io.Writer) error {
	var best [len(ways)]time.Duration
	var all accounts // as the first way has them
	for round := range s.rounds {
		for i, w := range ways {
			begin := time.Now()
			got, err := w.aggregate(ctx, name, s)
			if err != nil {
				return err
			}
			if took := time.Since(begin); round == 0 || took < best[i] {
				best[i] = took
			}
			if all == nil {
				all = got
			}
			if err := equal(got, all); err != nil {
				return fmt.Errorf("%s gives something else than %s: %w", w.name, ways[0].name, err)
			}
		}
	}
	t := total(all)
	if t.events == 0 {
		return fmt.Errorf("%s has no events", name)
	}
	share := float64(t.hot.events) / float64(t.events)
	fmt.Fprintf(out, "%d events of %d users; %s has %.1f %% of them\n\n", t.events, len(all), t.hot.user, 100*share)
	for i, w := range ways {
		fmt.Fprintf(out, "%-12s %9.0f events/s %6.2fx\n", w.name, float64(t.events)/best[i].Seconds(), best[0].Seconds()/best[i].Seconds())
	}
	fmt.Fprintf(out, "limits: %d workers, and %.1fx with that user\n\n", s.workers, 1/share)
	fmt.Fprintf(out, "Both give %.2f for all users and %.2f for %s, and each user the same chain.\n",
		float64(t.cents)/100, float64(t.hot.cents)/100, t.hot.user)
	return nil
}
