package pool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// calls is every call that ends when its context does.
var calls = map[string]func(ctx context.Context, p *Pool) error{
	"Submit":         func(ctx context.Context, p *Pool) error { return p.Submit(ctx, nop) },
	"SubmitBatch":    func(ctx context.Context, p *Pool) error { _, err := p.SubmitBatch(ctx, []Task{nop}); return err },
	"SubmitKeyed":    func(ctx context.Context, p *Pool) error { return p.SubmitKeyed(ctx, 1, nop) },
	"SubmitWeighted": func(ctx context.Context, p *Pool) error { return p.SubmitWeighted(ctx, 2, nop) },
	"Batcher.Add": func(ctx context.Context, p *Pool) (err error) {
		b := p.Batcher()
		for range 3 {
			err = errors.Join(err, b.Add(ctx, nop))
		}
		return err
	},
	"Batcher.Flush": func(ctx context.Context, p *Pool) error {
		b := p.Batcher()
		if err := b.Add(bg, nop); err != nil {
			return err
		}
		return b.Flush(ctx)
	},
	"Wait": func(ctx context.Context, p *Pool) error { return p.Wait(ctx) },
	"Do":   func(ctx context.Context, p *Pool) error { _, err := Do(ctx, p, one); return err },
	"Go": func(ctx context.Context, p *Pool) error {
		_, err := Go(ctx, p, one).Wait(bg)
		return err
	},
	"Future.Wait": func(ctx context.Context, p *Pool) error {
		u := Go(bg, p, func(ctx context.Context) (int, error) { return 0, sleep(time.Hour)(ctx) })
		_, err := u.Wait(ctx)
		return err
	},
	"Group.Wait": func(ctx context.Context, p *Pool) error {
		g := NewGroup(ctx, p)
		g.Go(nop)
		return g.Wait()
	},
	"ForEach": func(ctx context.Context, p *Pool) error {
		return ForEach(ctx, p, slices.Values([]int{1}), func(ctx context.Context, _ int) error { return nop(ctx) })
	},
	"Map": func(ctx context.Context, p *Pool) error { return lastOf(Map(ctx, p, slices.Values([]int{1}), one1)) },
	"MapUnordered": func(ctx context.Context, p *Pool) error {
		return lastOf(MapUnordered(ctx, p, slices.Values([]int{1}), one1))
	},
	"Shutdown": func(ctx context.Context, p *Pool) error { return p.Shutdown(ctx) },
}

var nop = sleep(0)

func one(context.Context) (int, error)       { return 1, nil }
func one1(context.Context, int) (int, error) { return 1, nil }

func lastOf(results func(func(int, error) bool)) (last error) {
	for _, err := range results {
		last = err
	}
	return last
}

// Each call returns the error of its context together with its cause, whether the context has ended before the call or while it waits.
func TestCauseOfAContext(t *testing.T) {
	for name, call := range calls {
		for _, before := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(1), WithBuffer(2), WithCapacity(4), WithBatch(1))
				must(t, p.SubmitKeyed(bg, 1, sleep(time.Hour))) // fills the home of the key too
				synctest.Wait()
				for p.TrySubmit(sleep(time.Hour)) == nil {
				}
				for p.homes.n > 0 && p.SubmitKeyed(bg, 1, sleep(time.Hour)) == nil && p.homeOf(1).hasRoom() {
				}
				ctx, cancel := context.WithCancelCause(bg)
				if before {
					cancel(errTest)
				} else {
					time.AfterFunc(time.Second, func() { cancel(errTest) })
				}
				err := call(ctx, p)
				if !errors.Is(err, context.Canceled) || !errors.Is(err, errTest) {
					t.Errorf("%s, done before: %t: %v", name, before, err)
				}
				p.Abort()
				must(t, p.Close())
			})
		}
	}
}
