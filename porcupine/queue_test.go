package porcupine

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/headrace-go/pool/internal/queue"
)

// The model of a queue is a list of places. A push wins the next place and then publishes its
// value: these are operations of their own here, since others see what is between them. A pop finds
// nothing while the oldest value is not published. That a push is refused for want of room may be
// late news, so the model allows it at any time before the end.

const maxPlaces = 64

type place struct {
	value     int
	published bool
}

// places are those that were won and not popped, the oldest first.
type places struct {
	closed bool
	n      int
	places [maxPlaces]place
}

// What operations are given, and what they return.
type (
	win     struct{ values []int }
	publish struct{ value int }
	pop     struct{ limit int }
	end     struct{}

	won struct {
		n      int
		status queue.Status
	}
	popped struct{ values []int }
	ended  struct{ first bool }
)

var queueModel = porcupine.Model{
	Init: func() any { return places{} },
	Step: func(state, input, output any) (bool, any) {
		s := state.(places)
		ok := false
		switch in := input.(type) {
		case win:
			ok = s.win(in.values, output.(won))
		case publish:
			ok = s.publish(in.value)
		case pop:
			ok = s.pop(output.(popped).values)
		case end:
			ok = s.closed != output.(ended).first
			s.closed = true
		}
		return ok, s
	},
}

func (s *places) win(values []int, out won) bool {
	if s.closed {
		return out.n == 0 && out.status == queue.Closed
	}
	for _, v := range values[:out.n] {
		s.places[s.n] = place{value: v}
		s.n++
	}
	return out.n > 0 || out.status == queue.Full
}

func (s *places) publish(value int) bool {
	for i := range s.n {
		if p := &s.places[i]; p.value == value {
			was := p.published
			p.published = true
			return !was
		}
	}
	return false
}

// pop takes the oldest values; none, if the oldest is not published.
func (s *places) pop(values []int) bool {
	if len(values) == 0 {
		return s.n == 0 || !s.places[0].published
	}
	for i, v := range values {
		if i == s.n || !s.places[i].published || s.places[i].value != v {
			return false
		}
	}
	copy(s.places[:], s.places[len(values):s.n])
	s.n -= len(values)
	return true
}

// Every history of pushes, pops, growth, giving memory back, and the end is one of a queue.
func TestQueue(t *testing.T) {
	for size := 1; size <= 8; size *= 2 {
		for seed := range uint64(rounds(8000)) {
			h := new(history)
			playQueue(h, size, rand.New(rand.NewPCG(seed, uint64(size))))
			h.check(t, queueModel)
			if t.Failed() {
				t.Fatalf("size %d, seed %d", size, seed)
			}
		}
	}
}

// bounded is a queue with at most size values, and the lock of its consumers.
type bounded struct {
	queue.Queue[int]
	size uint64
	mu   sync.Mutex
}

// playQueue makes random calls on a new queue by several goroutines.
func playQueue(h *history, size int, random *rand.Rand) {
	q := &bounded{size: uint64(size)}
	q.Init(1)
	var clients [][]func()
	values := 0
	for range 4 {
		var calls []func()
		for range 4 {
			switch k := random.IntN(20); {
			case k < 10:
				many := make([]int, 1+random.IntN(3))
				for i := range many {
					values++
					many[i] = values
				}
				calls = append(calls, q.push(h, many))
			case k < 17:
				calls = append(calls, q.pop(h, 1+random.IntN(3)))
			case k < 19:
				calls = append(calls, func() {
					q.mu.Lock()
					defer q.mu.Unlock()
					q.Trim()
				})
			default:
				calls = append(calls, func() {
					from := h.now()
					first := q.Close()
					h.add(from, h.now(), end{}, ended{first})
				})
			}
		}
		clients = append(clients, calls)
	}
	h.play(clients)
}

// push pushes one value alone, and several as a run.
func (q *bounded) push(h *history, vs []int) func() {
	return func() {
		from := h.now()
		var out won
		for {
			if len(vs) == 1 {
				if out.status = q.Push(vs[0], nil, queue.Any); out.status == queue.OK {
					out.n = 1
				}
			} else {
				out.n, _, out.status = q.PushAll(vs, queue.Any, false)
			}
			if out.n > 0 || out.status != queue.Full || !q.Raise(q.Popped()+q.size, false) {
				break
			}
		}
		to := h.now()
		h.add(from, to, win{vs}, out)
		for _, v := range vs[:out.n] {
			h.add(from, to, publish{v}, nil)
		}
	}
}

func (q *bounded) pop(h *history, limit int) func() {
	return func() {
		from := h.now()
		vs := make([]int, limit)
		q.mu.Lock()
		n, _ := q.Pop(vs, nil)
		q.mu.Unlock()
		h.add(from, h.now(), pop{limit}, popped{vs[:n]})
	}
}
