package pool

import (
	"context"
	"sync/atomic"
	"testing"
)

func TestForkSum(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		p := mustNew(t, WithWorkers(n))
		tree := newTree(18)
		fork := NewFork(p, forkSum)
		for range 5 {
			got, err := fork.Run(bg, tree)
			must(t, err)
			if want := tree.sum(); got != want {
				t.Errorf("%d, want %d", got, want)
			}
		}
		must(t, p.Close())
	}
}

func TestForRange(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		p := mustNew(t, WithWorkers(n))
		for _, size := range []int{-1, 0, 1, 2, 31, 1000, 300_000} {
			seen := make([]atomic.Int32, max(0, size))
			must(t, ForRange(bg, p, size, func(lo, hi int) error {
				for i := lo; i < hi; i++ {
					seen[i].Add(1)
				}
				return nil
			}))
			for i := range seen {
				if got := seen[i].Load(); got != 1 {
					t.Fatalf("%d of %d: %d times", i, size, got)
				}
			}
			got, err := Reduce(bg, p, size, func(lo, hi int, acc []int) []int {
				for i := lo; i < hi; i++ {
					acc = append(acc, i)
				}
				return acc
			}, func(a, b []int) []int { return append(a, b...) })
			must(t, err)
			for i, v := range got {
				if i != v {
					t.Fatalf("of %d: %d at %d", size, v, i)
				}
			}
			if len(got) != max(0, size) {
				t.Fatalf("%d values, want %d", len(got), size)
			}
		}
		must(t, p.Close())
	}
}

func TestJoin(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		p := mustNew(t, WithWorkers(n))
		var count atomic.Int64
		var tree func(ctx context.Context, n int) error
		tree = func(ctx context.Context, n int) error {
			if n == 0 {
				count.Add(1)
				return nil
			}
			down := func(ctx context.Context) error { return tree(ctx, n-1) }
			return Join(ctx, p, down, down)
		}
		must(t, tree(bg, 14))
		if got := count.Load(); got != 1<<14 {
			t.Errorf("%d leaves, want %d", got, 1<<14)
		}
		must(t, p.Close())
	}
}
