package porcupine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/headrace-go/pool/internal/ring"
)

// The model of a ring is a queue of places. A push reserves the next place and then
// publishes its value; a pop claims the oldest one and then frees its place. These are
// operations of their own here, since others see what is between them: a claim finds
// nothing while the oldest value is not published, and a push no room while the place
// that is next in turn is not free.

const maxSlots = 4

type slot struct {
	value                    int
	published, claimed, free bool
}

// slots are those that were reserved last, at most as many as there are, the oldest first.
type slots struct {
	closed bool
	n      int
	slots  [maxSlots]slot
}

// What operations are given, and what they return.
type (
	reserve struct{ values []int }
	publish struct{ value int }
	claim   struct{ limit int }
	release struct{ value int }
	end     struct{}

	reserved struct {
		n      int
		status ring.Status
	}
	claimed struct{ values []int }
	ended   struct{ first bool }
)

func ringModel(size int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return slots{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(slots)
			ok := false
			switch in := input.(type) {
			case reserve:
				ok = s.reserve(size, in.values, output.(reserved))
			case publish:
				ok = s.mark(in.value, func(p *slot) *bool { return &p.published })
			case release:
				ok = s.mark(in.value, func(p *slot) *bool { return &p.free })
			case claim:
				ok = s.claim(output.(claimed).values)
			case end:
				ok = s.closed != output.(ended).first
				s.closed = true
			}
			return ok, s
		},
	}
}

// room reports whether the next place in turn is free.
func (s *slots) room(size int) bool { return s.n < size || s.slots[0].free }

func (s *slots) reserve(size int, values []int, out reserved) bool {
	switch out.status {
	case ring.Closed:
		return s.closed
	case ring.Full:
		return !s.closed && !s.room(size)
	}
	for _, v := range values[:out.n] {
		if s.closed || !s.room(size) {
			return false
		}
		if s.n == size {
			copy(s.slots[:], s.slots[1:s.n])
			s.n--
		}
		s.slots[s.n] = slot{value: v}
		s.n++
	}
	return true
}

// mark sets a flag of the place with this value, once.
func (s *slots) mark(value int, flag func(*slot) *bool) bool {
	for i := range s.n {
		if p := &s.slots[i]; p.value == value {
			f := flag(p)
			was := *f
			*f = true
			return !was
		}
	}
	return false
}

// claim claims the oldest values; none, if the oldest is not published.
func (s *slots) claim(values []int) bool {
	i := 0
	for i < s.n && s.slots[i].claimed {
		i++
	}
	if len(values) == 0 {
		return i == s.n || !s.slots[i].published
	}
	for _, v := range values {
		if i == s.n || !s.slots[i].published || s.slots[i].value != v {
			return false
		}
		s.slots[i].claimed = true
		i++
	}
	return true
}

func TestRing(t *testing.T) {
	for size := 1; size <= maxSlots; size++ {
		model := ringModel(size)
		for seed := range uint64(rounds(10000)) {
			h := new(history)
			playRing(h, size, rand.New(rand.NewPCG(seed, uint64(size))))
			h.check(t, model)
			if t.Failed() {
				t.Fatalf("size %d, seed %d", size, seed)
			}
		}
	}
}

// playRing makes random calls on a new ring by several goroutines.
func playRing(h *history, size int, random *rand.Rand) {
	r := ring.New[int](size)
	var clients [][]func()
	values := 0
	for range 4 {
		var calls []func()
		for range 4 {
			switch k := random.IntN(20); {
			case k < 6:
				values++
				calls = append(calls, pushOne(h, r, values))
			case k < 10:
				many := make([]int, 1+random.IntN(3))
				for i := range many {
					values++
					many[i] = values
				}
				calls = append(calls, pushAll(h, r, many))
			case k < 19:
				calls = append(calls, pop(h, r, 1+random.IntN(3)))
			default:
				calls = append(calls, func() {
					from := h.now()
					first := r.Close()
					h.add(from, h.now(), end{}, ended{first})
				})
			}
		}
		clients = append(clients, calls)
	}
	h.play(clients)
}

func pushOne(h *history, r *ring.Ring[int], v int) func() {
	return func() {
		from := h.now()
		s := r.Push(v, nil, false)
		n := 0
		if s == ring.OK {
			n = 1
		}
		h.pushed(from, h.now(), []int{v}, reserved{n, s})
	}
}

func pushAll(h *history, r *ring.Ring[int], vs []int) func() {
	return func() {
		from := h.now()
		n, s := r.PushAll(vs, false)
		h.pushed(from, h.now(), vs, reserved{n, s})
	}
}

func (h *history) pushed(from, to int64, vs []int, out reserved) {
	h.add(from, to, reserve{vs}, out)
	for _, v := range vs[:out.n] {
		h.add(from, to, publish{v}, nil)
	}
}

func pop(h *history, r *ring.Ring[int], limit int) func() {
	return func() {
		from := h.now()
		pos, n := r.Claim(limit)
		to := h.now()
		var vs []int
		for i := range uint64(n) {
			from := h.now()
			v, _, ok := r.Take(pos + i)
			if !ok {
				panic(fmt.Sprintf("what was claimed at %d is not there", pos+i))
			}
			h.add(from, h.now(), release{v}, nil)
			vs = append(vs, v)
		}
		h.add(from, to, claim{limit}, claimed{vs})
	}
}
