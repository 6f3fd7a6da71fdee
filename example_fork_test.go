package pool_test

import (
	"context"
	"fmt"
	"log"
	"math"

	"github.com/headrace-go/pool"
)

// queens is a board with queens in the first rows: a bit for each column and diagonal that they
// attack.
type queens struct{ size, row, columns, left, right int }

// free returns the columns of the next row that no queen attacks.
func (q queens) free() int { return (1<<q.size - 1) &^ (q.columns | q.left | q.right) }

func (q queens) with(column int) queens {
	return queens{q.size, q.row + 1, q.columns | column, (q.left | column) << 1, (q.right | column) >> 1}
}

func ExampleNewFork() {
	// How many ways are there to place ten queens?
	p, err := pool.New()
	if err != nil {
		log.Fatal(err)
	}
	type search struct {
		board queens
		free  int // columns of the next row that are still to try
	}
	count := pool.NewFork(p, func(k *pool.Fork[search, int], s search) int {
		switch {
		case s.board.row == s.board.size:
			return 1
		case s.free == 0:
			return 0
		}
		column := s.free & -s.free
		next := s.board.with(column)
		a, b := k.Join(search{next, next.free()}, search{s.board, s.free &^ column})
		return a + b
	})
	board := queens{size: 10}
	n, err := count.Run(context.Background(), search{board, board.free()})
	fmt.Println(n, err)
	_ = p.Close()
	// Output: 724 <nil>
}

func ExampleForRange() {
	p, err := pool.New()
	if err != nil {
		log.Fatal(err)
	}
	roots := make([]float64, 1_000_000)
	err = pool.ForRange(context.Background(), p, len(roots), func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			roots[i] = math.Sqrt(float64(i))
		}
		return nil
	})
	fmt.Println(roots[144], roots[998001], err)
	_ = p.Close()
	// Output: 12 999 <nil>
}

func ExampleReduce() {
	p, err := pool.New()
	if err != nil {
		log.Fatal(err)
	}
	sum, err := pool.Reduce(context.Background(), p, 1_000_001,
		func(lo, hi, acc int) int {
			for i := lo; i < hi; i++ {
				acc += i
			}
			return acc
		},
		func(a, b int) int { return a + b })
	fmt.Println(sum, err)
	_ = p.Close()
	// Output: 500000500000 <nil>
}

func ExampleJoin() {
	p, err := pool.New()
	if err != nil {
		log.Fatal(err)
	}
	var users, orders int
	err = pool.Join(context.Background(), p,
		func(context.Context) error { users = 3; return nil },
		func(context.Context) error { orders = 5; return nil })
	fmt.Println(users, orders, err)
	_ = p.Close()
	// Output: 3 5 <nil>
}
