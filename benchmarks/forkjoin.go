package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

// forkJoin measures recursive programs whose every node waits for its children. Where
// the workers are fewer than the processors, so are the processors, since bare goroutines use all.
func forkJoin(h *harness) []row {
	ready := func(run func(joiner)) prepared {
		return func() (func(joiner), func()) { return run, func() {} }
	}
	programs := []struct {
		name    string
		prepare prepared
	}{
		{"tree/leaf=1µs", ready(func(j joiner) { binaryTree(j, h.num(20_000), h.iters(time.Microsecond)) })},
		{"tree/leaf=10µs", ready(func(j joiner) { binaryTree(j, h.num(4_000), h.iters(10*time.Microsecond)) })},
		{"fib", ready(func(j joiner) { fibonacci(j, 30) })},
		{"sort", ready(func(j joiner) { sortInts(j, h.num(1_000_000)) })},
		{"walk", func() (func(joiner), func()) {
			dir, entries := makeTree(h)
			return func(j joiner) { walk(j, dir, entries) }, func() { must(os.RemoveAll(dir)) }
		}},
	}
	cores := runtime.GOMAXPROCS(0)
	var rows []row
	for _, program := range programs {
		for _, workers := range []int{1, 2, 8} {
			name := fmt.Sprintf("%s/N=%d", program.name, workers)
			rows = append(rows, h.forkRow(name, workers, min(cores, workers), program.prepare))
		}
	}
	return append(rows, lazyRows(h)...)
}

// A prepared program is made before the clock starts, and cleaned up afterwards.
type prepared func() (run func(joiner), clean func())

// A joiner calls f(ctx, 0) to f(ctx, n-1), the last of them itself, and returns when
// all have returned.
type joiner interface {
	join(ctx context.Context, n int, f func(ctx context.Context, i int))
	// enter calls f where join may be called.
	enter(f func(context.Context))
	close()
}

var joiners = []struct {
	name string
	open func(workers int) joiner
}{
	{"group", openJoiner(joinGroup)},
	{"group-stealing", openJoiner(joinGroup, pool.WithStrategy(pool.WorkStealing))},
	{"future", openJoiner(joinFuture)},
	{"future-stealing", openJoiner(joinFuture, pool.WithStrategy(pool.WorkStealing))},
	{"join", openJoiner(joinLazily)},
	{"go", func(int) joiner { return goJoiner{} }},
	{"errgroup", func(workers int) joiner { return errgroupJoiner(workers) }},
	{"errgroup-try", func(workers int) joiner {
		j := new(tryJoiner)
		j.g.SetLimit(workers)
		return j
	}},
}

func (h *harness) forkRow(name string, workers, procs int, prepare prepared) row {
	var ns []string
	var open []func(int) joiner
	for _, j := range joiners {
		if h.contenders.MatchString(j.name) {
			ns, open = append(ns, j.name), append(open, j.open)
		}
	}
	w := row{name: name, base: "go", names: ns, each: h.dur(2 * volleyTime)}
	w.metrics = []metric{{"ms", "%.2f", speedUp}, {"CPU ms", "%.2f", noRatio}}
	w.measure = func(k, _ int) []float64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		program, clean := prepare()
		defer clean()
		j := open[k](workers)
		defer j.close()
		program(j) // warms up
		runtime.GC()
		times := 0
		cpu, begin := cpuTime(), now()
		for times == 0 || now()-begin < int64(h.dur(volleyTime)) {
			program(j)
			times++
		}
		per := func(d int64) float64 { return float64(d) / 1e6 / float64(times) }
		return []float64{per(now() - begin), per(int64(cpuTime() - cpu))}
	}
	return w
}

// poolJoiner joins on a pool.
type poolJoiner struct {
	p  *pool.Pool
	by func(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int))
}

func openJoiner(by func(context.Context, *pool.Pool, int, func(context.Context, int)), opts ...pool.Option) func(int) joiner {
	return func(workers int) joiner {
		p, err := pool.New(append([]pool.Option{pool.WithWorkers(workers)}, opts...)...)
		must(err)
		return poolJoiner{p, by}
	}
}

func (j poolJoiner) join(ctx context.Context, n int, f func(context.Context, int)) {
	j.by(ctx, j.p, n, f)
}
func (j poolJoiner) close() { must(j.p.Close()) }

func (j poolJoiner) enter(f func(context.Context)) {
	_, err := pool.Do(background, j.p, func(ctx context.Context) (struct{}, error) { f(ctx); return struct{}{}, nil })
	must(err)
}

func joinGroup(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int)) {
	g := pool.NewGroup(ctx, p)
	for i := range n - 1 {
		g.Go(func(ctx context.Context) error { f(ctx, i); return nil })
	}
	f(ctx, n-1)
	must(g.Wait())
}

func joinFuture(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int)) {
	futures := make([]*pool.Future[struct{}], n-1)
	for i := range futures {
		futures[i] = pool.Go(ctx, p, func(ctx context.Context) (struct{}, error) { f(ctx, i); return struct{}{}, nil })
	}
	f(ctx, n-1)
	for _, u := range slices.Backward(futures) {
		_, err := u.Wait(ctx)
		must(err)
	}
}

// joinLazily divides the calls in two until there is one.
func joinLazily(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int)) {
	var divide func(ctx context.Context, lo, hi int)
	divide = func(ctx context.Context, lo, hi int) {
		if hi-lo == 1 {
			f(ctx, lo)
			return
		}
		mid := (lo + hi) / 2
		half := func(lo, hi int) func(context.Context) error {
			return func(ctx context.Context) error { divide(ctx, lo, hi); return nil }
		}
		must(pool.Join(ctx, p, half(lo, mid), half(mid, hi)))
	}
	divide(ctx, 0, n)
}

// goJoiner starts a goroutine for every child.
type goJoiner struct{}

func (goJoiner) enter(f func(context.Context)) { f(background) }
func (goJoiner) close()                        {}

func (goJoiner) join(ctx context.Context, n int, f func(context.Context, int)) {
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Go(func() { f(ctx, i) })
	}
	f(ctx, n-1)
	wg.Wait()
}

// errgroupJoiner has a group for every node, each with its limit. One group for all would
// deadlock, since its Go waits for tasks that themselves wait in Go. So the limit is no limit for the
// whole.
type errgroupJoiner int

func (errgroupJoiner) enter(f func(context.Context)) { f(background) }
func (errgroupJoiner) close()                        {}

func (j errgroupJoiner) join(ctx context.Context, n int, f func(context.Context, int)) {
	var g errgroup.Group
	g.SetLimit(int(j))
	for i := range n - 1 {
		g.Go(func() error { f(ctx, i); return nil })
	}
	f(ctx, n-1)
	must(g.Wait())
}

// tryJoiner has one group for all, and calls what the group has no room for itself.
type tryJoiner struct{ g errgroup.Group }

func (j *tryJoiner) enter(f func(context.Context)) { f(background) }
func (j *tryJoiner) close()                        { must(j.g.Wait()) }

func (j *tryJoiner) join(ctx context.Context, n int, f func(context.Context, int)) {
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Add(1)
		if !j.g.TryGo(func() error { defer wg.Done(); f(ctx, i); return nil }) {
			f(ctx, i)
			wg.Done()
		}
	}
	f(ctx, n-1)
	wg.Wait()
}

// binaryTree divides n leaves in two until there is one.
func binaryTree(j joiner, n, iters int) {
	var leaves atomic.Int64
	var node func(ctx context.Context, n int)
	node = func(ctx context.Context, n int) {
		if n == 1 {
			_ = spin(iters)
			leaves.Add(1)
			return
		}
		j.join(ctx, 2, func(ctx context.Context, i int) { node(ctx, (n+i)/2) })
	}
	j.enter(func(ctx context.Context) { node(ctx, n) })
	check("leaves", int(leaves.Load()), n)
}

// fibCutOff is from where on a Fibonacci number is computed without children: some
// microseconds.
const fibCutOff = 16

func fibonacci(j joiner, n int) {
	var fib func(ctx context.Context, n int) int
	fib = func(ctx context.Context, n int) int {
		if n <= fibCutOff {
			return fibAlone(n)
		}
		var parts [2]int
		j.join(ctx, 2, func(ctx context.Context, i int) { parts[i] = fib(ctx, n-1-i) })
		return parts[0] + parts[1]
	}
	got := 0
	j.enter(func(ctx context.Context) { got = fib(ctx, n) })
	check("Fibonacci number", got, 832_040)
}

func fibAlone(n int) int {
	if n < 2 {
		return n
	}
	return fibAlone(n-1) + fibAlone(n-2)
}

// sortCutOff is how many numbers are sorted without children: some 100 µs.
const sortCutOff = 2048

func sortInts(j joiner, n int) {
	vs, spare := make([]int, n), make([]int, n)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range vs {
		vs[i] = int(r.Int64())
	}
	var mergeSort func(ctx context.Context, vs, spare []int)
	mergeSort = func(ctx context.Context, vs, spare []int) {
		if len(vs) <= sortCutOff {
			slices.Sort(vs)
			return
		}
		m := len(vs) / 2
		j.join(ctx, 2, func(ctx context.Context, i int) {
			if i == 0 {
				mergeSort(ctx, vs[:m], spare[:m])
			} else {
				mergeSort(ctx, vs[m:], spare[m:])
			}
		})
		copy(spare, vs)
		merge(vs, spare[:m], spare[m:])
	}
	j.enter(func(ctx context.Context) { mergeSort(ctx, vs, spare) })
	if !slices.IsSorted(vs) {
		panic("benchmarks: not sorted")
	}
}

// merge merges the sorted a and b into vs.
func merge(vs, a, b []int) {
	for i := range vs {
		if len(b) == 0 || len(a) > 0 && a[0] <= b[0] {
			vs[i], a = a[0], a[1:]
		} else {
			vs[i], b = b[0], b[1:]
		}
	}
}

// walk counts what is below a directory; every directory is a child.
func walk(j joiner, dir string, entries int) {
	var found, size atomic.Int64
	var visit func(ctx context.Context, dir string)
	visit = func(ctx context.Context, dir string) {
		list, err := os.ReadDir(dir)
		must(err)
		found.Add(int64(len(list)))
		var dirs []string
		for _, d := range list {
			if d.IsDir() {
				dirs = append(dirs, filepath.Join(dir, d.Name()))
				continue
			}
			info, err := d.Info()
			must(err)
			size.Add(info.Size())
		}
		if len(dirs) > 0 {
			j.join(ctx, len(dirs), func(ctx context.Context, i int) { visit(ctx, dirs[i]) })
		}
	}
	j.enter(func(ctx context.Context) { visit(ctx, dir) })
	check("entries", int(found.Load()), entries)
}

// makeTree makes directories with 8 directories and 8 files in each, three levels
// deep, and returns how many entries they have altogether.
func makeTree(h *harness) (dir string, entries int) {
	dir, err := os.MkdirTemp("", "forkjoin")
	must(err)
	width, depth := 8, 3
	if h.divide > 10 {
		width, depth = 3, 2
	}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for i := range width {
			must(os.WriteFile(filepath.Join(dir, fmt.Sprint("file", i)), []byte(dir), 0o600))
			entries++
			if depth > 0 {
				below := filepath.Join(dir, fmt.Sprint("dir", i))
				must(os.Mkdir(below, 0o700))
				entries++
				fill(below, depth-1)
			}
		}
	}
	fill(dir, depth)
	return dir, entries
}

func check(what string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("benchmarks: %d %s, want %d", got, what, want))
	}
}
