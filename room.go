package pool

import (
	"context"
	"sync"
	"time"

	"github.com/headrace-go/pool/internal/fair"
	"github.com/headrace-go/pool/internal/list"
	"github.com/headrace-go/pool/internal/queue"
	"github.com/headrace-go/pool/internal/seam"
)

// room is where submitters wait while a cell is full, in the order of their arrival.
//
// At most one of them is being woken at any time. The worker that ends a job wakes the first, which
// pushes its job and, if there is still room, wakes the next. So a busy worker pays for one wake
// while there is room for many, and yet no room is left unused while somebody waits. (Waking one
// waiter for each free slot costs ten times as much with short jobs; waking at a low-water mark
// leaves submitters blocked beside free slots while a long task runs.)
//
// No wake-up is lost. A submitter announces itself in flags and then tries once more to push; a
// worker ends a job and then loads flags. All are sequentially consistent, so one of the two sees
// the other. While a wake is in flight nothing is announced; the woken submitter announces the
// others before it looks for more room.
//
// A submission that has not waited may overtake those that wait. A submitter that was overtaken
// misses times while it was being woken holds the queue, which keeps all others out until it has
// pushed: nobody waits for ever. A submitter that is given room uses it, or gives up, before
// anybody else is told of room: so no two can hand it to each other for ever.
type room[T any] struct {
	mu sync.Mutex
	list.List[blocked, *blocked]
	waking    bool
	announced bool      // counted in flags
	spare     sync.Pool // of blocked: a channel costs an allocation
}

const misses = 3

type blocked struct {
	list.Link[blocked]
	ready   chan struct{}
	waiter  fair.Waiter // for a fair cell
	missed  int
	checks  bool // is to see whether it is inside of a task
	checked bool
	held    bool // it holds the queue: try has to push in spite of that
	since   time.Duration
}

// announceLocked makes flags say whether somebody waits to be woken.
func (c *cell[T]) announceLocked() {
	r := &c.room
	wants := r.First != nil && !r.waking
	if c.e.routes || wants == r.announced {
		return
	}
	if r.announced = wants; wants {
		c.e.flags.word.Add(flagRoom)
	} else {
		c.e.flags.word.Add(^uint32(flagRoom - 1))
	}
}

// wakeLocked wakes the first submitter that waits, if none is being woken.
func (c *cell[T]) wakeLocked() {
	r := &c.room
	if b := r.First; b != nil && !r.waking {
		r.Remove(b)
		r.waking = true
		b.signal()
	}
	c.announceLocked()
}

// signal wakes b, if it is not nil, and unless it was signalled already and has not looked since.
func (b *blocked) signal() {
	if b == nil {
		return
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// refuse wakes those that are blocked after the intake has ended. One that comes later sees that
// itself.
func (c *cell[T]) refuse() {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	for b := c.room.First; b != nil; b = b.Next {
		b.signal()
	}
}

// checkSubmitters makes each blocked submitter see whether it is inside of a task, once.
func (e *engine[T]) checkSubmitters() {
	e.eachCell(func(c *cell[T]) {
		c.room.mu.Lock()
		defer c.room.mu.Unlock()
		for b := c.room.First; b != nil; b = b.Next {
			if !b.checked {
				b.checks, b.checked = true, true
				b.signal()
			}
		}
	})
}

// roomMade is called after a job has ended and an announcement was seen.
func (c *cell[T]) roomMade() {
	seam.Yield()
	if c.e.routes {
		c.mu.Lock()
		c.fair.Call(c.places())
		c.mu.Unlock()
	} else {
		c.room.mu.Lock()
		c.wakeLocked()
		c.room.mu.Unlock()
		if c.home != nil {
			c.e.roomAtHome()
		}
	}
	c.e.batchers.roomMade(c.e)
}

// roomAtHome wakes the first that waits in the main cell, after a job has ended in a home, if it
// may wait for that.
func (e *engine[T]) roomAtHome() {
	if e.homes.reserving.Load() > 0 {
		r := &e.main.room
		r.mu.Lock()
		e.main.wakeLocked()
		r.mu.Unlock()
	}
}

// allReserved reports whether there may be nothing to drop for a new job, since the whole buffer is
// reserved.
func (e *engine[T]) allReserved() bool {
	n := e.main.queue.Reserved()
	return n > 0 && n >= e.buffer
}

// waitForRoom calls try, whenever there may be room, until it returns a status other than Full. If
// the caller turns out to be inside of a task, waitForRoom returns the context of that task as
// here.
//
// A goroutine that waits here should not need more than the 2 KiB of stack that it was born with.
// So it blocks in this function, and does all else in others, which have returned.
func (c *cell[T]) waitForRoom(ctx context.Context, try func(b *blocked) queue.Status) (here context.Context, err error) {
	done := ctx.Done()
	b := c.enterRoom()
	for {
		s, waits := try(b), false
		if s == queue.Full {
			waits, here = c.stay(b)
		}
		switch {
		case s != queue.Full || here != nil:
			c.leaveRoom(b)
			if s == queue.Closed {
				err = c.e.errBlocked()
			}
			return here, err
		case !waits:
		case done == nil:
			<-b.ready // a third of the price of a select
		case !b.await(done):
			c.leaveRoom(b)
			return nil, endOf(ctx)
		}
	}
}

// enterRoom puts a submitter that found no room at the end of those that wait. The submitter has to
// try again, to call stay each time that it finds no room, and at last to call leaveRoom.
func (c *cell[T]) enterRoom() *blocked {
	r := &c.room
	b, _ := r.spare.Get().(*blocked)
	if b == nil {
		b = &blocked{ready: make(chan struct{}, 1)}
		b.waiter.Ready = b.ready
	}
	b.since = c.e.now()
	r.mu.Lock()
	r.Push(b, false)
	c.announceLocked()
	r.mu.Unlock()
	seam.Yield()
	return b
}

// stay reports whether b has to wait for ready before it tries again, with the queue held if
// b.held. It returns the context of the task that the caller turns out to be inside of.
func (c *cell[T]) stay(b *blocked) (waits bool, here context.Context) {
	e, r := c.e, &c.room
	r.mu.Lock()
	checks := b.checks || !b.checked && e.watch.lost.Load()
	b.checks, b.checked = false, b.checked || checks
	again := !b.Queued // it was woken and found no room
	if again {
		b.missed++
		select {
		case <-b.ready: // woken while it was trying
		default:
		}
		r.Push(b, true)
		r.waking = false
		c.announceLocked()
	}
	r.mu.Unlock()
	if checks {
		if here := e.found(); here != nil {
			return false, here
		}
	}
	if again {
		if b.missed == misses {
			b.held = true
			c.queue.Hold()
		}
		return false, nil
	}
	if g := e.idle.Load(); g.Looks() && g.Idle() == 0 {
		e.lookAfter()
	}
	return true, nil
}

// await waits for ready. It reports false if done is closed first.
func (b *blocked) await(done <-chan struct{}) bool {
	select {
	case <-b.ready:
		return true
	case <-done:
		return false
	}
}

// leaveRoom takes b out, and wakes the next one if there is room for it.
func (c *cell[T]) leaveRoom(b *blocked) {
	r, held := &c.room, b.held
	if e := c.e; e.sampling > 0 {
		e.samples.room.Add(e.now() - b.since)
	}
	if held {
		c.queue.Release()
	}
	if c.e.routes {
		c.leaveFair(b)
	}
	r.mu.Lock()
	if b.Queued {
		r.Remove(b)
	} else {
		r.waking = false
		select {
		case <-b.ready:
		default:
		}
	}
	next := c.nextLocked()
	if next == nil {
		c.announceLocked()
		next = c.nextLocked() // a job may have ended before that
	}
	c.announceLocked()
	r.mu.Unlock()
	next.signal()
	b.missed, b.checks, b.checked, b.held = 0, false, false, false
	r.spare.Put(b) // a late signal makes its next user look in vain
	if held && c.e.idle.Load().Idle() > 0 {
		c.e.pull() // batchers were kept out too
	}
}

// nextLocked takes out the first submitter that waits, if none is being woken and there is room.
func (c *cell[T]) nextLocked() *blocked {
	r := &c.room
	b := r.First
	if b == nil || r.waking || c.e.routes || !c.hasRoom() {
		return nil
	}
	r.Remove(b)
	r.waking = true
	return b
}

// somebodyWaits reports whether a submitter is blocked.
func (c *cell[T]) somebodyWaits() bool {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	return c.room.First != nil || c.room.waking
}

// errBlocked is the error of a submitter that was blocked when the pool closed: ErrClosed, with the
// cause if there is one.
func (e *engine[T]) errBlocked() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopCause != nil {
		return &stopError{ErrClosed, e.stopCause}
	}
	return e.closeErr
}
