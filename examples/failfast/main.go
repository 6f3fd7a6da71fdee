// Failfast writes rows to a database that goes down in the middle, and counts the work that is
// done in vain after that, when the jobs give up at the first error and when they do not:
//
//	cd examples/failfast && go run .
//
// The database is SQLite, in a file in a temporary directory. Going down is a call of Close
// while jobs use it. The program is a module of its own, for the sake of the driver.
//
// # What it shows
//
// A [pool.Group] with [pool.FailFast] and with [pool.KeepGoing], both in one pool. Each job makes
// a document, which takes time, and writes a row about it. Under FailFast the first error
// cancels the group's context: nothing more is started, statements under way
// are interrupted, and the loop that submits the jobs sees it and ends. Under KeepGoing every job makes its document
// before it finds that it cannot write about it.
//
// [pool.WithErrorMode] does the same for a whole pool. A group is better where the pool has
// other things to do too.
//
// # When it backfires
//
// FailFast is wrong where the errors have nothing to do with each other: one bad row would
// keep all the others out. Then keep going, and bound the errors that are kept
// ([pool.Group.SetErrorLimit]). And a statement that is interrupted may have been carried out
// all the same: what the jobs count as written is a lower bound, as with any database behind a
// connection that breaks.
//
// # What to look at
//
// "wasted": the jobs that started when another one had already failed, and the time that they
// kept workers busy, added up.
// Under FailFast it is no more than the workers had begun. "in file" is counted by opening the
// file again: no row that was reported as written is missing.
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
	"strings"
	"syscall"

	"github.com/headrace-go/pool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "failfast: interrupted")
		os.Exit(130) // as a shell reports a program ended by an interrupt
	default:
		fmt.Fprintln(os.Stderr, "failfast:", err)
		os.Exit(1)
	}
}

// settings is what the command line says.
type settings struct{ rows, after, workers int }

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("failfast", flag.ExitOnError)
	flags.IntVar(&s.rows, "rows", 20000, "how many rows are to be written")
	flags.IntVar(&s.after, "after", 4000, "the database goes down after so many")
	flags.IntVar(&s.workers, "workers", 8, "how many jobs run at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q", flags.Arg(0))
	case s.after < 1 || s.workers < 1:
		return errors.New("-after and -workers must be at least 1")
	case s.rows <= s.after+s.workers: // so many may be written
		return fmt.Errorf("-rows must be more than -after and -workers together, got %d", s.rows)
	}
	return compare(ctx, s, out)
}

// A way of treating errors.
type way struct {
	name string
	mode pool.ErrorMode
}

var ways = []way{{"fail fast", pool.FailFast}, {"keep going", pool.KeepGoing}}

// compare writes the rows in both ways and prints what became of them.
func compare(ctx context.Context, s settings, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "failfast")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := pool.New(pool.WithSizing(pool.IO(s.workers)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	fmt.Fprintf(out, "%d rows, %d workers; the database goes down after %d rows\n\n", s.rows, s.workers, s.after)
	fmt.Fprintf(out, "%-12s %8s %8s %8s %8s %10s %13s %10s\n", "", "started", "written", "in file", "wasted", "wasted ms", "never started", "seconds")
	var notes strings.Builder
	for i, w := range ways {
		r, err := writeAll(ctx, p, filepath.Join(dir, fmt.Sprintf("%d.db", i)), w.mode, s)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintf(out, "%-12s %8d %8d %8d %8d %10.1f %13d %10.3f\n", w.name, r.started, r.written, r.inFile,
			r.wasted, r.inVain.Seconds()*1000, s.rows-r.started, r.took.Seconds())
		fmt.Fprintf(&notes, "\n%s: Wait returned:\n    %s\n", w.name, strings.ReplaceAll(r.err.Error(), "\n", "\n    "))
	}
	_, err = io.WriteString(out, notes.String())
	return err
}
