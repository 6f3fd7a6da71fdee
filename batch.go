package pool

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/ring"
	"github.com/headrace-go/pool/internal/seam"
)

// Batchers: one producer's buffer in front of the queue.
//
// The buffer is a ring of its own, with one producer. Add writes a task and then moves
// added, without a lock; whoever holds mu moves tasks from there to the queue and
// then moves moved. So Add costs one store that others see, and the queue's words,
// which all producers share, are touched once for a batch.
//
// A task in the buffer is not forgotten, whoever comes first moves it:
//
//	the producer  when the buffer is full, on Flush, and when a place is idle
//	a worker      that has found nothing to do, before it parks
//	who           has found something to do, or made places idle, while a place is idle (wakeMore)
//	the timer     of WithLinger
//	the end       Close and Abort
//
// No task stays behind while a worker is idle. The producer moves added and then
// loads gate; a worker puts its token into gate and then looks at added (park), so one
// of the two sees the other. The same pair orders Add with the end of the pool: Add
// moves added and then loads ctl, Close sets ctlClosed and then looks at added: that is the
// limit of what belongs to the pool. Until it is moved the pool has not ended, and
// the queue takes it in spite of being closed. What is beyond the limit nobody moves, since
// the pool may have ended: its producer takes it back. What is not beyond it, though the producer saw
// ctlClosed, is taken back too, unless it was moved already, and the limit sinks with it.
//
// All but the producer only try the lock. Who does not get it leaves a note (missed)
// and then tries once more; who unlocks looks for a note then, so one of the two
// moves what there is.
//
// The lock is held while the producer waits for room. Those who do not get it need not
// wait, nor ask for room: what is in the queue keeps the workers busy, and the producer is told
// of room as every blocked submitter.
//
// A worker does not stay awake for tasks that there is no room for, though it has found
// nothing to do itself: what fills the queue may wait for others with their keys. It
// remembers what it saw (seen), asks for room as a blocked submitter does (wants, see
// room.go), and tries once more. So does a producer that finds a worker idle and no room. What somebody saw
// who did not ask, since no worker was idle then, is no reason to park.
type batcher[T any] struct {
	e      *engine[T]
	buf    []T
	at     int // of added in buf
	count  uint64
	known  uint64 // moved, at least
	closed bool

	_     [64]byte
	added atomic.Uint64
	_     [56]byte

	moved  atomic.Uint64 // changed under mu
	base   uint64        // the count of what is added to the front of buf, or was; guarded by mu
	seen   atomic.Uint64 // added, when a move found no room; plus one
	missed atomic.Uint32 // why others tried to move, a bit for each reason
	limit  uint64        // of added, what belongs to a pool that is closed; guarded by e.mu
	armed  atomic.Bool   // the timer is set
	mu     sync.Mutex
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
const BatchSizes = 15

// BatchStats is about batches: those that workers take from the queue, and those that go there
// from a [Batcher].
type BatchStats struct {
	// Taken[i] is how many batches of 1<<i to 1<<(i+1)-1 tasks workers have run. What others
	// took over of a batch is a batch of its own.
	Taken [BatchSizes]uint64
	// Flushes is how many times tasks went from a Batcher to the queue, because
	// it was full, because a worker was free, because of WithLinger, because of Flush
	// or Close of the Batcher, and because of the end of the pool.
	Flushes, Full, Idle, Linger, Asked, End uint64
	// Flushed is how many tasks these were.
	Flushed uint64
}

// batching is what the engine has for batchers.
type batching[T any] struct {
	batchers []*batcher[T] // guarded by e.mu
	open     atomic.Int64  // how many
	wants    atomic.Bool   // an idle worker found no room for what is in them
	flushes  [flushReasons]atomic.Uint64
	flushed  atomic.Uint64
	outside  uint64 // tasks handed back that were never in the queue, guarded by e.mu
}

func (e *engine[T]) newBatcher() *batcher[T] {
	b := &batcher[T]{e: e, buf: make([]T, min(e.batch, max(1, e.buffer))), limit: math.MaxUint64}
	if e.hasLinger {
		b.timer = time.AfterFunc(time.Hour, b.lingered)
		b.timer.Stop()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closeErr != nil {
		b.limit = 0
		return b
	}
	e.batching.batchers = append(e.batching.batchers, b)
	e.batching.open.Add(1)
	return b
}

// limitBatchersLocked makes what was added so far all that belongs to the pool. e.mu is held, and
// ctlClosed is set.
func (e *engine[T]) limitBatchersLocked() {
	for _, b := range e.batching.batchers {
		b.limit = b.added.Load()
	}
}

// ownedLocked returns how many of the tasks that were ever added belong to the pool. e.mu is held.
func (b *batcher[T]) ownedLocked() uint64 { return min(b.added.Load(), b.limit) }

// owned is ownedLocked for who does not hold e.mu.
func (b *batcher[T]) owned() uint64 {
	added := b.added.Load()
	if b.e.ctl.Load()&ctlClosed == 0 {
		return added // the limit will not be less
	}
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	return min(added, b.limit)
}

// add puts v into the buffer.
func (b *batcher[T]) add(ctx context.Context, v T) error {
	e := b.e
	if b.full() {
		if err := b.flush(ctx, flushFull); b.full() {
			if err == nil {
				err = e.errClosed()
			}
			return e.reject(err)
		}
		b.rewind()
	}
	b.buf[b.at] = v
	if b.at++; b.at == len(b.buf) {
		b.at = 0
	}
	b.count++
	b.added.Store(b.count)
	seam.Yield()
	if e.ctl.Load()&ctlClosed != 0 {
		return b.late()
	}
	g := e.gate.Load()
	idle := g&gateSearch == 0 && g&gateIdleMask != 0
	switch {
	case b.full():
		if b.move(flushFull); idle {
			b.move(flushIdle) // what there was no room for
		}
		b.rewind()
	case idle:
		b.move(flushIdle)
	case b.timer != nil && !b.armed.Load():
		b.arm()
	}
	return nil
}

// full reports whether there is no room in the buffer.
func (b *batcher[T]) full() bool {
	if b.count-b.known < uint64(len(b.buf)) {
		return false
	}
	b.known = b.moved.Load()
	return b.count-b.known == uint64(len(b.buf))
}

// late is called after v was added to a pool that is closed. It takes v back, unless
// it was moved already.
func (b *batcher[T]) late() error {
	e := b.e
	b.mu.Lock()
	taken := b.moved.Load() == b.count
	e.mu.Lock()
	if !taken {
		var zero T
		if b.at--; b.at < 0 {
			b.at += len(b.buf)
		}
		b.buf[b.at] = zero
		b.count--
		b.limit = min(b.limit, b.count)
		b.added.Store(b.count)
	}
	e.settle() // the pool may have waited for v
	b.unlock()
	if taken {
		return nil
	}
	return e.reject(e.errClosed())
}

// pending reports whether there is something to move.
func (b *batcher[T]) pending() bool {
	moved := b.moved.Load()
	return b.added.Load() != moved && b.owned() != moved
}

// pendingLocked is pending for who holds e.mu.
func (b *batcher[T]) pendingLocked() bool { return b.ownedLocked() != b.moved.Load() }

// flush moves all that there is, and waits for room.
func (b *batcher[T]) flush(ctx context.Context, why flushReason) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	ran := false // or was accepted
	defer func() {
		if ran { // and ended this goroutine, under CallerRuns
			b.tookLocked(1)
		}
		b.known = b.moved.Load()
		b.unlock()
	}()
	for b.pending() {
		if b.moveLocked(why) {
			continue
		}
		if b.e.ctl.Load()&ctlClosed != 0 {
			return nil // it is the pool's now
		}
		ran = true
		err = b.e.submitSlow(ctx, b.buf[b.first()], nil)
		if ran = false; err != nil {
			if errors.Is(err, ErrClosed) {
				continue
			}
			return err
		}
		b.tookLocked(1)
		b.e.flushedFor(why, 1)
	}
	return nil
}

// move moves what there is room for, unless somebody else is about to. When there is no room,
// and a worker is idle, it asks for room.
func (b *batcher[T]) move(why flushReason) (moved bool) {
	missed := uint32(0) // why others tried, as far as it was taken out of b.missed
	asked := false      // for room
	for b.pending() {
		if !b.mu.TryLock() {
			added := b.owned()
			seam.Yield()
			if b.missed.Or(1<<why | missed); !b.mu.TryLock() {
				b.seen.Store(added + 1)
				return moved
			}
		}
		some := b.moveLocked(why)
		b.mu.Unlock()
		seam.Yield()
		missed = b.missed.Swap(0)
		again := some || missed != 0
		if idle := (1<<why|missed)&(1<<flushIdle) != 0; idle && !some {
			again = b.e.want() || !asked || again
			asked = true
		}
		if !again {
			return moved
		}
		moved = moved || some
	}
	return moved
}

// unlock ends the producer's use of the lock.
func (b *batcher[T]) unlock() {
	b.mu.Unlock()
	seam.Yield()
	switch why := b.missed.Swap(0); {
	case why&(1<<flushIdle) != 0: // the one that asks for room
		b.move(flushIdle)
	case why != 0:
		b.move(flushReason(bits.TrailingZeros32(why)))
	}
}

// moveLocked moves a batch, as far as there is room for it. It reports whether it
// moved anything.
func (b *batcher[T]) moveLocked(why flushReason) bool {
	e, added := b.e, b.owned()
	first := b.first()
	vs := b.buf[first:min(first+int(added-b.moved.Load()), len(b.buf))]
	if len(vs) == 0 {
		return false
	}
	n := 0
	if e.ctl.Load()&ctlStop != 0 {
		n = e.giveBackUnsent(vs)
	} else {
		n = e.pushAll(vs, true)
	}
	if n == 0 {
		b.seen.Store(added + 1)
		return false
	}
	b.tookLocked(n)
	e.flushedFor(why, n)
	return true
}

// first returns where in buf the first pending task is. b.mu is held.
func (b *batcher[T]) first() int {
	return int((b.moved.Load() - b.base) % uint64(len(b.buf)))
}

// rewind makes the producer begin at the front of buf again, if nothing is in it, so
// that a full buffer is one piece.
func (b *batcher[T]) rewind() {
	b.mu.Lock()
	if !b.pending() {
		b.base, b.at = b.count, 0
	}
	b.unlock()
}

// tookLocked empties n places, whose tasks were moved. They may have ended by now: for
// the end of the pool they were both in the queue and here.
func (b *batcher[T]) tookLocked(n int) {
	first := b.first()
	clear(b.buf[first : first+n])
	b.moved.Add(uint64(n))
	if b.e.ctl.Load()&ctlClosed != 0 {
		b.e.mu.Lock()
		b.e.settle()
	}
}

func (e *engine[T]) flushedFor(why flushReason, n int) {
	e.batching.flushes[why].Add(1)
	e.batching.flushed.Add(uint64(n))
}

// arm sets the timer, which moves what there is then. Who adds a task later and
// finds it set, added it before the timer looks: lingered clears armed first.
func (b *batcher[T]) arm() {
	if b.armed.CompareAndSwap(false, true) {
		b.timer.Reset(b.e.linger)
	}
}

func (b *batcher[T]) lingered() {
	b.armed.Store(false)
	b.move(flushLinger)
	if b.pending() { // no room
		b.arm()
	}
}

// close flushes the buffer and takes it from the pool.
func (b *batcher[T]) close() error {
	if b.closed {
		return nil
	}
	if err := b.flush(context.Background(), flushAsked); err != nil {
		return err
	}
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	e := b.e
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, o := range e.batching.batchers {
		if o == b && !b.pendingLocked() { // else the pool was closed and has no room yet
			last := len(e.batching.batchers) - 1
			e.batching.batchers[i] = e.batching.batchers[last]
			e.batching.batchers[last] = nil
			e.batching.batchers = e.batching.batchers[:last]
			e.batching.open.Add(-1)
			break
		}
	}
	return nil
}

// bufferedLocked reports whether a worker that is about to park could move tasks from
// a batcher. e.mu is held.
func (e *engine[T]) bufferedLocked() bool {
	if e.sorter.blocked.Load() {
		return false
	}
	for _, b := range e.batching.batchers {
		asked := e.batching.wants.Load() || b.missed.Load()&(1<<flushIdle) != 0
		if b.pendingLocked() && !(asked && b.ownedLocked()+1 == b.seen.Load()) {
			return true
		}
	}
	return false
}

// unsent returns how many tasks of the pool batchers hold.
func (e *engine[T]) unsent() (n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.batching.batchers {
		moved := b.moved.Load()
		n += b.ownedLocked() - moved
	}
	return n
}

// unsentLocked reports whether any batcher holds a task. e.mu is held.
func (e *engine[T]) unsentLocked() bool {
	for _, b := range e.batching.batchers {
		if b.pendingLocked() {
			return true
		}
	}
	return false
}

// pull moves what is in batchers to the queue. It reports whether there was any.
func (e *engine[T]) pull(why flushReason) (moved bool) {
	if e.batching.open.Load() == 0 {
		return false
	}
	e.mu.Lock()
	bs := append([]*batcher[T](nil), e.batching.batchers...)
	e.mu.Unlock()
	for _, b := range bs {
		if b.move(why) {
			moved = true
		}
	}
	return moved
}

// want asks for room for what is in batchers, while workers are idle. Who did so looks once more for
// room then. It reports false if somebody did that before, and no room was made since.
func (e *engine[T]) want() bool {
	if e.batching.wants.Swap(true) {
		return false
	}
	e.room.mu.Lock()
	e.announceLocked()
	e.room.mu.Unlock()
	return true
}

func (e *engine[T]) batchStatsLocked() (s BatchStats) {
	for i, n := range []*uint64{&s.Full, &s.Idle, &s.Linger, &s.Asked, &s.End} {
		*n = e.batching.flushes[i].Load()
		s.Flushes += *n
	}
	s.Flushed = e.batching.flushed.Load()
	s.Taken = e.gone.taken
	for _, w := range e.workers {
		for i := range w.taken {
			s.Taken[i] += w.taken[i].Load()
		}
	}
	return s
}

// giveBackUnsent hands back tasks that were never in the queue.
func (e *engine[T]) giveBackUnsent(vs []T) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leftover = append(e.leftover, vs...)
	e.unrun += uint64(len(vs))
	e.batching.outside += uint64(len(vs))
	return len(vs)
}

// pushAll pushes a prefix of vs, as much as there is room for, and returns its length.
// late says that vs was accepted before the ring was closed.
func (e *engine[T]) pushAll(vs []T, late bool) (n int) {
	for n < len(vs) && !e.direct() {
		k, s := 0, ring.Full
		if len(vs)-n >= e.leastChunk() && e.chunks() && e.worthChunk(len(vs)-n) {
			k, s = e.pushChunk(vs[n:], late)
		} else {
			k, s = e.ring().PushAll(vs[n:], late)
		}
		n += k
		if k > 0 && e.needsLook(e.gate.Load()) {
			e.pushed()
		}
		switch {
		case s == ring.OK:
		case s == ring.Broke && e.refill():
		case s == ring.Retired:
			e.renew()
		default:
			return n
		}
	}
	return n
}
