// Package semaphore has the API of golang.org/x/sync/semaphore, over the weighted admission of a
// [pool.Pool]. It shows that the one can stand in for the other; ../README.md lists where they differ.
//
// An acquisition is a task that runs until it is released. The pool has no queue, so a submission
// returns when its task is admitted, and the pool alone decides when that is.
package semaphore

import (
	"context"
	"slices"
	"sync"

	"github.com/headrace-go/pool"
)

// Weighted bounds the sum of the weights that are held.
type Weighted struct {
	size int64
	pool *pool.Pool // nil if size is 0

	mu    sync.Mutex // guards the rest, and makes Release and TryAcquire exclude each other
	held  int64
	lent  int64 // see Release
	holds []*hold
}

// hold is a task that holds weight.
type hold struct {
	left int64 // of its weight
	lent int64 // see Release
	end  chan struct{}
	gone chan struct{} // closed when the pool has its weight back
}

// seat is the state of a worker. It ends after the pool has taken back the weight of the task.
type seat struct{ gone chan struct{} }

// NewWeighted returns a semaphore of n units. It panics if n is negative or above 1<<62.
func NewWeighted(n int64) *Weighted {
	if n < 0 {
		panic("semaphore: size < 0")
	}
	s := &Weighted{size: n}
	if n == 0 {
		return s
	}
	var err error
	s.pool, err = pool.New(
		pool.WithStrategy(pool.Elastic), pool.WithCapacity(n), pool.WithBuffer(0),
		pool.WithState(
			func(context.Context) (*seat, error) { return new(seat), nil },
			func(s *seat) { close(s.gone) }))
	if err != nil {
		panic(err)
	}
	return s
}

func newHold(n int64) *hold {
	return &hold{left: n, end: make(chan struct{}), gone: make(chan struct{})}
}

// run is the task.
func (h *hold) run(ctx context.Context) error {
	s, err := pool.StateOf[*seat](ctx)
	if err != nil {
		return err
	}
	s.gone = h.gone
	<-h.end
	return nil
}

// finish returns when the weight is free.
func (h *hold) finish() {
	close(h.end)
	<-h.gone
}

func (s *Weighted) addLocked(hs ...*hold) {
	for _, h := range hs {
		s.held += h.left
	}
	s.holds = append(s.holds, hs...)
}

// Acquire takes n units. It waits until they are free or ctx is done, and returns ctx's error then.
func (s *Weighted) Acquire(ctx context.Context, n int64) error {
	if n < 0 {
		panic("semaphore: n < 0")
	}
	if err := ctx.Err(); err != nil || n == 0 {
		return err
	}
	if n > s.size {
		<-ctx.Done()
		return ctx.Err()
	}
	h := newHold(n)
	if err := s.pool.SubmitWeighted(ctx, n, h.run); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		h.finish()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(h)
	return nil
}

// TryAcquire takes n units if they are free.
//
// A submission that does not wait is TrySubmit, which weighs 1, or SubmitWeighted inside a task. So
// the first unit is a task of its own, and takes the others.
func (s *Weighted) TryAcquire(n int64) bool {
	if n < 0 {
		panic("semaphore: n < 0")
	}
	if n == 0 {
		return true
	}
	if n > s.size {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := newHold(1)
	if n == 1 {
		if s.pool.TrySubmit(one.run) != nil {
			return false
		}
		s.addLocked(one)
		return true
	}
	others, result := newHold(n-1), make(chan error)
	if s.pool.TrySubmit(func(ctx context.Context) error {
		if n == 2 {
			result <- s.pool.TrySubmit(others.run)
		} else {
			result <- s.pool.SubmitWeighted(ctx, n-1, others.run)
		}
		return one.run(ctx)
	}) != nil {
		return false
	}
	if <-result != nil {
		one.finish()
		return false
	}
	s.addLocked(one, others)
	return true
}

// Release gives n units back, of whichever acquisitions. It panics if fewer are held.
//
// A task gives its weight back as a whole. While a part of it is released the pool's capacity is
// larger by that part (lent).
func (s *Weighted) Release(n int64) {
	if n < 0 {
		panic("semaphore: n < 0")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.held {
		panic("semaphore: released more than held")
	}
	s.held -= n
	for n > 0 {
		i := slices.IndexFunc(s.holds, func(h *hold) bool { return h.left == n })
		if i < 0 {
			i = len(s.holds) - 1
		}
		h := s.holds[i]
		if h.left > n {
			h.left -= n
			h.lent += n
			s.lendLocked(n)
			return
		}
		n -= h.left
		s.holds = slices.Delete(s.holds, i, i+1)
		s.lendLocked(-h.lent)
		h.finish()
	}
}

// lendLocked makes the capacity larger by n.
func (s *Weighted) lendLocked(n int64) {
	if n == 0 {
		return
	}
	s.lent += n
	if err := s.pool.Resize(int(s.size + s.lent)); err != nil {
		panic(err)
	}
}
