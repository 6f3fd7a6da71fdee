package pool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Report says whether a pool was the bottleneck during a window of time, and which option to
// change. [Diagnose] makes it from two snapshots.
type Report struct {
	// Name is the pool's name.
	Name string
	// Window is the time between the snapshots.
	Window time.Duration
	// Throughput is how many tasks ended per second.
	Throughput float64
	// Utilization is the share of their time in which workers had tasks in hand: 1 is all the time.
	Utilization float64
	// Cores is how many processors the whole process kept busy, and Procs how many there are. Both
	// are 0 if that is not known.
	Cores, Procs float64
	// Room, Wait and Run are what was measured during the window, see [Stats].
	Room, Wait, Run Histogram
	// Findings are what to look at, the most important first.
	Findings []Finding
	// Unknown are the rules that cannot tell, with the reason in Evidence. Known is false in them.
	Unknown []Finding
	// Problem says why there is no report: the snapshots are of different pools, for example.
	Problem string
}

// Finding is one thing that a Report has found.
type Finding struct {
	// Code names the rule that found it.
	Code Code
	// Severity is [Warning] if something should be changed, otherwise [Note].
	Severity Severity
	// Evidence is what was measured.
	Evidence string
	// Option is what to change, and how; "" if nothing in the pool helps.
	Option string
	// Backfires is when that change makes things worse.
	Backfires string
	// Gain is how much better Of gets if Option is followed: from Gain[0] to Gain[1] times.
	Gain [2]float64
	// Of is what gets better: "throughput", or what gets shorter.
	Of string
	// Known is false in Report.Unknown, where Evidence is why the rule cannot tell.
	Known bool
}

// Severity is how much a Finding matters.
type Severity uint8

const (
	// Note needs no action.
	Note Severity = iota
	// Warning is something to change.
	Warning
)

// String returns "warning" or "note".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "note"
}

// Code names a rule of [Diagnose].
type Code string

// String returns a summary of at most eight lines.
func (r Report) String() string {
	var b strings.Builder
	name := "pool"
	if r.Name != "" {
		name = fmt.Sprintf("pool %q", r.Name)
	}
	if r.Problem != "" {
		return fmt.Sprintf("%s: no report: %s", name, r.Problem)
	}
	fmt.Fprintf(&b, "%s, %s: %s tasks/s, workers busy %.0f %%", name, brief(r.Window), number(r.Throughput), 100*r.Utilization)
	if r.Procs > 0 {
		fmt.Fprintf(&b, ", the process used %.1f of %.0f processors", r.Cores, r.Procs)
	}
	fmt.Fprintf(&b, "\nwait %v; run %v", r.Wait, r.Run)
	const most = 3 // of two lines each
	for i, f := range r.Findings {
		if i == most {
			break
		}
		fmt.Fprintf(&b, "\n%v: %s: %s", f.Severity, f.Code, f.Evidence)
		if f.Option != "" {
			fmt.Fprintf(&b, "\n  change: %s", f.Option)
			if f.Gain[1] > 1 {
				fmt.Fprintf(&b, " (%s ×%.3g to ×%.3g)", f.Of, f.Gain[0], f.Gain[1])
			}
			if f.Backfires != "" {
				fmt.Fprintf(&b, "; not %s", f.Backfires)
			}
		}
	}
	if len(r.Findings) == 0 {
		b.WriteString("\nnothing to change was found")
	}
	if n := len(r.Unknown); n > 0 && len(r.Findings) <= 1 {
		fmt.Fprintf(&b, "\n%d rules cannot tell, the first, %s: %s", n, r.Unknown[0].Code, r.Unknown[0].Evidence)
	}
	return b.String()
}

// number prints x with three digits.
func number(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.3gM", x/1e6)
	case x >= 1e3:
		return fmt.Sprintf("%.3gk", x/1e3)
	}
	return fmt.Sprintf("%.3g", x)
}

// Report watches the pool for window > 0 and says whether the pool was the bottleneck: see
// [Diagnose]. It waits in the caller's goroutine. If ctx is done first, it returns what it has seen
// so far with ctx's error. The rules were tuned on windows of one to four seconds; with a longer
// window more of them can tell. Any number of goroutines may call it. For a pool that has ended it
// says so at once.
//
// It backfires in a request, since it takes as long as it watches. Call it in a handler for
// debugging, or when an alert fires.
func (e *engine[T]) Report(ctx context.Context, window time.Duration) (Report, error) {
	rs, err := Reports(ctx, window, e)
	if len(rs) == 0 {
		return Report{Name: e.name, Problem: err.Error()}, err
	}
	return rs[0], err
}

// Source has the statistics for a report: a [Pool], or a [Typed] of any type.
type Source interface {
	Stats() Stats
	Observe() Stats
}

// Reports is [Pool.Report] for several pools of the process in the same window. It returns the
// reports in the order of pools.
func Reports(ctx context.Context, window time.Duration, pools ...Source) ([]Report, error) {
	switch {
	case ctx == nil:
		return nil, errNilContext
	case window <= 0:
		return nil, fmt.Errorf("pool: Report: window must be positive, got %v", window)
	case len(pools) == 0:
		return nil, errors.New("pool: Reports: no pool is given")
	}
	for i, p := range pools {
		if isNil(p) {
			return nil, fmt.Errorf("pool: Reports: pool is nil, at index %d", i)
		}
	}
	before, over := observeAll(pools), make([]bool, len(pools))
	for i, p := range pools {
		over[i] = ended(p)
	}
	var err error
	if slices.Contains(over, false) {
		t := time.NewTimer(window)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			err = endOf(ctx)
		}
	}
	reports := make([]Report, len(pools))
	for i, after := range observeAll(pools) {
		reports[i] = Diagnose(before[i], after)
		if over[i] {
			reports[i].Problem = "the pool has ended"
		}
	}
	return reports, err
}

func isNil(p Source) bool {
	v := reflect.ValueOf(p)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

func observeAll(pools []Source) []Stats {
	all := make([]Stats, len(pools))
	for i, p := range pools {
		all[i] = p.Observe()
	}
	return all
}

// ended reports whether nothing of the pool runs any more.
func ended(p Source) bool {
	d, ok := p.(interface{ Done() <-chan struct{} })
	if !ok {
		return false
	}
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// Observe is [Pool.Stats] with Keys and Process, with which [Diagnose] knows as much as
// [Pool.Report] does. It takes 12 µs (go test -bench Observe, AMD EPYC, 2026-12-01), and longer the
// more keys have queued tasks. Any goroutine may call it at any time.
func (e *engine[T]) Observe() Stats {
	s := e.Stats()
	var k KeyStats
	if e.homes.n > 0 {
		for h := e.homes.made.Load(); h != nil; h = h.next {
			n := uint64(h.queue.Len())
			k.Waiting += n
			k.Most = max(k.Most, n)
		}
	} else {
		c := &e.main
		c.mu.Lock()
		if c.fair != nil {
			all, most, key := c.fair.Behind()
			k = KeyStats{Waiting: uint64(all), Most: uint64(most), Key: key}
		} else if c.keys != nil {
			key, n := c.keys.Most()
			k = KeyStats{Waiting: uint64(c.keys.Len()), Most: uint64(n), Key: key}
		}
		c.mu.Unlock()
	}
	s.Keys, s.Process = &k, ReadProcess()
	return s
}
