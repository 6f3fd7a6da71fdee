package pool

import (
	"context"
	"errors"
)

// Typed is a [Pool] whose jobs are values of type T for one handler, instead of
// closures: submitting a job allocates nothing.
type Typed[T any] struct {
	engine[T]
}

// NewTyped returns a pool that runs handle for each job. The options are those of
// [New]. The context that handle gets is that of [Task].
//
// It backfires for a large T: jobs are copied into and out of the queue. Use a
// pointer above about 64 bytes.
func NewTyped[T any](handle func(context.Context, T) error, opts ...Option) (*Typed[T], error) {
	if handle == nil {
		return nil, errors.New("pool: NewTyped: handler is nil")
	}
	p := new(Typed[T])
	if err := p.init(handle, opts); err != nil {
		return nil, err
	}
	return p, nil
}

// made is Pool.made.
func (p *Typed[T]) made() *engine[T] {
	if p == nil || p.handle == nil {
		panic(notMade)
	}
	return &p.engine
}

// Submit is [Pool.Submit] for a job.
func (p *Typed[T]) Submit(ctx context.Context, job T) error { return p.made().submit(ctx, job) }

// TrySubmit is [Pool.TrySubmit] for a job.
func (p *Typed[T]) TrySubmit(job T) error { return p.made().trySubmit(job) }

// SubmitBatch is [Pool.SubmitBatch] for jobs.
func (p *Typed[T]) SubmitBatch(ctx context.Context, jobs []T) (n int, err error) {
	return p.made().submitBatch(ctx, jobs)
}

// SubmitKeyed is [Pool.SubmitKeyed] for a job.
func (p *Typed[T]) SubmitKeyed(ctx context.Context, key uint64, job T) error {
	return p.made().submitKeyed(ctx, key, job)
}

// SubmitWeighted is [Pool.SubmitWeighted] for a job.
func (p *Typed[T]) SubmitWeighted(ctx context.Context, weight int64, job T) error {
	return p.made().submitWeighted(ctx, weight, job)
}

// SubmitAs is [Pool.SubmitAs] for a job.
func (p *Typed[T]) SubmitAs(ctx context.Context, a Attrs, job T) error {
	return p.made().submitAs(ctx, a, job)
}

// TrySubmitAs is [Pool.TrySubmitAs] for a job.
func (p *Typed[T]) TrySubmitAs(a Attrs, job T) error { return p.made().trySubmitAs(a, job) }

// Leftover is [Pool.Leftover] for jobs.
func (p *Typed[T]) Leftover() []T { return p.takeLeftover() }
