// Package errgroup has the API of golang.org/x/sync/errgroup, over [pool.Group]. It shows that
// pool.Group can replace errgroup; ../README.md lists the differences.
package errgroup

import (
	"context"
	"sync"

	"github.com/headrace-go/pool"
)

// shared runs the tasks of all groups. It gives each task a goroutine, which ends with the task. So
// it is never full, and nothing of it is left at rest.
var shared = func() *pool.Pool {
	p, err := pool.New(pool.WithStrategy(pool.Elastic), pool.WithWorkers(1<<24), pool.WithBuffer(0))
	if err != nil {
		panic(err)
	}
	return p
}()

// Group is a set of goroutines. The zero value has no limit, and does not cancel on error.
type Group struct {
	made   sync.Once
	tasks  *pool.Group
	cancel context.CancelCauseFunc // nil: not made by WithContext

	first sync.Once
	err   error // of the first task that returned one
}

// WithContext returns a group, and a context that ends at the group's first error or when Wait
// returns.
func WithContext(ctx context.Context) (*Group, context.Context) {
	g := new(Group)
	g.make(context.WithoutCancel(ctx)) // the group goes on when its context ends
	ctx, g.cancel = context.WithCancelCause(ctx)
	return g, ctx
}

// make makes the pool's group. It keeps going: all tasks run, also after an error.
func (g *Group) make(ctx context.Context) {
	g.made.Do(func() {
		g.tasks = pool.NewGroup(ctx, shared)
		g.tasks.SetErrorMode(pool.KeepGoing)
		g.tasks.SetErrorLimit(1)
	})
}

func (g *Group) group() *pool.Group {
	g.make(context.Background())
	return g.tasks
}

func (g *Group) task(f func() error) pool.Task {
	return func(context.Context) error {
		err := f()
		if err != nil {
			g.first.Do(func() {
				g.err = err
				if g.cancel != nil {
					g.cancel(err)
				}
			})
		}
		return err
	}
}

// Go runs f in a goroutine. It waits while the limit is reached.
func (g *Group) Go(f func() error) { g.group().Go(g.task(f)) }

// TryGo is Go if the limit is not reached. It reports whether it started f.
func (g *Group) TryGo(f func() error) bool { return g.group().TryGo(g.task(f)) }

// SetLimit bounds the number of goroutines to n. A negative n is no bound.
func (g *Group) SetLimit(n int) { g.group().SetLimit(n) }

// Wait waits for all goroutines and returns the first error.
//
// The pool's group orders the errors of a group that keeps going by the calls of Go, so Wait
// returns the first error in time, which task notes.
func (g *Group) Wait() error {
	err := g.group().Wait()
	if g.err != nil {
		err = g.err
	}
	if g.cancel != nil {
		g.cancel(err)
	}
	return err
}
