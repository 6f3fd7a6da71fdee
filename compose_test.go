package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// composed is what can be combined: docs/composition.md says for each pair what happens.
var composed = []string{"key", "weight", "tenant", "limit", "class", "deadline", "rate", "batch", "group", "parent", "strategy", "overflow", "resize", "end"}

var pairItem = regexp.MustCompile(`(?m)^- \*\*([a-z]+), ([a-z]+)\*\*: [A-Z].*[.]$`)

// The page has one sentence or more for each pair.
func TestCompositionPage(t *testing.T) {
	only(t, Shared)
	text, err := os.ReadFile("docs/composition.md")
	must(t, err)
	found := make(map[[2]string]int)
	for _, m := range pairItem.FindAllStringSubmatch(string(text), -1) {
		found[[2]string{m[1], m[2]}]++
	}
	for i, a := range composed {
		for _, b := range composed[i+1:] {
			if n := found[[2]string{a, b}]; n != 1 {
				t.Errorf("the pair %s, %s is there %d times", a, b, n)
			}
			delete(found, [2]string{a, b})
		}
	}
	if len(found) > 0 {
		t.Errorf("there is no such pair as %v", found)
	}
}

// composition is a program in virtual time that uses some of what can be combined, and checks what each promises.
type composition struct {
	t                                                        *testing.T
	key, weight, tenant, limit, class, deadline, rate, group bool
	batch, parent, resize                                    bool
	p                                                        *Pool
	began                                                    time.Time
	lock                                                     chan struct{} // guards what follows
	ran, gone                                                map[int]int
	starts                                                   []time.Duration
	keys                                                     map[uint64]int // the last task of a key that began
	running                                                  map[uint64]int // tasks of a key
	tenants                                                  map[uint64]int
	units                                                    int64
}

func (c *composition) options(overflow Overflow) []Option {
	opts := []Option{WithWorkers(2), WithBuffer(8), WithCapacity(3), WithOverflow(overflow), WithExpiredHandler(func(t Task) { _ = t(context.WithValue(bg, probeKey{}, c.gone)) })}
	if overflow == DropOldest {
		opts = append(opts, WithDropHandler(func(t Task) { _ = t(context.WithValue(bg, probeKey{}, c.gone)) }))
	}
	if c.tenant {
		opts = append(opts, WithTenants(func(n uint64) int { return 1 + int(n) }))
	}
	if c.limit {
		opts = append(opts, WithTenantLimit(func(uint64) int { return 1 }))
	}
	if c.class {
		opts = append(opts, WithClasses(Class{"a", .5}, Class{"b", .5}))
	}
	if c.rate {
		opts = append(opts, WithRate(10, 1))
	}
	return opts
}

// attrs returns those of a task.
func (c *composition) attrs(i int) (a Attrs) {
	if c.key {
		a.Key = uint64(1 + i%2)
	}
	if c.weight {
		a.Weight = int64(1 + i%3)
	}
	if c.tenant || c.limit {
		a.Tenant = uint64(i % 3)
	}
	if c.class {
		a.Class = i % 2
	}
	if c.deadline {
		a.Deadline = c.began.Add(time.Duration(1+i%4) * 700 * time.Millisecond)
	}
	return a
}

// task checks, while it runs, what its attributes promise. nested says that it was submitted by another one, inside which it may run.
func (c *composition) task(i int, a Attrs, nested bool) Task {
	return func(ctx context.Context) error {
		if m, ok := ctx.Value(probeKey{}).(map[int]int); ok {
			c.lock <- struct{}{}
			m[i]++
			<-c.lock
			return nil
		}
		c.lock <- struct{}{}
		now := time.Since(c.began)
		c.ran[i]++
		if !nested {
			c.starts = append(c.starts, now)
			c.units += max(1, a.Weight)
			c.running[a.Key]++
			c.tenants[a.Tenant]++
			switch {
			case c.units > 3 && c.p.overflow != CallerRuns: // whose submitters are not weighed
				c.t.Errorf("%d units are in use", c.units)
			case a.Key != 0 && (c.running[a.Key] > 1 || c.keys[a.Key] > i):
				c.t.Errorf("task %d of key %d begins, %d run, the last was %d", i, a.Key, c.running[a.Key], c.keys[a.Key])
			case c.limit && !c.resize && c.tenants[a.Tenant] > 1:
				c.t.Errorf("%d tasks of tenant %d run", c.tenants[a.Tenant], a.Tenant)
			case !a.Deadline.IsZero() && !time.Now().Before(a.Deadline):
				c.t.Errorf("task %d begins at %v, after its deadline", i, now)
			}
			c.keys[a.Key] = i
		}
		<-c.lock
		time.Sleep(130 * time.Millisecond)
		c.lock <- struct{}{}
		if !nested {
			c.units -= max(1, a.Weight)
			c.running[a.Key]--
			c.tenants[a.Tenant]--
		}
		<-c.lock
		if c.parent && !nested && i%4 == 0 {
			if got, _ := ctx.Value(attrsKey{}).(Attrs); got.Tenant != a.Tenant || got.Class != a.Class || !got.Deadline.Equal(a.Deadline) {
				c.t.Errorf("the children of %+v inherit %+v", a, got)
			}
			c.submit(ctx, 1000+i, Attrs{}, true)
		}
		return nil
	}
}

// submit submits a task and notes it if it was accepted.
func (c *composition) submit(ctx context.Context, i int, a Attrs, nested bool) {
	task := c.task(i, a, nested)
	err := c.p.SubmitAs(ctx, a, task)
	if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrAborted) {
		c.t.Errorf("task %d: %v", i, err)
	}
	c.lock <- struct{}{}
	if err != nil {
		c.ran[i]++ // refused
	}
	<-c.lock
}

// run submits 24 tasks, ends the pool, and checks that each came to one end.
func (c *composition) run(t *testing.T, overflow Overflow, end func(*Pool)) {
	c.t, c.began, c.lock = t, time.Now(), make(chan struct{}, 1)
	c.ran, c.gone, c.keys, c.running, c.tenants = map[int]int{}, map[int]int{}, map[uint64]int{}, map[uint64]int{}, map[uint64]int{}
	c.p = mustNew(t, c.options(overflow)...)
	g, b := NewGroup(WithAttrs(t.Context(), Attrs{Class: c.attrs(1).Class}), c.p), c.p.Batcher()
	for i := range 24 {
		switch {
		case c.group && i%3 == 0:
			g.Go(func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil })
		case c.batch && i%3 == 1:
			if err := b.Add(t.Context(), c.task(i, Attrs{}, true)); err != nil {
				c.lock <- struct{}{}
				c.ran[i]++
				<-c.lock
			}
		default:
			c.submit(t.Context(), i, c.attrs(i), false)
		}
		if c.resize && i%6 == 0 {
			must(t, c.p.Resize(1+i%4))
		}
		if i%5 == 0 {
			time.Sleep(100 * time.Millisecond)
		}
	}
	_ = b.Close()
	end(c.p)
	_ = g.Wait()
	for _, task := range c.p.Leftover() {
		_ = task(context.WithValue(bg, probeKey{}, c.gone))
	}
	for i := range 24 {
		if n := c.ran[i] + c.gone[i]; n != 1 && !(c.group && i%3 == 0) {
			t.Errorf("task %d came to %d ends", i, n)
		}
	}
	for i := 1; i < len(c.starts) && c.rate; i++ {
		if d := c.starts[i] - c.starts[i-1]; d < 100*time.Millisecond-time.Microsecond {
			t.Errorf("two tasks start %v apart", d)
		}
	}
	s := c.p.Stats()
	if sum := s.Completed + s.Failed + s.Skipped + s.Dropped + s.Expired + s.Unrun; sum != s.Accepted || s.Queued+s.Running > 0 {
		t.Errorf("%v", s)
	}
}

// Each pair of attributes, under each overflow policy and each end.
func TestComposition(t *testing.T) {
	set := map[string]func(*composition){
		"key": func(c *composition) { c.key = true }, "weight": func(c *composition) { c.weight = true },
		"tenant": func(c *composition) { c.tenant = true }, "limit": func(c *composition) { c.limit = true },
		"class": func(c *composition) { c.class = true }, "deadline": func(c *composition) { c.deadline = true },
		"rate": func(c *composition) { c.rate = true }, "batch": func(c *composition) { c.batch = true },
		"group": func(c *composition) { c.group = true }, "parent": func(c *composition) { c.parent = true },
		"resize": func(c *composition) { c.resize = true },
	}
	ends := map[string]func(*Pool){
		"Close": func(p *Pool) { _ = p.Close() }, "Abort": func(p *Pool) { p.Abort(); _ = p.Close() },
		"Shutdown": func(p *Pool) {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_ = p.Shutdown(ctx)
			_ = p.Close()
		},
	}
	for i, a := range composed {
		for _, b := range composed[i:] {
			if set[a] == nil || set[b] == nil {
				continue
			}
			for overflow := Block; overflow <= DropOldest; overflow++ {
				for end, f := range ends {
					t.Run(fmt.Sprint(a, ",", b, ",", overflow, ",", end), func(t *testing.T) {
						c := new(composition)
						set[a](c)
						set[b](c)
						if overflow == CallerRuns && (c.limit || c.rate) || overflow == DropOldest && c.key {
							return // contradictions, see TestBadFairness
						}
						synctest.Test(t, func(t *testing.T) { c.run(t, overflow, f) })
					})
				}
			}
		}
	}
}

// What makes no sense is an error that names both.
func TestBadFairness(t *testing.T) {
	only(t, Shared)
	one := func(uint64) int { return 1 }
	for _, c := range []struct {
		opts []Option
		want []string
	}{
		{[]Option{WithClasses()}, []string{"WithClasses", "got 0"}},
		{[]Option{WithClasses(make([]Class, 9)...)}, []string{"WithClasses", "got 9"}},
		{[]Option{WithClasses(Class{"a", -1})}, []string{`"a"`, "-1"}},
		{[]Option{WithClasses(Class{"a", .6}, Class{"b", .6})}, []string{"1.2"}},
		{[]Option{WithClasses(Class{"a", .1}, Class{"a", .1})}, []string{"0 and 1", `"a"`}},
		{[]Option{WithTenantLimit(nil)}, []string{"WithTenantLimit(nil)"}},
		{[]Option{WithTenantLimit(one), WithOverflow(CallerRuns)}, []string{"WithTenantLimit", "CallerRuns"}},
		{[]Option{WithTenants(nil), WithBuffer(0)}, []string{"WithTenants", "WithBuffer(0)"}},
		{[]Option{WithQueueTimeout(0)}, []string{"WithQueueTimeout(0s)"}},
		{[]Option{WithExpiredHandler[Task](nil)}, []string{"WithExpiredHandler(nil)"}},
		{[]Option{WithExpiredHandler(func(int) {})}, []string{"WithExpiredHandler", "func(int)"}},
		{[]Option{WithRate(0, 1)}, []string{"WithRate(0, 1)"}},
		{[]Option{WithRate(1, 0)}, []string{"WithRate(1, 0)"}},
		{[]Option{WithRate(1, 1), WithOverflow(CallerRuns)}, []string{"WithRate(1, 1)", "CallerRuns"}},
	} {
		p, err := New(c.opts...)
		if err == nil {
			t.Errorf("%v: no error", c.want)
			_ = p.Close()
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not contain %q", err, w)
			}
		}
	}
	if _, err := NewTypedBatch(func(context.Context, []int) error { return nil }, WithTenants(nil), WithLinger(time.Second)); err == nil || !strings.Contains(err.Error(), "WithLinger(1s)") {
		t.Errorf("WithLinger and WithTenants: %v", err)
	}
	plain, fair := mustNew(t), mustNew(t, WithTenants(func(n uint64) int { return int(n) }), WithTenantLimit(func(n uint64) int { return 2 - int(n) }), WithClasses(Class{"a", 0}))
	drops := mustNew(t, WithOverflow(DropOldest), WithTenants(nil))
	for _, c := range []struct {
		p    *Pool
		a    Attrs
		want string
	}{
		{plain, Attrs{Tenant: 5}, "Attrs.Tenant is 5"},
		{plain, Attrs{Class: 1}, "Attrs.Class is 1"},
		{plain, Attrs{Weight: -1}, "got -1"},
		{plain, Attrs{Weight: 1 << 40}, "heavier"},
		{plain, Attrs{Deadline: time.Now().Add(time.Hour)}, "WithExpiredHandler"},
		{fair, Attrs{Class: 1}, "Attrs.Class is 1"},
		{fair, Attrs{Class: -1}, "Attrs.Class is -1"},
		{fair, Attrs{}, "the weight of tenant 0"},
		{fair, Attrs{Tenant: 3}, "the limit of tenant 3"},
		{drops, Attrs{Key: 1}, "DropOldest"},
	} {
		for _, err := range []error{c.p.SubmitAs(bg, c.a, noop), c.p.TrySubmitAs(c.a, noop)} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v, want %q", c.a, err, c.want)
			}
		}
	}
	var p *PanicError
	g := NewGroup(bg, mustNew(t, WithTenantLimit(func(uint64) int { panic("no limit") })))
	g.Go(noop) // and it does not wait for ever
	if err := g.Wait(); !errors.As(err, &p) || p.Value != "no limit" || !strings.Contains(err.Error(), "the limit of tenant 0") {
		t.Errorf("a limit that panics: %v", err)
	}
	for _, err := range []error{plain.SubmitAs(bg, Attrs{}, nil), plain.TrySubmitAs(Attrs{}, nil)} {
		if err != ErrNilTask {
			t.Errorf("nil task: %v", err)
		}
	}
	if err := plain.SubmitAs(noContext, Attrs{}, noop); err == nil {
		t.Error("nil context: no error")
	}
	for _, p := range []*Pool{plain, fair, drops} {
		must(t, p.Close())
		if err := p.SubmitAs(bg, Attrs{Tenant: 1}, noop); p == fair && !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
}

// What a task submits has its tenant and class, unless its context says otherwise.
func TestInheritedAttrs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithTenants(nil), WithClasses(Class{"a", 0}, Class{"b", .1}), WithWorkers(4))
		var got []Attrs
		var lock = make(chan struct{}, 1)
		note := func(ctx context.Context) error {
			lock <- struct{}{}
			a, _ := ctx.Value(attrsKey{}).(Attrs)
			got = append(got, a)
			<-lock
			return nil
		}
		must(t, p.SubmitAs(t.Context(), Attrs{Tenant: 7, Class: 1}, func(ctx context.Context) error {
			must(t, p.Submit(ctx, note))
			must(t, p.SubmitKeyed(ctx, 3, note))
			must(t, p.SubmitAs(ctx, Attrs{Tenant: 8}, note))
			must(t, p.Submit(WithAttrs(ctx, Attrs{}), note))
			g := NewGroup(ctx, p)
			g.Go(note)
			must(t, g.Wait())
			return ForEach(ctx, p, slices.Values([]int{1}), func(ctx context.Context, _ int) error { return note(ctx) })
		}))
		must(t, p.Wait(t.Context()))
		_, err := Do(WithAttrs(t.Context(), Attrs{Tenant: 9, Key: 5}), p, func(ctx context.Context) (int, error) { return 0, note(ctx) })
		must(t, err)
		must(t, p.Close())
		count := map[Attrs]int{}
		for _, a := range got {
			count[a]++
		}
		if count[Attrs{Tenant: 7, Class: 1}] != 4 || count[Attrs{Tenant: 8, Class: 1}] != 1 || count[Attrs{}] != 1 || count[Attrs{Tenant: 9}] != 1 {
			t.Errorf("%v", count)
		}
	})
}

// A slice of a typed batch is of one tenant and class, and as long as it can be.
func TestFairBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(gate)
		var slices [][]int
		p := mustTypedBatch(t, func(_ context.Context, jobs []int) error {
			<-hold
			slices = append(slices, append([]int(nil), jobs...))
			time.Sleep(time.Second)
			return nil
		}, WithWorkers(1), WithTenants(nil), WithClasses(Class{"a", 0}, Class{"b", 0}), WithQueueTimeout(time.Hour), WithBatch(8))
		must(t, p.Submit(t.Context(), -1))
		synctest.Wait()
		for i := range 24 {
			must(t, p.SubmitAs(t.Context(), Attrs{Tenant: uint64(i % 2), Class: i / 2 % 2}, i))
		}
		close(hold)
		must(t, p.Close())
		if len(slices) != 5 {
			t.Errorf("%v", slices)
		}
		for _, s := range slices[1:] {
			for _, i := range s {
				if i%4 != s[0]%4 {
					t.Errorf("a slice of several tenants: %v", s)
				}
			}
		}
	})
}
