// Queens counts the ways to place n queens on a board so that none attacks another: by plain recursion, with a
// grain that somebody has chosen, and with lazy fork-join, which has none:
//
//	go run ./examples/queens
//
// # What it shows
//
// The search tree is lopsided: some first moves lead to ten times as many boards as others. With a [pool.Group] somebody has to
// choose how many rows are divided into tasks. Too few are too few tasks for the workers, too many cost more than the search.
// [pool.NewFork] divides everything down to the last board, and makes a task of a part only while a worker is idle.
//
// # When it backfires
//
// Below about 200 µs (-n 8) nothing is gained: a sleeping worker takes about that long to come. On one core a join costs a few
// nanoseconds and brings nothing.
//
// # What to look at
//
// The tasks: with lazy fork-join a few dozen, however large the board is. The rows of -rows: how much the best number of rows gains
// over a bad one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/headrace-go/pool"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "queens:", err)
		os.Exit(1)
	}
}

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

// byHand makes each board with so many rows a task of a group.
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

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("queens", flag.ExitOnError)
	n := flags.Int("n", 11, "how many queens, on a board of n times n")
	rows := flags.Int("rows", 2, "how many rows are divided into tasks by hand")
	rounds := flags.Int("rounds", 5, "how often each way counts; the shortest time is shown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *n < 1 || *n > 16 || *rows < 0 || *rounds < 1 {
		return errors.New("-n must be from 1 to 16, -rows at least 0, and -rounds at least 1")
	}
	p, err := pool.New(pool.WithBuffer(1 << 16))
	if err != nil {
		return err
	}
	root := board{size: *n}
	all := search{root, root.free()}
	fork := pool.NewFork(p, lazy)
	ways := []struct {
		name  string
		count func() (int, error)
	}{
		{"plain recursion", func() (int, error) { return plain(all), nil }},
		{fmt.Sprintf("%d rows by hand", *rows), func() (int, error) { return byHand(ctx, p, all, *rows) }},
		{"lazy fork-join", func() (int, error) { return fork.Run(ctx, all) }},
	}
	fmt.Fprintf(out, "%d queens, %d workers\n\n%-16s %9s %9s %8s %6s\n", *n, p.Stats().Workers, "", "solutions", "ms", "speed-up", "tasks")
	speedUps := make([]float64, len(ways))
	var serial time.Duration
	solutions := 0
	for i, w := range ways {
		before := p.Stats().Accepted
		var best time.Duration
		for round := range *rounds {
			begin := time.Now()
			count, err := w.count()
			took := time.Since(begin)
			if err != nil {
				return err
			}
			if i+round > 0 && count != solutions {
				return fmt.Errorf("%s: %d solutions, not %d", w.name, count, solutions)
			}
			solutions = count
			if best == 0 || took < best {
				best = took
			}
		}
		if i == 0 {
			serial = best
		}
		speedUps[i] = float64(serial) / float64(max(1, best))
		fmt.Fprintf(out, "%-16s %9d %9.2f %8.2f %6d\n", w.name, solutions, float64(best)/1e6, speedUps[i],
			(p.Stats().Accepted-before)/uint64(*rounds))
	}
	fmt.Fprintf(out, "\nSo: without a grain it is %.2f times as fast as plain recursion on %d cores.\n",
		speedUps[len(ways)-1], runtime.GOMAXPROCS(0))
	return p.Close()
}
