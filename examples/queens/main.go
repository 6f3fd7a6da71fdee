// Queens counts the ways to place n queens on a board so that none attacks another, in three ways, and shows how fast each is: by plain
// recursion, with tasks whose size somebody has chosen, and with lazy fork-join:
//
//	go run ./examples/queens
//	go run ./examples/queens -n 13 -rows 3
//
// # What it shows
//
// The search tree is uneven: some first moves lead to ten times as many boards as others. With a [pool.Group] somebody has to choose
// how many rows are divided into tasks. With too few rows there are too few tasks for the workers. With too many the tasks cost more
// than the search. With [pool.NewFork] the program divides everything down to the last board, and the pool makes a task of a part only
// while a worker is idle.
//
// # When it backfires
//
// A search of less than about 200 µs (-n 8) gets no faster: a worker that sleeps takes about that long to begin. With one processor
// nothing is gained, and each join costs a few nanoseconds.
//
// # What to look at
//
// The number of tasks: with lazy fork-join it stays at a few dozen, however large the board is. Try several values of -rows: the best
// and the worst are far apart.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/queens [flags]

Counts the solutions of the queens puzzle on all processors, in three ways.`

func main() { cli.Main("queens", run) }

// board has queens in its first rows: a bit for each column and diagonal that they attack.
type board struct{ size, row, columns, left, right int }

// free returns the columns of the next row that no queen attacks.
func (b board) free() int { return (1<<b.size - 1) &^ (b.columns | b.left | b.right) }

func (b board) with(column int) board {
	return board{b.size, b.row + 1, b.columns | column, (b.left | column) << 1, (b.right | column) >> 1}
}

// search is a board and the columns of its next row that are still to try.
type search struct {
	board
	try int
}

// split divides the search in two: the first column, and the others.
func (s search) split() (first, others search) {
	column := s.try & -s.try
	next := s.with(column)
	return search{next, next.free()}, search{s.board, s.try &^ column}
}

// over reports whether there is nothing to divide, and how many solutions there are then.
func (s search) over() (solutions int, over bool) {
	switch {
	case s.row == s.size:
		return 1, true
	case s.try == 0:
		return 0, true
	}
	return 0, false
}

// plain counts by plain recursion.
func plain(s search) int {
	if n, over := s.over(); over {
		return n
	}
	first, others := s.split()
	return plain(first) + plain(others)
}

// lazy counts with joins.
func lazy(k *pool.Fork[search, int], s search) int {
	if n, over := s.over(); over {
		return n
	}
	first, others := s.split()
	a, b := k.Join(first, others)
	return a + b
}

// byHand makes a task of a group for each board whose first rows have queens.
func byHand(ctx context.Context, p *pool.Pool, s search, rows int) (int, error) {
	var parts []search
	var collect func(s search)
	collect = func(s search) {
		if s.row == rows || s.row == s.size {
			parts = append(parts, s)
			return
		}
		for s.try != 0 {
			var first search
			first, s = s.split()
			collect(first)
		}
	}
	collect(s)
	counts := make([]int, len(parts))
	g := pool.NewGroup(ctx, p)
	for i, part := range parts {
		g.Go(func(context.Context) error { counts[i] = plain(part); return nil })
	}
	err := g.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum, err
}

// A way of counting.
type way struct {
	name  string
	count func() (int, error)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("queens", flag.ContinueOnError)
	n := flags.Int("n", 11, "place `n` queens on a board of n by n")
	rows := flags.Int("rows", 2, "choose the tasks by hand: one for each board with `n` rows")
	rounds := flags.Int("rounds", 5, "measure each way `n` times, and show the fastest")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	if *n < 1 || *n > 16 || *rows < 0 || *rounds < 1 {
		return cli.Misusef("-n must be from 1 to 16, -rows at least 0 and -rounds at least 1, got %d, %d and %d", *n, *rows, *rounds)
	}
	p, err := pool.New(pool.WithBuffer(1 << 16))
	if err != nil {
		return err
	}
	root := board{size: *n}
	all := search{root, root.free()}
	fork := pool.NewFork(p, lazy)
	ways := []way{
		{"plain recursion", func() (int, error) { return plain(all), nil }},
		{fmt.Sprintf("%d rows by hand", *rows), func() (int, error) { return byHand(ctx, p, all, *rows) }},
		{"lazy fork-join", func() (int, error) { return fork.Run(ctx, all) }},
	}
	cli.Say(out, "The ways to place %d queens are counted with %d workers: see how fast that is when nobody has to choose the size of the tasks.\n\n"+
		"%-16s %9s %9s %8s %6s", *n, p.Stats().Workers, "", "solutions", "ms", "speed-up", "tasks")
	var times []time.Duration
	solutions := -1 // of the first way
	for _, w := range ways {
		before := p.Stats().Accepted
		count, best, err := measure(ctx, out, w, *rounds)
		if err != nil {
			return err // the process ends, even if a count is still running
		}
		if solutions < 0 {
			solutions = count
		}
		if count != solutions {
			return fmt.Errorf("%s: %d solutions, not %d", w.name, count, solutions)
		}
		times = append(times, best)
		fmt.Fprintf(out, "%-16s %9d %9.2f %8.2f %6d\n", w.name, count, float64(best)/1e6, speedUp(times[0], best),
			(p.Stats().Accepted-before)/uint64(*rounds))
	}
	cli.So(out, "lazy fork-join was %.2f times as fast as plain recursion on %d processors, and tasks chosen by hand %.2f times.",
		speedUp(times[0], times[2]), runtime.GOMAXPROCS(0), speedUp(times[0], times[1]))
	return p.Close()
}

func speedUp(serial, best time.Duration) float64 { return float64(serial) / float64(max(1, best)) }

// measure returns what w counts, and the time of the fastest round. When ctx is done it leaves the count alone and returns.
func measure(ctx context.Context, out io.Writer, w way, rounds int) (int, time.Duration, error) {
	defer cli.Progress(out, func() string { return "counting: " + w.name })()
	var (
		count int
		best  time.Duration
		err   error
	)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for range rounds {
			begin := time.Now()
			count, err = w.count()
			took := time.Since(begin)
			if best == 0 || took < best {
				best = took
			}
			if err != nil || ctx.Err() != nil {
				return
			}
		}
	}()
	select {
	case <-counted:
		return count, best, cmp.Or(err, ctx.Err())
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
}
