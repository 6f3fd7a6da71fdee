package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/errlog"
	"github.com/headrace-go/pool/internal/idle"
	"github.com/headrace-go/pool/internal/list"
	"github.com/headrace-go/pool/internal/seam"
)

// Lazy fork-join: a part of the work becomes a task only when a worker is idle.
//
// A job is one call of Forks.Run, Reduce or ForRange. It starts as one part, on one goroutine. The
// goroutine that runs a part is its splitter. The splitter keeps to itself what it could give away:
// a Fork the arguments of the right sides that it has not reached, a range its far end. No other
// goroutine sees these, so they cost no atomic instruction.
//
// When a part is offered. The idle word (internal/idle) counts idle places and searching workers. A
// splitter loads it at each join, or after each block of a range; nobody writes it while all workers
// are busy. If a worker is idle, the splitter makes a part of the oldest thing that it has, which is
// the largest, and submits it: an ordinary task, with the attributes of the task in which the job was
// started. Three rules keep offers rare. A splitter has one offer at a time that has not started. It
// waits for forkBeat after an offer. It waits for forkWake, counted from its own start too, before an
// offer that wakes a worker: the wake costs a system call of 10 to 16 µs, and the worker arrives 75
// to 130 µs later. A Fork that waits reads the clock only every few joins.
//
// Who owns a part. Until it is offered only its splitter knows it. From then on it is a call
// (call.go): the goroutine that changes its state from 0, by a compare-and-swap, runs it. That is a
// worker that takes it from the queue; or the splitter, which takes it back when it gets there
// (await) and runs it as if it had not been offered; or another splitter of the job that waits. If
// the queue drops it, or does not start it in time, it goes back to its splitter.
//
// Who waits for whom. A splitter waits only for a part that it has offered and that another
// goroutine has started. Meanwhile it runs parts that were offered below that one, which the awaited
// part needs (D. Wagner, B. Calder, "Leapfrogging", PPoPP 1993), so its stack is no deeper than that
// of plain recursion. If there are none it counts itself as searching for some microseconds, which
// asks the others for parts, and then lends its place, as any wait does. On each stack, what is above
// started after what is below, and a splitter waits for what started after it. So there is no circle
// of waits.
//
// No wake-up is lost. The end of a part sets callEnded and closes done under whole.mu; a splitter
// that waits makes done under whole.mu and then looks at callEnded. An offer is an ordinary push, see
// park.go; a splitter that searches ends its search as a worker does that finds nothing, and wakes
// the next if it has to (wakeMore).
//
// The end. The end of the context or of the pool, an error, a panic and Goexit stop the job. stop
// sets over and changes the word that each splitter looks at, under whole.mu, under which splitters
// enter. A splitter that sees it gives up: Join panics with a value that ends at its part, and ranges
// return. The deferred function of each part takes back the offers that have not started, which do
// not run, and waits for the others. So all parts have ended when the first one has.
type whole struct {
	e      *engine[Task]
	ctx    context.Context
	ended  idle.State // stopped
	over   atomic.Bool
	shared atomic.Bool  // other goroutines know the first part, or may stop the job
	since  atomic.Int64 // the last offer of a Join
	open   atomic.Int32 // length of offers

	mu        sync.Mutex
	first     errlog.First
	offers    list.List[part, *part] // that have not started
	splitters list.List[splitter, *splitter]
}

// part is a piece of a job.
type part struct {
	call
	list.Link[part] // in whole.offers
	of              *whole
	above           *part         // that it was split from
	done            chan struct{} // made by a goroutine that waits; whole.mu guards it
}

// splitter is the goroutine that runs a part.
type splitter struct {
	list.Link[splitter]                            // in whole.splitters
	look                atomic.Pointer[idle.State] // the pool's idle word, or ended
	of                  *whole
	part                *part
	seat                context.Context // of the task that it is inside of
	offered             *part           // the last offer, unless it was taken back
	since               time.Duration   // when that was made, or the first look
	clock               time.Duration   // when the clock was last read
}

const (
	forkBeat  = 10 * time.Microsecond
	forkWake  = 50 * time.Microsecond
	forkPolls = 1000 // while a splitter waits, about 40 µs
)

// init prepares a job.
func (h *whole) init(ctx context.Context, p *Pool) error {
	if ctx == nil {
		return errNilContext
	}
	h.e, h.ctx = p.made(), ctx
	return endOf(ctx)
}

// run runs p, the first part, with its owner. When it returns all parts have ended. It returns why
// the job failed, or nil.
func (h *whole) run(p *part, owner callOwner) error {
	e := h.e
	p.of, p.e, p.user, p.covered = h, e, h.ctx, e.covers(h.ctx)
	if p.owner == nil {
		p.owner = owner
	}
	if done := h.ctx.Done(); done != nil && done != e.base.Done() { // the end of the pool shows in its own word
		h.shared.Store(true)
		defer context.AfterFunc(h.ctx, h.stop)()
	}
	if seat := e.seatOf(h.ctx); seat != nil {
		p.begin()
		p.help(seat)
	} else {
		h.shared.Store(true)
		p.submit(h.ctx, true)
		h.await(h.ctx, nil, p)
	}
	if !h.over.Load() {
		return nil
	}
	h.mu.Lock()
	err := h.first.Err
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if err := endOf(h.ctx); err != nil {
		return err
	}
	return e.errBlocked()
}

// stop ends the job early.
func (h *whole) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over.Store(true)
	h.ended.Stop()
	for s := h.splitters.First; s != nil; s = s.Next {
		s.look.Store(&h.ended)
	}
}

// fail stops the job with the error of a part.
func (h *whole) fail(err error) {
	cancelled := cancellation(err)
	h.mu.Lock()
	h.first.Add(err, cancelled, h.over.Load())
	h.mu.Unlock()
	h.stop()
}

// ended is told the outcome of the part.
func (p *part) ended(err error) {
	if err != nil && err != errSkipped && (p.above == nil || p.state.Load()&callUnrun == 0) {
		p.of.fail(err)
	}
	p.end()
}

// end tells the goroutines that wait for the part.
func (p *part) end() {
	h := p.of
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removeLocked(p)
	p.state.Or(callEnded)
	if p.done != nil {
		close(p.done)
	}
}

func (h *whole) removeLocked(p *part) {
	h.offers.Remove(p)
	h.open.Store(int32(h.offers.Len))
}

// renew makes a first part that has ended, and was not shared, ready for another run. Its owner stays
// the same, because another goroutine of the task may still look at it (Group.runsLocked).
func (p *part) renew() {
	p.state.Store(0)
	p.user, p.seat = nil, nil
	p.merged.cause.Store(nil)
}

// take begins the oldest offer that descends from p and returns it, or nil if there is none.
func (h *whole) take(p *part) *part {
	h.mu.Lock()
	defer h.mu.Unlock()
	for q := h.offers.First; q != nil; q = q.Next {
		a := q.above
		for a != nil && a != p {
			a = a.above
		}
		if a == p && q.begin() {
			h.removeLocked(q)
			return q
		}
	}
	return nil
}

// await returns when p has ended, which another goroutine or the caller runs. seat is the context of
// the task that the caller is inside of, or nil.
func (h *whole) await(ctx, seat context.Context, p *part) {
	e := h.e
	if seat == nil && p.polled() {
		return
	}
	polls := forkPolls
	for !p.over() {
		if seat != nil {
			if q := h.take(p); q != nil {
				q.help(seat)
				continue
			}
			if polls > 0 && e.parallel.Load() {
				polls = h.poll(p, polls)
				continue
			}
		}
		h.mu.Lock()
		if p.done == nil {
			p.done = make(chan struct{})
		}
		done := p.done
		h.mu.Unlock()
		seam.Yield()
		if p.over() {
			return
		}
		here, err := e.rest(ctx, seat, done)
		switch {
		case here != nil: // the caller is inside of a task
			if seat = here; p.begin() {
				p.help(seat)
			}
		case err != nil:
			if !p.refuse(err) { // else it has not started
				h.stop()
				<-done
			}
		}
	}
}

// poll asks the others for parts and looks for one. It returns how many of the polls are left.
func (h *whole) poll(p *part, polls int) int {
	h.e.idle.Search()
	for polls--; polls > 0 && !p.over() && h.open.Load() == 0; polls-- {
		pause(pauseRounds)
	}
	h.e.idle.Found()
	h.e.wakeMore()
	return polls
}

// enter begins the part p.
func (s *splitter) enter(p *part) {
	s.of, s.part, s.seat = p.of, p, p.e.seatOf(&p.scope)
	h := s.of
	h.mu.Lock()
	defer h.mu.Unlock()
	h.splitters.Push(s, false)
	s.look.Store(&h.e.idle)
	if h.over.Load() {
		s.look.Store(&h.ended)
	}
}

// leave ends it. All parts that it has offered have ended.
func (s *splitter) leave() {
	h := s.of
	h.mu.Lock()
	h.splitters.Remove(s)
	h.mu.Unlock()
	s.of, s.part, s.seat, s.offered, s.since, s.clock = nil, nil, nil, nil, 0, 0
}

// due reports whether to make an offer now, if a worker is idle or the last offer was taken.
func (s *splitter) due(now time.Duration) bool {
	h := s.of
	g := h.e.idle.Load()
	if g.Stopped() {
		h.stop()
	}
	beat := forkBeat
	if g.Hungry() && g.Searching() == 0 {
		beat = forkWake
	}
	if h.over.Load() || now-s.since < beat || s.offered != nil && s.offered.state.Load() == 0 {
		return false
	}
	s.since = now
	return true
}

// taken reports whether another goroutine has started the last offer.
func (s *splitter) taken() bool { return s.offered != nil && s.offered.state.Load() != 0 }

// offer makes p a task. It reports false if there is no room for it.
func (s *splitter) offer(p *part, owner callOwner) bool {
	h := s.of
	p.of, p.above, p.owner = h, s.part, owner
	p.e, p.user, p.covered = h.e, h.ctx, s.part.covered
	if !h.offer(&s.part.scope, p) {
		return false
	}
	s.offered = p
	return true
}

// offer puts p into the queue, and into the list in which splitters that wait look.
func (h *whole) offer(ctx context.Context, p *part) bool {
	h.shared.Store(true)
	if !p.try(ctx) {
		return false
	}
	seam.Yield()
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.state.Load() == 0 {
		h.offers.Push(p, false)
		h.open.Store(int32(h.offers.Len))
	}
	return true
}

// reclaim ends the offer of p, which the caller has made. It returns true when p has run elsewhere, and
// false if p has not run: then only the caller may run it. seat is the context of the task that the
// caller is inside of.
func (p *part) reclaim(seat context.Context) (ran bool) {
	h := p.of
	if p.begin() {
		h.mu.Lock()
		h.removeLocked(p)
		h.mu.Unlock()
		return false
	}
	h.await(context.Background(), seat, p)
	return p.state.Load()&callUnrun == 0
}
