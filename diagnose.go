package pool

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
)

// How reports are made. A rule looks at what changed between two snapshots. It first says whether
// it can tell anything at all; a rule that cannot abstains, and its reason goes to Report.Unknown.
// A finding has the figures that led to it, so that a reader can disagree.
//
// The names: X is the throughput, U the utilization, N the number of workers, S the median of the
// run times, W the median of the waits, and M the number of processors. f is an upper bound of the
// share of their time in which tasks compute: the processor time of the whole process divided by
// the busy time of the workers or, where others take the processors away from it, the share of
// goroutines that are ready. The thresholds were chosen on two processors, with the programs of
// internal/advice.

// The codes of the rules, in the order in which findings of the same severity are listed.
const (
	StuckTask      Code = "stuck task"
	HotKey         Code = "one key takes all"
	HeavyTask      Code = "a heavy task waits for its units"
	BehindLong     Code = "queued behind a long task"
	LingerHolds    Code = "linger holds tasks"
	RateHolds      Code = "the rate holds tasks"
	TasksExpire    Code = "tasks expire in the queue"
	WorkersChurn   Code = "workers come and go"
	BufferSmall    Code = "buffer too small"
	TinyTasks      Code = "tasks smaller than their handing over"
	TasksLock      Code = "tasks wait for a lock"
	Garbage        Code = "garbage collection"
	ColdStart      Code = "cold start"
	TooManyCompute Code = "more workers than cores compute"
	TooFewWorkers  Code = "too few workers, tasks wait"
	BufferDelays   Code = "buffer only adds delay"
	CPUFull        Code = "the processors are full"
	NotBottleneck  Code = "the pool is not the bottleneck"
)

// rule is one of the rules.
type rule struct {
	code Code
	// blind says why the rule cannot tell, or "".
	blind func(v *view) string
	// find returns nil if there is nothing to say.
	find func(v *view) *Finding
}

// view is what two snapshots say together.
type view struct {
	earlier, later  Stats
	window          time.Duration
	ended           uint64
	x, u, n         float64
	room, wait, run Histogram
	s, w            time.Duration // medians of run and wait, or means where too few were measured
	refused         uint64        // rejected for want of room, or dropped
	accepted        uint64
	cores, procs    float64 // 0: not known
	ready           float64 // goroutines that run or could, at both ends
	locked          float64 // goroutines that wait for a lock, on average
	f               float64
}

// workers returns how many workers were busy on average.
func (v *view) workers() float64 { return v.u * v.n }

// queued reports whether tasks waited, at both ends of the window.
func (v *view) queued() bool { return v.earlier.Queued > 0 && v.later.Queued > 0 }

// idleAndQueued reports whether tasks waited beside idle workers, at both ends of the window.
func (v *view) idleAndQueued() bool {
	idle := func(s Stats) bool { return s.Queued > 0 && s.Running < uint64(s.Workers) }
	return idle(v.earlier) && idle(v.later)
}

// unfed reports whether slots waited for tasks of a queue outside the process ([Pool.Reserve]) and
// nothing else did, at both ends of the window.
func (v *view) unfed() bool {
	unfed := func(s Stats) bool { return s.Reserved > 0 && s.Queued == 0 }
	return unfed(v.earlier) && unfed(v.later)
}

// Diagnose compares two snapshots of a pool and reports on the time between them. It is a pure
// function: for dashboards, tests, and snapshots that were stored as JSON. Snapshots of
// [Pool.Stats] lack Process and Keys, so the rules that need them abstain: take snapshots with
// [Pool.Observe]. For snapshots in the wrong order, of different pools, or at the same instant, the
// Report has a Problem and nothing else.
func Diagnose(earlier, later Stats) Report {
	r := Report{Name: later.Name, Window: later.Uptime - earlier.Uptime}
	switch {
	case earlier.Started.IsZero() || later.Started.IsZero():
		r.Problem = "a snapshot is empty"
	case !earlier.Started.Equal(later.Started) || earlier.Name != later.Name:
		r.Problem = "the snapshots are of different pools"
	case r.Window < 0:
		r.Problem = "the snapshots are in the wrong order"
	case r.Window == 0:
		r.Problem = "the snapshots are of the same instant"
	}
	if r.Problem != "" {
		r.Window = 0
		return r
	}
	v := newView(earlier, later, r.Window)
	r.Throughput, r.Utilization, r.Cores, r.Procs = v.x, v.u, v.cores, v.procs
	r.Room, r.Wait, r.Run = v.room, v.wait, v.run
	for _, rule := range rules {
		if why := rule.blind(v); why != "" {
			r.Unknown = append(r.Unknown, Finding{Code: rule.code, Evidence: why})
			continue
		}
		if f := rule.find(v); f != nil {
			f.Code, f.Known = rule.code, true
			r.Findings = append(r.Findings, *f)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	if len(r.Findings) > 1 {
		r.Findings = slices.DeleteFunc(r.Findings, r.Findings[0].explains)
	}
	return r
}

func newView(earlier, later Stats, window time.Duration) *view {
	v := &view{earlier: earlier, later: later, window: window}
	over := func(s Stats) uint64 { return s.Completed + s.Failed + s.Panicked + s.Goexited + s.Skipped }
	v.ended, v.accepted = grown(over(earlier), over(later)), grown(earlier.Accepted, later.Accepted)
	v.x, v.n = float64(v.ended)/window.Seconds(), float64(max(1, later.Workers))
	v.u = min(1, max(0, (later.Busy-earlier.Busy).Seconds()/window.Seconds()/v.n))
	v.room, v.wait, v.run = later.Room.Since(earlier.Room), later.Wait.Since(earlier.Wait), later.Run.Since(earlier.Run)
	v.s, v.w = v.run.Quantile(.5), v.wait.Quantile(.5)
	if v.ended >= fewest && v.run.Count < fewest {
		v.s = time.Duration(v.workers() / v.x * float64(time.Second))
	}
	if v.ended >= fewest && v.wait.Count < fewest { // by Little's law
		v.w = time.Duration((float64(earlier.Queued) + float64(later.Queued)) / 2 / v.x * float64(time.Second))
	}
	v.refused = grown(earlier.Reject.Full, later.Reject.Full) + grown(earlier.Dropped, later.Dropped)
	if a, b := earlier.Process, later.Process; a != nil && b != nil && b.CPU > a.CPU && b.Procs > 0 {
		v.procs = float64(b.Procs)
		v.cores = (b.CPU - a.CPU).Seconds() / window.Seconds()
		v.locked = (b.MutexWait - a.MutexWait).Seconds() / window.Seconds()
		v.f = 1
		if w := v.workers(); w > 0 {
			v.ready = min(a.ready(), b.ready())
			v.f = min(1, max(v.cores, v.ready)/w)
		}
	}
	return v
}

// ready returns how many goroutines run or could, besides the one that looks.
func (p *ProcessStats) ready() float64 { return float64(max(0, p.Running+p.Runnable-1)) }

// explains reports whether g only follows from f.
func (f Finding) explains(g Finding) bool {
	switch f.Code {
	case HotKey, HeavyTask, BehindLong, RateHolds:
		return g.Code == BufferSmall || g.Code == NotBottleneck
	}
	return f.Severity > Note && g.Code == NotBottleneck
}

// grown returns how much a counter has grown.
func grown(before, after uint64) uint64 { return after - min(before, after) }

// Reasons to abstain.

// fewest is how many tasks must have ended, or been measured, for a rule to rest on them.
const fewest = 10

func seen(v *view) string {
	if v.ended < fewest {
		return fmt.Sprintf("only %d tasks have ended: a longer window", v.ended)
	}
	return ""
}

func measured(v *view) string {
	if v.run.Count < fewest || v.wait.Count < fewest {
		return fmt.Sprintf("only %d tasks were measured: a longer window, or WithSampling(1)", min(v.run.Count, v.wait.Count))
	}
	return ""
}

func seenProcess(v *view) string {
	if v.cores == 0 {
		return "the processor time of the process is not known: use Observe or Report, on a system with getrusage"
	}
	return seen(v)
}

func never(*view) string { return "" }

// rules is all rules, in the order of the codes.
var rules = []rule{
	{StuckTask, never, func(v *view) *Finding {
		if v.ended == 0 && v.u >= .95 && v.later.Queued > 0 && v.window >= time.Second {
			return warn("no task has ended in %s: the tasks of all %.0f workers started up to %s ago, and %d tasks wait", brief(v.window), v.n, brief(v.later.Longest), v.later.Queued).
				change("give tasks a timeout; RunningTasks says where they are", "for work that takes that long", "throughput", 1, v.n)
		}
		usual := max(100*cmp.Or(v.later.Run.Quantile(.99), time.Millisecond), 10*time.Second)
		if v.later.Longest < usual {
			return nil
		}
		what := "a task"
		if v.later.LongestKey != 0 {
			what = fmt.Sprintf("a task with the key %#x", v.later.LongestKey)
		}
		return warn("%s has run for %s; p99 of others is %s", what, brief(v.later.Longest), brief(v.later.Run.Quantile(.99))).
			change("give the task a timeout, and make it obey its context", "for work that takes that long", "throughput", 1, v.n/max(1, v.n-1))
	}},
	{HotKey, func(v *view) string {
		if v.earlier.Keys == nil || v.later.Keys == nil {
			return "what waits behind keys is not known: use Observe or Report"
		}
		return seen(v)
	}, func(v *view) *Finding {
		a, b := v.earlier.Keys, v.later.Keys
		if v.later.Strategy == PerWorker || v.u > .9 || !v.idleAndQueued() || 2*b.Most <= b.Waiting || 2*a.Most <= a.Waiting || 2*b.Waiting < v.later.Queued {
			return nil
		}
		return warn("%d of %d tasks that wait have the key %#x, and %.1f of %.0f workers are busy", b.Most, v.later.Queued, b.Key, v.workers(), v.n).
			change("give what has this key a pool of its own, or split the key", "if the order of its tasks matters: splitting loses it", "throughput", 1, 1.15*v.n/max(1, v.workers()))
	}},
	{HeavyTask, seen, func(v *view) *Finding {
		s := v.later
		if !s.Heavy || !v.earlier.Heavy || v.u > .9 || s.Queued == 0 || s.Capacity == 0 {
			return nil
		}
		return warn("of the capacity of %d %d are in use, and %d tasks wait behind one that does not fit", s.Capacity, s.Units, s.Queued).
			change(fmt.Sprintf("WithCapacity(%d), or tasks of less weight", 2*s.Capacity), "if what the capacity stands for is exhausted", "throughput", 1, 1/max(.1, v.u))
	}},
	{BehindLong, seen, func(v *view) *Finding {
		if v.later.Strategy != PerWorker || v.u > .9 || !v.idleAndQueued() && v.room.Count+v.refused == 0 || v.w < v.s {
			return nil
		}
		return warn("%.1f of %.0f workers are busy, and %d tasks wait for the worker of their key, half of them longer than %s", v.workers(), v.n, v.later.Queued, brief(v.w)).
			change("WithStrategy(Shared)", "if a key's data has to stay in one worker's cache", "throughput", 1, 1.15*v.n/max(1, v.workers()))
	}},
	{LingerHolds, measured, func(v *view) *Finding {
		l := v.later.Linger
		if l == 0 || float64(v.w) < .8*float64(l)/2 || v.wait.Quantile(.9) < l*8/10 || v.u > .8 {
			return nil
		}
		return warn("one task in ten waits %s, WithLinger is %s, and workers are busy %.0f %% of the time", brief(v.wait.Quantile(.9)), brief(l), 100*v.u).
			change(fmt.Sprintf("WithLinger(%s)", brief(l/10)), "if larger batches are much cheaper", "wait", 1, 10)
	}},
	{RateHolds, never, func(v *view) *Finding {
		share := min(1, (v.later.Throttled-v.earlier.Throttled).Seconds()/v.window.Seconds())
		if share < .5 || v.u > .8 {
			return nil
		}
		return warn("for %.0f %% of the time tasks waited for nothing but WithRate, and workers are busy %.0f %% of the time", 100*share, 100*v.u).
			change("WithRate with a higher rate", "if what the rate protects takes no more", "throughput", 1, 1/max(.01, v.u))
	}},
	{TasksExpire, seen, func(v *view) *Finding {
		late := grown(v.earlier.Expired, v.later.Expired)
		if float64(late) < .01*float64(v.accepted) || v.x == 0 {
			return nil
		}
		return warn("%d of %d tasks have expired, %d have run, and workers are busy %.0f %% of the time", late, v.accepted, v.ended, 100*v.u).
			change("more workers or processors, or less load: a smaller WithBuffer rejects at once what would expire", "if callers would rather wait in vain than be rejected", "throughput", 1, 1+float64(late)/float64(max(1, v.ended)))
	}},
	{WorkersChurn, never, func(v *view) *Finding {
		n := float64(grown(v.earlier.Starts, v.later.Starts))
		if v.later.Strategy == Elastic || n < 2*v.n || n/v.window.Seconds() < v.n {
			return nil
		}
		return warn("%s workers were started a second, and there are %.0f", number(n/v.window.Seconds()), v.n).
			change("a longer WithLazy, or WithFloor", "if the pool has to give its goroutines back soon", "processor time", 1, 3)
	}},
	{BufferSmall, seen, func(v *view) *Finding {
		blocked := v.room.Count + v.refused
		if v.u > .85 || float64(blocked) < .01*float64(v.accepted+v.refused) || v.later.Buffer > 1<<20 {
			return nil
		}
		size := 1 << bits.Len(uint(max(1024, 8*v.later.Buffer)-1))
		gain := max(float64(v.accepted+v.refused)/float64(max(1, v.accepted)), 1/max(.05, v.u))
		return warn("%d submissions were blocked and %d rejected though workers are busy only %.0f %% of the time; the buffer is %d", v.room.Count, v.refused, 100*v.u, v.later.Buffer).
			change(fmt.Sprintf("WithBuffer(%d)", size), "under a load that is always too much", "throughput", 1, gain)
	}},
	{TinyTasks, measured, func(v *view) *Finding {
		own := v.x * max(1, v.s).Seconds() // workers that do nothing but run tasks
		if v.run.Quantile(.9) >= time.Microsecond || v.u < .3 || v.x < 1e5 || own > .6*v.workers() || v.later.Batch.Flushes > v.earlier.Batch.Flushes {
			return nil
		}
		return warn("half the tasks run for less than %s, and %.0f %% of the workers' time is spent on handing them over", brief(max(1, v.s)), 100*(1-own/v.workers())).
			change("SubmitBatch, NewTyped or ForEach over slices.Chunk: more work in each task", "if tasks come one at a time and must start at once", "throughput", 1, max(2, min(20, v.n/own)))
	}},
	{TasksLock, seenProcess, func(v *view) *Finding {
		if v.u < .9 || v.f > .5 || v.locked < .3*v.workers() || v.locked > 1.05*v.workers() { // more than can be the pool's
			return nil
		}
		return warn("%.1f goroutines of the process wait for a lock, and %.0f workers are busy", v.locked, v.workers()).
			change("hold the lock for less, or SubmitKeyed with what it guards as the key, or WithState", "for an RWMutex whose readers run together, nor if the lock is not one of the tasks", "throughput", 1, v.n)
	}},
	{Garbage, seenProcess, func(v *view) *Finding {
		gc := (v.later.Process.GC - v.earlier.Process.GC).Seconds() / v.window.Seconds()
		share := gc / v.cores
		if share < .2 || v.u < .3 {
			return nil
		}
		return warn("%.0f %% of the processor time goes to garbage collection", 100*min(1, share)).
			change("Scratch or WithState for the tasks' buffers, NewTyped instead of closures", "if the buffers are of very different sizes", "throughput", 1, 4/max(.2, 1-share))
	}},
	{ColdStart, seen, func(v *view) *Finding {
		first := v.later.First
		if v.ready > v.procs {
			return nil // they wait for a processor
		}
		if v.later.Strategy == Elastic || first.Count == 0 || first.Quantile(.1) < 3*v.s || first.Quantile(.1)-v.s < 5*time.Millisecond || v.later.Starts > 2*uint64(v.n) {
			return nil
		}
		return warn("the first task of each worker runs for %s, later ones for %s", brief(first.Quantile(.5)), brief(v.s)).
			change("WithWarmup with a function that does what only the first task does", "for a pool that may never be used", "the first tasks", 1, 1.2*first.Quantile(.9).Seconds()/max(1e-9, min(v.s, cmp.Or(v.run.Quantile(.1), v.s)).Seconds()))
	}},
	{TooManyCompute, seenProcess, func(v *view) *Finding {
		p, q := v.earlier.Process, v.later.Process
		late := q.Latency.Since(p.Latency).Quantile(.99)
		if v.n < 4*v.procs || v.u < .9 || v.ready < v.procs+.5*(v.n-v.procs) || late < time.Millisecond {
			return nil
		}
		return warn("%.0f workers compute on %.0f processors: %.0f goroutines are ready and wait for one, one in a hundred for %s", v.n, v.procs, v.ready-v.procs, brief(late)).
			change("WithSizing(CPU())", "for tasks that also wait", "p99 of run", 1, 1+late.Seconds()/max(1e-6, v.s.Seconds()))
	}},
	{TooFewWorkers, seenProcess, func(v *view) *Finding {
		if v.u < .9 || !v.queued() && v.room.Count == 0 && v.refused == 0 || v.f > .5 || v.cores > .8*v.procs || v.locked > .3*v.workers() {
			return nil
		}
		n := min(4*v.n, math.Ceil(v.procs/max(.01, v.f)))
		return warn("all %.0f workers are busy and tasks wait, but they compute at most %.0f %% of the time", v.n, 100*v.f).
			change(fmt.Sprintf("Resize(%.0f), or WithSizing(IO(%.0f))", n, n), "if they wait for a connection, a semaphore or a rate limit: then the run time grows with it", "throughput", 1, n/v.n)
	}},
	{BufferDelays, seen, func(v *view) *Finding {
		if v.u < .95 || !v.queued() || v.s == 0 || v.w < 10*v.s || v.w < 50*time.Millisecond || v.room.Count+v.refused == 0 || v.cores > 0 && v.f <= .5 && v.cores < .8*v.procs {
			return nil
		}
		return warn("tasks run for %s and wait %s, and the pool is always full", brief(v.s), brief(v.w)).
			change("a smaller WithBuffer, or WithOverflow(Reject)", "if the load comes in bursts", "wait", 1, 1.2*v.w.Seconds()/v.s.Seconds())
	}},
	{CPUFull, seenProcess, func(v *view) *Finding {
		if v.u < .95 || v.cores < .9*v.procs {
			return nil
		}
		return &Finding{Evidence: fmt.Sprintf("%.1f of %.0f processors are busy: fewer or cheaper tasks help, more workers do not", v.cores, v.procs), Gain: [2]float64{1, 1}, Of: "throughput"}
	}},
	{NotBottleneck, func(v *view) string {
		if v.unfed() {
			return ""
		}
		return seen(v)
	}, func(v *view) *Finding {
		if v.u <= .7 && v.unfed() {
			return &Finding{Evidence: fmt.Sprintf("workers are busy %.0f %% of the time, and %d reserved slots have no task: the queue outside the process is empty, or too slow", 100*v.u, v.later.Reserved), Gain: [2]float64{1, 1}, Of: "throughput"}
		}
		long := max(v.w, v.wait.Quantile(.99))
		if v.u > .7 || long > max(v.s, 100*time.Microsecond) || v.refused > 0 {
			return nil
		}
		return &Finding{Evidence: fmt.Sprintf("workers are busy %.0f %% of the time, and nearly all tasks wait less than %s", 100*v.u, brief(long+1)), Gain: [2]float64{1, 1}, Of: "throughput"}
	}},
}

// warn returns a warning.
func warn(format string, args ...any) *Finding {
	return &Finding{Severity: Warning, Evidence: fmt.Sprintf(format, args...)}
}

// change adds to f what to change.
func (f *Finding) change(option, backfires, of string, least, most float64) *Finding {
	f.Option, f.Backfires, f.Of, f.Gain = option, backfires, of, [2]float64{least, max(least, most)}
	return f
}
