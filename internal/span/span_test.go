package span

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestLane(t *testing.T) {
	s := NewSet(2)
	l := s.Acquire()
	const base = 1<<40 + 5
	l.Put(base, 8)
	if p, ok := l.Next(base); !ok || p != base {
		t.Fatalf("Next: got %d, %v", p, ok)
	}
	if p, n := s.Steal(0, 64, base); n != 4 || p != base+4 {
		t.Fatalf("Steal: got %d, %d, want the far half of seven", p, n)
	}
	if l.Len() != 3 || l.Begun(base) != 1 || l.Front(base) != base+1 {
		t.Fatalf("got Len %d, Begun %d, Front %d", l.Len(), l.Begun(base), l.Front(base))
	}
	l.Release()
	if p, n := s.Steal(1, 2, base+100); n != 2 || p != base+1 {
		t.Fatalf("Steal without owner: got %d, %d, want the near ones", p, n)
	}
	if a, b := s.Acquire(), s.Acquire(); a == nil || b != nil {
		t.Fatal("a lane with work in it was given out, or a free one was not")
	}
	if p, n := s.Steal(0, 64, base); n != 1 || p != base+3 {
		t.Fatalf("Steal: got %d, %d", p, n)
	}
	if !s.Empty() || s.Len() != 0 {
		t.Fatal("not empty")
	}
	if s.Acquire() != l {
		t.Fatal("the emptied lane is not free again")
	}
}

// TestWrap: positions whose low bits wrap are told apart by the one near them.
func TestWrap(t *testing.T) {
	s := NewSet(1)
	l := s.Acquire()
	const base = 3<<47 - 3
	l.Put(base, 6)
	for i := range uint64(4) {
		if p, ok := l.Next(base + 100); !ok || p != base+i {
			t.Fatalf("got %d, want %d", p, base+i)
		}
	}
	if p, n := s.Steal(0, 9, base-100); n != 1 || p != base+5 {
		t.Fatalf("got %d, %d", p, n)
	}
	if got := l.Begun(base); got != 4 {
		t.Fatalf("Begun: got %d", got)
	}
}

// TestStress: each position is taken once, by the owner or by a thief.
func TestStress(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	s := NewSet(2)
	have := make([]atomic.Int32, rounds*7)
	var left atomic.Int64
	left.Store(int64(len(have)))
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for left.Load() > 0 {
				pos, n := s.Steal(i, 64, uint64(len(have)/2))
				for k := range n {
					have[pos+uint64(k)].Add(1)
				}
				left.Add(-int64(n))
			}
		})
	}
	l := s.Acquire()
	for r := range rounds {
		l.Put(uint64(r*7), 7)
		for {
			pos, ok := l.Next(uint64(r * 7))
			if !ok {
				break
			}
			have[pos].Add(1)
			left.Add(-1)
		}
	}
	wg.Wait()
	for i := range have {
		if n := have[i].Load(); n != 1 {
			t.Fatalf("position %d was taken %d times", i, n)
		}
	}
}
