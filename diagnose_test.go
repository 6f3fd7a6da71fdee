package pool

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool/internal/hist"
)

// times is a histogram of n durations that are all d, but for one in a hundred, which are longer.
func times(n int, d, longer time.Duration) Histogram {
	var l hist.Live
	l.AddN(d, uint64(n-n/50))
	l.AddN(longer, uint64(n/50))
	return histogram(l.Snapshot())
}

// pair is two snapshots, ten seconds apart: of 4 workers on 4 processors, of which half the time is used, with tasks of 2 ms
// that wait for nothing long.
type pair struct{ a, b Stats }

func newPair() *pair {
	started := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	p := &pair{
		a: Stats{Started: started, Uptime: time.Minute, Workers: 4, Buffer: 1024, Keys: &KeyStats{}, Process: &ProcessStats{Procs: 4}},
		b: Stats{Started: started, Uptime: time.Minute + 10*time.Second, Workers: 4, Buffer: 1024, Keys: &KeyStats{}, Process: &ProcessStats{Procs: 4}},
	}
	p.b.Accepted, p.b.Completed = 10_000, 10_000
	p.b.Wait, p.b.Run = times(10_000, 10*time.Microsecond, time.Millisecond), times(10_000, 2*time.Millisecond, 3*time.Millisecond)
	p.busy(.5).cores(1)
	p.b.Starts = 4
	return p
}

// busy sets the share of their time in which the workers are busy.
func (p *pair) busy(u float64) *pair {
	p.b.Busy = time.Duration(u * float64(p.b.Workers) * float64(10*time.Second))
	return p
}

// cores sets how many processors are busy.
func (p *pair) cores(n float64) *pair {
	p.b.Process.CPU = time.Duration(n * float64(10*time.Second))
	return p
}

// both changes both snapshots.
func (p *pair) both(f func(s *Stats)) *pair {
	f(&p.a)
	f(&p.b)
	return p
}

func (p *pair) later(f func(s *Stats)) *pair {
	f(&p.b)
	return p
}

func queued(s *Stats) { s.Queued, s.Running = 100, 2 }

// Each rule finds what it is there for, and nothing in what differs from that in one respect.
func TestDiagnose(t *testing.T) {
	only(t, Shared)
	wait := func(d time.Duration) func(*Stats) { return func(s *Stats) { s.Wait = times(10_000, d, 2*d) } }
	run := func(d time.Duration) func(*Stats) { return func(s *Stats) { s.Run = times(10_000, d, 2*d) } }
	with := func(u, cores float64) *pair { return newPair().busy(u).cores(cores) }
	perWorker := func(s *Stats) { s.Strategy = PerWorker }
	hot := func(s *Stats) { queued(s); s.Keys = &KeyStats{Waiting: 90, Most: 80, Key: 7} }
	heavy := func(s *Stats) { queued(s); s.Capacity, s.Units, s.Heavy = 10, 3, true }
	lingers := func(s *Stats) { s.Linger = 50 * time.Millisecond }
	first := func(s *Stats) { s.First = times(4, 50*time.Millisecond, 50*time.Millisecond) }
	locked := func(s *Stats) { s.Process.MutexWait = 25 * time.Second }
	gc := func(s *Stats) { s.Process.GC = 8 * time.Second }
	many := func(s *Stats) { s.Workers, s.Process.Running, s.Process.Runnable = 64, 4, 59 }
	late := func(s *Stats) { s.Process.Latency = times(1000, 20*time.Millisecond, 50*time.Millisecond) }
	blocked := func(s *Stats) { s.Room = times(500, time.Millisecond, time.Millisecond) }
	refused := func(s *Stats) { s.Reject.Full = 5000 }
	throughput := func(n uint64) func(*Stats) { return func(s *Stats) { s.Accepted, s.Completed = n, n } }
	none := Code("")
	for name, c := range map[string]struct {
		*pair
		want Code
	}{
		"healthy":                            {newPair(), NotBottleneck},
		"nothing comes from outside":         {with(0, 0).both(func(s *Stats) { s.Reserved = 8 }).later(throughput(0)), NotBottleneck},
		"slots, and tasks wait":              {with(0, 0).both(queued).both(func(s *Stats) { s.Reserved = 8 }).later(throughput(0)), none},
		"healthy, some wait":                 {newPair().later(wait(5 * time.Millisecond)), none},
		"stuck":                              {newPair().later(func(s *Stats) { s.Longest = 11 * time.Second }), StuckTask},
		"all are stuck":                      {with(1, 0.1).both(queued).later(throughput(0)), StuckTask},
		"a lock outside of the pool":         {with(1, .5).both(queued).later(func(s *Stats) { s.Process.MutexWait = 90 * time.Second }), none},
		"hot key, so the pool is full":       {newPair().both(hot).later(blocked), HotKey},
		"long, as tasks there are":           {with(.9, 1).later(run(10 * time.Second)).later(func(s *Stats) { s.Longest = time.Minute }), none},
		"hot key":                            {newPair().both(hot), HotKey},
		"hot key, all busy":                  {with(1, 1).later(wait(20 * time.Millisecond)).both(hot), TooFewWorkers},
		"hot key, then not":                  {newPair().both(hot).later(func(s *Stats) { s.Keys = &KeyStats{} }), NotBottleneck},
		"heavy":                              {newPair().both(heavy), HeavyTask},
		"heavy for a moment":                 {newPair().later(heavy), NotBottleneck},
		"PerWorker, idle beside tasks":       {newPair().both(perWorker).both(queued).later(wait(9 * time.Millisecond)), BehindLong},
		"Shared, idle beside tasks":          {newPair().both(queued).later(wait(9 * time.Millisecond)), none},
		"PerWorker, nobody waits long":       {newPair().both(perWorker).both(queued), NotBottleneck},
		"linger":                             {newPair().both(lingers).later(wait(45 * time.Millisecond)), LingerHolds},
		"linger, full batches":               {newPair().both(lingers).later(wait(4 * time.Millisecond)), none},
		"linger, busy":                       {with(.85, 3.9).both(lingers).later(wait(45 * time.Millisecond)), none},
		"cold":                               {newPair().later(first), ColdStart},
		"cold, Elastic":                      {newPair().later(first).both(func(s *Stats) { s.Strategy = Elastic }), NotBottleneck},
		"cold, all tasks are long":           {with(.8, 1).later(first).later(run(40 * time.Millisecond)), none},
		"the rate holds":                     {newPair().both(queued).later(func(s *Stats) { s.Throttled = 9 * time.Second }), RateHolds},
		"the rate holds, busy":               {with(.85, 3.4).both(queued).later(func(s *Stats) { s.Throttled = 9 * time.Second }), none},
		"some expire":                        {with(1, 3.9).both(queued).later(func(s *Stats) { s.Expired = 200 }), TasksExpire},
		"few expire":                         {newPair().later(func(s *Stats) { s.Expired = 20 }), NotBottleneck},
		"churn":                              {newPair().later(func(s *Stats) { s.Starts = 4000 }), WorkersChurn},
		"churn, Elastic":                     {newPair().later(func(s *Stats) { s.Starts = 4000 }).both(func(s *Stats) { s.Strategy = Elastic }), NotBottleneck},
		"blocked beside idle workers":        {newPair().later(blocked), BufferSmall},
		"refused beside idle workers":        {newPair().later(refused), BufferSmall},
		"blocked, all busy and full":         {with(1, 3.9).later(blocked), CPUFull},
		"a huge buffer":                      {newPair().later(blocked).both(func(s *Stats) { s.Buffer = 1 << 22 }), NotBottleneck},
		"tiny tasks":                         {with(.9, 2).later(run(50)).later(throughput(200_000_000)), TinyTasks},
		"tiny tasks, few":                    {with(.1, 1).later(run(50)), none},
		"tiny tasks, in batches":             {with(.9, 2).later(run(50)).later(throughput(200_000_000)).later(func(s *Stats) { s.Batch.Flushes = 9 }), none},
		"lock":                               {with(1, .5).both(queued).later(locked), TasksLock},
		"lock, not for long":                 {with(.5, .5).later(locked), NotBottleneck},
		"garbage":                            {with(.9, 2).later(gc), Garbage},
		"garbage beside an idle pool":        {with(.1, 2).later(gc), NotBottleneck},
		"too many compute":                   {newPair().both(many).busy(1).cores(3.9).later(late), TooManyCompute},
		"many wait":                          {newPair().both(many).both(func(s *Stats) { s.Process.Runnable = 3 }).busy(1).cores(1).later(late), none},
		"many, nobody waits for a processor": {newPair().both(many).busy(1).cores(3.9), CPUFull},
		"too few":                            {with(1, .4).both(queued).later(wait(20 * time.Millisecond)), TooFewWorkers},
		"too few, nobody waits":              {with(1, .4), none},
		"too few, nothing measured":          {with(1, .4).both(queued).later(func(s *Stats) { s.Run, s.Wait = Histogram{}, Histogram{} }), TooFewWorkers},
		"healthy, nothing measured":          {newPair().later(func(s *Stats) { s.Run, s.Wait = Histogram{}, Histogram{} }), NotBottleneck},
		"too few, they compute":              {with(1, 3.9).both(queued).later(wait(4 * time.Millisecond)), CPUFull},
		"a buffer that delays":               {with(1, 3.9).both(queued).later(blocked).later(wait(time.Second)), BufferDelays},
		"a buffer that delays, not full":     {with(1, 3.9).both(queued).later(wait(time.Second)), CPUFull},
	} {
		t.Run(name, func(t *testing.T) {
			r := Diagnose(c.a, c.b)
			got := none
			if len(r.Findings) > 0 {
				got = r.Findings[0].Code
			}
			if got != c.want {
				t.Errorf("found %q, want %q:\n%v", got, c.want, r)
			}
			for i, f := range r.Findings {
				if !f.Known || f.Evidence == "" || f.Gain[0] < 1 || f.Gain[1] < f.Gain[0] || (f.Severity == Warning) == (f.Option == "") || (f.Option == "") != (f.Backfires == "") {
					t.Errorf("finding %d is %+v", i, f)
				}
			}
			checkReport(t, r)
		})
	}
}

// checkReport checks what all reports have in common.
func checkReport(t *testing.T, r Report) {
	t.Helper()
	if text := r.String(); strings.Count(text, "\n") > 7 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("the report is\n%s", text)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	for _, f := range r.Unknown {
		if f.Known || f.Evidence == "" {
			t.Errorf("unknown: %+v", f)
		}
	}
}

// A rule that lacks what it needs abstains, and says what that is.
func TestDiagnoseAbstains(t *testing.T) {
	only(t, Shared)
	unknown := func(p *pair) map[Code]string {
		all := map[Code]string{}
		r := Diagnose(p.a, p.b)
		for _, f := range r.Unknown {
			all[f.Code] = f.Evidence
		}
		checkReport(t, r)
		return all
	}
	if all := unknown(newPair()); len(all) > 0 {
		t.Errorf("with everything known: %v", all)
	}
	all := unknown(newPair().later(func(s *Stats) { s.Run, s.Wait = Histogram{}, Histogram{} }))
	if len(all) != 2 || !strings.Contains(all[TinyTasks], "WithSampling") || !strings.Contains(all[LingerHolds], "WithSampling") {
		t.Errorf("with nothing measured: %v", all)
	}
	all = unknown(newPair().later(func(s *Stats) { s.Run, s.Wait, s.Completed = Histogram{}, Histogram{}, 9 }))
	if len(all) != len(rules)-3 || !strings.Contains(all[NotBottleneck], "only 9 tasks") {
		t.Errorf("with few tasks: %v", all)
	}
	all = unknown(newPair().both(func(s *Stats) { s.Process, s.Keys = nil, nil }))
	if len(all) != 6 || !strings.Contains(all[TooFewWorkers], "use Observe or Report") || !strings.Contains(all[HotKey], "use Observe or Report") {
		t.Errorf("of plain Stats: %v", all)
	}
	if all := unknown(newPair().cores(0)); !strings.Contains(all[CPUFull], "getrusage") {
		t.Errorf("without processor time: %v", all)
	}
}

// Snapshots that do not belong together give a report that says why it is empty.
func TestDiagnoseProblems(t *testing.T) {
	only(t, Shared)
	p := newPair()
	other := p.b
	other.Started = other.Started.Add(time.Nanosecond)
	named := p.b
	named.Name = "x"
	for name, c := range map[string]struct {
		a, b Stats
		want string
	}{
		"empty":        {Stats{}, p.b, "empty"},
		"both empty":   {Stats{}, Stats{}, "empty"},
		"wrong order":  {p.b, p.a, "wrong order"},
		"the same":     {p.a, p.a, "same instant"},
		"another pool": {p.a, other, "different pools"},
		"other names":  {p.a, named, "different pools"},
	} {
		r := Diagnose(c.a, c.b)
		if !strings.Contains(r.Problem, c.want) || len(r.Findings)+len(r.Unknown) > 0 || r.Window != 0 || !strings.Contains(r.String(), r.Problem) {
			t.Errorf("%s: %+v", name, r)
		}
		checkReport(t, r)
	}
}

// Nothing that two snapshots say gives a report that cannot be printed.
func TestDiagnoseAnything(t *testing.T) {
	only(t, Shared)
	rnd := rand.New(rand.NewPCG(3, 4))
	number := func() uint64 { return rnd.Uint64() >> rnd.IntN(64) }
	duration := func() time.Duration { return time.Duration(number() >> 1) }
	random := func() Stats {
		s := Stats{
			Started: time.Unix(1, 0), Uptime: duration(), Strategy: Strategy(rnd.IntN(4)), Workers: rnd.IntN(1 << 20),
			Buffer: rnd.IntN(1 << 30), Starts: number(), Queued: number(), Running: number(), Accepted: number(), Completed: number(),
			Busy: duration(), Longest: duration(), Linger: duration(), Capacity: int64(number() >> 1), Heavy: rnd.IntN(2) == 0,
			Room: times(rnd.IntN(1000), duration(), duration()), Wait: times(rnd.IntN(1000), duration(), duration()),
			Run: times(rnd.IntN(1000), duration(), duration()), First: times(rnd.IntN(1000), duration(), duration()),
		}
		if rnd.IntN(4) > 0 {
			s.Keys = &KeyStats{Waiting: number(), Most: number(), Key: number()}
			s.Process = &ProcessStats{Procs: rnd.IntN(9), CPU: duration(), GC: duration(), MutexWait: duration(), Runnable: rnd.IntN(99)}
		}
		return s
	}
	found := map[Code]int{}
	for range 5_000 {
		r := Diagnose(random(), random())
		checkReport(t, r)
		for _, f := range r.Findings {
			found[f.Code]++
		}
		if t.Failed() {
			return
		}
	}
	if len(found) < 8 {
		t.Errorf("only %v was found", found)
	}
}

// Report waits for the window, and its errors name what is wrong.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithSampling(1), WithName("mail"))
		for range 20 {
			must(t, p.Submit(bg, sleep(time.Second)))
		}
		begun := time.Now()
		const window = 5500 * time.Millisecond // at its end no task ends
		r, err := p.Report(bg, window)
		must(t, err)
		if d := time.Since(begun); d != window || r.Window != d || r.Name != "mail" || r.Utilization != 1 {
			t.Errorf("after %v: %+v", d, r)
		}
		if r.Throughput < 1.5 || r.Throughput > 2.5 || r.Run.Count < 8 || r.Run.Count > 10 {
			t.Errorf("%v", r)
		}
		checkReport(t, r)

		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		r, err = p.Report(ctx, time.Hour)
		if wantIs(t, err, context.DeadlineExceeded); r.Window != time.Second {
			t.Errorf("cancelled: %+v", r)
		}
		for _, window := range []time.Duration{0, -time.Second} {
			if _, err := p.Report(bg, window); err == nil || !strings.Contains(err.Error(), window.String()) {
				t.Errorf("window %v: error %v", window, err)
			}
		}
		if _, err := p.Report(noContext, time.Second); err == nil {
			t.Error("nil context: no error")
		}
		must(t, p.Close())
		begun = time.Now()
		r, err = p.Report(bg, time.Hour)
		if must(t, err); time.Since(begun) != 0 || !strings.Contains(r.Problem, "ended") {
			t.Errorf("after Close: %+v", r)
		}
		checkReport(t, r)
	})
}

// Reports watches several pools in one window, of any type.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithName("a"))
		q, err := NewTyped(func(context.Context, int) error { return nil }, WithStrategy(strategy), WithName("b"))
		must(t, err)
		begun := time.Now()
		rs, err := Reports(bg, time.Second, p, q)
		must(t, err)
		if len(rs) != 2 || rs[0].Name != "a" || rs[1].Name != "b" || time.Since(begun) != time.Second {
			t.Errorf("after %v: %v", time.Since(begun), rs)
		}
		must(t, p.Close())
		must(t, q.Close())
		for name, pools := range map[string][]Source{"none": nil, "nil": {nil}, "nil pool": {p, (*Pool)(nil)}} {
			if _, err := Reports(bg, time.Second, pools...); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}
