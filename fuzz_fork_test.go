package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// forkProgram is a random tree of calls in virtual time, and what became of each.
type forkProgram struct {
	t      *testing.T
	p      *Pool
	seed   uint64
	cancel context.CancelFunc
	mu     sync.Mutex
	ran    map[uint64]int
	wild   atomic.Bool // something ended it early, or f recovered a panic
	g      gauge
	over   atomic.Bool // Run has returned
}

// forkCall is an argument: a node of the tree, whose children have the names 2n and 2n+1.
type forkCall struct {
	name  uint64
	depth int
}

func (c forkCall) child(i uint64, less int) forkCall {
	return forkCall{2*c.name + i, max(0, c.depth-1-less)}
}

// visit does what the node does besides its children, and returns how much less deep these are.
func (f *forkProgram) visit(ctx context.Context, c forkCall) (less [2]int) {
	if f.over.Load() {
		f.t.Errorf("seed %d: %d runs after the end", f.seed, c.name)
	}
	f.g.enter()
	defer f.g.leave()
	f.mu.Lock()
	f.ran[c.name]++
	f.mu.Unlock()
	r := rand.New(rand.NewPCG(f.seed, c.name))
	if r.IntN(3) == 0 || c.depth == 0 {
		time.Sleep(time.Duration(r.IntN(4)) * 20 * time.Microsecond)
	}
	if r.IntN(40) == 0 {
		_ = f.p.TrySubmit(sleep(time.Duration(r.IntN(200)) * time.Microsecond))
	}
	if f.seed%4 != 0 && r.IntN(60) == 0 {
		f.wild.Store(true)
		switch r.IntN(5) {
		case 0:
			panic(errTest)
		case 1:
			runtime.Goexit()
		case 2:
			f.cancel()
		case 3:
			go f.p.Abort()
		case 4:
			go f.p.Close()
		}
	}
	return f.less(c)
}

func (f *forkProgram) less(c forkCall) [2]int {
	r := rand.New(rand.NewPCG(f.seed, ^c.name))
	return [2]int{r.IntN(3), r.IntN(3)}
}

// recovers makes some nodes recover what goes through them.
func (f *forkProgram) recovers(c forkCall) {
	if c.name%7 == 3 && f.seed%8 == 1 {
		if recover() != nil {
			f.wild.Store(true)
		}
	}
}

// nodes is how many nodes the tree has.
func (f *forkProgram) nodes(c forkCall) int {
	if c.depth == 0 {
		return 1
	}
	less := f.less(c)
	return 1 + f.nodes(c.child(0, less[0])) + f.nodes(c.child(1, less[1]))
}

// runFork, runJoin and runRange run the tree and return how many nodes they have counted.
func (f *forkProgram) runFork(ctx context.Context, root forkCall) (int, error) {
	return NewFork(f.p, func(k *Fork[forkCall, int], c forkCall) int {
		defer f.recovers(c)
		less := f.visit(ctx, c)
		if c.depth == 0 {
			return 1
		}
		a, b := k.Join(c.child(0, less[0]), c.child(1, less[1]))
		return 1 + a + b
	}).Run(ctx, root)
}

func (f *forkProgram) runJoin(ctx context.Context, root forkCall) (int, error) {
	var n atomic.Int64
	var tree func(ctx context.Context, c forkCall) error
	tree = func(ctx context.Context, c forkCall) error {
		defer f.recovers(c)
		less := f.visit(ctx, c)
		n.Add(1)
		if c.depth == 0 {
			return nil
		}
		return Join(ctx, f.p,
			func(ctx context.Context) error { return tree(ctx, c.child(0, less[0])) },
			func(ctx context.Context) error { return tree(ctx, c.child(1, less[1])) })
	}
	err := tree(ctx, root)
	return int(n.Load()), err
}

func (f *forkProgram) runRange(ctx context.Context, root forkCall) (int, error) {
	return Reduce(ctx, f.p, f.nodes(root), func(lo, hi int, n int) int {
		for i := lo; i < hi; i++ {
			f.visit(ctx, forkCall{uint64(i), 0})
			n++
		}
		return n
	}, func(a, b int) int { return a + b })
}

// runForkProgram runs the program of the seed.
func runForkProgram(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		opts := []Option{WithWorkers(1 + r.IntN(5)), WithBuffer(r.IntN(6)), WithPanicHandler(func(*PanicError) {})}
		switch r.IntN(6) {
		case 0:
			opts = append(opts, WithTenants(nil))
		case 1:
			opts = append(opts, WithQueueTimeout(100*time.Microsecond))
		case 2:
			opts = append(opts, WithOverflow([]Overflow{Reject, DropOldest, CallerRuns}[r.IntN(3)]))
		}
		p, err := New(append(opts, WithStrategy(strategy))...)
		if err != nil { // options that contradict each other
			t.Skip(err)
		}
		var wg sync.WaitGroup
		for i := range 1 + r.IntN(3) {
			f := &forkProgram{t: t, p: p, seed: seed, ran: map[uint64]int{}}
			ctx, cancel := context.WithCancel(bg)
			f.cancel = cancel
			run := []func(context.Context, forkCall) (int, error){f.runFork, f.runJoin, f.runRange}[(int(seed)+i)%3]
			inside := r.IntN(2) == 0
			root := forkCall{1, r.IntN(9)}
			wg.Go(func() {
				defer cancel()
				job := func(ctx context.Context) (n int, err error) {
					defer func() { // also after a panic, or Goexit, of the first part
						f.over.Store(true)
						if f.g.now.Load() != 0 {
							t.Errorf("seed %d: %d run after the end", seed, f.g.now.Load())
						}
					}()
					return run(ctx, root)
				}
				var n int
				var err error
				if inside {
					n, err = Do(bg, p, func(task context.Context) (int, error) {
						both, stop := context.WithCancel(task)
						defer context.AfterFunc(ctx, stop)()
						defer stop()
						return job(both)
					})
				} else {
					n, err = outside(func() (int, error) { return job(ctx) })
				}
				f.judge(n, err, root)
			})
		}
		wg.Wait()
		_ = p.Close()
		_ = p.Leftover()
		if s := p.Stats(); s.Queued != 0 || s.Running != 0 {
			t.Errorf("seed %d: not at rest: %+v", seed, s)
		}
	})
}

// outside runs f on a goroutine that may end by a panic, or by Goexit, and says so.
func outside(f func() (int, error)) (n int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = ErrGoexit
		defer func() {
			if r := recover(); r != nil {
				err = &PanicError{Value: r}
			}
		}()
		n, err = f()
	}()
	<-done
	return n, err
}

// judge checks what became of the tree.
func (f *forkProgram) judge(n int, err error, root forkCall) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, times := range f.ran {
		if times != 1 {
			f.t.Errorf("seed %d: %d ran %d times", f.seed, name, times)
		}
	}
	allowed := []error{errTest, ErrGoexit, context.Canceled, ErrAborted, ErrClosed, ErrFull, ErrDropped, ErrExpired}
	switch want := f.nodes(root); {
	case err == nil && !f.wild.Load() && (n != want || len(f.ran) != want):
		f.t.Errorf("seed %d: %d counted, %d ran, want %d", f.seed, n, len(f.ran), want)
	case err != nil && f.seed%4 == 0 && !errors.Is(err, ErrFull) && !errors.Is(err, ErrDropped) && !errors.Is(err, ErrExpired):
		f.t.Errorf("seed %d: %v", f.seed, err)
	}
	for _, a := range allowed {
		if err == nil || errors.Is(err, a) {
			return
		}
	}
	f.t.Errorf("seed %d: %v", f.seed, err)
}

func TestForkPrograms(t *testing.T) {
	for seed := range uint64(rounds(400)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runForkProgram(t, seed) })
	}
}

func FuzzFork(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { runForkProgram(t, seed) })
}

// Jobs in real time, of which some fail, on pools that also have other work.
func TestStressFork(t *testing.T) {
	for _, s := range splits {
		for _, workers := range []int{1, 2, 8} {
			p := mustNew(t, WithWorkers(workers), WithBuffer(4), WithPanicHandler(func(*PanicError) {}))
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for round := range rounds(40) {
						const n = 500
						var ran [n]atomic.Int32
						at := -1
						if round%4 == 3 {
							at = round * 37 % n
						}
						ctx, cancel := context.WithCancel(bg)
						job := func(ctx context.Context) error {
							return s.run(ctx, p, n, func(j int) {
								ran[j].Add(1)
								pause(j % 7 * 100)
								switch {
								case j == at && round%8 == 3:
									panic(errTest)
								case j == at:
									cancel()
								case j%100 == i:
									_ = p.TrySubmit(sleep(0))
								}
							})
						}
						var err error
						if i%2 == 0 {
							err = job(ctx)
						} else {
							_, err = Do(bg, p, func(task context.Context) (struct{}, error) {
								both, stop := context.WithCancel(task)
								defer context.AfterFunc(ctx, stop)()
								defer stop()
								return struct{}{}, job(both)
							})
						}
						cancel()
						for j := range ran {
							if times := ran[j].Load(); times > 1 || times == 0 && err == nil {
								t.Errorf("%s: leaf %d ran %d times, error %v", s.name, j, times, err)
							}
						}
						if err != nil && at < 0 {
							t.Errorf("%s: %v", s.name, err)
						}
					}
				})
			}
			wg.Wait()
			must(t, ignore(p.Close(), errTest, context.Canceled))
			checkRest(t, p.Stats())
		}
	}
}

// ignore returns err unless it is one of those.
func ignore(err error, those ...error) error {
	for _, one := range those {
		if errors.Is(err, one) {
			return nil
		}
	}
	return err
}
