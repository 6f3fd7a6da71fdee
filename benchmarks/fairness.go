package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/headrace-go/pool"
)

const (
	// elephantTime is how long the elephant's tasks take all workers, and fullElephant the same with -full.
	elephantTime = 400 * time.Millisecond
	fullElephant = 10 * time.Second
	elephantTask = time.Millisecond
	lightTask    = 100 * time.Microsecond
	lightPause   = 5 * time.Millisecond

	// shareTime is for how long shares are counted. Meanwhile each tenant always has shareQueued tasks waiting or running.
	shareTime   = 400 * time.Millisecond
	fullShare   = 2 * time.Second
	shareQueued = 64
	shortTask   = 100 * time.Microsecond
	longTask    = 10 * time.Millisecond

	aloneTime = 100 * time.Millisecond
	tinyTask  = 10 * time.Microsecond

	limitTenants = 1000
	fullTenants  = 100_000
	limitTasks   = 10 // of each tenant
	limitWorkers = 16

	fairWorkers = 2
)

// A chore is a task in the two forms that the contenders take, made before the clock starts.
type chore struct {
	f    func()
	task pool.Task
}

func newChore(f func()) chore {
	return chore{f, func(context.Context) error { f(); return nil }}
}

// tenanted is a contender of the fairness suite at work.
type tenanted interface {
	submit(tenant uint64, c chore) // from any number of goroutines
	close()                        // called when everything has run
}

// A setting is what a contender is opened for.
type setting struct {
	workers, tenants int
	buffer           int // tasks of one tenant that may wait
	total            int // tasks of all tenants that may wait, where all are in one queue
}

// A fairContender is one way to run the tasks of several tenants.
type fairContender struct {
	name string
	open func(setting) tenanted
}

const (
	plainPool   = "pool-plain"
	tenantsPool = "pool-tenants"
)

// sharers are compared by how they share the workers.
var sharers = []fairContender{
	{plainPool, openTenants()},
	{tenantsPool, openTenants(pool.WithTenants(nil))},
	{"round-robin", openRoundRobin},
	{"pond-pools", openPonds},
	{"pond-subpools", openSubpools},
}

// limiters run one task of each tenant at a time, but for the first two, which show what the limit costs.
var limiters = []fairContender{
	{plainPool, openTenants()},
	{tenantsPool, openTenants(pool.WithTenants(nil))},
	{"pool-limit", openTenants(pool.WithTenantLimit(func(uint64) int { return 1 }))},
	{"pool-keyed", openTenantKeys},
	{"goroutines", openGoroutines},
	{"pond-subpools", openLimitedSubpools},
}

func (h *harness) fair(all []fairContender) (cs []fairContender, names []string) {
	for _, c := range all {
		if h.contenders.MatchString(c.name) {
			cs, names = append(cs, c), append(names, c.name)
		}
	}
	return cs, names
}

// fairness measures what tenants get of a pool, and what it costs, next to what is written by hand and to pond.
func fairness(h *harness) []row {
	elephant, window, many := h.dur(elephantTime), h.dur(shareTime), h.num(limitTenants)
	if h.full {
		elephant, window, many = h.dur(fullElephant), h.dur(fullShare), h.num(fullTenants)
	}
	return []row{h.beside(elephant), h.shares(window), h.alone(), h.limited(many)}
}

// run submits what f says and waits for n tasks. The tasks count themselves.
func (c fairContender) run(s setting, n int, done *counter, f func(x tenanted)) (begin, end int64) {
	x := c.open(s)
	runtime.GC()
	begin = now()
	f(x)
	(&load{done: done}).await(n)
	end = now()
	x.close()
	if done.sum() != n {
		panic(fmt.Sprintf("benchmarks: %s ran %d tasks of %d", c.name, done.sum(), n))
	}
	return begin, end
}

// beside measures how long the tasks of a light tenant wait while an elephant's are queued. A wait begins with the call of submit. The generator has no
// processor of its own, so it wakes late, and with some contenders just when a task has ended: so there is the time after the task was due, too.
func (h *harness) beside(d time.Duration) row {
	cs, names := h.fair(sharers)
	heavy := max(1, int(d/elephantTask)*fairWorkers)
	light := max(1, int(d/lightPause))
	w := row{name: fmt.Sprintf("%v every %v beside %d of %v/N=%d", lightTask, lightPause, heavy, elephantTask, fairWorkers),
		base: tenantsPool, names: names, each: d * 11 / 10}
	w.metrics = []metric{{"p50 wait us", "%.0f", times}, {"p99 wait us", "%.0f", times},
		{"p50 us after due", "%.0f", noRatio}, {"p99 us after due", "%.0f", noRatio}, {"total ms", "%.0f", times}}
	w.measure = func(k, _ int) []float64 {
		var done counter
		waits, late := make([]int64, light), make([]int64, light) // late counts from when the task was due
		chores := make([]chore, light)
		iters := h.iters(lightTask)
		for i := range chores {
			chores[i] = newChore(func() {
				start := now()
				waits[i], late[i] = start-waits[i], start-late[i]
				_ = spin(iters)
				done.add()
			})
		}
		big := h.iters(elephantTask)
		task := newChore(func() { _ = spin(big); done.add() })
		s := setting{workers: fairWorkers, tenants: 2, buffer: heavy, total: heavy + light}
		begin, end := cs[k].run(s, heavy+light, &done, func(x tenanted) {
			for range heavy {
				x.submit(1, task)
			}
			first := now()
			for i, c := range chores {
				late[i] = first + int64(i)*int64(lightPause)
				time.Sleep(time.Duration(late[i] - now()))
				waits[i] = now()
				x.submit(2, c)
			}
		})
		slices.Sort(waits)
		slices.Sort(late)
		return []float64{percentile(waits, .5) / 1e3, percentile(waits, .99) / 1e3, percentile(late, .5) / 1e3, percentile(late, .99) / 1e3, float64(end-begin) / 1e6}
	}
	return w
}

// shares measures the run time that two tenants get whose tasks differ a hundredfold. Each task submits its successor when it ends, so both always
// have tasks waiting.
func (h *harness) shares(d time.Duration) row {
	cs, names := h.fair(sharers)
	w := row{name: fmt.Sprintf("%v and %v, both always queued/N=%d", shortTask, longTask, fairWorkers), names: names, each: d}
	w.metrics = []metric{
		{fmt.Sprintf("%v, %% of run time", shortTask), "%.1f", noRatio}, {fmt.Sprintf("%v, %% of run time", longTask), "%.1f", noRatio},
		{fmt.Sprintf("%v / %v", longTask, shortTask), "%.2f", noRatio}, {"% of workers used", "%.1f", noRatio},
	}
	w.measure = func(k, _ int) []float64 {
		var done counter
		var over atomic.Bool
		var ran [2]atomic.Int64
		var until int64
		s := setting{workers: fairWorkers, tenants: 2, buffer: 2 * shareQueued, total: 4 * shareQueued}
		cs[k].run(s, 2*shareQueued, &done, func(x tenanted) {
			until = now() + int64(d)
			for tenant, took := range [2]time.Duration{shortTask, longTask} {
				iters := h.iters(took)
				var c chore
				c = newChore(func() {
					if over.Load() {
						done.add()
						return
					}
					from := now()
					_ = spin(iters)
					ran[tenant].Add(max(0, min(now(), until)-from))
					x.submit(uint64(tenant)+1, c)
				})
				for range shareQueued {
					x.submit(uint64(tenant)+1, c)
				}
			}
			time.Sleep(time.Duration(until - now()))
			over.Store(true)
		})
		short, long := float64(ran[0].Load()), float64(ran[1].Load())
		part := func(a, b float64) float64 {
			if b == 0 {
				return math.NaN()
			}
			return a / b
		}
		return []float64{100 * part(short, short+long), 100 * part(long, short+long), part(long, short), 100 * (short + long) / float64(d) / fairWorkers}
	}
	return w
}

// alone measures what sharing costs when there is nobody to share with.
func (h *harness) alone() row {
	cs, names := h.fair(sharers)
	d := h.dur(aloneTime)
	n := max(1, int(d/tinyTask)*fairWorkers)
	w := row{name: fmt.Sprintf("one tenant alone, %v/N=%d/P=1", tinyTask, fairWorkers), base: plainPool, names: names, each: d * 3 / 2,
		metrics: []metric{{"us/task", "%.2f", speedUp}}}
	w.measure = func(k, _ int) []float64 {
		var done counter
		iters := h.iters(tinyTask)
		task := newChore(func() { _ = spin(iters); done.add() })
		s := setting{workers: fairWorkers, tenants: 2, buffer: h.buffer, total: h.buffer}
		begin, end := cs[k].run(s, n, &done, func(x tenanted) {
			for range n {
				x.submit(1, task)
			}
		})
		return []float64{float64(end-begin) / float64(n) / 1e3}
	}
	return w
}

// limited measures many tenants of which each may run one task at a time. Each brings its tasks at once.
func (h *harness) limited(many int) row {
	all := limiters
	if h.full { // the subpools would take 16 kB each
		all = slices.DeleteFunc(slices.Clone(all), func(c fairContender) bool { return c.name == "pond-subpools" })
	}
	cs, names := h.fair(all)
	n := many * limitTasks
	w := row{name: fmt.Sprintf("limit 1: %d tenants, %d of %v each/N=%d", many, limitTasks, tinyTask, limitWorkers), base: plainPool, names: names,
		each: time.Duration(n) * tinyTask, metrics: []metric{{"total ms", "%.1f", times}, {"CPU ms", "%.1f", times}}}
	w.measure = func(k, _ int) []float64 {
		var done counter
		iters := h.iters(tinyTask)
		task := newChore(func() { _ = spin(iters); done.add() })
		s := setting{workers: limitWorkers, tenants: many, buffer: limitTasks, total: n}
		var cpu time.Duration
		begin, end := cs[k].run(s, n, &done, func(x tenanted) {
			cpu = cpuTime()
			for i := range n {
				x.submit(uint64(i/limitTasks)+1, task)
			}
			(&load{done: &done}).await(n)
			cpu = cpuTime() - cpu
		})
		return []float64{float64(end-begin) / 1e6, float64(cpu) / 1e6}
	}
	return w
}

// tenantPool is this project's pool.
type tenantPool struct{ p *pool.Pool }

func openTenants(opts ...pool.Option) func(setting) tenanted {
	return func(s setting) tenanted {
		p, err := pool.New(append([]pool.Option{pool.WithWorkers(s.workers), pool.WithBuffer(s.total)}, opts...)...)
		must(err)
		if len(opts) == 0 {
			return plainInstance{p}
		}
		return tenantPool{p}
	}
}

func (x tenantPool) submit(tenant uint64, c chore) {
	must(x.p.SubmitAs(background, pool.Attrs{Tenant: tenant}, c.task))
}
func (x tenantPool) close() { must(x.p.Close()) }

// plainInstance is the pool for which all tasks are alike.
type plainInstance struct{ p *pool.Pool }

func (x plainInstance) submit(_ uint64, c chore) { must(x.p.Submit(background, c.task)) }
func (x plainInstance) close()                   { must(x.p.Close()) }

// tenantKeys is the pool with the tenant as the key: equal keys run one at a time too.
type tenantKeys struct{ plainInstance }

func openTenantKeys(s setting) tenanted {
	return tenantKeys{openTenants()(s).(plainInstance)}
}

func (x tenantKeys) submit(tenant uint64, c chore) {
	must(x.p.SubmitKeyed(background, tenant, c.task))
}

// byTenant has something for each tenant, made when it first comes.
type byTenant[V any] struct {
	mu    sync.Mutex
	all   map[uint64]V
	order []V
	make  func() V
}

func newByTenant[V any](f func() V) *byTenant[V] {
	return &byTenant[V]{all: map[uint64]V{}, make: f}
}

func (m *byTenant[V]) get(tenant uint64) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.all[tenant]
	if !ok {
		v = m.make()
		m.all[tenant] = v
		m.order = append(m.order, v)
	}
	return v
}

// list returns what there is, in the order in which the tenants came.
func (m *byTenant[V]) list() []V {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order
}

// roundRobin is what is written by hand: a channel for each tenant, and a goroutine that takes one task of each in turn and hands it to a worker.
type roundRobin struct {
	queues *byTenant[chan func()]
	wake   chan struct{} // something may be in a channel
	next   chan func()
	wg     sync.WaitGroup
}

func openRoundRobin(s setting) tenanted {
	x := &roundRobin{
		queues: newByTenant(func() chan func() { return make(chan func(), s.buffer) }),
		wake:   make(chan struct{}, 1),
		next:   make(chan func()),
	}
	x.wg.Go(x.dispatch)
	for range s.workers {
		x.wg.Go(func() {
			for f := range x.next {
				f()
			}
		})
	}
	return x
}

func (x *roundRobin) dispatch() {
	defer close(x.next)
	for {
		idle := true
		for _, ch := range x.queues.list() {
			select {
			case f := <-ch:
				x.next <- f
				idle = false
			default:
			}
		}
		if idle {
			if _, ok := <-x.wake; !ok {
				return
			}
		}
	}
}

func (x *roundRobin) submit(tenant uint64, c chore) {
	x.queues.get(tenant) <- c.f
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *roundRobin) close() {
	close(x.wake)
	x.wg.Wait()
}

// goroutines is what is written by hand for a limit of one: a channel and a goroutine for each tenant, and a semaphore for all.
type goroutines struct {
	queues *byTenant[chan func()]
	wg     sync.WaitGroup
}

func openGoroutines(s setting) tenanted {
	x := new(goroutines)
	sem := make(chan struct{}, s.workers)
	x.queues = newByTenant(func() chan func() {
		ch := make(chan func(), s.buffer)
		x.wg.Go(func() {
			for f := range ch {
				sem <- struct{}{}
				f()
				<-sem
			}
		})
		return ch
	})
	return x
}

func (x *goroutines) submit(tenant uint64, c chore) { x.queues.get(tenant) <- c.f }
func (x *goroutines) close() {
	for _, ch := range x.queues.list() {
		close(ch)
	}
	x.wg.Wait()
}

// ponds is pond with a pool for each tenant. With a parent they are subpools of it; without one the workers are divided among them.
type ponds struct {
	parent pond.Pool
	pools  *byTenant[pond.Pool]
}

func openPonds(s setting) tenanted {
	return &ponds{pools: newByTenant(func() pond.Pool {
		return pond.NewPool(max(1, s.workers/s.tenants), pond.WithQueueSize(s.buffer))
	})}
}

func openSubpools(s setting) tenanted        { return newSubpools(s, s.workers) }
func openLimitedSubpools(s setting) tenanted { return newSubpools(s, 1) }

// newSubpools makes subpools with that many workers each. Subpools wait for a place in the parent's queue, also inside a worker, so that has no bound.
func newSubpools(s setting, each int) tenanted {
	x := &ponds{parent: pond.NewPool(s.workers)}
	x.pools = newByTenant(func() pond.Pool { return x.parent.NewSubpool(each, pond.WithQueueSize(s.buffer)) })
	return x
}

func (x *ponds) submit(tenant uint64, c chore) { must(x.pools.get(tenant).Go(c.f)) }
func (x *ponds) close() {
	for _, p := range x.pools.list() {
		p.StopAndWait()
	}
	if x.parent != nil {
		x.parent.StopAndWait()
	}
}
