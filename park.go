package pool

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/seam"
)

// Parking: who wakes whom, and why no wake-up is lost.
//
// The idle word (internal/idle) has two counts. One is how many workers search: they were woken and
// are not yet at work, or they spin. The other is how many places are idle: those of parked
// workers, and those without a worker.
//
// An idle place is a token. A goroutine that takes one (idle-1, searching+1 in one
// compare-and-swap) owes the pool a worker: it wakes the one that parked last or, if there is none,
// starts one. All tokens are alike: a worker that has just put its own into the word and finds work
// takes any token back. If others hold them all it goes to work all the same, and so does a worker
// that is woken for what only that worker may do: those who hold the tokens may be about to wake
// others. Then one token is too many.
//
// At most one worker searches while tasks are short, and it wakes the next. (While they are long,
// up to four do: thousands of workers that sleep are woken in a tree and not one by one.) A
// submission wakes a worker only if none searches and a place is idle. A worker that ends its
// search with work in hand, or claims several jobs at once, does the same if there is more work. So
// a burst costs its submitter one wake, and the workers start each other.
//
//	submitter: publish the job;               load the idle word, wake if 0 search, >0 idle
//	worker:    idle+1, searching-1 in the idle word;   look at what is ready, then block
//
// Both pairs are sequentially consistent, so at least one side sees the other: either the submitter
// finds the token, or the worker finds the job. A submitter that sees a search may leave the job to
// it, because a search always ends with work, or with that last look. The look has to see claimed
// jobs as well, since they can be taken over: a worker that claims several publishes them in a lane
// and then loads the idle word, the same pattern.
//
// No look sees a job whose slot is taken and not yet published, which also hides those behind it.
// Its submitter loads the idle word after publishing it, and so wakes a worker.
//
// Spinning. A parked worker starts 75 to 130 µs after a submitter that keeps its core; one that
// still spins starts in under 1 µs. So one worker at a time, of those that have just run out of
// work, looks for a while before it parks. It looks for half a microsecond, for a submitter that
// waits for each task before the next one. Then it yields, since the goroutines that it has made
// ready come before it, and parks if that took long: then somebody needs the core. Between bursts
// it gives the role up, looks once more, yields, and takes the role again: a spinner that yielded
// in its role could be away for 10 ms, and nobody would be woken. After spinning in vain, workers
// leave out the next 1, 2, 4 ... 64 spins. Spinning is bounded by counting, not by the clock, which
// stands still in a testing/synctest bubble.
//
// Rejected: waking a worker for each job (10 to 16 µs of system call for each submission); counting
// a wake in flight as the spinner (the running workers then park, and p50 is that of a parked
// worker); a timer that looks for stranded lanes (not needed when the worker that fills a lane
// makes sure that one searches).
const (
	spinBursts  = 6   // bursts in a spin
	soonPolls   = 10  // looks before the yield
	spinPolls   = 100 // looks in a burst, about 10 µs
	pauseRounds = 60  // of an empty loop, between two looks
	maxSpinSkip = 64  // spins that are left out after repeated failure
	yieldTooBad = 20 * time.Microsecond
	longSearch  = 4 // how many search while tasks are long
)

// spinState belongs to the worker that holds busy.
type spinState struct {
	busy atomic.Bool
	skip int // spins to leave out
	miss int // how many to leave out after the next failure
}

// pushed makes sure that a worker takes a job that was just put into the queue.
func (c *cell[T]) pushed() {
	if c.home != nil {
		c.home.pushed()
		return
	}
	if c.e.idle.Load().Concerns() || c.e.collects() {
		c.e.pushed()
	}
}

// pushed makes sure that a worker takes a job that was just published.
func (e *engine[T]) pushed() {
	switch g := e.idle.Load(); {
	case g.Stopped():
		e.discard()
	case e.lingers(): // the timer wakes
	default:
		e.wakeMore()
	}
}

// searchers returns how many workers may search at a time.
func (e *engine[T]) searchers() int {
	if e.long.Load() {
		return longSearch
	}
	return 1
}

// wakeOne wakes or starts one worker if too few search and a place is idle.
func (e *engine[T]) wakeOne() {
	if e.idle.TakeIfQuiet(e.searchers()) {
		e.employ()
	}
}

// wakeMore is called by a worker that has work in hand, after its search has ended or when others
// could help, and by any goroutine that makes work ready.
func (e *engine[T]) wakeMore() { e.wakeBeside(nil) }

// wakeBeside is wakeMore without looking at the lane but.
func (e *engine[T]) wakeBeside(but *lane[T]) {
	switch g := e.idle.Load(); {
	case g.Searching() >= e.searchers():
	case g.Idle() > 0:
		if e.hasWork(but) {
			e.wakeOne()
		}
		if e.batchers.holding.Load() > 0 && e.idle.Load().Searching() == 0 {
			e.pull()
		}
	case g.Looks() && (e.flags.word.Load() >= flagRoom || e.hasWork(but)):
		e.lookAfter()
	}
}

// hasWork reports whether a worker would find something to do.
func (e *engine[T]) hasWork(but *lane[T]) bool {
	if e.weights.waiting.Load() || e.flags.word.Load()&flagStop != 0 {
		return false // a worker that gets its units wakes others; a stop ends all work
	}
	return e.main.ready(but) || e.kidsWaiting() > 0 || e.homes.orphans.Load() > 0
}

// hasWork reports whether w would find something to do.
func (w *worker[T]) hasWork() bool {
	if h := w.home.Load(); h != nil && h.ready() && !h.lanes[0].Load().Owned() && !w.e.weights.waiting.Load() {
		return true
	}
	return w.e.hasWork(nil)
}

// employ turns a token that the caller has taken into a worker. If there is no place for one any
// more, the token was one too many (see places.go).
func (e *engine[T]) employ() {
	seam.Yield() // with a token in hand
	e.lock(&e.mu)
	e.followLocked()
	var w *worker[T]
	born := false
	switch {
	case e.finished:
		e.idle.Return()
		e.mu.Unlock()
		return
	case e.parked.Last != nil && (e.homes.orphans.Load() == 0 || e.unborn() == 0):
		w = e.parked.Last
		e.unparkLocked(w)
	case e.unborn() > 0:
		w, born = e.newWorkerLocked(nil), true
	}
	e.mu.Unlock()
	switch {
	case born:
		w.start()
	case w != nil:
		w.wake <- struct{}{}
	default:
		e.idle.Found()
		e.wakeMore() // a submitter that saw a search relied on it
	}
}

// unparkLocked takes w off the parked workers. The caller has its token, and wakes it after
// unlocking.
func (e *engine[T]) unparkLocked(w *worker[T]) {
	e.parked.Remove(w)
	w.parked.Store(false)
}

// takeAllLocked takes every parked worker for which there is a token; the caller signals them after
// unlocking.
func (e *engine[T]) takeAllLocked() []*worker[T] {
	var all []*worker[T]
	for w := e.parked.Last; w != nil && e.idle.Take(); w = e.parked.Last {
		e.unparkLocked(w)
		all = append(all, w)
	}
	return all
}

func signal[T any](ws []*worker[T]) {
	for _, w := range ws {
		w.wake <- struct{}{}
	}
}

// search is called when w found no work. It returns true with work in hand, and false when w has to
// see whether it must end.
func (w *worker[T]) search() bool {
	w.lighten(1)
	if w.grant.Held() {
		w.settleFair()
	}
	if w.searching && w.employed() { // it was just started
		return true
	}
	if w.e.pull() && w.employed() || w.spin() {
		return true
	}
	return w.park() && w.employed()
}

// employed ends a search if there is work for w.
func (w *worker[T]) employed() bool {
	if !w.claim() && !w.steal() {
		return false
	}
	w.found()
	return true
}

// found ends w's search, if it searched, and wakes the next.
func (w *worker[T]) found() {
	if w.searching {
		w.searching = false
		w.e.idle.Found()
	}
	var but *lane[T]
	if w.last == 1 {
		but = w.lane // its only job is about to begin
	}
	w.e.wakeBeside(but)
	if w.e.long.Load() {
		w.e.wakeBeside(but)
	}
}

// spin looks for work for a while. It returns true with work in hand.
func (w *worker[T]) spin() bool {
	e, s := w.e, &w.e.spin
	if !e.parallel.Load() || e.leaves() || e.long.Load() || e.weights.waiting.Load() || e.main.queue.IsClosed() || !s.busy.CompareAndSwap(false, true) {
		return false
	}
	if s.skip > 0 {
		s.skip--
		s.busy.Store(false)
		return false
	}
	for range spinBursts {
		s.busy.Store(false)
		if w.searching {
			w.searching = false
			e.idle.Found()
		}
		if w.employed() || w.soon() {
			e.spun(true)
			return true
		}
		t := time.Now()
		runtime.Gosched()
		if time.Since(t) > yieldTooBad {
			found := w.employed()
			if !found {
				e.spun(false)
			}
			return found
		}
		if !s.busy.CompareAndSwap(false, true) {
			return w.employed()
		}
		w.searching = true
		e.idle.Search()
		for range spinPolls {
			if w.hasWork() && w.employed() {
				s.busy.Store(false)
				e.spun(true)
				return true
			}
			pause(pauseRounds)
		}
	}
	s.busy.Store(false)
	e.spun(false)
	return false
}

// soon looks for work a few times before w yields: a submitter that waits for the end of each task
// submits the next one within that time.
func (w *worker[T]) soon() bool {
	for range soonPolls {
		if w.hasWork() && w.employed() {
			return true
		}
		pause(pauseRounds)
	}
	return false
}

// spun remembers whether a spin was worth it.
func (e *engine[T]) spun(found bool) {
	s := &e.spin
	if !s.busy.CompareAndSwap(false, true) {
		return
	}
	if found {
		s.miss = 0
	} else {
		s.miss = min(max(1, 2*s.miss), maxSpinSkip)
		s.skip = s.miss
	}
	s.busy.Store(false)
}

// pause wastes about n nanoseconds without touching memory.
func pause(n int) {
	for range n {
	}
}

// park gives w's place up, looks once more, and blocks. It returns true when w counts as searching,
// and false when it has ended.
func (w *worker[T]) park() bool {
	e := w.e
	w.leaveLane()
	w.leaveHome()
	if !e.long.Load() { // else nobody spins, and it takes a lock of the runtime
		if p := runtime.GOMAXPROCS(0) > 1; p != e.parallel.Load() {
			e.parallel.Store(p)
		}
	}
	e.lock(&e.mu)
	e.followLocked()
	if e.overfullLocked() || e.endedLocked() {
		w.retireLocked()
		e.mu.Unlock()
		w.retired()
		return false
	}
	freed := w.leaveWeighed()
	w.parked.Store(true)
	seam.Yield()
	e.idle.Park(w.searching)
	w.searching = false
	seam.Yield()
	if (w.hasWork() || e.buffered()) && e.stopCause == nil || e.endedLocked() {
		e.idle.TakeOr()
		w.searching = true
		w.parked.Store(false)
		e.mu.Unlock()
		if freed {
			e.wakeMore()
		}
		return true
	}
	rests := w.restLocked()
	trims := e.active() == e.parked.Len && (e.main.queue.Large() || e.routes || e.live == 0 && e.expires())
	e.mu.Unlock()
	e.lingers()
	if trims {
		e.main.trim()
	}
	if freed {
		e.wakeMore()
	}
	if rests {
		<-w.wake
	}
	if w.gone = !rests || w.dismissed; w.gone {
		return false
	}
	w.searching = true
	return true
}

// followLocked makes the number of workers follow GOMAXPROCS, for sizings that do. It reports
// whether it changed.
func (e *engine[T]) followLocked() bool {
	if !e.follows.Load() {
		return false
	}
	n := e.sizing.workers()
	if n == e.target {
		return false
	}
	e.resizeLocked(n)
	return true
}
