// Aggregate adds up the amounts in a file of events for each user, in a pool and in a plain loop, and compares the two:
//
//	go run ./examples/aggregate
//	go run ./examples/aggregate -generate 500000 events.csv
//	go run ./examples/aggregate events.csv
//
// A line of the file is an event: a user and an amount in cents, separated by a comma. With -generate the program first writes such a
// file. Without a FILE it writes one to a temporary directory.
//
// # What it shows
//
// State without locks. Each user has an account, and each event is a task that changes an account. [pool.Typed.SubmitKeyed] takes the
// user as the key ([pool.KeyOf]). Events with the same key run one at a time and in the order of the file, on any free worker. Events
// of other users run at the same time. So an account needs no mutex. An account also has a chain of hashes, as an audit log has: each
// is the hash of an event and of the hash before it. The chain is right only if the events run in the order of the file.
//
// # When it backfires
//
// The events of one user run one after the other. If half of the events are those of one user, the pool is at most twice as fast as
// the loop, with any number of workers (try -hot 0.9). Submitting an event also takes longer than adding two numbers: with -hashes 0
// the loop wins. If the order does not matter, as for plain sums, give each worker a map of its own ([pool.WithState]) and add up the
// maps.
//
// # What to look at
//
// The speed-up, and its two limits: the number of workers (and of processors), and one divided by the share of the user with the most
// events.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/aggregate [flags] [FILE]

Adds up the events of a file for each user, in a plain loop and in a pool.`

func main() { cli.Main("aggregate", run) }

// settings is what the command line says.
type settings struct {
	generate, users, workers, hashes, rounds int
	hot                                      float64
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("aggregate", flag.ContinueOnError)
	flags.IntVar(&s.generate, "generate", 0, "write `n` events to the file first (without FILE: 50000)")
	flags.IntVar(&s.users, "users", 1000, "`number` of users in the file that is written")
	flags.Float64Var(&s.hot, "hot", 0.2, "`share` of the events that are those of one user, from 0 to 1")
	flags.IntVar(&s.workers, "workers", runtime.GOMAXPROCS(0), "run `n` tasks at a time")
	flags.IntVar(&s.hashes, "hashes", 100, "add `n` hashes to the user's chain for each event")
	flags.IntVar(&s.rounds, "rounds", 3, "measure both ways `n` times")
	if err := cli.Parse(flags, args, 1, help, out); err != nil {
		return err
	}
	switch {
	case s.generate < 0 || s.hashes < 0:
		return cli.Misusef("-generate and -hashes must not be negative, got %d and %d", s.generate, s.hashes)
	case s.users < 1 || s.workers < 1 || s.rounds < 1:
		return cli.Misusef("-users, -workers and -rounds must be at least 1, got %d, %d and %d", s.users, s.workers, s.rounds)
	case !(s.hot >= 0 && s.hot <= 1):
		return cli.Misusef("-hot must be between 0 and 1, got %v", s.hot)
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
	cli.Say(out, "The events of a file are added up for each user: see how many events a second a loop and a pool add up.\n\n"+
		"%-6s %12s %12s %9s", "round", ways[0].name, ways[1].name, "speed-up")
	var best [len(ways)]time.Duration
	var all accounts // as the first way has them
	row := func(title string, took [len(ways)]time.Duration, i int) {
		if i == 0 {
			fmt.Fprintf(out, "%-6s", title)
		}
		fmt.Fprintf(out, " %12.0f", float64(total(all).events)/took[i].Seconds())
		if i == len(ways)-1 {
			fmt.Fprintf(out, " %8.2fx\n", took[0].Seconds()/took[i].Seconds())
		}
	}
	for round := range s.rounds {
		var took [len(ways)]time.Duration
		for i, w := range ways {
			begin := time.Now()
			got, err := w.aggregate(ctx, name, s)
			if err != nil {
				return err
			}
			took[i] = time.Since(begin)
			if round == 0 || took[i] < best[i] {
				best[i] = took[i]
			}
			if all == nil {
				all = got
			}
			if len(got) == 0 {
				return fmt.Errorf("%s has no events", name)
			}
			if err := equal(got, all); err != nil {
				return fmt.Errorf("%s gives something else than %s: %w", w.name, ways[0].name, err)
			}
			row(fmt.Sprint(round+1), took, i)
		}
	}
	for i := range ways {
		row("best", best, i)
	}
	t := total(all)
	share := float64(t.hot.events) / float64(t.events)
	fmt.Fprintf(out, "\n%d events of %d users; %s has %.1f %% of them\n", t.events, len(all), t.hot.user, 100*share)
	fmt.Fprintf(out, "Both ways give %.2f for all users and %.2f for %s.\n", float64(t.cents)/100, float64(t.hot.cents)/100, t.hot.user)
	cli.So(out, "with keys instead of locks, the pool was %.2f times as fast as the loop. It can be %d times as fast at most, since there are %d workers, and %.1f times, since the events of %s run one after the other.",
		best[0].Seconds()/best[1].Seconds(), s.workers, s.workers, 1/share, t.hot.user)
	return nil
}
