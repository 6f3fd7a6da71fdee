package pool

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"go.uber.org/automaxprocs/maxprocs"
)

// maxWorkers bounds every size; more goroutines than this are a mistake.
const maxWorkers = 1 << 24

// Sizing says how many workers a pool has. The zero value is [CPU]; see also
// [Fixed], [IO], [Mixed] and [LittlesLaw].
type Sizing struct {
	name    string // as it is written in an option, for messages
	n       int    // the size, when perProc is 0
	perProc int    // workers for each of GOMAXPROCS
	bad     string // what is wrong with the arguments
}

// Fixed is exactly n workers, 1 <= n <= 1<<24.
//
// It backfires when n is copied from another machine: measure, or use [CPU].
func Fixed(n int) Sizing { return sized(fmt.Sprintf("Fixed(%d)", n), n) }

// CPU is one worker for each of [runtime.GOMAXPROCS]. It is the default. The number follows
// GOMAXPROCS while the pool runs: since Go 1.25 the runtime adjusts GOMAXPROCS by itself when the
// CPU quota of the container changes.
//
// The pool has no goroutine or timer that watches GOMAXPROCS. It looks when a worker is about to be
// woken or to park, and when Stats is called. While all workers are busy and tasks are queued, it
// looks after 100 ms and then at growing intervals. [Pool.Resize] ends this.
//
// It backfires for tasks that wait (network, disk, locks): cores are idle while the workers are
// blocked. Use [IO] or [LittlesLaw] for those.
func CPU() Sizing { return Sizing{name: "CPU()", perProc: 1} }

// IO is n workers for tasks that mostly wait. n is how much the resource that they wait for can
// take at a time: the connection limit of a database, the concurrency limit of a service.
//
// It backfires when n is larger than that: tasks then queue in the resource, where nobody sees or
// bounds the queue.
func IO(n int) Sizing { return sized(fmt.Sprintf("IO(%d)", n), n) }

// Mixed is two workers for each of [runtime.GOMAXPROCS], for tasks that compute and wait in about
// equal parts. The number follows GOMAXPROCS as that of [CPU] does.
//
// It backfires for tasks that only compute (more switches and a larger working set, no more
// throughput), and for tasks that wait much longer than they compute.
func Mixed() Sizing { return Sizing{name: "Mixed()", perProc: 2} }

// LittlesLaw is as many workers as are busy on average when perSecond tasks arrive each second and
// each takes latency: L = λW (J. D. C. Little, "A Proof for the Queuing Formula", Operations
// Research 9(3), 1961), rounded up.
//
// Both must be positive and finite, and the result at most 1<<24. The law gives the average, so add
// 20 to 50 % for bursts.
//
// It backfires when the latency was measured under load: then it contains the waiting that the pool
// is meant to prevent.
func LittlesLaw(perSecond float64, latency time.Duration) Sizing {
	s := Sizing{name: fmt.Sprintf("LittlesLaw(%v, %v)", perSecond, latency)}
	switch l := perSecond * latency.Seconds(); {
	case !(perSecond > 0) || math.IsInf(perSecond, 0):
		s.bad = "the rate must be positive and finite"
	case latency <= 0:
		s.bad = "the latency must be positive"
	case l > maxWorkers:
		s.bad = fmt.Sprintf("needs %.0f workers, more than the limit of 1<<24", math.Ceil(l))
	default:
		// 0.1 s at 30/s is 3, not 4: do not let a rounding error of the
		// multiplication cost a worker.
		s.n = max(1, int(math.Ceil(l-l*1e-12)))
	}
	return s
}

func sized(name string, n int) Sizing {
	s := Sizing{name: name, n: n}
	if n < 1 || n > maxWorkers {
		s.bad = "must be between 1 and 1<<24"
	}
	return s
}

func (s Sizing) workers() int {
	if s.perProc > 0 {
		return s.perProc * runtime.GOMAXPROCS(0)
	}
	return s.n
}

// MatchCPUQuota sets GOMAXPROCS to the CPU quota of the container (Linux cgroups) with
// [go.uber.org/automaxprocs], and returns a function that restores it. logf receives what was done
// and may be nil. The pool never calls MatchCPUQuota, since it changes the whole process.
//
// Since Go 1.25 the runtime follows the quota by itself, so most programs need nothing. The two
// differ: the runtime rounds a quota up, never below 2, and looks again about once a second;
// automaxprocs rounds down, never below 1, and looks once. Setting GOMAXPROCS, to any value, also
// ends the runtime's own updates. undo restores the earlier value, and the runtime's updates if the
// runtime had chosen that value.
//
// It backfires when the quota changes while the program runs: GOMAXPROCS no longer follows it.
func MatchCPUQuota(logf func(string, ...any)) (undo func(), err error) {
	if logf == nil {
		logf = func(string, ...any) {}
	}
	before := runtime.GOMAXPROCS(0)
	restore, err := maxprocs.Set(maxprocs.Logger(logf))
	if err != nil {
		restore()
		return func() {}, fmt.Errorf("pool: MatchCPUQuota: %w", err)
	}
	return func() {
		restore()
		runtime.SetDefaultGOMAXPROCS()
		if runtime.GOMAXPROCS(0) != before {
			runtime.GOMAXPROCS(before) // it had been set by hand
		}
	}, nil
}
