package pool

import (
	"context"
	"fmt"
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
	shutdown  ShutdownMode
	errorMode ErrorMode
	maxErrors int
	onError   func(error)
	onPanic   func(*PanicError)
	ctx       context.Context
}

func defaults() config {
	return config{sizing: CPU(), buffer: DefaultBuffer, batch: DefaultBatch, shutdown: Drain, maxErrors: 1, ctx: context.Background()}
}

func configure(opts []Option) (config, error) {
	c := defaults()
	for _, o := range opts {
		if o == nil {
			return c, fmt.Errorf("pool: option is nil")
		}
		o(&c)
	}
	if c.hasN {
		if c.hasSizing {
			return c, fmt.Errorf("pool: WithWorkers(%d) contradicts WithSizing(%s)", c.fixed, c.sizing.name)
		}
		c.sizing = sized(fmt.Sprintf("WithWorkers(%d)", c.fixed), c.fixed)
	}
	if err := c.validate(); err != nil {
		return c, err
	}
	if c.strategy == Elastic && c.hasCapacity && !c.hasN && !c.hasSizing {
		c.sizing = Fixed(int(min(c.capacity, maxWorkers)))
		if c.capacity <= maxWorkers {
			c.capacity = 0 // it is the number of workers
		}
	}
	return c, nil
}

func (c *config) validate() error {
	switch {
	case c.strategy > Elastic:
		return fmt.Errorf("pool: WithStrategy: unknown strategy, got %d", c.strategy)
	case c.sizing.name == "":
		return fmt.Errorf("pool: WithSizing: sizing is empty, use Fixed, CPU, IO, Mixed or LittlesLaw")
	case c.sizing.bad != "":
		return fmt.Errorf("pool: %s: %s", c.sizing.name, c.sizing.bad)
	case c.results < 0 || c.results > maxResults:
		return fmt.Errorf("pool: WithResultBuffer: size must be between 0 and %d, got %d", maxResults, c.results)
	case c.buffer < 0:
		return fmt.Errorf("pool: WithBuffer: must be at least 0, got %d", c.buffer)
	case c.hasCapacity && (c.capacity < 1 || c.capacity > units.Max):
		return fmt.Errorf("pool: WithCapacity: must be between 1 and %d, got %d", int64(units.Max), c.capacity)
	case c.batch < 1 || c.batch > maxBatch:
		return fmt.Errorf("pool: WithBatch: must be between 1 and %d, got %d", maxBatch, c.batch)
	case c.hasLinger && c.lingerFor <= 0:
		return fmt.Errorf("pool: WithLinger: must be positive, got %v", c.lingerFor)
	case c.hasLinger && c.buffer == 0:
		return fmt.Errorf("pool: WithLinger(%v) contradicts WithBuffer(0): there is nowhere to wait", c.lingerFor)
	case c.overflow > DropOldest:
		return fmt.Errorf("pool: WithOverflow: unknown policy, got %d", c.overflow)
	case c.overflow == DropOldest && c.buffer == 0:
		return fmt.Errorf("pool: WithOverflow(DropOldest) contradicts WithBuffer(0): there is nothing to drop")
	case c.dropped != nil && c.overflow != DropOldest:
		return fmt.Errorf("pool: WithDropHandler needs WithOverflow(DropOldest)")
	case c.shutdown != Drain && c.shutdown != Abort && c.shutdown <= 0:
		return fmt.Errorf("pool: WithShutdown: DrainFor needs a positive duration, got %v", time.Duration(c.shutdown))
	case c.errorMode > FailFast:
		return fmt.Errorf("pool: WithErrorMode: unknown mode, got %d", c.errorMode)
	case c.maxErrors < 1:
		return fmt.Errorf("pool: WithErrorLimit: must be at least 1, got %d", c.maxErrors)
	case c.ctx == nil:
		return fmt.Errorf("pool: WithContext: %w", errNilContext)
	}
	return c.validateLife()
}

// validateLife checks the options about the workers' life.
func (c *config) validateLife() error {
	switch workers := c.sizing.workers(); {
	case c.lazy && c.idleTime <= 0:
		return fmt.Errorf("pool: WithLazy: idle time must be positive, got %v", c.idleTime)
	case c.lazy && c.strategy == Elastic:
		return fmt.Errorf("pool: WithLazy(%v) contradicts WithStrategy(Elastic), whose workers end at once", c.idleTime)
	case c.lazy && c.locked:
		return fmt.Errorf("pool: WithLazy(%v) contradicts WithLockedThread: what is bound to the thread would go with it", c.idleTime)
	case c.hasFloor && !c.lazy:
		return fmt.Errorf("pool: WithFloor(%d) needs WithLazy", c.floor)
	case c.floor < 0:
		return fmt.Errorf("pool: WithFloor: must be at least 0, got %d", c.floor)
	case c.floor > workers:
		return fmt.Errorf("pool: WithFloor(%d) contradicts %s: there are %d workers", c.floor, c.sizing.name, workers)
	case c.hasWarm && c.warm == nil:
		return fmt.Errorf("pool: WithWarmup: function is nil")
	case c.hasWarm && c.warmRuns < 1:
		return fmt.Errorf("pool: WithWarmup: must run at least once, got %d", c.warmRuns)
	case c.hasWarm && c.strategy == Elastic:
		return fmt.Errorf("pool: WithWarmup contradicts WithStrategy(Elastic), which keeps no workers")
	case c.locked && c.strategy == Elastic:
		return fmt.Errorf("pool: WithLockedThread contradicts WithStrategy(Elastic), which keeps no workers")
	case c.locked && c.overflow == CallerRuns:
		return fmt.Errorf("pool: WithLockedThread contradicts WithOverflow(CallerRuns), which runs tasks on their submitter's thread")
	case c.hasState && c.create == nil:
		return fmt.Errorf("pool: WithState: create is nil")
	case c.hasState && c.overflow == CallerRuns:
		return fmt.Errorf("pool: WithState contradicts WithOverflow(CallerRuns), whose tasks have no worker")
	}
	return nil
}
