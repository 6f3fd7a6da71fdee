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
func buffer(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	cs := buffers()
	var rows []row
	for _, work := range []time.Duration{0, time.Microsecond} {
		for _, producers := range []int{1, 16} {
			s := shape{workers: n, producers: producers}
			if work > 0 {
				s.iters = h.iters(work)
			}
			rows = append(rows, h.throughputRow(fmt.Sprintf("buffer/work=%v/N=%d/P=%d", work, n, producers), "1024", cs, s))
		}
	}
	return rows
}

// buffers are the pool with queues of several sizes.
func buffers() (cs []contender) {
	for _, size := range []int{1, 2, 4, 16, 64, 256, 1024, 4096, 16384} {
		cs = append(cs, contender{name: strconv.Itoa(size), counts: true, open: openWith(pool.WithBuffer(size))})
	}
	return cs
}

// bufferBytes prints the summary of the buffer suite, with what the pools allocate.
func bufferBytes(h *harness, all []*results) {
	rows := summary("WithBuffer: ns (speed-up)", all, 0)
	if len(all) == 0 {
		return
	}
	rows[0] = slices.Insert(rows[0], 1, "bytes of New")
	for k, c := range buffers() {
		rows[k+1] = slices.Insert(rows[k+1], 1, strconv.FormatUint(newBytes(h, c, runtime.GOMAXPROCS(0)), 10))
	}
	printTable(h.out, rows)
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
func panics(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	cs := []contender{
		{name: "crash", counts: true, open: openPool},
		{name: "handler", counts: true, open: openWith(pool.WithPanicHandler(func(*pool.PanicError) {}))},
	}
	var rows []row
	for _, producers := range []int{1, 16} {
		rows = append(rows, h.throughputRow(fmt.Sprintf("panics/N=%d/P=%d", n, producers), "crash", cs,
			shape{workers: n, producers: producers}))
	}
	return rows
}
