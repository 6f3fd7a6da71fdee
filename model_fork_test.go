package pool

import (
	"fmt"
	"testing"
)

// forkModel is one part in all its states: its splitter has it, offers it, and takes it back or awaits it, while a worker finds it in the queue, another
// splitter that waits finds it among the offers, and somebody drops it from the queue. Each step is one that others see at once:
// a load, a compare-and-swap, or what happens under a lock.
type forkModel struct {
	splitter, worker, helper, dropper step
	begun, unrun, ended               bool // bits of call.state
	queued, offered                   bool // where the part is to be found
	made, closed                      bool // part.done
	ran                               int
}

// step is how far somebody is.
type step int

const (
	atStart step = iota
	atPushed
	atComes   // to the part
	atTaken   // the compare-and-swap was won
	atRunning // about to run it
	atLooks   // whether it has ended
	atMakes   // the channel
	atAgain   // looks once more
	atSleeps  // on it
	atEnding  // about to say that it has ended
	atFinished
)

// forkMistakes are changes that the model has to find fault with.
type forkMistakes struct{ noSecondLook, keepsOffer, noTakeBack, dropIsRun bool }

// next returns the states that may follow m.
func (m forkModel) next(bad forkMistakes) (all []forkModel) {
	add := func(change func(m *forkModel)) {
		n := m
		change(&n)
		all = append(all, n)
	}
	begin := func(m *forkModel) bool {
		won := !m.begun
		m.begun = true
		return won
	}
	end := func(m *forkModel) {
		m.offered, m.ended, m.closed = false, true, m.closed || m.made
	}
	switch m.splitter {
	case atStart:
		add(func(m *forkModel) { m.splitter, m.queued = atPushed, true })
	case atPushed:
		add(func(m *forkModel) { m.splitter, m.offered = atComes, !m.begun || bad.keepsOffer })
	case atComes:
		add(func(m *forkModel) {
			if m.splitter = atLooks; begin(m) || bad.noTakeBack {
				m.splitter = atTaken
			}
		})
	case atTaken:
		add(func(m *forkModel) { m.splitter, m.offered = atRunning, false })
	case atRunning:
		add(func(m *forkModel) { m.splitter, m.ran = atFinished, m.ran+1 })
	case atLooks, atAgain:
		add(func(m *forkModel) {
			switch {
			case m.ended && m.unrun && !bad.dropIsRun:
				m.splitter = atRunning
			case m.ended:
				m.splitter = atFinished
			case m.splitter == atLooks:
				m.splitter = atMakes
			default:
				m.splitter = atSleeps
			}
		})
	case atMakes:
		add(func(m *forkModel) {
			if m.splitter, m.made = atAgain, true; bad.noSecondLook {
				m.splitter = atSleeps
			}
		})
	case atSleeps:
		if m.closed {
			add(func(m *forkModel) { m.splitter = atLooks })
		}
	}
	// One of these two gets what is in the queue.
	if m.worker == atStart && m.queued {
		add(func(m *forkModel) { m.worker, m.queued = atComes, false })
	}
	if m.dropper == atStart && m.queued {
		add(func(m *forkModel) { m.dropper, m.queued = atComes, false })
	}
	if m.dropper == atComes {
		add(func(m *forkModel) {
			if m.dropper = atFinished; begin(m) {
				m.dropper, m.unrun = atEnding, true
			}
		})
	}
	if m.dropper == atEnding {
		add(func(m *forkModel) { m.dropper = atFinished; end(m) })
	}
	if m.helper == atStart && m.offered {
		add(func(m *forkModel) { // under the lock
			if m.helper = atFinished; begin(m) {
				m.helper, m.offered = atRunning, false
			}
		})
	}
	for _, who := range []func(m *forkModel) *step{
		func(m *forkModel) *step { return &m.worker }, func(m *forkModel) *step { return &m.helper },
	} {
		switch *who(&m) {
		case atComes:
			add(func(m *forkModel) {
				if *who(m) = atFinished; begin(m) {
					*who(m) = atRunning
				}
			})
		case atRunning:
			add(func(m *forkModel) { *who(m), m.ran = atEnding, m.ran+1 })
		case atEnding:
			add(func(m *forkModel) { *who(m) = atFinished; end(m) })
		}
	}
	return all
}

// fault returns what is wrong with any state that can be reached.
func (bad forkMistakes) fault() (fault string, states int) {
	seen := map[forkModel]bool{}
	todo := []forkModel{{}}
	for len(todo) > 0 {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[m] {
			continue
		}
		seen[m] = true
		next := m.next(bad)
		switch {
		case m.ran > 1:
			return fmt.Sprintf("ran twice: %+v", m), len(seen)
		case len(next) == 0 && m.splitter != atFinished:
			return fmt.Sprintf("waits for ever: %+v", m), len(seen)
		case m.splitter == atFinished && m.ran != 1:
			return fmt.Sprintf("did not run: %+v", m), len(seen)
		case len(next) == 0 && m.offered:
			return fmt.Sprintf("is still offered: %+v", m), len(seen)
		}
		todo = append(todo, next...)
	}
	return "", len(seen)
}

// In each order of the steps of all who may come across a part it runs once, and its splitter does not wait for ever.
func TestForkModel(t *testing.T) {
	only(t, Shared)
	fault, states := forkMistakes{}.fault()
	if fault != "" || states < 50 {
		t.Errorf("%d states: %s", states, fault)
	}
	for _, bad := range []forkMistakes{{noSecondLook: true}, {keepsOffer: true}, {noTakeBack: true}, {dropIsRun: true}} {
		if fault, _ := bad.fault(); fault == "" {
			t.Errorf("%+v: no fault was found", bad)
		}
	}
}
