package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/headrace-go/pool"
)

// way is a way of submitting a task.
type way int

const (
	bySubmit way = iota
	byTry
	byBatch
	byKey
	byWeight
	byBatcher
	byGroup
	byFuture
	byDo
	byForEach
	byMap
	byUnordered
	ways
)

var wayNames = [ways]string{"Submit", "TrySubmit", "SubmitBatch", "SubmitKeyed", "SubmitWeighted", "Batcher.Add",
	"Group.Go", "Go", "Do", "ForEach", "Map", "MapUnordered"}

func (w way) String() string { return wayNames[w] }

// tally counts what was done under one strategy.
type tally struct {
	lives, resizes, collected, nested, waits      atomic.Int64
	run, failed, panicked, goexited               atomic.Int64
	dropped, leftover, refused, peak, interrupted atomic.Int64

	by [ways]atomic.Int64
}

// highest makes v the peak, if it is one.
func (t *tally) highest(v int64) {
	for old := t.peak.Load(); v > old && !t.peak.CompareAndSwap(old, v); old = t.peak.Load() {
	}
}

func (t *tally) print(out io.Writer, st pool.Strategy) {
	var by []string
	for w := range ways {
		by = append(by, fmt.Sprintf("%v %d", w, t.by[w].Load()))
	}
	fmt.Fprintf(out, "%v: %d lives, %d resizes, at most %d goroutines\n", st, t.lives.Load(), t.resizes.Load(), t.peak.Load())
	fmt.Fprintf(out, "  submissions  %s; %d of them by tasks\n", strings.Join(by, ", "), t.nested.Load())
	fmt.Fprintf(out, "  outcomes     run %d, of which failed %d, panicked %d, goexited %d; dropped %d, leftover %d, refused %d, unknown to the submitter %d\n",
		t.run.Load(), t.failed.Load(), t.panicked.Load(), t.goexited.Load(), t.dropped.Load(), t.leftover.Load(), t.refused.Load(), t.interrupted.Load())
	fmt.Fprintf(out, "  checks       %d waits, %d payloads collected\n", t.waits.Load(), t.collected.Load())
}
