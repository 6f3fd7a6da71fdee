package pool

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// Many jobs under one synchronisation: SubmitBatch, and batchers.
//
// A batcher is one producer's buffer in front of the queue. The producer appends to it under a
// mutex, which nobody else wants while workers are busy. Whichever comes first moves the jobs:
//
//	the producer  when the buffer is full, on Flush, and when a place is idle
//	a worker      that has found nothing to do, before it parks
//	the timer     of WithLinger
//	the end       Close and Abort
//
// No job stays in the buffer while a worker is idle and there is room. The producer counts what it
// holds (full) and then loads the idle word; a worker makes its place idle and then looks at that
// count. So one of the two sees the other. If there is no room, workers are not what is missing:
// the worker that makes room is busy, and looks at the batchers when it runs out of work.
//
// What Add has taken belongs to the pool. Close sets the end bit of the queue, and then moves the
// jobs of each batcher, under its mutex, into the queue in spite of that bit. Add looks at the bit
// under the mutex. So a job is either moved then, or rejected.
type batcher[T any] struct {
	e      *engine[T]
	mu     sync.Mutex
	buf    []T
	closed bool
	armed  bool // the timer is set
	timer  *time.Timer
}

// flushReason says why tasks are moved.
type flushReason uint8

const (
	flushFull flushReason = iota
	flushIdle
	flushLinger
	flushAsked
	flushEnd
	flushReasons
)

// BatchSizes is the number of counters of batches by size.
const BatchSizes = batch.Sizes

// BatchStats counts batches: those that workers claim, and those that a [Batcher] moves to the
// queue.
type BatchStats struct {
	// Taken[i] is how many batches of 1<<i to 1<<(i+1)-1 tasks workers have run. What another
	// worker takes over of a batch is a batch of its own.
	Taken [BatchSizes]uint64
	// Flushes is how many times tasks went from a Batcher to the queue: in all, because it was
	// full, because a worker was free, because of WithLinger, because of Flush or Close of the
	// Batcher, and because the pool ended.
	Flushes, Full, Idle, Linger, Asked, End uint64
	// Flushed is how many tasks went that way.
	Flushed uint64
}

// batchers is what the engine has for batchers.
type batchers[T any] struct {
	mu      sync.Mutex    // guards all
	all     []*batcher[T] // a slice that is not changed
	holding atomic.Int64  // how many hold something
	wants   atomic.Bool   // a worker was idle and they had no room; counted in flags
	flushes [flushReasons]atomic.Uint64
	flushed atomic.Uint64
}

func (e *engine[T]) newBatcher() *batcher[T] {
	b := &batcher[T]{e: e, buf: make([]T, 0, e.batch)}
	e.noteBatched()
	if e.hasLinger {
		b.timer = time.AfterFunc(time.Hour, b.lingered)
		b.timer.Stop()
	}
	bs := &e.batchers
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.all = append(slices.Clip(bs.all), b)
	return b
}

// add puts v into the buffer.
func (b *batcher[T]) add(ctx context.Context, v T) error {
	e := b.e
	e.obey()
	b.mu.Lock()
	for len(b.buf) == cap(b.buf) {
		b.mu.Unlock()
		if err := b.flush(ctx, flushFull, e.batch-1); err != nil {
			return e.reject(err)
		}
		b.mu.Lock()
	}
	if e.main.queue.IsClosed() {
		b.mu.Unlock()
		return e.reject(e.errClosed())
	}
	b.buf = append(b.buf, v)
	n := len(b.buf)
	if n == 1 {
		e.batchers.holding.Add(1)
	}
	seam.Yield()
	g := e.idle.Load()
	idle, moved := g.Searching() == 0 && g.Idle() > 0, 0
	switch {
	case n == cap(b.buf):
		moved = b.moveLocked(flushFull)
	case idle:
		moved = b.moveLocked(flushIdle)
	case b.timer != nil && !b.armed:
		b.armed = true
		b.timer.Reset(e.linger.after)
	}
	left := len(b.buf)
	b.mu.Unlock()
	b.moved(moved)
	if idle && left > 0 {
		e.pull() // there was no room
	}
	return nil
}

// moved makes sure that a worker takes n jobs that were just moved. No lock is held.
func (b *batcher[T]) moved(n int) {
	if n > 0 {
		b.e.pourBatch()
		b.e.main.pushed()
	}
}

// moveLocked moves what there is room for, and returns how much: the caller has to call moved. b.mu
// is held.
func (b *batcher[T]) moveLocked(why flushReason) int {
	e := b.e
	if len(b.buf) == 0 {
		return 0
	}
	n := e.main.pushAll(b.buf, nil, why == flushEnd)
	if n == 0 {
		return 0
	}
	e.batchers.flushes[why].Add(1)
	e.batchers.flushed.Add(uint64(n))
	b.dropLocked(n)
	return n
}

// dropLocked forgets the first n jobs, which have left.
func (b *batcher[T]) dropLocked(n int) {
	left := copy(b.buf, b.buf[n:])
	clear(b.buf[left:])
	b.buf = b.buf[:left]
	if left == 0 {
		b.e.batchers.holding.Add(-1)
	}
}

// flush moves jobs until at most most are left, and waits for room.
func (b *batcher[T]) flush(ctx context.Context, why flushReason, most int) error {
	e := b.e
	for {
		if err := endOf(ctx); err != nil {
			return err
		}
		b.mu.Lock()
		n := b.moveLocked(why)
		left := len(b.buf)
		b.mu.Unlock()
		if b.moved(n); left <= most {
			return nil
		}
		// One job goes as if it were submitted, under the overflow policy.
		if err := b.submitFirst(ctx, why); err != nil {
			if most == 0 && e.main.queue.IsClosed() {
				return nil // the pool takes them
			}
			return err
		}
	}
}

// submitFirst submits the first job in the buffer, and waits for room.
func (b *batcher[T]) submitFirst(ctx context.Context, why flushReason) error {
	e := b.e
	switch {
	case e.overflow == Reject:
		return ErrFull
	case e.overflow == DropOldest:
		if old, ok, _ := e.dropOldest(); ok {
			e.tellAll([]T{old})
		} else {
			runtime.Gosched() // all that waits is about to be started
		}
		return nil
	case ctx.Value(e) != nil, e.overflow == CallerRuns:
		return b.runFirst(ctx)
	}
	here, err := e.main.waitForRoom(ctx, func(bl *blocked) queue.Status { return b.submitMore(bl, why) })
	if here != nil {
		return b.runFirst(here)
	}
	return err
}

// submitMore moves what is in the buffer to the queue, for a producer that is blocked. It returns
// OK if it has moved something, or the buffer is empty.
func (b *batcher[T]) submitMore(bl *blocked, why flushReason) queue.Status {
	e := b.e
	b.mu.Lock()
	n, s, late := 0, queue.OK, false
	switch {
	case len(b.buf) == 0: // others have moved it
	case e.routes:
		if s, late = e.main.admit(b.buf[0], e.plainAttr(), queue.Current, bl); s == queue.OK {
			b.dropLocked(1)
			n = 1
		}
	case bl.held:
		if s = e.main.queue.PushHeld(b.buf[0], nil, queue.Current, e.main.bound()); s == queue.OK {
			b.dropLocked(1)
			n = 1
		}
	default:
		if n = b.moveLocked(why); n == 0 {
			s = queue.Full
		}
		if n == 0 && e.main.queue.IsClosed() {
			s = queue.Closed
		}
	}
	b.mu.Unlock()
	b.moved(n)
	if late {
		e.tellExpired(&e.main)
	}
	return s
}

// runFirst runs the first job in the buffer on the calling goroutine. That is inside the task of
// the context ctx, or in none of the pool's.
func (b *batcher[T]) runFirst(ctx context.Context) error {
	e, seat := b.e, ctx.Value(b.e)
	b.mu.Lock()
	if len(b.buf) == 0 || e.main.queue.IsClosed() {
		b.mu.Unlock()
		return nil
	}
	r, err := e.enterInline(ctx, seat) // while the pool cannot take what is in the buffer
	if err != nil {
		b.mu.Unlock()
		return err
	}
	v := b.buf[0]
	b.dropLocked(1)
	b.mu.Unlock()
	e.runEntered(r, v)
	return nil
}

// lingered is the timer's function.
func (b *batcher[T]) lingered() {
	b.mu.Lock()
	b.armed = false
	n := b.moveLocked(flushLinger)
	if len(b.buf) > 0 && !b.e.main.queue.IsClosed() { // no room
		b.armed = true
		b.timer.Reset(b.e.linger.after)
	}
	b.mu.Unlock()
	b.moved(n)
}

// close flushes the buffer and takes it from the pool.
func (b *batcher[T]) close() error {
	if b.closed {
		return nil
	}
	if err := b.flush(context.Background(), flushAsked, 0); err != nil {
		return err
	}
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Lock()
	empty := len(b.buf) == 0
	b.mu.Unlock()
	if !empty {
		return nil // the pool is closed, and about to take what is in there
	}
	bs := &b.e.batchers
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if i := slices.Index(bs.all, b); i >= 0 {
		bs.all = slices.Concat(bs.all[:i], bs.all[i+1:])
	}
	return nil
}

// buffered reports whether a worker that is about to park could move jobs from a batcher. It could
// not while the queue is held: the holder pulls afterwards. After the end of the intake
// emptyBatchers moves them.
func (e *engine[T]) buffered() bool {
	c := &e.main
	return e.batchers.holding.Load() > 0 && c.hasRoom() && !c.queue.IsHeld() && !c.queue.IsClosed()
}

// pull moves what is in batchers to the queue, for workers that are idle, and reports whether there
// was any. If there is no room it asks for some, and then looks once more: see roomMade.
func (e *engine[T]) pull() (moved bool) {
	bs := &e.batchers
	for bs.holding.Load() > 0 {
		some, left := bs.move()
		if moved = moved || some; !left || bs.wants.Swap(true) {
			break
		}
		e.flags.word.Add(flagRoom)
	}
	return moved
}

// move moves what is in batchers to the queue. It reports whether there was any, and whether any is
// left.
func (bs *batchers[T]) move() (some, left bool) {
	for _, b := range bs.list() {
		b.mu.Lock()
		n := b.moveLocked(flushIdle)
		some, left = some || n > 0, left || len(b.buf) > 0
		b.mu.Unlock()
		b.moved(n)
	}
	return some, left
}

func (bs *batchers[T]) list() []*batcher[T] {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	return bs.all
}

// roomMade moves what is in batchers to the queue, if it stayed there for want of room while a
// worker was idle.
func (bs *batchers[T]) roomMade(e *engine[T]) {
	if bs.wants.Load() && bs.wants.Swap(false) {
		e.flags.word.Add(^uint32(flagRoom - 1))
		if e.idle.Load().Idle() > 0 {
			e.pull()
		}
	}
}

// emptyBatchers moves what is in batchers to the queue of a pool whose intake has ended.
func (e *engine[T]) emptyBatchers() {
	for _, b := range e.batchers.list() {
		b.mu.Lock()
		n := b.moveLocked(flushEnd)
		b.mu.Unlock()
		b.moved(n)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.emptying = false
}

func (e *engine[T]) batchStatsLocked() (s BatchStats) {
	for i, n := range []*uint64{&s.Full, &s.Idle, &s.Linger, &s.Asked, &s.End} {
		*n = e.batchers.flushes[i].Load()
		s.Flushes += *n
	}
	s.Flushed = e.batchers.flushed.Load()
	e.eachCell(func(c *cell[T]) {
		for i := range s.Taken {
			s.Taken[i] += c.singles.Taken(i)
			for j := range c.lanes {
				s.Taken[i] += c.lanes[j].Taken(i)
			}
		}
	})
	return s
}

func (e *engine[T]) submitBatch(ctx context.Context, vs []T) (int, error) {
	if ctx == nil {
		return 0, e.rejectAll(len(vs), errNilContext)
	}
	if err := endOf(ctx); err != nil {
		return 0, e.rejectAll(len(vs), err)
	}
	e.obey()
	n, seat := 0, ctx.Value(e)
	for ; e.routes && n < len(vs); n++ {
		if err := e.submitAs(ctx, Attrs{}, vs[n]); err != nil {
			return n, e.rejectAll(len(vs)-n-1, err) // it has counted one
		}
	}
	if w, inside := seat.(*worker[T]); inside && e.kids != nil {
		n = w.pushKids(vs)
	}
	for n < len(vs) {
		if k := e.main.pushAll(vs[n:], seat, false); k > 0 {
			e.main.pushed()
			if n += k; n == len(vs) {
				break
			}
		}
		if err := endOf(ctx); err != nil {
			return n, e.rejectAll(len(vs)-n, err)
		}
		if err := e.submitSlow(ctx, &e.main, vs[n], nil); err != nil {
			return n, e.rejectAll(len(vs)-n-1, err) // it has counted one
		}
		n++
	}
	return n, nil
}

// pushAll pushes the longest prefix of vs for which there is room, and returns its length: the
// caller has to call pushed. late says that vs was accepted before the intake ended. seat is as for
// push.
func (c *cell[T]) pushAll(vs []T, seat any, late bool) (n int) {
	for {
		k, _, s := c.queue.PushAll(vs[n:], queue.Any, late)
		n += k
		if s == queue.Untold {
			c.e.withTag(seat, func(tag int) (others int) {
				k, others, s = c.queue.PushAll(vs[n:], tag, late)
				return others
			})
			n += k
		}
		if s != queue.Full || !c.raise() {
			return n
		}
	}
}
