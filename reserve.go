package pool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// Reserved slots: room for tasks that the caller does not have yet, for the consumer of a queue
// outside the process.
//
// A slot is room for one task: in the buffer, or with a worker that is free. (The ring of package
// queue has slots too; these are not meant.) The queue of the main cell counts how many are
// reserved, and lets plain submissions in up to its bound less that number
// (internal/queue/reserve.go). So a pool that reserves nothing does nothing more for a submission.
// A call of Reserve that finds no slot waits in room.go, in one line with blocked submitters.
//
// A slot comes back in one of two ways. In each, the goroutine that gives it back loads flags
// afterwards, as a worker does that has ended a job:
//
//	Release, or the end of the context:  reserved-1;             load flags, wake the first that waits
//	Submit:                              push;       reserved-1; load flags, wake the first that waits
//
// A submitter that waits has announced itself in flags and then looked for room, so one of the two
// sees the other. Submit makes no room. But between its two steps the slot is counted twice, and a
// submitter that looked then has seen one slot less than there was. The other order would let a
// submitter into the slot first.
//
// One word, slots.left, says who owns the slots: Submit takes one off, and Release takes all. So
// each slot is given back exactly once.
//
// Closing the pool undoes nothing of this: the queue rejects all pushes from then on, and reserved
// means nothing any more. A smaller size (Resize) takes no slot back either, just as it drops no
// accepted task: the bound falls below what is reserved, and nobody else gets a slot until enough
// have come back.
//
// Under PerWorker a job with a key goes to its home, beyond the bound of that. Reserve counts what
// is in homes as if it were in the main cell; so it may have to wait for the end of a job in a
// home, which looks for it in homes.reserving.
type slots[T any] struct {
	e    *engine[T]
	ctx  context.Context
	left atomic.Int64
	stop func() bool // ends the wait for the end of ctx, or nil
}

// Slots are room in a pool that is reserved for one caller, see [Pool.Reserve]. Any number of
// goroutines may call its methods.
type Slots struct{ s slots[Task] }

// TypedSlots is [Slots] for a [Typed].
type TypedSlots[T any] struct{ s slots[T] }

// Reserve reserves slots: room for tasks that the caller does not have yet. It waits until one slot
// is free, and then takes as many as are free, up to most >= 1. It is for consumers of a queue
// outside the process. They ask that queue for as many messages as they have slots, so no message
// waits in this process that another process could run.
//
// A reserved slot counts as a queued task, for the bound of [WithBuffer], until a task is submitted
// into it or it comes back: by [Slots.Release], or when ctx ends. Call Release in any case, at the
// latest when no more tasks come. When the pool is closed all slots come back, and Submit returns
// [ErrClosed]. [Pool.Resize] takes no slot back: after a shrink others get a slot when enough have
// come back.
//
// Reserve waits in one line with blocked submitters, also under [Reject], [DropOldest] and
// [CallerRuns]. These say what other submissions do while slots are reserved. If the whole buffer
// is reserved, a submission under DropOldest can find nothing to drop, and returns [ErrFull].
//
// The errors are ctx's and ErrClosed. Inside a task of the same pool, when no slot is free, the
// error is ErrFull: that task itself may hold the slot. Reserve also returns an error for a pool
// with tenants, classes, deadlines or a rate, where room belongs to a tenant.
//
// It backfires if the tasks come late: workers are idle beside slots that nobody uses. Limit how
// long the other queue may take to answer.
func (p *Pool) Reserve(ctx context.Context, most int) (*Slots, error) {
	s := new(Slots)
	if err := p.made().reserve(ctx, most, &s.s); err != nil {
		return nil, err
	}
	return s, nil
}

// Reserve is [Pool.Reserve].
func (p *Typed[T]) Reserve(ctx context.Context, most int) (*TypedSlots[T], error) {
	s := new(TypedSlots[T])
	if err := p.made().reserve(ctx, most, &s.s); err != nil {
		return nil, err
	}
	return s, nil
}

// Len returns how many slots are left.
func (s *Slots) Len() int { return s.s.len() }

// Submit accepts task into one of the slots. It never blocks, and never runs the task itself. It
// returns [ErrFull] if no slot is left, the error of Reserve's context if the slots came back
// because of that, [ErrNilTask], or an error that wraps [ErrClosed].
//
// Submit synchronizes before the start of the task.
func (s *Slots) Submit(task Task) error { return s.SubmitAs(Attrs{}, task) }

// SubmitAs is Submit for a task with a key or a weight, see [Pool.SubmitAs]. It uses one slot,
// whatever the weight, and none if it returns an error about a.
func (s *Slots) SubmitAs(a Attrs, task Task) error {
	if task == nil {
		return s.s.e.reject(ErrNilTask)
	}
	return s.s.submit(a, task)
}

// Release gives back the slots that are left. It may be called more than once.
func (s *Slots) Release() { s.s.release() }

// Len is [Slots.Len].
func (s *TypedSlots[T]) Len() int { return s.s.len() }

// Submit is [Slots.Submit] for a job.
func (s *TypedSlots[T]) Submit(job T) error { return s.s.submit(Attrs{}, job) }

// SubmitAs is [Slots.SubmitAs] for a job.
func (s *TypedSlots[T]) SubmitAs(a Attrs, job T) error { return s.s.submit(a, job) }

// Release is [Slots.Release].
func (s *TypedSlots[T]) Release() { s.s.release() }

// reserve fills in s.
func (e *engine[T]) reserve(ctx context.Context, most int, s *slots[T]) error {
	switch {
	case ctx == nil:
		return errNilContext
	case most < 1:
		return fmt.Errorf("pool: Reserve: most must be at least 1, got %d", most)
	case e.routes:
		return errReserveFair
	case ctx.Err() != nil:
		return endOf(ctx)
	}
	e.obey()
	n, status := e.takePlaces(most, false)
	switch {
	case status == queue.Closed:
		return e.errClosed()
	case status == queue.Full && ctx.Value(e) != nil:
		return ErrFull
	case status == queue.Full:
		e.homes.reserving.Add(1)
		here, err := e.main.waitForRoom(ctx, func(b *blocked) queue.Status {
			n, status = e.takePlaces(most, b.held)
			return status
		})
		e.homes.reserving.Add(-1)
		if here != nil {
			return ErrFull
		}
		if err != nil {
			return err
		}
	}
	s.e, s.ctx = e, ctx
	s.left.Store(int64(n))
	if ctx.Done() != nil {
		s.stop = context.AfterFunc(ctx, s.giveBack)
	}
	return nil
}

var errReserveFair = errors.New("pool: Reserve contradicts tenants, classes, deadlines and rates: there room belongs to a tenant")

// takePlaces reserves up to most slots, if one is free.
func (e *engine[T]) takePlaces(most int, holder bool) (n int, s queue.Status) {
	return e.main.queue.Reserve(func() uint64 {
		bound := e.main.bound()
		for h := e.homes.made.Load(); h != nil; h = h.next {
			bound -= min(bound, h.unfinished())
		}
		return bound
	}, most, holder)
}

// givePlaces gives back n slots, or room that was counted as taken.
func (e *engine[T]) givePlaces(n int) {
	c := &e.main
	c.queue.Unreserve(n)
	seam.Yield()
	if e.flags.word.Load() >= flagRoom && c.hasRoom() {
		c.roomMade()
	}
}

func (s *slots[T]) len() int {
	if s.e.main.queue.IsClosed() {
		return 0
	}
	return int(s.left.Load())
}

func (s *slots[T]) submit(given Attrs, v T) error {
	e := s.e
	c := &e.main
	var beside *queue.Attr
	if given != (Attrs{}) {
		var a fair.Attr
		var err error
		if a, c, err = e.prepare(s.ctx, given); err != nil {
			return e.reject(err)
		}
		beside = c.beside(&a, new(queue.Attr))
	} else {
		e.obey()
	}
	left, ok := s.use()
	switch {
	case !ok && s.ctx.Err() != nil:
		return e.reject(endOf(s.ctx))
	case !ok:
		return e.reject(ErrFull)
	}
	status := c.queue.PushReserved(v, beside, queue.Any)
	if status == queue.Untold {
		e.withTag(nil, func(tag int) (others int) {
			status, others = c.queue.PushReserved(v, beside, tag).Others()
			return others
		})
	}
	seam.Yield()
	e.givePlaces(1)
	if left == 0 && s.stop != nil {
		s.stop()
	}
	if status == queue.OK {
		c.pushed()
	}
	return e.tried(status)
}

// use takes one of the slots, if there is any, and returns how many are left.
func (s *slots[T]) use() (left int64, ok bool) {
	for {
		n := s.left.Load()
		if n == 0 {
			return 0, false
		}
		if s.left.CompareAndSwap(n, n-1) {
			return n - 1, true
		}
	}
}

func (s *slots[T]) release() {
	if s.stop != nil {
		s.stop()
	}
	s.giveBack()
}

func (s *slots[T]) giveBack() {
	if n := s.left.Swap(0); n > 0 {
		s.e.givePlaces(int(n))
	}
}
