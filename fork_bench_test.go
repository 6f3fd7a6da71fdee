package pool

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// treeNode is a node of a binary tree.
type treeNode struct {
	left, right *treeNode
	value       int
}

func newTree(levels int) *treeNode {
	if levels == 0 {
		return nil
	}
	return &treeNode{newTree(levels - 1), newTree(levels - 1), levels}
}

func (n *treeNode) sum() int {
	if n.left == nil {
		return n.value
	}
	return n.left.sum() + n.right.sum() + n.value
}

func forkSum(k *Fork[*treeNode, int], n *treeNode) int {
	if n.left == nil {
		return n.value
	}
	l, r := k.Join(n.left, n.right)
	return l + r + n.value
}

func plainFib(n int) int {
	if n < 2 {
		return n
	}
	return plainFib(n-1) + plainFib(n-2)
}

func forkFib(k *Fork[int, int], n int) int {
	if n < 2 {
		return n
	}
	a, b := k.Join(n-1, n-2)
	return a + b
}

// inTask runs f inside a task of p.
func inTask(tb testing.TB, p *Pool, f func(context.Context)) {
	tb.Helper()
	_, err := Do(bg, p, func(ctx context.Context) (struct{}, error) { f(ctx); return struct{}{}, nil })
	must(tb, err)
}

// besidePlain measures run, an operation of so many nodes, alternately with plain recursion.
func besidePlain(b *testing.B, nodes int, plain, run func()) {
	b.ReportAllocs()
	var a, c time.Duration
	for b.Loop() {
		t := time.Now()
		plain()
		u := time.Now()
		run()
		a, c = a+u.Sub(t), c+time.Since(u)
	}
	per := float64(b.N) * float64(nodes)
	b.ReportMetric(float64(a)/per, "plain-ns/node")
	b.ReportMetric(float64(c)/per, "ns/node")
	b.ReportMetric(float64(c)/float64(a), "of-plain")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkJoin(b *testing.B) {
	for _, workers := range []int{1, 2, 8} {
		for _, levels := range []int{10, 16, 20} {
			b.Run(fmt.Sprintf("tree/levels=%d/workers=%d", levels, workers), func(b *testing.B) {
				p := mustNew(b, WithWorkers(workers))
				t := newTree(levels)
				fork := NewFork(p, forkSum)
				inTask(b, p, func(ctx context.Context) {
					besidePlain(b, 1<<levels-1, func() { _ = t.sum() }, func() { _, _ = fork.Run(ctx, t) })
				})
				must(b, p.Close())
			})
		}
		for _, levels := range []int{10, 100, 10_000} { // a tree whose left sides are this deep
			b.Run(fmt.Sprintf("chain/levels=%d/workers=%d", levels, workers), func(b *testing.B) {
				p := mustNew(b, WithWorkers(workers))
				t := &treeNode{value: 1}
				for range levels {
					t = &treeNode{left: t, right: &treeNode{value: 1}, value: 1}
				}
				fork := NewFork(p, forkSum)
				inTask(b, p, func(ctx context.Context) {
					besidePlain(b, 2*levels+1, func() { _ = t.sum() }, func() { _, _ = fork.Run(ctx, t) })
				})
				must(b, p.Close())
			})
		}
		b.Run(fmt.Sprintf("fib/workers=%d", workers), func(b *testing.B) {
			p := mustNew(b, WithWorkers(workers))
			fork := NewFork(p, forkFib)
			inTask(b, p, func(ctx context.Context) {
				besidePlain(b, 2692537, func() { _ = plainFib(30) }, func() { _, _ = fork.Run(ctx, 30) })
			})
			must(b, p.Close())
		})
	}
}
