package idle

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// model is what the word stands for.
type model struct {
	idle, searching int
	looks, stopped  bool
}

// run interprets a program, of two bytes for each operation, and compares the word with the model.
func run(t *testing.T, prog []byte) {
	var s State
	var m model
	for step := 0; len(prog) >= 2; step, prog = step+1, prog[2:] {
		op, n := prog[0]%12, int(prog[1])
		got, want := false, false
		take := func(most int) {
			if want = m.searching < most && m.idle > 0; want {
				m.idle--
				m.searching++
			}
		}
		switch op {
		case 0:
			take(n % 5)
			got = s.TakeIfQuiet(n % 5)
		case 1:
			take(searching)
			got = s.Take()
		case 2:
			if take(searching); !want {
				m.searching++
			}
			want = false
			s.TakeOr()
		case 3:
			s.Search()
			m.searching++
		case 4:
			if m.searching > 0 {
				s.Found()
				m.searching--
			}
		case 5:
			searched := n%2 == 0 && m.searching > 0
			s.Park(searched)
			m.idle++
			if searched {
				m.searching--
			}
		case 6:
			s.Add(n % 7)
			m.idle += n % 7
		case 7:
			if m.searching > 0 {
				s.Return()
				m.searching--
				m.idle++
			}
		case 8, 9:
			if want = m.idle > 0; want {
				m.idle--
			}
			got = s.Drop()
		case 10:
			if n%2 == 0 {
				s.Relax()
				m.looks = true
			} else {
				want, m.looks = m.looks, false
				got = s.Look()
			}
		case 11:
			if n == 0 {
				s.Stop()
				m.stopped = true
			}
		}
		if got != want {
			t.Fatalf("step %d, operation %d: got %v, want %v with %+v", step, op, got, want, m)
		}
		g := s.Load()
		if (model{g.Idle(), g.Searching(), g.Looks(), g.Stopped()}) != m {
			t.Fatalf("step %d, operation %d: idle %d, searching %d, looks %v, stopped %v; want %+v",
				step, op, g.Idle(), g.Searching(), g.Looks(), g.Stopped(), m)
		}
		if want := m.stopped || m.searching == 0 && (m.idle > 0 || m.looks); g.Concerns() != want {
			t.Fatalf("step %d: Concerns: %v with %+v", step, g.Concerns(), m)
		}
	}
}

// program returns a random program.
func program(seed uint64, length int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	prog := make([]byte, 2*length)
	for i := range prog {
		prog[i] = byte(rnd.Uint32())
	}
	return prog
}

// TestModel compares the word with a struct.
func TestModel(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { run(t, program(seed, 500)) })
	}
}

// FuzzModel compares the word with a struct.
func FuzzModel(f *testing.F) {
	f.Add([]byte{6, 2, 0, 1, 0, 1, 5, 0, 8, 0, 8, 0, 8, 0})
	f.Add([]byte{10, 0, 10, 1, 10, 1, 11, 0, 2, 0, 7, 0})
	f.Add(program(1, 100))
	f.Fuzz(run)
}

// TestZero: the zero word has no place, and concerns nobody.
func TestZero(t *testing.T) {
	var s State
	if s.Take() || s.TakeIfQuiet(0) || s.Drop() || s.Look() || s.Load() != 0 {
		t.Errorf("a place in the zero word, or somebody looks: %x", s.Load())
	}
	if s.Load().Concerns() {
		t.Error("nothing is there and concerns")
	}
}

// TestFields: no count runs over into what stands beside it, up to the largest numbers.
func TestFields(t *testing.T) {
	const maxIdle, maxSearching = 1<<62 - 1<<24, 1<<24 - 1 // as bits of the word
	var s State
	expect := func(want Snapshot) {
		t.Helper()
		if g := s.Load(); g != want {
			t.Fatalf("got %x, want %x", g, want)
		}
	}
	s.word.Store(maxIdle + maxSearching - 1)
	if g := s.Load(); g.Searching() != maxSearching-1 || g.Looks() || g.Stopped() {
		t.Errorf("%d search, looks: %v, stopped: %v", g.Searching(), g.Looks(), g.Stopped())
	}
	if !s.Take() || s.Take() {
		t.Error("not the last search alone may begin")
	}
	s.Relax()
	s.Stop()
	expect(1<<63 + 1<<62 + maxIdle - place + maxSearching)
	if g := s.Load(); g.Searching() != maxSearching || !g.Looks() || !g.Stopped() || !g.Concerns() {
		t.Errorf("%d search, looks: %v, stopped: %v", g.Searching(), g.Looks(), g.Stopped())
	}
	s.Return()
	s.Drop()
	s.Park(true)
	expect(1<<63 + 1<<62 + maxIdle + maxSearching - 2)
}

// TestTokens: a token is in one hand at a time, and none is lost.
func TestTokens(t *testing.T) {
	const tokens, goroutines = 3, 8
	var s State
	s.Add(tokens)
	var inHand, looking atomic.Int32
	var wg sync.WaitGroup
	s.Relax()
	for i := range goroutines {
		wg.Go(func() {
			for n := range 3000 {
				if took := s.TakeIfQuiet(tokens - i%2); took {
					if h := inHand.Add(1); h > tokens {
						t.Errorf("%d tokens in hand, of %d", h, tokens)
					}
					if n%16 == 0 {
						runtime.Gosched()
					}
					inHand.Add(-1)
					if n%2 == 0 {
						s.Return()
					} else {
						s.Park(true)
					}
				}
				if s.Look() {
					if looking.Add(1) != 1 {
						t.Error("two look after the pool")
					}
					if n%16 == 0 {
						runtime.Gosched()
					}
					looking.Add(-1)
					s.Relax()
				}
				if n%5 == 0 && s.Drop() {
					s.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if g := s.Load(); g.Idle() != tokens || g.Searching() != 0 || !g.Looks() {
		t.Errorf("at the end %d are idle and %d search, looks: %v", g.Idle(), g.Searching(), g.Looks())
	}
}

// crew is a pool in small: workers that take jobs, which are only counted, and park by the
// protocol of the pool.
type crew struct {
	s    State
	jobs atomic.Int64
	ran  atomic.Int64

	mu     sync.Mutex
	parked []*hand
	unborn int
	over   bool
	wg     sync.WaitGroup
}

type hand struct {
	wake      chan struct{}
	searching bool
}

// submit publishes a job, and wakes if that concerns somebody.
func (c *crew) submit() {
	c.jobs.Add(1)
	if c.s.Load().Concerns() {
		c.wakeOne()
	}
}

func (c *crew) wakeOne() {
	if c.s.TakeIfQuiet(1) {
		c.employ()
	}
}

// employ turns a token into a worker.
func (c *crew) employ() {
	runtime.Gosched() // with a token in hand
	c.mu.Lock()
	defer c.mu.Unlock()
	switch n := len(c.parked); {
	case n > 0:
		c.parked[n-1].wake <- struct{}{}
		c.parked = c.parked[:n-1]
	case c.unborn > 0:
		c.unborn--
		c.wg.Go(func() { c.work(&hand{make(chan struct{}, 1), true}) })
	default: // the one that parked has taken its place back
		c.s.Found()
		if c.jobs.Load() > 0 && c.s.TakeIfQuiet(1) {
			c.wg.Go(c.employ)
		}
	}
}

// claim takes a job.
func (c *crew) claim() bool {
	for {
		n := c.jobs.Load()
		if n == 0 {
			return false
		}
		if c.jobs.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func (c *crew) work(h *hand) {
	for {
		if c.claim() {
			if h.searching {
				h.searching = false
				c.s.Found()
				if c.jobs.Load() > 0 {
					c.wakeOne()
				}
			}
			c.ran.Add(1)
			continue
		}
		if !h.searching {
			c.s.Search() // spin for a moment
			h.searching = true
			continue
		}
		c.mu.Lock()
		c.parked = append(c.parked, h)
		c.s.Park(true)
		h.searching = false
		if c.jobs.Load() > 0 {
			c.s.TakeOr()
			h.searching = true
			c.parked = c.parked[:len(c.parked)-1]
			c.mu.Unlock()
			continue
		}
		c.mu.Unlock()
		<-h.wake
		if h.searching = true; c.over {
			return
		}
	}
}

// TestNoLostWake: when all are blocked no job waits, each place is idle, and nobody counts as searching.
func TestNoLostWake(t *testing.T) {
	const workers, submitters = 3, 3
	for round := range 150 {
		synctest.Test(t, func(t *testing.T) {
			c := &crew{unborn: workers}
			c.s.Add(workers)
			want := int64(0)
			for range 4 {
				for i := range submitters {
					n := 1 + (round+i)%7
					want += int64(n)
					c.wg.Go(func() {
						for range n {
							c.submit()
							runtime.Gosched()
						}
					})
				}
				synctest.Wait()
				g := c.s.Load()
				if c.jobs.Load() != 0 || c.ran.Load() != want {
					t.Fatalf("round %d: all are blocked, and %d jobs wait; %d ran, want %d", round, c.jobs.Load(), c.ran.Load(), want)
				}
				if g.Idle() != workers || g.Searching() != 0 || len(c.parked)+c.unborn != workers {
					t.Fatalf("round %d: %d idle, %d search, %d parked, %d unborn", round, g.Idle(), g.Searching(), len(c.parked), c.unborn)
				}
			}
			c.over = true
			for _, h := range c.parked {
				h.wake <- struct{}{}
			}
			c.wg.Wait()
		})
	}
}
