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

// Lazy fork-join: a part of the work becomes a task only while somebody is hungry.
//
// A job is one call of Forks.Run, Reduce or ForRange. It begins as one part, on one goroutine. Whoever runs a part, its splitter,
// keeps to itself what it could give away: for a Fork the arguments of the right sides that it has not come to, for
// a range the far end. No other goroutine sees that, so it costs no atomic instruction.
//
// Who is hungry. The idle word (internal/idle) counts idle places and searching workers. A splitter looks at it at each
// join, or after each block of a range: nobody writes it while all are busy. If somebody is hungry the splitter makes a part of the
// oldest that it has, which is the largest, and submits it (offer): an ordinary task, with the attributes of the task that
// the job was started in. Three rules keep that rare. One offer of a splitter waits at a time. After an offer the
// splitter makes none for forkBeat, and none for which a worker has to be woken for forkWake, counted from the
// start of the part, too: a wake costs 10 to 16 µs of system call, and the worker comes 75 to 130 µs later. And while it is
// too early, the splitter looks at a word of the job (quiet) and reads the clock every some joins.
//
// Who owns a part. Until it is offered its splitter alone knows it. From then on it is a call (call.go): whoever turns
// its state from 0 by a compare-and-swap runs it. That is a worker that comes to it in the queue; the splitter, which takes it back
// when it gets there (await), and then runs it as if it had not been offered; or another splitter of the job that waits. What the queue
// drops, or does not start in time, goes back to its splitter.
//
// Who waits for whom. A splitter waits only for a part that it has offered and that somebody has begun. Meanwhile it runs
// parts that were offered below that one: those that the awaited part needs (D. Wagner, B. Calder, "Leapfrogging", PPoPP 1993).
// So its stack is no deeper than that of plain recursion would be. If there are none it counts itself as searching
// for some microseconds, so that those at work are asked for more, and then lends its place, as any wait does. What it waits for
// began after what waits, on each stack what is above began after what is below, so nobody waits in a circle.
//
// No wake-up is lost. The end of a part sets callEnded and closes done under whole.mu; who waits makes done under whole.mu, and then
// looks at callEnded. An offer is an ordinary push, see park.go; a splitter that searches ends its search
// as a worker does that finds nothing, and looks for whoever relied on it (wakeMore).
//
// The end. Whatever fails stops the job: its context, the pool, an error, a panic, Goexit. stop sets over and makes each splitter's next look
// find the word that says so; a splitter that begins to look at another word does so first and then reads over. Then splitters
// give up: Join panics with a value that ends at its part, and ranges return. Offers that nobody has begun are taken back and
// not run, and those at work are waited for, by the deferred function of each part. So all have ended when the first
// one has.
type whole struct {
	e      *engine[Task]
	ctx    context.Context
	quiet  idle.State // nobody is hungry
	ended  idle.State // stopped
	over   atomic.Bool
	shared atomic.Bool  // others have seen the first part, or may stop the job
	since  atomic.Int64 // the last offer of a Join
	open   atomic.Int32 // length of offers

	mu        sync.Mutex
	first     errlog.First
	offers    list.List[part, *part] // that nobody has begun
	splitters list.List[splitter, *splitter]
}

// part is a piece of a job.
type part struct {
	call
	list.Link[part] // in whole.offers
	of              *whole
	above           *part         // that it was split from
	done            chan struct{} // made by who waits; whole.mu guards it
}

// splitter is who runs a part.
type splitter struct {
	list.Link[splitter]                            // in whole.splitters
	look                atomic.Pointer[idle.State] // the word to look at: that of the pool, quiet, or ended
	of                  *whole
	part                *part
	seat                context.Context // of the task that it is inside of
	offered             *part           // the last offer
	since               time.Duration   // that, or the first look
	clock               time.Duration   // the last look at the clock
}

const (
	forkBeat  = 10 * time.Microsecond
	forkWake  = 50 * time.Microsecond
	forkPolls = 1000 // while a splitter waits, about 40 µs
)

// open makes a job.
func (h *whole) init(ctx context.Context, p *Pool) error {
	if ctx == nil {
		return errNilContext
	}
	h.e, h.ctx = p.made(), ctx
	return endOf(ctx)
}

// run runs p, the first part, with its owner, and returns why the job failed. All parts have ended then.
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

// end tells those who wait for the part.
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

// renew makes a part, the first one, that has ended and was not shared ready for another run. Its owner stays the same: another goroutine of the task
// may look at that, which is a moment late (Group.runsLocked).
func (p *part) renew() {
	p.state.Store(0)
	p.user, p.seat = nil, nil
	p.merged.cause.Store(nil)
}

// take begins an offer that descends from p, the oldest, or returns nil.
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

// await waits until p, which somebody else may begin, has ended, or the caller has run it. seat is the context of the task that
// the caller is inside of, or nil.
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
			if !p.refuse(err) { // else nobody has begun it
				h.stop()
				<-done
			}
		}
	}
}

// poll looks for something to do, and asks for it. It returns how many of the polls are left.
func (h *whole) poll(p *part, polls int) int {
	h.e.idle.Search()
	for polls--; polls > 0 && !p.over() && h.open.Load() == 0; polls-- {
		pause(pauseRounds)
	}
	h.e.idle.Found()
	h.e.wakeMore()
	return polls
}

// enter begins the part p of a job.
func (s *splitter) enter(p *part) {
	s.of, s.part, s.seat = p.of, p, p.e.seatOf(&p.scope)
	h := s.of
	h.mu.Lock()
	h.splitters.Push(s, false)
	h.mu.Unlock()
	s.watch(&h.e.idle)
}

// leave ends it. All that it has offered has ended.
func (s *splitter) leave() {
	h := s.of
	h.mu.Lock()
	h.splitters.Remove(s)
	h.mu.Unlock()
	s.of, s.part, s.seat, s.offered, s.since, s.clock = nil, nil, nil, nil, 0, 0
}

// watch makes w the word to look at.
func (s *splitter) watch(w *idle.State) {
	if s.look.Load() != w {
		s.look.Store(w)
		seam.Yield()
	}
	if s.of.over.Load() {
		s.of.ended.Stop() // whoever stops may be about to
		s.look.Store(&s.of.ended)
	}
}

// hungry reports whether to offer something now.
func (s *splitter) hungry(now time.Duration) bool {
	h := s.of
	g := h.e.idle.Load()
	if g.Stopped() {
		h.stop()
	}
	beat := forkBeat
	if g.Searching() == 0 {
		beat = forkWake
	}
	if !g.Hungry() || h.over.Load() || now-s.since < beat || s.offered != nil && s.offered.state.Load() == 0 {
		return false
	}
	s.since = now
	return true
}

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

// offer puts p into the queue, and where those who wait find it.
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

// reclaim returns true when the part, which the caller has offered, has run elsewhere, and false if only the caller may run
// it from now on. seat is the context of the task that the caller is inside of.
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
