package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alitto/pond/v2"
	conciter "github.com/sourcegraph/conc/iter"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// A way is a contender of lazyRows: it runs the program once.
type way struct {
	name string
	run  func()
}

// lazyRows measures work that divides itself against plain recursion, or a plain loop, which is the first contender of each row.
func lazyRows(h *harness) []row {
	p, err := pool.New()
	must(err)
	var rows []row
	for _, levels := range []int{10, 16, 20, 23} {
		if h.divide > 10 {
			levels = min(levels, 16)
		}
		rows = append(rows, h.splitRow(fmt.Sprintf("sum/levels=%d", levels), treeWays(p, levels)))
	}
	fib := pool.NewFork(p, func(k *pool.Fork[int, int], n int) int {
		if n < 2 {
			return n
		}
		a, b := k.Join(n-1, n-2)
		return a + b
	})
	rows = append(rows, h.splitRow("fib/no cut-off", []way{
		{"plain", func() { _ = fibAlone(30) }},
		{"fork", func() { _, err := fib.Run(background, 30); must(err) }},
	}))
	board := queenSearch{size: 10, try: 1<<10 - 1}
	queens := pool.NewFork(p, queensFork)
	rows = append(rows, h.splitRow("queens", []way{
		{"plain", func() { _ = queensAlone(board) }},
		{"fork", func() { _, err := queens.Run(background, board); must(err) }},
	}))
	rows = append(rows, h.splitRow("merge sort", sortWays(p, h.num(1_000_000))))
	leaves, leaf := h.num(20_000), h.iters(time.Microsecond)
	halves := pool.NewFork(p, func(k *pool.Fork[int, int], n int) int {
		if n == 1 {
			return int(spin(leaf) & 1)
		}
		a, b := k.Join(n/2, n-n/2)
		return a + b
	})
	rows = append(rows, h.splitRow("leaves of 1µs", []way{
		{"plain", func() {
			for range leaves {
				_ = spin(leaf)
			}
		}},
		{"fork", func() { _, err := halves.Run(background, leaves); must(err) }},
	}))
	for _, c := range []struct {
		d time.Duration
		n int
	}{{5 * time.Nanosecond, 1_000_000}, {100 * time.Nanosecond, 100_000}, {time.Microsecond, 10_000}} {
		iters := h.iters(c.d)
		rows = append(rows, h.splitRow(fmt.Sprintf("loop/%v", c.d), loopWays(p, h.num(c.n), func(int) int { return iters })))
	}
	n, long := h.num(20_000), h.iters(50*time.Microsecond)
	rows = append(rows, h.splitRow("loop/cost in the last 1 %", loopWays(p, n, func(i int) int {
		if i >= n-n/100 {
			return long
		}
		return 1
	})))
	iters := h.iters(time.Microsecond)
	busy := loopWays(p, h.num(10_000), func(int) int { return iters })
	for i := range busy {
		busy[i].run = besideBusy(h.hogs, busy[i].run)
	}
	return append(rows, h.splitRow(fmt.Sprintf("loop/1µs/hogs=%d", h.hogs), busy))
}

// besideBusy runs run beside n busy goroutines.
func besideBusy(n int, run func()) func() {
	return func() {
		var stop atomic.Bool
		var hogs sync.WaitGroup
		for range n {
			hogs.Go(func() {
				for !stop.Load() {
					_ = spin(1000)
				}
			})
		}
		run()
		stop.Store(true)
		hogs.Wait()
	}
}

// sortJob is ints to sort, and as much room.
type sortJob struct{ vs, spare []int }

// split returns both halves, unless there is too little to divide.
func (s sortJob) split() (a, b sortJob, ok bool) {
	m := len(s.vs) / 2
	return sortJob{s.vs[:m], s.spare[:m]}, sortJob{s.vs[m:], s.spare[m:]}, len(s.vs) > 16
}

// join merges the sorted halves.
func (s sortJob) join() {
	m := len(s.vs) / 2
	copy(s.spare, s.vs)
	merge(s.vs, s.spare[:m], s.spare[m:])
}

func (s sortJob) alone() {
	a, b, ok := s.split()
	if !ok {
		slices.Sort(s.vs)
		return
	}
	a.alone()
	b.alone()
	s.join()
}

// sortWays sorts n ints, and divides down to 16 of them.
func sortWays(p *pool.Pool, n int) []way {
	fork := pool.NewFork(p, func(k *pool.Fork[sortJob, struct{}], s sortJob) (none struct{}) {
		a, b, ok := s.split()
		if !ok {
			slices.Sort(s.vs)
			return
		}
		k.Join(a, b)
		s.join()
		return
	})
	sorted := func(sort func(sortJob)) func() {
		return func() {
			s := sortJob{make([]int, n), make([]int, n)}
			r := rand.New(rand.NewPCG(3, 4))
			for i := range s.vs {
				s.vs[i] = int(r.Int64())
			}
			sort(s)
			if !slices.IsSorted(s.vs) {
				panic("benchmarks: not sorted")
			}
		}
	}
	return []way{
		{"plain", sorted(sortJob.alone)},
		{"fork", sorted(func(s sortJob) { _, err := fork.Run(background, s); must(err) })},
		{"by hand", sorted(func(s sortJob) {
			a, b, _ := s.split()
			var wg sync.WaitGroup
			wg.Go(a.alone)
			b.alone()
			wg.Wait()
			s.join()
		})},
	}
}

// splitRow measures the ways in turns.
func (h *harness) splitRow(name string, ways []way) row {
	ways = slices.DeleteFunc(ways, func(w way) bool { return !h.contenders.MatchString(w.name) })
	w := row{name: "lazy/" + name, base: "plain", each: h.dur(2 * volleyTime)}
	for _, c := range ways {
		w.names = append(w.names, c.name)
	}
	w.metrics = []metric{{"ms", "%.3f", speedUp}, {"CPU ms", "%.3f", noRatio}}
	w.measure = func(k, _ int) []float64 {
		ways[k].run() // warms up
		runtime.GC()
		times := 0
		cpu, begin := cpuTime(), now()
		for times == 0 || now()-begin < int64(h.dur(volleyTime)) {
			ways[k].run()
			times++
		}
		per := func(d int64) float64 { return float64(d) / 1e6 / float64(times) }
		return []float64{per(now() - begin), per(int64(cpuTime() - cpu))}
	}
	return w
}

// sumNode is a node of a binary tree.
type sumNode struct {
	left, right *sumNode
	value       int
}

func newSumTree(levels int) *sumNode {
	if levels == 0 {
		return nil
	}
	return &sumNode{newSumTree(levels - 1), newSumTree(levels - 1), levels}
}

func (n *sumNode) sum() int {
	if n.left == nil {
		return n.value
	}
	return n.left.sum() + n.right.sum() + n.value
}

// treeWays adds up a tree. Where each node is a task, there are at most 16 levels.
func treeWays(p *pool.Pool, levels int) []way {
	root := sync.OnceValue(func() *sumNode { return newSumTree(levels) })
	fork := pool.NewFork(p, func(k *pool.Fork[*sumNode, int], n *sumNode) int {
		if n.left == nil {
			return n.value
		}
		l, r := k.Join(n.left, n.right)
		return l + r + n.value
	})
	ways := []way{
		{"plain", func() { root().sum() }},
		{"fork", func() { _, err := fork.Run(background, root()); must(err) }},
		{"by hand", func() {
			var wg sync.WaitGroup
			wg.Go(func() { root().left.sum() })
			root().right.sum()
			wg.Wait()
		}},
	}
	if levels > 16 {
		return ways
	}
	tree := func(j joiner) func() {
		var sum func(ctx context.Context, n *sumNode) int
		sum = func(ctx context.Context, n *sumNode) int {
			if n.left == nil {
				return n.value
			}
			var parts [2]int
			j.join(ctx, 2, func(ctx context.Context, i int) { parts[i] = sum(ctx, [2]*sumNode{n.left, n.right}[i]) })
			return parts[0] + parts[1] + n.value
		}
		return func() { sum(background, root()) }
	}
	try := new(tryJoiner)
	try.g.SetLimit(runtime.GOMAXPROCS(0))
	return append(ways, way{"errgroup-try", tree(try)}, way{"go", tree(goJoiner{})})
}

// queenSearch is a board with queens in its first rows, and the columns of the next row that are still to try.
type queenSearch struct{ size, row, columns, left, right, try int }

func (s queenSearch) split() (first, others queenSearch) {
	column := s.try & -s.try
	first = queenSearch{s.size, s.row + 1, s.columns | column, (s.left | column) << 1, (s.right | column) >> 1, 0}
	first.try = (1<<s.size - 1) &^ (first.columns | first.left | first.right)
	s.try &^= column
	return first, s
}

func queensAlone(s queenSearch) int {
	switch {
	case s.row == s.size:
		return 1
	case s.try == 0:
		return 0
	}
	first, others := s.split()
	return queensAlone(first) + queensAlone(others)
}

func queensFork(k *pool.Fork[queenSearch, int], s queenSearch) int {
	switch {
	case s.row == s.size:
		return 1
	case s.try == 0:
		return 0
	}
	a, b := k.Join(s.split())
	return a + b
}

// loopWays runs a loop over 0 <= i < n of so many iterations each.
func loopWays(p *pool.Pool, n int, iters func(i int) int) []way {
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			_ = spin(iters(i))
		}
	}
	cores := runtime.GOMAXPROCS(0)
	part := func(i int) (lo, hi int) { return i * n / cores, (i + 1) * n / cores }
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	return []way{
		{"plain", func() { body(0, n) }},
		{"range", func() {
			must(pool.ForRange(background, p, n, func(lo, hi int) error { body(lo, hi); return nil }))
		}},
		{"by hand", func() {
			var wg sync.WaitGroup
			for i := range cores {
				wg.Go(func() { body(part(i)) })
			}
			wg.Wait()
		}},
		{"errgroup-try", func() {
			var g errgroup.Group
			g.SetLimit(cores)
			for i := range n {
				if !g.TryGo(func() error { body(i, i+1); return nil }) {
					body(i, i+1)
				}
			}
			must(g.Wait())
		}},
		{"go", func() {
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() { body(i, i+1) })
			}
			wg.Wait()
		}},
		{"pond", func() {
			q := pond.NewPool(cores)
			var done atomic.Int64
			for i := range n {
				_ = q.Go(func() { body(i, i+1); done.Add(1) })
			}
			q.StopAndWait()
			check("values", int(done.Load()), n)
		}},
		{"conc", func() {
			conciter.ForEach(indexes, func(i *int) { body(*i, *i+1) })
		}},
	}
}
