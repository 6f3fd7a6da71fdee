package pool

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/headrace-go/pool/internal/hist"
)

// ProcessStats is a snapshot of the whole process, pools and all else. With it [Diagnose] tells
// tasks that compute from tasks that wait.
type ProcessStats struct {
	// Procs is GOMAXPROCS.
	Procs int
	// CPU is the processor time used since the start of the process, by getrusage; 0 where there is
	// none.
	CPU time.Duration
	// GC is how much of CPU the garbage collector has used, as of the end of its last cycle.
	GC time.Duration
	// MutexWait is how long goroutines were blocked on sync.Mutex and sync.RWMutex, all together.
	MutexWait time.Duration
	// Running is how many goroutines run, including the caller. Runnable is how many are ready to
	// run and wait for a processor.
	Running, Runnable int
	// Latency is how long goroutines that were ready waited for a processor.
	Latency Histogram
}

// ReadProcess returns a snapshot, by package runtime/metrics. It takes 10 µs (go test -bench
// Observe, AMD EPYC, 2026-12-01). Any goroutine may call it. [Pool.Observe] calls it; [Pool.Stats]
// does not.
func ReadProcess() *ProcessStats {
	samples := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/sync/mutex/wait/total:seconds"},
		{Name: "/sched/goroutines/running:goroutines"},
		{Name: "/sched/goroutines/runnable:goroutines"},
		{Name: "/sched/latencies:seconds"},
	}
	metrics.Read(samples)
	p := &ProcessStats{Procs: runtime.GOMAXPROCS(0), CPU: cpuTime()}
	duration := func(v metrics.Value) time.Duration {
		if v.Kind() != metrics.KindFloat64 { // this version of Go has no such metric
			return 0
		}
		return time.Duration(v.Float64() * float64(time.Second))
	}
	number := func(v metrics.Value) int {
		if v.Kind() != metrics.KindUint64 {
			return 0
		}
		return int(v.Uint64())
	}
	p.GC, p.MutexWait = duration(samples[0].Value), duration(samples[1].Value)
	p.Running, p.Runnable = number(samples[2].Value), number(samples[3].Value)
	if v := samples[4].Value; v.Kind() == metrics.KindFloat64Histogram {
		p.Latency = fromRuntime(v.Float64Histogram())
	}
	return p
}

// fromRuntime returns a histogram of the runtime, in seconds, in our buckets.
func fromRuntime(h *metrics.Float64Histogram) Histogram {
	var l hist.Live
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		low, high := h.Buckets[i], h.Buckets[i+1]
		if math.IsInf(low, -1) {
			low = 0
		}
		if math.IsInf(high, 1) {
			high = low
		}
		l.AddN(time.Duration((low+high)/2*float64(time.Second)), n)
	}
	return histogram(l.Snapshot())
}
