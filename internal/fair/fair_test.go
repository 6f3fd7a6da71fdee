package fair

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/headrace-go/pool/internal/queue"
)

// take claims one job, and returns it, or -1.
func take(t *Table[int], now time.Duration) (int, Grant[int]) {
	var jobs [1]int
	var attrs [1]queue.Attr
	n, _, g := t.Take(jobs[:], attrs[:], false, now)
	if n == 0 {
		return -1, g
	}
	return jobs[0], g
}

func push(t *Table[int], job int, a Attr) { t.Push(t.Flow(&a), job, &a, 0, 0) }

// The heap against a sorted slice.
func TestHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var h heap[node[int], *node[int]]
	var model []*node[int]
	for range 20_000 {
		switch k := r.IntN(4); {
		case k < 2:
			n := &node[int]{attr: Attr{Deadline: time.Duration(r.IntN(50))}}
			h.push(n)
			model = append(model, n)
		case len(model) == 0:
		case k == 2:
			i := r.IntN(len(model))
			h.remove(model[i])
			if model[i].index != 0 {
				t.Fatal("a node that was removed has a place")
			}
			model = slices.Delete(model, i, i+1)
		default:
			n := model[r.IntN(len(model))]
			n.attr.Deadline = time.Duration(r.IntN(50))
			h.fix(n)
		}
		if h.len() != len(model) {
			t.Fatalf("%d in the heap, %d in the model", h.len(), len(model))
		}
		least := time.Duration(1 << 40)
		for _, n := range model {
			least = min(least, n.attr.Deadline)
		}
		if len(model) > 0 && h.all[0].attr.Deadline != least {
			t.Fatalf("first is %d, want %d", h.all[0].attr.Deadline, least)
		}
	}
}

// A bucket has no more than burst tokens after a rest, and gets them evenly.
func TestTokens(t *testing.T) {
	tab := New[int](nil, 10, 3)
	for i := range 20 {
		push(tab, i, Attr{})
	}
	count := func(now time.Duration) (n int) {
		for {
			if _, g := take(tab, now); !g.Held() {
				return n
			}
			n++
		}
	}
	for _, c := range []struct {
		now  time.Duration
		want int
	}{{0, 3}, {99e6, 0}, {100e6, 1}, {350e6, 2}, {400e6, 1}, {100e9, 3}, {100e9 + 99e6, 0}} {
		if n := count(c.now); n != c.want {
			t.Errorf("at %v there are %d tokens, want %d", c.now, n, c.want)
		}
	}
	if at, ok := tab.Wake(); !ok || at != 100e9+100e6 {
		t.Errorf("wakes at %v, %v", at, ok)
	}
}

// Tenants that have nothing are forgotten, at rest all of them, and those that come and go leave nothing behind.
func TestForget(t *testing.T) {
	tab := New[int](nil, 0, 0)
	for i := range 50_000 {
		push(tab, i, Attr{Tenant: uint64(i)})
		if i%2 == 1 {
			for range 2 {
				_, g := take(tab, 0)
				tab.Done(&g, time.Duration(1+i%7)*time.Millisecond, 1, 0)
			}
		}
		if n := len(tab.tenants); n > maxDebts+2 {
			t.Fatalf("%d tenants are remembered", n)
		}
	}
	if len(tab.tenants) != 0 || tab.debts.len() != 0 || tab.active != 0 || tab.running != 0 {
		t.Errorf("at rest: %d tenants, %d debts, %d active", len(tab.tenants), tab.debts.len(), tab.active)
	}
}

// A submitter that waits is overtaken while there are places, but not for ever: when it was called in vain misses times, nobody passes it.
func TestOvertaken(t *testing.T) {
	tab := New[int](nil, 0, 0)
	w := &Waiter{Ready: make(chan struct{}, 1)}
	const places = 20
	for i := range places {
		push(tab, i, Attr{})
	}
	f := tab.Flow(&Attr{})
	for i := range misses {
		tab.Wait(f, w)
		_, g := take(tab, 0)
		tab.Call(places)
		if len(w.Ready) != 1 {
			t.Fatalf("it is not called for the %dth time", i)
		}
		if <-w.Ready; !tab.Room(f, places, nil) {
			t.Fatalf("called %d times in vain it is not overtaken", i)
		}
		push(tab, i, Attr{})
		tab.Done(&g, 1, 1, 0)
		if tab.Room(f, places, w) {
			t.Fatal("there is a place too many")
		}
	}
	tab.Wait(f, w)
	_, g := take(tab, 0)
	if tab.Room(f, places, nil) || !tab.Room(f, places, w) {
		t.Error("it is overtaken again, or has no place itself")
	}
	if tab.Leave(w); !tab.Room(f, places, nil) {
		t.Error("it stands in the way though it has left")
	}
	tab.Done(&g, 1, 1, 0)
}

// What a job has really taken counts at once, also if it was thought to take less.
func TestRealRunTimeCounts(t *testing.T) {
	tab := New[int](nil, 0, 0)
	for i := range 24 {
		push(tab, i, Attr{Tenant: uint64(1 + i%2)})
	}
	var got []uint64
	for range 11 {
		_, g := take(tab, 0)
		got = append(got, g.Attr().Tenant)
		took := 10 * time.Millisecond
		if len(got) == 1 {
			took *= 10
		}
		tab.Done(&g, took, 1, 0)
	}
	if want := []uint64{1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("served %v, want %v", got, want)
	}
}

// Tiny jobs of several flows are claimed together, others are not.
func TestMixed(t *testing.T) {
	for mean, want := range map[time.Duration]int{100: 8, time.Microsecond: 1} {
		tab := New[int](nil, 0, 0)
		for i := range 16 {
			push(tab, i, Attr{Tenant: uint64(i % 8)})
			_, g := take(tab, 0)
			tab.Done(&g, mean, 1, 0)
		}
		for i := range 8 {
			push(tab, i, Attr{Tenant: uint64(i)})
			tab.tenants[uint64(i)].flows[0].mean = float64(mean)
		}
		var jobs [32]int
		var attrs [32]queue.Attr
		n, _, g := tab.Take(jobs[:], attrs[:], true, 0)
		if n != want || g.Mixed() != (want > 1) {
			t.Errorf("jobs of %v: %d are claimed together, want %d", mean, n, want)
		}
		tab.Done(&g, mean, n, 0)
	}
}
