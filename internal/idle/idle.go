// Package idle is the word by which goroutines that bring work and workers that have none find each
// other. The head of park.go of the root package explains the protocol around it, and why it loses
// no wake-up.
//
//	bits 0..23   how many search: woken and not yet at work, or spinning
//	bits 24..61  how many places are idle: of parked workers, and without a worker
//	bit 62       nobody looks after a pool that is busy: see Look
//	bit 63       nothing more may start
//
// An idle place is a token. A goroutine that takes one owes the pool a worker that searches.
package idle

import "sync/atomic"

const (
	searching = 1<<24 - 1
	place     = 1 << 24
	look      = 1 << 62
	stopped   = 1 << 63
	places    = look - place
)

// State is the word. The zero value has no idle place.
type State struct{ word atomic.Uint64 }

// Snapshot is the word at one moment.
type Snapshot uint64

// Load returns the word.
func (s *State) Load() Snapshot { return Snapshot(s.word.Load()) }

// Searching returns how many search.
func (g Snapshot) Searching() int { return int(g & searching) }

// Idle returns how many places are idle.
func (g Snapshot) Idle() int { return int(g & places / place) }

// Looks reports whether nobody looks after a busy pool, so that somebody should.
func (g Snapshot) Looks() bool { return g&look != 0 }

// Stopped reports whether Stop was called.
func (g Snapshot) Stopped() bool { return g&stopped != 0 }

// Concerns reports whether a goroutine that has just published work has anything to do: wake a
// worker, look after a busy pool, or hand the work back. Workers that search take the work by
// themselves.
func (g Snapshot) Concerns() bool { return g&searching == 0 && g != 0 || g >= stopped }

// Hungry reports whether a worker has nothing to do, or nothing more may start.
func (g Snapshot) Hungry() bool { return g&^look != 0 }

// Hungry is Hungry of the word.
func (s *State) Hungry() bool { return s.Load().Hungry() }

// TakeIfQuiet turns an idle place into a searching one, if fewer than most search.
// The caller must wake or start a worker.
func (s *State) TakeIfQuiet(most int) bool {
	for {
		g := s.Load()
		if g.Searching() >= most || g&places == 0 {
			return false
		}
		if s.word.CompareAndSwap(uint64(g), uint64(g)-place+1) {
			return true
		}
	}
}

// Take is TakeIfQuiet however many search.
func (s *State) Take() bool { return s.TakeIfQuiet(searching) }

// TakeOr is Take, or Search if all places are taken.
func (s *State) TakeOr() {
	if !s.Take() {
		s.Search()
	}
}

// Search counts the caller, which is at work, as searching. It must call Found or Park.
func (s *State) Search() { s.word.Add(1) }

// Found ends a search. The caller must wake the next, if there is work for it.
func (s *State) Found() { s.word.Add(^uint64(0)) }

// Park makes the caller's place idle, and ends its search, if it searched. The
// caller must look for work once more before it blocks.
func (s *State) Park(searched bool) {
	delta := uint64(place)
	if searched {
		delta--
	}
	s.word.Add(delta)
}

// Add makes n places idle. The caller must wake somebody, if there is work.
func (s *State) Add(n int) { s.word.Add(uint64(n) * place) }

// Return undoes a Take.
func (s *State) Return() { s.word.Add(place - 1) }

// Drop removes an idle place. It reports false if there is none.
func (s *State) Drop() bool {
	for {
		g := s.word.Load()
		if g&places == 0 {
			return false
		}
		if s.word.CompareAndSwap(g, g-place) {
			return true
		}
	}
}

// Look reports whether the caller is the one that has to look after the busy pool from now on.
func (s *State) Look() bool { return s.word.And(^uint64(look))&look != 0 }

// Relax says that nobody looks after the pool any more.
func (s *State) Relax() { s.word.Or(look) }

// Stop says that nothing more may start.
func (s *State) Stop() { s.word.Or(stopped) }
