package pool

import (
	"context"
	"errors"
)

var errBatcherClosed = errors.New("pool: Batcher is closed")

// Batcher collects the tasks of one producer and submits many at a time. An empty task then costs
// about three quarters of what Submit costs (benchmarks, -suite batch, AMD EPYC, go1.26.8,
// 2026-11-24). [Pool.Batcher] makes a Batcher. It belongs to one goroutine at a time: its methods
// must not be called concurrently.
//
// A Batcher holds up to [WithBatch] tasks, in addition to the buffer of the pool. It submits them
// when it is full, when a worker is free, on Flush and Close, when the pool is closed, and, if
// there is room, at the latest [WithLinger] after they came. So the pool loses none of them, and at
// low load none waits in the Batcher.
//
// It backfires under a load of long tasks, without WithLinger: what it holds waits until a worker
// is free, and later submissions of others overtake it. Under [CallerRuns] it also waits while its
// producer runs one of its tasks. With tasks of 100 ns and more it gains nothing.
type Batcher struct{ b *batcher[Task] }

// Batcher returns a new Batcher. Close it when its producer ends: the pool keeps every open one.
func (p *Pool) Batcher() *Batcher { return &Batcher{p.made().newBatcher()} }

// Add takes task. When the Batcher and the pool are full, Add waits as Submit does, under the
// pool's overflow policy, until ctx is done. If it returns nil the task runs, or [Pool.Leftover]
// returns it if the pool is aborted. If it returns an error neither happens. The errors are those
// of Submit.
//
// The pool accepts the task, in the sense of Wait and Stats, when the task goes to the queue. Wait
// does not count it as submitted by the task that called Add.
func (b *Batcher) Add(ctx context.Context, task Task) error {
	if task == nil {
		return b.b.e.reject(ErrNilTask)
	}
	return b.b.submit(ctx, task)
}

// Flush submits what the Batcher holds, and waits for room until ctx is done. After an error the
// Batcher still holds what was not submitted.
func (b *Batcher) Flush(ctx context.Context) error { return b.b.flushNow(ctx) }

// Close is Flush without a time limit, and ends the use of the Batcher. If the pool was closed
// before, the pool has taken the tasks already. A second Close does nothing.
func (b *Batcher) Close() error { return b.b.close() }

// TypedBatcher is [Batcher] for a [Typed].
type TypedBatcher[T any] struct{ b *batcher[T] }

// Batcher is [Pool.Batcher].
func (p *Typed[T]) Batcher() *TypedBatcher[T] { return &TypedBatcher[T]{p.made().newBatcher()} }

// Add is [Batcher.Add].
func (b *TypedBatcher[T]) Add(ctx context.Context, job T) error { return b.b.submit(ctx, job) }

// Flush is [Batcher.Flush].
func (b *TypedBatcher[T]) Flush(ctx context.Context) error { return b.b.flushNow(ctx) }

// Close is [Batcher.Close].
func (b *TypedBatcher[T]) Close() error { return b.b.close() }

// submit is add for a caller that is not trusted.
func (b *batcher[T]) submit(ctx context.Context, v T) error {
	switch {
	case ctx == nil:
		return b.e.reject(errNilContext)
	case b.closed:
		return b.e.reject(errBatcherClosed)
	}
	if err := endOf(ctx); err != nil {
		return b.e.reject(err)
	}
	return b.add(ctx, v)
}

func (b *batcher[T]) flushNow(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	return b.flush(ctx, flushAsked, 0)
}
