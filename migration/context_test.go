package migration

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/headrace-go/pool"
)

type key struct{}

// TestContexts is of who sees the values and the end of its caller's context.
func TestContexts(t *testing.T) {
	one := slices.Values([]int{1})
	for name, c := range map[string]struct {
		want bool
		run  func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error))
	}{
		"Submit": {false, func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error)) {
			_ = p.Submit(ctx, func(ctx context.Context) error { _, err := f(ctx); return err })
		}},
		"Group": {true, func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error)) {
			pool.NewGroup(ctx, p).Go(func(ctx context.Context) error { _, err := f(ctx); return err })
		}},
		"Go": {true, func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error)) { pool.Go(ctx, p, f) }},
		"Do": {true, func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error)) {
			_, _ = pool.Do(ctx, p, f)
		}},
		"ForEach": {true, func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error)) {
			_ = pool.ForEach(ctx, p, one, func(ctx context.Context, _ int) error { _, err := f(ctx); return err })
		}},
		"Map": {true, func(ctx context.Context, p *pool.Pool, f func(context.Context) (int, error)) {
			for range pool.Map(ctx, p, one, func(ctx context.Context, _ int) (int, error) { return f(ctx) }) {
			}
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.WithValue(bg, key{}, name), time.Minute)
			defer cancel()
			var value any
			var end error
			p := newPool(t)
			c.run(ctx, p, func(ctx context.Context) (int, error) {
				time.Sleep(time.Hour)
				value, end = ctx.Value(key{}), ctx.Err()
				return 0, nil
			})
			wantIs(t, "Close", p.Close(), nil)
			if (value == name) != c.want || (end == context.DeadlineExceeded) != c.want {
				t.Errorf("sees the value %v and the end %v, want them: %t", value, end, c.want)
			}
		})
	}
}
