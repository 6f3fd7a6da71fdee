package main

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/headrace-go/pool"
)

// buffer measures the pool alone, by the size of its queue: how much of it the
// throughput needs, and what it costs in memory.
func buffer(h *harness) error {
	n := runtime.GOMAXPROCS(0)
	sizes := []int{1, 2, 4, 16, 64, 256, 1024, 4096, 16384}
	var cs []contender
	for _, size := range sizes {
		cs = append(cs, contender{name: strconv.Itoa(size), counts: true, open: openWith(pool.WithBuffer(size))})
	}
	var all []*results
	for _, work := range []time.Duration{0, time.Microsecond} {
		for _, producers := range []int{1, 16} {
			row := fmt.Sprintf("work=%v/N=%d/P=%d", work, n, producers)
			if !h.wants(row) {
				continue
			}
			s := shape{workers: n, producers: producers}
			if work > 0 {
				s.iters = h.iters(work)
			}
			all = append(all, h.throughputRow(row, "1024", cs, s))
		}
	}
	rows := summary("WithBuffer: ns (speed-up)", all, 0)
	rows[0] = slices.Insert(rows[0], 1, "bytes of New")
	for k, row := range rows[1:] {
		rows[k+1] = slices.Insert(row, 1, strconv.FormatUint(newBytes(h, cs[k], n), 10))
	}
	printTable(h.out, rows)
	return nil
}

// newBytes returns what making the contender allocates, beside its load.
func newBytes(h *harness, c contender, workers int) uint64 {
	l := new(load)
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		x := c.open(h, workers, l)
		runtime.ReadMemStats(&after)
		x.close()
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// panics measures what it costs the pool to be ready for a panic: empty tasks,
// none of which panics, with and without a handler.
func panics(h *harness) error {
	n := runtime.GOMAXPROCS(0)
	cs := []contender{
		{name: "crash", counts: true, open: openPool},
		{name: "handler", counts: true, open: openWith(pool.WithPanicHandler(func(*pool.PanicError) {}))},
	}
	for _, producers := range []int{1, 16} {
		if row := fmt.Sprintf("panics/N=%d/P=%d", n, producers); h.wants(row) {
			h.throughputRow(row, "crash", cs, shape{workers: n, producers: producers})
		}
	}
	return nil
}
