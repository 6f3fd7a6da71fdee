package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// fairProgram is what a program has that uses the options of attrs.go.
type fairProgram struct {
	*program
	r       *rand.Rand // guarded by mu, as what follows
	gone    map[int]int
	limited bool
	classes int
	tenants bool
	flat    bool // no task submits others, so limits are exact
	now     [3]atomic.Int64
}

// newFair makes a program use some of the options, and returns these.
func (f *program) newFair(seed uint64, buffer int, ov Overflow) (opts []Option) {
	r := rand.New(rand.NewPCG(seed, 2))
	x := &fairProgram{program: f, r: r, gone: map[int]int{}, classes: 1, flat: r.IntN(3) == 0}
	f.fair = x
	opts = append(opts, WithExpiredHandler(func(t Task) {
		m := map[int]int{}
		_ = t(context.WithValue(bg, probeKey{}, m))
		f.mu.Lock()
		for id := range m {
			x.gone[id]++
		}
		f.mu.Unlock()
	}))
	if x.tenants = buffer > 0 && r.IntN(3) > 0; x.tenants {
		opts = append(opts, WithTenants(func(n uint64) int { return 1 + int(n) }))
		if x.limited = ov != CallerRuns && r.IntN(2) == 0; x.limited {
			opts = append(opts, WithTenantLimit(func(n uint64) int { return int(n) }))
		}
	}
	if r.IntN(2) == 0 {
		x.classes = 2
		opts = append(opts, WithClasses(Class{"high", 0}, Class{"low", .2}))
	}
	if r.IntN(4) == 0 {
		opts = append(opts, WithQueueTimeout(time.Duration(1+r.IntN(3))*time.Second))
	}
	if ov != CallerRuns && r.IntN(4) == 0 {
		opts = append(opts, WithRate(2, 1+r.IntN(3)))
	}
	f.log = append(f.log, fmt.Sprintf("fair: tenants %v limited %v classes %d flat %v", x.tenants, x.limited, x.classes, x.flat))
	return opts
}

func (f *fairProgram) expired(id int) int {
	if f == nil {
		return 0
	}
	return f.gone[id]
}

// submission makes a task with random attributes.
func (f *fairProgram) submission(ctx context.Context, depth, kind int, key uint64, weight int64) (id int, t Task, how func() error) {
	var a Attrs
	f.mu.Lock()
	if f.tenants {
		a.Tenant = f.r.Uint64N(3)
	}
	a.Class = f.r.IntN(f.classes)
	if f.r.IntN(4) == 0 {
		a.Deadline = time.Now().Add(time.Duration(f.r.IntN(4)) * time.Second)
	}
	try := f.r.IntN(4) == 0
	f.mu.Unlock()
	switch {
	case kind == 0 && f.keys:
		a.Key = key + 1
		id, t = f.keyed(depth, key)
	case kind == 1 && f.wts:
		a.Weight = weight
		id, t = f.weighted(depth, weight)
	default:
		id, t = f.task(depth)
	}
	if f.limited && f.flat && a.Tenant > 0 {
		t = f.counted(a.Tenant, t)
	}
	if try {
		return id, t, func() error { return f.p.TrySubmitAs(a, t) }
	}
	return id, t, func() error { return f.p.SubmitAs(ctx, a, t) }
}

// counted checks that no more tasks of the tenant run than may.
func (f *fairProgram) counted(tenant uint64, t Task) Task {
	return func(ctx context.Context) error {
		if ctx.Value(probeKey{}) != nil {
			return t(ctx)
		}
		if n := f.now[tenant].Add(1); n > int64(tenant) {
			f.t.Errorf("%d tasks of tenant %d run\n%v", n, tenant, f.log)
		}
		defer f.now[tenant].Add(-1)
		return t(ctx)
	}
}

// invariants checks that no submitter of a fair cell is blocked beside a place, and that nothing that has expired waits.
func (f *fairProgram) invariants(where string, c *cell[Task]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fair.BlockedBesideRoom(c.places()) {
		f.t.Fatalf("%s: blocked beside room, %d places, %d wait\n%v", where, c.places(), c.fair.Len(), f.log)
	}
	if at, ok := c.fair.Wake(); ok && at <= c.e.now() {
		f.t.Fatalf("%s: something is due since %v\n%v", where, c.e.now()-at, f.log)
	}
	if ready := c.fair.Ready(); ready != (c.turns.Load() > 0) {
		f.t.Fatalf("%s: ready %v, turns %d again %d keys %v\n%v", where, ready, c.turns.Load(), c.again.Len(), c.keys != nil, f.log)
	}
}

// Programs with tenants, limits, classes, deadlines and rates.
func TestStressFairness(t *testing.T) {
	for seed := range uint64(rounds(5000)) {
		runProgramAs(t, seed, true)
	}
}
