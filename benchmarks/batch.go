package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/headrace-go/pool"
)

// batches measures tasks that are handed over many at a time. The baseline is one send for
// each on the hand-made channel pool.
func batches(h *harness) []row {
	cs := []contender{
		{name: baseline, counts: true, open: openChannel},
		{name: "submit", counts: true, open: openPool},
		{name: "batch-64", counts: true, open: openBatches(64)},
		{name: "batch-256", counts: true, open: openBatches(256)},
		{name: "batcher", counts: true, open: openBatcher},
		{name: "typed-256", counts: true, open: openTypedBatches},
		{name: "handler-64", counts: true, open: openHandler},
	}
	n := runtime.GOMAXPROCS(0)
	var rows []row
	for _, producers := range []int{1, 16} {
		for _, work := range []time.Duration{0, 100 * time.Nanosecond, time.Microsecond, 10 * time.Microsecond, time.Millisecond} {
			name := fmt.Sprintf("batch/work=%v/N=%d/P=%d", work, n, producers)
			s := shape{workers: n, producers: producers}
			if work > 0 {
				s.iters = h.iters(work)
			}
			w := h.throughputRow(name, baseline, h.among(cs), s)
			w.group = fmt.Sprintf("ns per task (speed-up), P=%d", producers)
			rows = append(rows, w)
		}
	}
	return append(rows, h.poissonRow("load=1%/N=8", h.among([]contender{
		{name: baseline, open: openChannel},
		{name: "unbatched", open: openWith(pool.WithBatch(1))},
		{name: "submit", open: openPool},
		{name: "batcher", open: openKeptBatcher},
	}), 1))
}

// batcherInstance has a Batcher for each producer.
type batcherInstance struct{ *poolInstance }

func openBatcher(h *harness, workers int, l *load) instance {
	return batcherInstance{newPool(h, workers, l)}
}

func (x batcherInstance) submit(from, to int) {
	b := x.p.Batcher()
	for i := from; i < to; i++ {
		if err := b.Add(background, x.fns[i&x.mask]); err != nil {
			must(err)
		}
	}
	must(b.Close())
}

// keptBatcher has one Batcher for its only producer.
type keptBatcher struct {
	*poolInstance
	b *pool.Batcher
}

func openKeptBatcher(h *harness, workers int, l *load) instance {
	x := newPool(h, workers, l)
	return keptBatcher{x, x.p.Batcher()}
}

func (x keptBatcher) submit(from, to int) {
	for i := from; i < to; i++ {
		must(x.b.Add(background, x.fns[i&x.mask]))
	}
}

// typedBatches submits numbers in slices of 256.
type typedBatches struct{ p *pool.Typed[int] }

func openTypedBatches(h *harness, workers int, l *load) instance {
	p, err := pool.NewTyped(l.handle, pool.WithWorkers(workers), pool.WithBuffer(h.buffer))
	must(err)
	return typedBatches{p}
}

// openHandler is for a handler that gets slices.
func openHandler(h *harness, workers int, l *load) instance {
	p, err := pool.NewTypedBatch(func(ctx context.Context, jobs []int) error {
		for _, i := range jobs {
			_ = l.handle(ctx, i)
		}
		return nil
	}, pool.WithWorkers(workers), pool.WithBuffer(h.buffer))
	must(err)
	return typedBatches{p}
}

func (x typedBatches) submit(from, to int) {
	jobs := make([]int, 0, 256)
	for i := from; i < to; i++ {
		if jobs = append(jobs, i); len(jobs) == cap(jobs) || i == to-1 {
			for len(jobs) > 0 {
				n, err := x.p.SubmitBatch(background, jobs)
				must(err)
				jobs = slices.Delete(jobs, 0, n)
			}
		}
	}
}

func (x typedBatches) wait()  { must(x.p.Wait(background)) }
func (x typedBatches) close() { must(x.p.Close()) }
