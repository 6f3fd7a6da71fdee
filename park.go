package pool

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool/internal/seam"
)

// Parking: who wakes whom, and why no wake-up is lost.
//
// gate is one word:
//
//	bits 0..23   how many search: woken and not yet at work, or spinning
//	bits 24..61  how many places are idle: parked workers, and workers that were
//	             never started
//	bit 62       no timer is set to look after a pool that is busy, see watch
//	bit 63       nothing more may start
//
// An idle place is a token. Whoever takes one (idle-1, searching+1 in one
// compare-and-swap) owes the pool a worker: it pops the one that parked last or,
// if there is none, starts one. Tokens are alike: a worker that has just put its
// own into the word and finds work takes any token back, and if somebody was
// faster, lies down to be popped by them.
//
// At most one searches, and it wakes the next. A submission wakes only if nobody
// searches and a place is idle; a worker that ends its search with work in hand,
// or claims several jobs at once, does the same if there is more work. So a burst
// costs its submitter one wake, and the workers start each other.
//
//	submitter: publish the job;               load gate, wake if 0 search, >0 idle
//	worker:    idle+1, searching-1 in gate;   look at queue and lanes, then block
//
// Both pairs are sequentially consistent, so at least one side sees the other:
// either the submitter finds the token, or the worker finds the job. A submitter
// that sees somebody searching may leave the job to it, because a search always
// ends with work, or with that last look. The look has to see claimed jobs as
// well, since they can be taken over: a worker that claims several publishes them
// in a lane and then loads gate, the same pattern.
//
// A job whose slot is taken and not yet published is seen by no look, and hides
// those behind it. Its submitter loads gate after publishing it, so it is the one
// who wakes.
//
// Spinning. A parked worker starts 75 to 130 µs after a submitter that keeps its
// core; one that still spins starts in under 1 µs. So one worker at a time, of
// those that have just run out of work, looks for a while before it parks. It
// looks for half a microsecond, for who waits for each task before the next one, and then
// yields, since the goroutines it has made ready come before it, and parks
// if that took long: then somebody needs the core. Between bursts it gives the
// role up, looks once more, yields, and takes the role again: a spinner that
// yielded in its role could be away for 10 ms and nobody would be woken. Spinning
// in vain is punished by not spinning the next 1, 2, 4 ... 64 times. It is bounded by
// counting, not by the clock, which stands still in a testing/synctest bubble.
//
// Rejected: waking a worker for each job (10 to 16 µs of system call for each
// submission); counting a wake in flight as the spinner (the running workers then
// park, and p50 is that of a parked worker); a timer that looks for stranded
// lanes (not needed when whoever fills a lane sees to it that somebody searches).
const (
	gateSearch   = 1<<24 - 1
	gateIdle     = 1 << 24
	gateLook     = 1 << 62
	gateStop     = 1 << 63
	gateIdleMask = gateLook - gateIdle
)

const (
	spinBursts  = 6   // bursts in a spin
	soonPolls   = 10  // looks before the yield
	spinPolls   = 100 // looks in a burst, about 10 µs
	pauseRounds = 60  // of an empty loop, between two looks
	maxSpinSkip = 64  // spins that are left out after repeated failure
	yieldTooBad = 20 * time.Microsecond
)

// spinState belongs to the worker that holds busy.
type spinState struct {
	busy atomic.Bool
	skip int // spins to leave out
	miss int // how many to leave out after the next failure
}

// needsLook reports whether the submitter of a job, having published it, has
// anything to do in the state g of gate.
func (e *engine[T]) needsLook(g uint64) bool {
	return g&gateSearch == 0 && g != 0 || g >= gateStop || e.collects
}

// pushed sees to it that a job that was just published is taken.
func (e *engine[T]) pushed() {
	switch g := e.gate.Load(); {
	case g >= gateStop:
		e.discard()
	case e.collects && e.lingers(): // the timer wakes
	case g&gateIdleMask != 0:
		if !e.sorter.blocked.Load() { // else who gives weight back wakes
			e.wakeFor()
		}
	case g&gateLook != 0:
		e.watch()
	}
}

// wakeFor wakes somebody for a job that is in the ring.
func (e *engine[T]) wakeFor() {
	if e.seated() {
		if e.distribute(); e.ctl.Load()&ctlWeighs == 0 && e.lanes.Empty() && e.handleAll == nil {
			return
		}
	}
	e.wakeOne()
}

// wakeOne wakes or starts one worker if nobody searches and a place is idle.
func (e *engine[T]) wakeOne() {
	for {
		g := e.gate.Load()
		if g&gateSearch != 0 || g&gateIdleMask == 0 {
			return
		}
		if e.gate.CompareAndSwap(g, g-gateIdle+1) {
			e.employ(nil)
			return
		}
	}
}

// takeToken makes an idle place a searching one.
func (e *engine[T]) takeToken() bool {
	for {
		g := e.gate.Load()
		if g&gateIdleMask == 0 {
			return false
		}
		if e.gate.CompareAndSwap(g, g-gateIdle+1) {
			return true
		}
	}
}

// wakeMore is called by a worker that has work in hand, after its search has
// ended or when others could help. A producer that saw it search left to it what is in its
// batcher, too.
func (e *engine[T]) wakeMore() {
	if e.seated() && e.ctl.Load()&ctlWeighs != 0 && !e.sorter.blocked.Load() {
		e.mendSeats() // tasks in seats may have waited for capacity
	}
	switch g := e.gate.Load(); {
	case g&gateSearch != 0:
	case g&gateIdleMask != 0:
		if e.hasWork() {
			e.wakeFor()
		}
		if e.gate.Load()&gateSearch == 0 { // else who searches does it
			e.pull(flushIdle)
		}
	case g&gateLook != 0 && (e.hasWork() || e.seated() && !e.sorter.seatsEmpty()):
		e.watch()
	}
}

func (e *engine[T]) hasWork() bool {
	return (e.ring().Ready() && e.ripe() || !e.lanes.Empty() || e.listed.Load() > 0 || e.sorter.turns.Load() > 0 || e.handsLeft()) && !e.sorter.blocked.Load()
}

// employ turns a token into a worker, which gets the job in hand, if any. It
// reports false if there was no place any more.
func (e *engine[T]) employ(give func(*worker[T])) bool {
	seam.Yield() // with a token in hand
	e.mu.Lock()
	e.followLocked()
	if e.finished || e.debt > 0 {
		if e.debt > 0 {
			e.debt--
			e.gate.Add(^uint64(0))
		} else {
			e.gate.Add(gateIdle - 1)
		}
		e.mu.Unlock()
		return false
	}
	w, born := e.popLocked(), false
	if w == nil {
		w, born = e.newWorkerLocked(nil), true
	}
	if give != nil {
		give(w)
	}
	e.mu.Unlock()
	if born {
		go w.main()
	} else {
		w.wake <- struct{}{}
	}
	return true
}

func (e *engine[T]) popLocked() *worker[T] {
	n := len(e.parked)
	if n == 0 {
		return nil
	}
	w := e.parked[n-1]
	e.parked[n-1] = nil
	e.parked = e.parked[:n-1]
	return w
}

// takeAllLocked takes every parked worker for which there is a token; the caller
// signals them after unlocking.
func (e *engine[T]) takeAllLocked() []*worker[T] {
	var all []*worker[T]
	for len(e.parked) > 0 && e.takeToken() {
		all = append(all, e.popLocked())
	}
	return all
}

func signal[T any](ws []*worker[T]) {
	for _, w := range ws {
		w.wake <- struct{}{}
	}
}

// search is called when w found no work. It returns true with work in hand,
// false when the worker is to end.
func (w *worker[T]) search() bool {
	for {
		w.restSeat()
		if w.e.batching.open.Load() > 0 && w.limit >= tinyTake && w.e.parallel.Load() {
			pause(pollRounds) // a batcher that is being filled goes to the queue by itself
			if w.employed() {
				return true
			}
		}
		if w.e.pull(flushIdle) && w.employed() {
			return true
		}
		if w.spin() {
			return true
		}
		if !w.park() {
			return false
		}
		if w.employed() {
			return true
		}
	}
}

// employed ends a search if there is work for w.
func (w *worker[T]) employed() bool {
	if !w.claim() && !w.steal() {
		return false
	}
	if w.searching {
		w.searching = false
		w.e.gate.Add(^uint64(0))
	}
	w.e.wakeMore()
	return true
}

func (w *worker[T]) spin() bool {
	e, s := w.e, &w.e.spin
	if !e.parallel.Load() || e.direct() || e.leaves() || e.ring().IsClosed() || !s.busy.CompareAndSwap(false, true) {
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
			e.gate.Add(^uint64(0))
		}
		if w.employed() {
			e.spun(true)
			return true
		}
		if w.soon() {
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
		e.gate.Add(1)
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

// soon looks for work a few times before w yields: who waits for the end of each task
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

// park gives w's place up, looks once more, and blocks. It returns true when w
// was woken, and counts as searching, and false when w has to end.
func (w *worker[T]) park() bool {
	e := w.e
	if w.lane != nil {
		w.lane.Release()
		w.lane = nil
		w.shown.Store(nil)
	}
	w.leaveLocal()
	procs := runtime.GOMAXPROCS(0)
	if p := procs > 1; p != e.parallel.Load() {
		e.parallel.Store(p)
	}
	e.mu.Lock()
	e.followLocked()
	if e.overfullLocked() || e.endedLocked() {
		w.retire()
		return false
	}
	delta := uint64(gateIdle)
	if e.debt > 0 {
		e.debt--
		delta = 0
	}
	if w.searching {
		delta--
		w.searching = false
	}
	freed := e.ctl.Load()&ctlWeighs != 0 && w.release()
	w.leaveHandsLocked()
	w.moveLocked()
	seam.Yield()
	e.gate.Add(delta)
	seam.Yield()
	if ((w.hasWork() || e.bufferedLocked()) && e.stopCause == nil || e.endedLocked()) && e.takeToken() {
		w.searching = true
		e.mu.Unlock()
		if freed {
			e.wakeMore()
		}
		return true
	}
	e.lingers()
	rests := w.restLocked()
	e.settle() // unlocks
	if freed {
		e.wakeMore()
	}
	if e.direct() && e.ctl.Load()&ctlRoom != 0 {
		e.roomMade()
	}
	if !rests {
		return false
	}
	<-w.wake
	if w.dismissed {
		return false
	}
	w.searching = true
	return true
}

// followLocked makes the size follow GOMAXPROCS, for sizings that do. It reports
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

// watch sets a timer that looks after the pool while all workers are busy and jobs
// wait, the only state in which nobody passes by to notice that GOMAXPROCS has
// grown, or that a worker blocks itself (see room.go). It looks after 100 ms and
// then twice as late each time, unless jobs were claimed in between, so that a
// task that sleeps for a year of virtual time costs some thirty looks; after
// that it gives up.
func (e *engine[T]) watch() {
	if e.gate.And(^uint64(gateLook))&gateLook == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchDelay = firstLook
	e.watchSeen = e.ring().Claimed()
	e.setWatchLocked()
}

const (
	firstLook = 100 * time.Millisecond
	lastLook  = 1 << 30 * firstLook // three years
)

func (e *engine[T]) setWatchLocked() {
	if e.finished || e.watchDelay > lastLook {
		return
	}
	if e.watchTimer == nil {
		e.watchTimer = time.AfterFunc(e.watchDelay, e.look)
	} else {
		e.watchTimer.Reset(e.watchDelay)
	}
}

func (e *engine[T]) look() {
	e.mu.Lock()
	if e.finished {
		e.mu.Unlock()
		return
	}
	e.followLocked()
	// First let others set the timer, then see whether it is still needed: jobs
	// may have come that found it set.
	e.gate.Or(gateLook)
	claimed := e.ring().Claimed()
	stuck := false
	waiting := e.ring().Accepted() != claimed || !e.sorter.seatsEmpty() || e.listed.Load() > 0 || e.ctl.Load()&ctlRoom != 0
	if waiting && e.gate.And(^uint64(gateLook))&gateLook != 0 {
		stuck = claimed == e.watchSeen
		if stuck {
			e.watchDelay *= 2
		} else {
			e.watchSeen, e.watchDelay = claimed, firstLook
		}
		e.setWatchLocked()
	}
	e.mu.Unlock()
	e.placesFree()
	if stuck {
		e.checkSubmitters()
	}
}
