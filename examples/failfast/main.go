// Failfast writes rows to a database that goes down halfway, and shows how much work the jobs do in vain after that, if they stop at the
// first error and if they do not:
//
//	go -C examples/failfast run .
//	go -C examples/failfast run . -rows 50000 -workers 4
//
// The database is SQLite, in a file in a temporary directory. It goes down by a call of Close while jobs use it. The program is a module
// of its own, so that package pool does not depend on the driver.
//
// # What it shows
//
// A [pool.Group] with [pool.FailFast] and one with [pool.KeepGoing], both in one pool. Each job makes a document, which takes time, and
// writes a row about it. Under FailFast the first error cancels the group's context: no more jobs start, statements that run are
// interrupted, and the loop that submits the jobs ends. Under KeepGoing every job makes its document before it finds that it cannot write
// the row.
//
// [pool.WithErrorMode] does the same for a whole pool. A group is better if the pool has other tasks, too.
//
// # When it backfires
//
// FailFast is wrong if the errors have nothing to do with each other: one bad row would keep out all others. Then keep going, and limit
// the errors that are kept ([pool.Group.SetErrorLimit]). And a statement that is interrupted may have been executed all the same: the
// number of rows that the jobs count as written is a lower bound, as with any database when the connection breaks.
//
// # What to look at
//
// "wasted" is the number of jobs that started after another one had failed, and "wasted ms" is the sum of their times. Under FailFast it
// is at most what the workers had begun. For "in file" the program opens the file again: no row that was reported as written is missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go -C examples/failfast run . [flags]

Writes to a database that goes down, and counts the work that is done in vain.`

func main() { cli.Main("failfast", run) }

// settings is what the command line says.
type settings struct{ rows, after, workers int }

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("failfast", flag.ContinueOnError)
	flags.IntVar(&s.rows, "rows", 20000, "write `n` rows")
	flags.IntVar(&s.after, "after", 4000, "the database goes down after `n` rows")
	flags.IntVar(&s.workers, "workers", 8, "run `n` jobs at a time")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	switch {
	case s.after < 1 || s.workers < 1:
		return cli.Misusef("-after and -workers must be at least 1, got %d and %d", s.after, s.workers)
	case s.rows <= s.after+s.workers: // the rows that may be written
		return cli.Misusef("-rows must be more than -after and -workers together, got %d", s.rows)
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

	cli.Say(out, "Jobs on %d workers write %d rows, and the database goes down after %d: see how much work is done in vain after that.\n\n", s.workers, s.rows, s.after)
	fmt.Fprintf(out, "%-10s %8s %8s %8s %7s %10s %11s %8s\n", "mode", "started", "written", "in file", "wasted", "wasted ms", "not started", "seconds")
	var notes strings.Builder
	var results []*result
	for i, w := range ways {
		end := cli.Progress(out, func() string { return w.name + ": writing" })
		r, err := writeAll(ctx, p, filepath.Join(dir, fmt.Sprintf("%d.db", i)), w.mode, s)
		end()
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintf(out, "%-10s %8d %8d %8d %7d %10.1f %11d %8.3f\n", w.name, r.started, r.written, r.inFile,
			r.wasted, r.inVain.Seconds()*1000, s.rows-r.started, r.took.Seconds())
		cli.Say(&notes, "\n%s: Wait returned:\n    %s", w.name, strings.ReplaceAll(r.err.Error(), "\n", "\n    "))
		results = append(results, r)
	}
	if _, err := io.WriteString(out, notes.String()); err != nil {
		return err
	}
	cli.So(out, "after the first error %d jobs worked in vain when the group failed fast, and %d when it kept going.", results[0].wasted, results[1].wasted)
	return nil
}
