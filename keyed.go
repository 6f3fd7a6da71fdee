package pool

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime/debug"

	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
	"github.com/headrace-go/pool/internal/strand"
)

// Keyed tasks: equal keys never overlap and start in the order of acceptance. Claiming makes that
// order: see package strand, and under PerWorker home.go.

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
	attr := queue.Attr{Key: key, Keyed: true}
	beside := &attr
	switch {
	case e.routes && e.overflow == DropOldest:
		return e.reject(errKeyedDrop)
	case e.routes:
		a, err := e.attrsOf(ctx, Attrs{Key: key})
		if err != nil {
			return e.reject(err)
		}
		a.Keyed = true // also if key is 0
		return e.submitSlow(ctx, c, v, &a)
	case e.homes.n > 0:
		if e.overflow == DropOldest {
			return e.reject(errKeyedDrop)
		}
		c, beside = &e.homeOf(key).cell, nil
	case !c.keyed.Load():
		if err := e.useKeys(); err != nil {
			return e.reject(err)
		}
	}
	if c.queue.Push(v, beside, queue.Any) == queue.OK {
		seam.Yield()
		c.pushed()
		return nil
	}
	return e.submitSlow(ctx, c, v, &fair.Attr{Key: key, Keyed: true})
}

var errKeyedDrop = fmt.Errorf("pool: SubmitKeyed contradicts WithOverflow(DropOldest): the tasks of a key would run with gaps")

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

// attrsOf returns what the pool has to know of a task that was submitted with a and ctx.
func (e *engine[T]) attrsOf(ctx context.Context, a Attrs) (fair.Attr, error) {
	f := &e.config.fair
	if e.routes {
		if from, ok := ctx.Value(attrsKey{}).(Attrs); ok {
			if a.Tenant == 0 {
				a.Tenant = from.Tenant
			}
			if a.Class == 0 {
				a.Class = from.Class
			}
			if a.Deadline.IsZero() {
				a.Deadline = from.Deadline
			}
		}
	}
	to := fair.Attr{Key: a.Key, Keyed: a.Key != 0, Units: a.Weight, Tenant: a.Tenant}
	switch {
	case a.Weight < 0:
		return to, fmt.Errorf("pool: Attrs.Weight must be at least 0, got %d", a.Weight)
	case a.Tenant != 0 && !f.hasTenants && !f.hasLimit:
		return to, fmt.Errorf("pool: Attrs.Tenant is %d, and the pool has neither WithTenants nor WithTenantLimit", a.Tenant)
	case a.Class < 0 || a.Class >= max(1, len(f.classes)):
		return to, fmt.Errorf("pool: Attrs.Class is %d, and WithClasses has %d classes", a.Class, len(f.classes))
	case a.Key != 0 && e.overflow == DropOldest:
		return to, errKeyedDrop
	}
	to.Class = uint8(a.Class)
	if f.share != nil {
		n, err := ask(f.share, a.Tenant)
		if err == nil && (n < 1 || n > maxShare) {
			err = fmt.Errorf("must be between 1 and 1<<20, got %d", n)
		}
		if err != nil {
			return to, fmt.Errorf("pool: WithTenants: the weight of tenant %d: %w", a.Tenant, err)
		}
		to.Share = uint32(n)
	}
	if f.limit != nil {
		n, err := ask(f.limit, a.Tenant)
		if err == nil && n < 0 {
			err = fmt.Errorf("must be at least 0, got %d", n)
		}
		if err != nil {
			return to, fmt.Errorf("pool: WithTenantLimit: the limit of tenant %d: %w", a.Tenant, err)
		}
		to.Limit = uint32(min(n, maxWorkers)) // which is no limit
	}
	switch {
	case !a.Deadline.IsZero() && !e.routes:
		return to, errors.New("pool: Attrs.Deadline needs WithExpiredHandler or WithQueueTimeout")
	case !a.Deadline.IsZero():
		to.Deadline = max(1, a.Deadline.Sub(e.start))
		if now := e.now(); to.Deadline <= now {
			return to, fmt.Errorf("pool: Attrs.Deadline was %v ago: %w", now-to.Deadline, ErrExpired)
		}
	case f.hasTimeout:
		to.Deadline, to.Timeout = after(e.now(), f.timeout), true
	}
	return to, nil
}

// ask calls the user's f. A panic in it is an error of the submission: the submitter may have
// counted the job.
func ask(f func(uint64) int, tenant uint64) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		}
	}()
	return f(tenant), nil
}

// submitAs is submit for a job with attributes.
func (e *engine[T]) submitAs(ctx context.Context, given Attrs, v T) error {
	if ctx == nil {
		return e.reject(errNilContext)
	}
	if ctx.Err() != nil {
		return e.reject(endOf(ctx))
	}
	a, c, err := e.prepare(ctx, given)
	if err != nil {
		return e.reject(err)
	}
	if e.routes {
		return e.submitSlow(ctx, c, v, &a)
	}
	switch { // it is not fair, so the attributes are few
	case a.Units > 1:
		return e.submitSlow(ctx, c, v, &a)
	case a.Keyed:
		return e.submitKeyed(ctx, a.Key, v)
	}
	return e.submit(ctx, v)
}

func (e *engine[T]) trySubmitAs(given Attrs, v T) error {
	a, c, err := e.prepare(context.Background(), given)
	if err != nil {
		return e.reject(err)
	}
	to := &a
	if !e.routes && !a.Ordered() {
		to = nil
	}
	return e.tried(e.push(c, v, to, nil))
}

// prepare returns what the pool has to know of a job, and the cell for it.
func (e *engine[T]) prepare(ctx context.Context, given Attrs) (a fair.Attr, c *cell[T], err error) {
	e.obey()
	if a, err = e.attrsOf(ctx, given); err != nil {
		return a, nil, err
	}
	if a.Units > 1 {
		if err := e.useWeight(a.Units); err != nil {
			return a, nil, err
		}
	}
	c = &e.main
	switch {
	case !a.Keyed || e.routes:
	case e.homes.n > 0:
		c = &e.homeOf(a.Key).cell
	default:
		err = e.useKeys()
	}
	return a, c, err
}

// inherited returns what the pool has to know of a job that has only the attributes of ctx.
func (e *engine[T]) inherited(ctx context.Context) (a fair.Attr, err error) {
	if e.routes {
		a, err = e.attrsOf(ctx, Attrs{})
	}
	return a, err
}

// beside returns what stands in the queue beside a job with a, and fills in attr for it. It returns
// nil if the job is plain, or c is a home, where keys need nothing.
func (c *cell[T]) beside(a *fair.Attr, attr *queue.Attr) *queue.Attr {
	switch {
	case c.fair != nil:
		*attr = queue.Attr{Key: a.Tenant, Class: a.Class, Share: max(1, a.Share)}
	case c.home != nil || !a.Ordered():
		return nil
	default:
		*attr = queue.Attr{Key: a.Key, Weight: a.Units, Keyed: a.Keyed}
	}
	return attr
}

// KeyOf returns a key for [Pool.SubmitKeyed] from any comparable value, without allocating. Equal
// values have equal keys. Different values have different keys, except for one pair in 2^64, whose
// tasks then do not overlap either. The keys of a value differ from one run of the program to the
// next. Any goroutine may call KeyOf. It panics for an interface that holds a value that cannot be
// compared, such as a slice, as a map does.
//
// It backfires for a large value, which it hashes at every call. Use the part that identifies it.
func KeyOf[K comparable](key K) uint64 { return maphash.Comparable(keySeed, key) }

var keySeed = maphash.MakeSeed()
