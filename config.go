package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/headrace-go/pool/internal/units"
)

type config struct {
	name      string
	strategy  Strategy
	fixed     int
	sizing    Sizing
	hasN      bool
	hasSizing bool
	buffer    int
	capacity  int64 // 0: the number of workers

	hasCapacity bool

	batch     int // tasks
	lingerFor time.Duration
	hasLinger bool

	sampling int

	results    int
	hasResults bool

	lazy      bool
	idleTime  time.Duration
	floor     int
	hasFloor  bool
	warm      func(context.Context) error
	warmRuns  int
	hasWarm   bool
	locked    bool
	hasState  bool
	create    func(context.Context) (any, error)
	closer    func(any)
	overflow  Overflow
	dropped   any // func(T)
	nilDrop   bool
	shutdown  ShutdownMode
	errorMode ErrorMode
	maxErrors int
	onError   func(error)
	onPanic   func(*PanicError)
	ctx       context.Context

	hasOnError, hasOnPanic bool

	fair fairness
}

func defaults() config {
	return config{sizing: CPU(), buffer: DefaultBuffer, batch: DefaultBatch, maxErrors: 1, sampling: DefaultSampling, ctx: context.Background()}
}

func configure(opts []Option) (config, error) {
	c := defaults()
	for i, o := range opts {
		if o == nil {
			return c, fmt.Errorf("pool: option is nil, at index %d", i)
		}
		o(&c)
	}
	both := c.hasN && c.hasSizing
	if c.hasN && !both {
		c.sizing = Fixed(c.fixed)
		c.sizing.name = fmt.Sprintf("WithWorkers(%d)", c.fixed)
	} else if c.hasSizing {
		c.sizing.name = fmt.Sprintf("WithSizing(%s)", c.sizing.name)
	}
	var p problems
	p.add(both, "WithWorkers(%d): contradicts %s", c.fixed, c.sizing.name)
	c.checkQueue(&p)
	c.checkOutcome(&p)
	c.checkLife(&p)
	c.checkFairness(&p)
	if err := errors.Join(p...); err != nil {
		return c, err
	}
	if c.sampling > 0 {
		c.sampling = 1 << bits.Len(uint(c.sampling-1))
	}
	if c.strategy == Elastic && c.hasCapacity && !c.hasN && !c.hasSizing {
		c.sizing = Fixed(int(min(c.capacity, maxWorkers)))
		if c.capacity <= maxWorkers {
			c.capacity = 0 // it is the number of workers
		}
	}
	return c, nil
}

// problems is what is wrong with options. Each has the form "pool: WithX(value): what is wrong".
type problems []error

func (p *problems) add(wrong bool, format string, args ...any) {
	if wrong {
		*p = append(*p, fmt.Errorf("pool: "+format, args...))
	}
}

// checkQueue checks the options about the queue and batches.
func (c *config) checkQueue(p *problems) {
	p.add(c.strategy > Elastic, "WithStrategy(%d): unknown strategy", uint8(c.strategy))
	p.add(c.buffer < 0, "WithBuffer(%d): must be at least 0", c.buffer)
	p.add(c.hasCapacity && (c.capacity < 1 || c.capacity > units.Max), "WithCapacity(%d): must be between 1 and 1<<62", c.capacity)
	p.add(c.batch < 1 || c.batch > maxBatch, "WithBatch(%d): must be between 1 and 1<<14", c.batch)
	p.add(c.results < 0 || c.results > maxResults, "WithResultBuffer(%d): must be between 0 and 1<<26", c.results)
	p.add(c.sampling < 0 || c.sampling > maxSampling, "WithSampling(%d): must be between 0 and 1<<20", c.sampling)
	p.add(c.hasLinger && c.lingerFor <= 0, "WithLinger(%v): must be positive", c.lingerFor)
	p.add(c.hasLinger && c.buffer == 0, "WithLinger(%v): contradicts WithBuffer(0): there is nowhere to wait", c.lingerFor)
	p.add(c.overflow > DropOldest, "WithOverflow(%d): unknown policy", uint8(c.overflow))
	p.add(c.overflow == DropOldest && c.buffer == 0, "WithOverflow(DropOldest): contradicts WithBuffer(0): there is nothing to drop")
	p.add(c.nilDrop, "WithDropHandler(nil): must be a function")
	p.add(c.dropped != nil && c.overflow != DropOldest, "WithDropHandler: needs WithOverflow(DropOldest)")
}

// checkOutcome checks the options about errors and the end.
func (c *config) checkOutcome(p *problems) {
	p.add(c.shutdown.bounded && c.shutdown.after <= 0, "WithShutdown(DrainFor(%v)): must be positive", c.shutdown.after)
	p.add(c.errorMode > FailFast, "WithErrorMode(%d): unknown mode", uint8(c.errorMode))
	p.add(c.maxErrors < 1, "WithErrorLimit(%d): must be at least 1", c.maxErrors)
	p.add(c.hasOnError && c.onError == nil, "WithErrorHandler(nil): must be a function")
	p.add(c.hasOnPanic && c.onPanic == nil, "WithPanicHandler(nil): must be a function")
	if c.ctx == nil {
		p.add(true, "WithContext(nil): must be a context")
	} else if err := endOf(c.ctx); err != nil {
		p.add(true, "WithContext: context is already done: %w", err)
	}
}

// checkLife checks the options about the workers.
func (c *config) checkLife(p *problems) {
	workers, elastic := c.sizing.workers(), c.strategy == Elastic
	p.add(c.sizing.bad != "", "%s: %s", c.sizing.name, c.sizing.bad)
	p.add(c.lazy && c.idleTime <= 0, "WithLazy(%v): must be positive", c.idleTime)
	p.add(c.lazy && elastic, "WithLazy(%v): contradicts WithStrategy(Elastic), whose workers end at once", c.idleTime)
	p.add(c.lazy && c.locked, "WithLazy(%v): contradicts WithLockedThread(): what is bound to the thread would go with it", c.idleTime)
	p.add(c.hasFloor && !c.lazy, "WithFloor(%d): needs WithLazy", c.floor)
	p.add(c.floor < 0, "WithFloor(%d): must be at least 0", c.floor)
	p.add(c.floor > workers && c.sizing.bad == "", "WithFloor(%d): contradicts %s: there are %d workers", c.floor, c.sizing.name, workers)
	p.add(c.hasWarm && c.warm == nil, "WithWarmup(nil, %d): must be a function", c.warmRuns)
	p.add(c.hasWarm && c.warmRuns < 1, "WithWarmup(f, %d): must run at least once", c.warmRuns)
	p.add(c.hasWarm && elastic, "WithWarmup(f, %d): contradicts WithStrategy(Elastic), which keeps no workers", c.warmRuns)
	p.add(c.locked && elastic, "WithLockedThread(): contradicts WithStrategy(Elastic), which keeps no workers")
	p.add(c.locked && c.overflow == CallerRuns, "WithLockedThread(): contradicts WithOverflow(CallerRuns), which runs tasks on their submitter's thread")
	p.add(c.hasState && c.create == nil, "WithState(nil, close): must be a function")
	p.add(c.hasState && c.overflow == CallerRuns, "WithState: contradicts WithOverflow(CallerRuns), whose tasks have no worker")
}

// checkFairness checks the options of attrs.go.
func (c *config) checkFairness(p *problems) {
	f, sum := &c.fair, 0.
	names := make(map[string]int)
	p.add(f.classes != nil && (len(f.classes) < 1 || len(f.classes) > maxClasses), "WithClasses: there must be 1 to %d classes, got %d", maxClasses, len(f.classes))
	for i, k := range f.classes {
		p.add(!(k.Share >= 0 && k.Share <= 1), "WithClasses: the share of class %d, %q, must be between 0 and 1, got %v", i, k.Name, k.Share)
		other, twice := names[k.Name]
		p.add(twice, "WithClasses: classes %d and %d have the name %q", other, i, k.Name)
		names[k.Name] = i
		sum += k.Share
	}
	p.add(sum > 1+1e-9, "WithClasses: the shares add up to %.4g, more than 1", sum)
	p.add(f.hasLimit && f.limit == nil, "WithTenantLimit(nil): must be a function")
	p.add(f.hasTimeout && f.timeout <= 0, "WithQueueTimeout(%v): must be positive", f.timeout)
	p.add(f.nilExpiry, "WithExpiredHandler(nil): must be a function")
	p.add(f.hasRate && !(f.perSecond > 0 && f.perSecond <= maxRate), "WithRate(%v, %d): perSecond must be above 0 and at most 1e9", f.perSecond, f.burst)
	p.add(f.hasRate && (f.burst < 1 || f.burst > math.MaxInt32), "WithRate(%v, %d): burst must be between 1 and 1<<31-1", f.perSecond, f.burst)
	p.add(f.hasRate && c.overflow == CallerRuns, "WithRate(%v, %d): contradicts WithOverflow(CallerRuns), which starts tasks at once", f.perSecond, f.burst)
	p.add(f.hasLimit && c.overflow == CallerRuns, "WithTenantLimit: contradicts WithOverflow(CallerRuns), which runs tasks beyond any limit")
	p.add((f.hasTenants || f.hasLimit) && c.buffer == 0, "WithBuffer(0): contradicts WithTenants and WithTenantLimit: nothing waits, so there is nothing to share")
}
