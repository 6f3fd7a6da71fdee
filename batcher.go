package pool

import (
	"context"
	"errors"
)

var errBatcherClosed = errors.New("pool: Batcher is closed")

// Batcher collects the tasks of one producer and submits them many at a time. An empty task
// costs about three quarters of what it costs to submit each (benchmarks, -suite batch, AMD EPYC,
// go1.26.8, 2026-11-24). It is made by [Pool.Batcher] and belongs to one goroutine at a time:
// its methods must not be called concurrently.
//
// It holds up to [WithBatch] tasks, beyond the bound of [WithBuffer]. They go to the
// queue when it is full, on Flush and Close, when a worker is free, at the latest
// [WithLinger] after they came, if there is room, and when the pool is closed. So nothing is lost
// with it, and at low load nothing waits in it.
//
// It backfires under a load of long tasks, without WithLinger: what it holds waits until a worker
// is free, though others submitted later. Under [CallerRuns] it waits also while its producer runs one of
// its tasks. With tasks of 100 ns and more it gains nothing.
type Batcher struct{ b *batcher[Task] }

// Batcher returns a new Batcher. Close it when its producer ends: the pool keeps those that
// are open.
func (p *Pool) Batcher() *Batcher { return &Batcher{p.newBatcher()} }

// Add buffers task. When there is no room in the Batcher and none in the queue, it waits as
// Submit does, under the pool's overflow policy, with ctx bounding that wait. On
// success the task is run or, if the pool is aborted, handed back by Leftover; on failure it
// is neither. The errors are those of Submit.
//
// A task is accepted, as Wait and Stats see it, when it goes to the queue.
func (b *Batcher) Add(ctx context.Context, task Task) error {
	if task == nil {
		return b.b.e.reject(ErrNilTask)
	}
	return b.b.submit(ctx, task)
}

// Flush submits what the Batcher holds and waits for room until ctx is done. On an error what
// was not submitted stays in the Batcher.
func (b *Batcher) Flush(ctx context.Context) error { return b.b.flushNow(ctx) }

// Close is Flush, without a bound, and ends the use of the Batcher. When the pool was
// closed before, that has flushed it. A second Close does nothing.
func (b *Batcher) Close() error { return b.b.close() }

// TypedBatcher is [Batcher] for a [Typed].
type TypedBatcher[T any] struct{ b *batcher[T] }

// Batcher is [Pool.Batcher].
func (p *Typed[T]) Batcher() *TypedBatcher[T] { return &TypedBatcher[T]{p.newBatcher()} }

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
	if err := ctx.Err(); err != nil {
		return b.e.reject(err)
	}
	if b.e.direct() {
		return b.e.submit(ctx, v)
	}
	return b.add(ctx, v)
}

func (b *batcher[T]) flushNow(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	return b.flush(ctx, flushAsked)
}
