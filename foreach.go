package pool

import (
	"context"
	"iter"
)

// ForEach calls f in the pool for each value of seq, and returns when all calls have ended: nil, or
// the first error, which cancels the contexts of the other calls and ends the loop.
// When ctx is done, or the pool stops, it returns that error when the calls at work have ended.
//
// The sequence runs on the caller's goroutine, and there is a window: the loop takes a value only while
// fewer than workers + n earlier ones have not ended. [WithResultBuffer] sets n; it defaults to the number
// of workers. While f is tiny (below about 20 µs) and workers cannot keep
// up, they take up to 64 values at a time, and the window is as many times larger, unless
// WithResultBuffer is set. It is never larger than 65,536 values. The sequence may be infinite, and it may block.
//
// f gets a context with ctx's values, which is cancelled at the first error, when ctx is, and when the pool
// stops. A panic in f ends the program or, under [WithPanicHandler], is an error; Goexit is [ErrGoexit].
//
// Inside a task of the same pool, called with that task's context, ForEach works with the other
// workers, so it completes with one worker too.
//
// It backfires for an f below 100 ns: submitting a value costs more than f itself. Iterate over
// slices.Chunk of the values then.
func ForEach[T any](ctx context.Context, p *Pool, seq iter.Seq[T], f func(context.Context, T) error) error {
	switch {
	case ctx == nil:
		return errNilContext
	case f == nil:
		return ErrNilTask
	case seq == nil:
		return errNilSequence
	}
	if err := endOf(ctx); err != nil {
		return err
	}
	l := newLoop(ctx, p, sinkNone, func(ctx context.Context, v T) (struct{}, error) { return struct{}{}, f(ctx, v) })
	return l.each(seq)
}

func (l *loop[T, R]) each(seq iter.Seq[T]) error {
	defer l.end()
	for v := range seq {
		if w := l.window(); l.added-l.finished.Load() >= w {
			l.await(l.added - w + max(1, min(w/2, uint64(l.slack)*uint64(l.grain.Load()))))
		}
		if l.narrow() {
			l.await(l.added)
			l.widen()
		}
		if l.over() {
			return l.endError(false)
		}
		l.add(v)
	}
	l.await(l.added)
	return l.endError(l.finished.Load() == l.added)
}

// Map calls f in the pool for each value of seq and yields the results in the order of the values, each
// with its error. An error does not end it. When ctx is done, or the pool stops, the last pair has that
// error.
//
// Nothing happens before the result is iterated. The sequence runs on the iterating goroutine,
// with a window as for [ForEach], which counts values until their results are yielded. So the window
// bounds memory, a slow consumer slows the sequence down, and an infinite sequence works. The loop yields
// results between the sequence's values, as soon as they are next in order: a sequence that blocks
// holds them back.
//
// Breaking out of the loop cancels the contexts of the calls at work and waits for their end.
//
// It backfires when durations differ much: a slow call holds up the results behind it, and when
// the window is full, the loop. [MapUnordered] does not.
func Map[T, R any](ctx context.Context, p *Pool, seq iter.Seq[T], f func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return mapped(ctx, p, sinkOrdered, seq, f)
}

// MapUnordered is [Map] with the results in the order in which they come.
func MapUnordered[T, R any](ctx context.Context, p *Pool, seq iter.Seq[T], f func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return mapped(ctx, p, sinkUnordered, seq, f)
}

func mapped[T, R any](ctx context.Context, p *Pool, sink sink, seq iter.Seq[T], f func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var zero R
		switch {
		case ctx == nil:
			yield(zero, errNilContext)
			return
		case f == nil:
			yield(zero, ErrNilTask)
			return
		case seq == nil:
			yield(zero, errNilSequence)
			return
		}
		if err := endOf(ctx); err != nil {
			yield(zero, err)
			return
		}
		l := newLoop(ctx, p, sink, f)
		if err := l.results(seq, yield); err != nil {
			yield(zero, err)
		}
	}
}

// results yields the results. It returns the error that ended the loop, if it was neither the
// consumer nor the sequence.
func (l *loop[T, R]) results(seq iter.Seq[T], yield func(R, error) bool) error {
	defer l.end()
	for v := range seq {
		for {
			if !l.yieldReady(yield) {
				return nil
			}
			if l.added-l.yielded < l.window() || l.over() {
				break
			}
			l.awaitResult()
		}
		if l.narrow() {
			if !l.yieldAll(yield) {
				return nil
			}
			l.widen()
		}
		if l.over() {
			return l.endError(false)
		}
		l.add(v)
	}
	if !l.yieldAll(yield) {
		return nil
	}
	return l.endError(l.yielded == l.added)
}

// yieldAll yields all results of what was added. It reports false if the consumer wants no more.
func (l *loop[T, R]) yieldAll(yield func(R, error) bool) bool {
	for l.yielded < l.added && !l.over() {
		if !l.yieldReady(yield) {
			return false
		}
		if l.yielded < l.added {
			l.awaitResult()
		}
	}
	return true
}

// awaitResult waits for results, for half of those that are on their way while they are tiny.
func (l *loop[T, R]) awaitResult() {
	if l.hasResult() {
		return
	}
	done := l.finished.Load()
	want := done + 1
	if l.grain.Load() > 1 {
		want = max(want, l.yielded+(l.added-l.yielded)/2)
	}
	if l.hasResult() { // after finished was read
		return
	}
	l.await(min(want, l.added))
}

// hasResult reports whether there is a result to yield.
func (l *loop[T, R]) hasResult() bool {
	if l.sink == sinkOrdered {
		return l.cells[l.yielded%uint64(len(l.cells))].n.Load() > 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ready) > 0
}

// yieldReady yields the results that there are.
func (l *loop[T, R]) yieldReady(yield func(R, error) bool) bool {
	if l.sink == sinkUnordered {
		l.mu.Lock()
		ready := l.ready
		l.ready = nil
		l.mu.Unlock()
		for i := range ready {
			l.yielded++
			if !yield(ready[i].out, ready[i].err) {
				return false
			}
		}
		return true
	}
	size := uint64(len(l.cells))
	for l.yielded < l.added {
		n := l.cells[l.yielded%size].n.Swap(0)
		if n == 0 {
			break
		}
		for range n {
			c := &l.cells[l.yielded%size]
			out, err := c.out, c.err
			var zero R
			c.out, c.err = zero, nil
			l.yielded++
			if !yield(out, err) {
				return false
			}
		}
	}
	return true
}
