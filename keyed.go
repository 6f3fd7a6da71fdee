package pool

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
	"github.com/headrace-go/pool/internal/strand"
)

// Keyed tasks: equal keys never overlap and start in the order of acceptance. The order is made where
// jobs are claimed: see package strand, and under PerWorker home.go.

// submitKeyed is submit for a job with a key.
func (e *engine[T]) submitKeyed(ctx context.Context, key uint64, v T) error {
	if ctx == nil {
		return e.reject(errNilContext)
	}
	if ctx.Err() != nil {
		return e.reject(endOf(ctx))
	}
	e.obey()
	c := &e.main
	a := queue.Attr{Key: key, Keyed: true}
	switch {
	case e.homes.n > 0:
		if e.overflow == DropOldest {
			return e.reject(errKeyedDrop)
		}
		c = &e.homeOf(key).cell
	case !c.keyed.Load():
		if err := e.useKeys(); err != nil {
			return e.reject(err)
		}
	}
	if c.queue.Push(v, c.beside(&a), queue.Any) == queue.OK {
		seam.Yield()
		c.pushed()
		return nil
	}
	return e.submitSlow(ctx, c, v, a)
}

var errKeyedDrop = fmt.Errorf("pool: SubmitKeyed contradicts WithOverflow(DropOldest): the tasks of a key would be run with gaps")

// useKeys prepares the main cell for keyed jobs.
func (e *engine[T]) useKeys() error {
	if e.overflow == DropOldest {
		return errKeyedDrop
	}
	c := &e.main
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = strand.New[T]()
	}
	c.special.Store(true)
	c.keyed.Store(true)
	return nil
}

// beside returns what stands in the queue beside a job with a: nothing, if it is plain, or c is a home, where
// keys need none.
func (c *cell[T]) beside(a *queue.Attr) *queue.Attr {
	if c.home != nil || *a == (queue.Attr{}) {
		return nil
	}
	return a
}

// KeyOf returns a key for [Pool.SubmitKeyed] from any comparable value, without
// allocating. Equal values have equal keys. Different values have different keys,
// but for one pair in 2^64, whose tasks would not overlap either. The keys of a
// value differ from one run of the program to the next. It may be called by any
// goroutine. An interface that holds a value that cannot be compared, such as a slice, makes it panic, as
// it does as the key of a map.
//
// It backfires for a large value: it is hashed at every call. Use the part that
// identifies it.
func KeyOf[K comparable](key K) uint64 { return maphash.Comparable(keySeed, key) }

var keySeed = maphash.MakeSeed()
