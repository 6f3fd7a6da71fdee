package pool

import (
	"context"
	"errors"
)

// Typed is a [Pool] for jobs: values of type T that one handler processes. Submitting a job
// allocates nothing, since there is no closure.
type Typed[T any] struct {
	engine[T]
}

// NewTyped returns a pool that runs handle for each job. Its options are those of [New]. handle
// gets a context as a [Task] does.
//
// It backfires for a large T: the pool copies jobs into and out of the queue. Use a pointer above
// about 64 bytes.
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

// made returns the engine of a pool that NewTyped or NewTypedBatch has made.
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
