package main

import (
	"context"
	"sync"

	"github.com/headrace-go/pool"
)

// A way of handing lines over to workers.
type way struct {
	name  string
	count func(ctx context.Context, s settings, lines []string) (*summary, error)
}

var ways = []way{
	{"channel", byChannel},
	{"Submit", typed(func(ctx context.Context, _ settings, p *pool.Typed[string], lines []string) error {
		for _, line := range lines {
			if err := p.Submit(ctx, line); err != nil {
				return err
			}
		}
		return nil
	})},
	{"Batcher", typed(func(ctx context.Context, _ settings, p *pool.Typed[string], lines []string) error {
		b := p.Batcher()
		for _, line := range lines {
			if err := b.Add(ctx, line); err != nil {
				return err
			}
		}
		return b.Close()
	})},
	{"SubmitBatch", typed(submitAll)},
	{"typed batch", typedBatch},
}

// submitAll submits the lines in slices.
func submitAll(ctx context.Context, s settings, p *pool.Typed[string], lines []string) error {
	for len(lines) > 0 {
		n, err := p.SubmitBatch(ctx, lines[:min(s.batch, len(lines))])
		if err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

// byChannel is the plain code.
func byChannel(ctx context.Context, s settings, lines []string) (*summary, error) {
	ch := make(chan string, pool.DefaultBuffer)
	parts := make([]*summary, s.workers)
	var wg sync.WaitGroup
	for i := range parts {
		part := newSummary()
		parts[i] = part
		wg.Go(func() {
			for line := range ch {
				part.add(line, s.work)
			}
		})
	}
	var err error
	for _, line := range lines {
		select {
		case ch <- line:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			break
		}
	}
	close(ch)
	wg.Wait()
	return total(parts), err
}

// A ledger collects the summaries of the workers of a pool.
type ledger struct {
	mu    sync.Mutex
	parts []*summary
}

// options are those of a pool each of whose workers has a summary of its own.
func (l *ledger) options(s settings) []pool.Option {
	return []pool.Option{
		pool.WithWorkers(s.workers),
		pool.WithBatch(s.batch),
		pool.WithState(func(context.Context) (*summary, error) { return newSummary(), nil }, func(part *summary) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.parts = append(l.parts, part)
		}),
	}
}

// finish submits the lines with f and ends the pool: orderly, or at once if that
// failed.
func (l *ledger) finish(p *pool.Typed[string], f func() error) (*summary, error) {
	err := f()
	if err != nil {
		p.Abort()
	}
	if e := p.Close(); err == nil {
		err = e
	}
	return total(l.parts), err
}

// typed counts with a handler for single lines, which submit hands over.
func typed(submit func(context.Context, settings, *pool.Typed[string], []string) error) func(context.Context, settings, []string) (*summary, error) {
	return func(ctx context.Context, s settings, lines []string) (*summary, error) {
		var l ledger
		p, err := pool.NewTyped(func(ctx context.Context, line string) error {
			part, err := pool.StateOf[*summary](ctx)
			if err == nil {
				part.add(line, s.work)
			}
			return err
		}, l.options(s)...)
		if err != nil {
			return nil, err
		}
		return l.finish(p, func() error { return submit(ctx, s, p, lines) })
	}
}

// typedBatch counts with a handler for slices of lines.
func typedBatch(ctx context.Context, s settings, lines []string) (*summary, error) {
	var l ledger
	p, err := pool.NewTypedBatch(func(ctx context.Context, lines []string) error {
		part, err := pool.StateOf[*summary](ctx)
		if err != nil {
			return err
		}
		for _, line := range lines {
			part.add(line, s.work)
		}
		return nil
	}, l.options(s)...)
	if err != nil {
		return nil, err
	}
	return l.finish(p, func() error { return submitAll(ctx, s, p, lines) })
}
