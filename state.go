package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// WithState gives each worker a value of its own, for things that are expensive to make and must
// not be shared: a buffer, a connection, a parser. create makes the value when a task of the worker
// first asks for it with [StateOf], and gets the pool's context. Its error goes to that task, and
// the next task that asks tries again. closeState, which may be nil, is called exactly once for
// each value, on the worker's goroutine, when the worker ends, and, with [WithLockedThread], after
// a panic or Goexit. Close waits for it.
//
// Tasks of one worker use the value one after the other, with one exception: a task that runs
// inside another one's Submit, because the pool was full, shares the value with the task that it
// interrupts.
//
// WithState contradicts [CallerRuns], whose tasks have no worker. It backfires with many workers,
// since each holds a value, and under [Elastic], whose workers end as soon as nothing is queued.
func WithState[S any](create func(context.Context) (S, error), closeState func(S)) Option {
	return func(c *config) {
		c.hasState = true
		c.create, c.closer = nil, nil
		if create != nil {
			c.create = func(ctx context.Context) (any, error) { return create(ctx) }
		}
		if closeState != nil {
			c.closer = func(s any) { closeState(s.(S)) }
		}
	}
}

// StateOf returns the state of the worker that runs the task with the context ctx, and makes it if
// there is none. It fails if create does, if ctx is not the context of a task or derived from one,
// if the pool has no [WithState], and if the state has another type than S. All goroutines of the
// task may call it, until the task returns.
func StateOf[S any](ctx context.Context) (S, error) {
	var zero S
	if ctx == nil {
		return zero, errNilContext
	}
	h, _ := ctx.Value(stateKey{}).(stateHolder)
	if h == nil {
		return zero, errors.New("pool: StateOf: the context is not that of a task of a pool with WithState")
	}
	v, err := h.getState()
	if err != nil {
		return zero, err
	}
	s, ok := v.(S)
	if !ok && v != nil {
		return zero, fmt.Errorf("pool: StateOf: the state is a %T, not a %T", v, zero)
	}
	return s, nil
}

type stateKey struct{}

type stateHolder interface{ getState() (any, error) }

// state is a worker's state. The mutex is not held while user code runs: the goroutine that makes
// the value leaves a channel for others to wait on.
type state struct {
	mu     sync.Mutex
	made   bool
	making chan struct{}
	value  any
}

func (w *worker[T]) getState() (any, error) {
	s := &w.state
	s.mu.Lock()
	for s.making != nil {
		making := s.making
		s.mu.Unlock()
		<-making
		s.mu.Lock()
	}
	if s.made {
		defer s.mu.Unlock()
		return s.value, nil
	}
	s.making = make(chan struct{})
	s.mu.Unlock()
	var v any
	err := ErrGoexit
	defer func() { // also if create panics
		s.mu.Lock()
		defer s.mu.Unlock()
		s.made, s.value = err == nil, v
		close(s.making)
		s.making = nil
	}()
	if v, err = w.e.create(w.e.base); err != nil {
		err = fmt.Errorf("pool: WithState: create: %w", err)
	}
	return v, err
}

// closeState closes the state, if there is one.
func (w *worker[T]) closeState() {
	s := &w.state
	s.mu.Lock()
	v, made := s.value, s.made
	s.value, s.made = nil, false
	s.mu.Unlock()
	if !made || w.e.closer == nil {
		return
	}
	w.e.shield(func() { w.e.closer(v) })
}

// Scratch is a [sync.Pool] of values of one type that come out clean. It is a place for buffers
// that tasks use and no worker owns. A garbage collection may drop values. Any number of goroutines
// may call its methods.
//
// It backfires for values of very different sizes: a few huge ones stay in use for tiny needs. Do
// not Put those.
type Scratch[V any] struct {
	pool  sync.Pool
	reset func(*V)
}

// NewScratch returns a Scratch that makes values with create and cleans them with reset before it
// hands them out again. A nil create makes zero values, and a nil reset sets values to zero.
func NewScratch[V any](create func() *V, reset func(*V)) *Scratch[V] {
	s := &Scratch[V]{reset: reset}
	s.pool.New = func() any { return new(V) }
	if create != nil {
		s.pool.New = func() any { return create() }
	}
	if reset == nil {
		s.reset = func(v *V) { var zero V; *v = zero }
	}
	return s
}

// Get returns a new value, or one that was Put and has been reset.
func (s *Scratch[V]) Get() *V { return s.pool.Get().(*V) }

// Put gives v back, which the caller must not use any more. Put resets v at once, so that it keeps
// nothing alive. It ignores a nil v.
func (s *Scratch[V]) Put(v *V) {
	if v == nil {
		return
	}
	s.reset(v)
	s.pool.Put(v)
}
