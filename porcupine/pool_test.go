package porcupine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/headrace-go/pool"
)

// The model of a pool is a set of tasks, of which some wait and some run, and two
// limits. A task begins and ends by itself, so these are operations here: it has begun
// between its submission and its first statement, and has ended after its last.

type tasks struct {
	closed                   bool
	workers                  int
	most                     int    // workers, ever: those that are too many end when their task has
	accepted, started, ended uint32 // a bit for each
}

func (s *tasks) running() int    { return bits(s.started &^ s.ended) }
func (s *tasks) unfinished() int { return bits(s.accepted &^ s.ended) }

func bits(m uint32) (n int) {
	for ; m != 0; m &= m - 1 {
		n++
	}
	return n
}

type (
	submit struct{ task int }
	start  struct{ task int }
	finish struct{ task int }
	resize struct{ workers int }
	stop   struct{}
)

// poolModel is a pool.
func poolModel(workers, buffer int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return tasks{workers: workers, most: workers} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(tasks)
			err, _ := output.(error)
			ok := !s.closed && err == nil || s.closed && errors.Is(err, pool.ErrClosed)
			switch in := input.(type) {
			case submit:
				if !s.closed {
					// There is room unless all workers are busy and as many tasks wait as may.
					n := s.unfinished() - buffer
					ok = err == nil && n < s.most || errors.Is(err, pool.ErrFull) && n >= s.workers
				}
				if err == nil {
					s.accepted |= 1 << in.task
				}
			case start:
				ok = s.accepted&(1<<in.task) != 0 && s.running() < s.workers
				s.started |= 1 << in.task
			case finish:
				ok = s.started&(1<<in.task) != 0
				s.ended |= 1 << in.task
			case resize:
				if err == nil {
					s.workers = in.workers
					s.most = max(s.most, in.workers)
				}
			case stop:
				ok = err == nil
				s.closed = true
			}
			return ok, s
		},
	}
}

func TestPool(t *testing.T) {
	for _, strategy := range []pool.Strategy{pool.Shared, pool.WorkStealing, pool.PerWorker, pool.Elastic} {
		t.Run(fmt.Sprint("strategy=", strategy), func(t *testing.T) {
			for seed := range uint64(rounds(4000)) {
				random := rand.New(rand.NewPCG(seed, 1))
				workers, buffer := 1+random.IntN(3), 1+random.IntN(3)
				h := new(history)
				playPool(t, h, random, pool.WithStrategy(strategy), pool.WithWorkers(workers), pool.WithBuffer(buffer))
				h.check(t, poolModel(workers, buffer))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// playPool makes random calls on a new pool by several goroutines, and closes it.
func playPool(t *testing.T, h *history, random *rand.Rand, opts ...pool.Option) {
	p, err := pool.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	run := &poolRun{h: h, p: p}
	var clients [][]func()
	n := 0
	for range 3 {
		var calls []func()
		for range 4 {
			switch k := random.IntN(20); {
			case k < 16:
				id, yields := n, random.IntN(20)
				n++
				calls = append(calls, func() { run.submit(id, yields) })
			case k < 19:
				workers := 1 + random.IntN(3)
				calls = append(calls, func() { run.resize(workers) })
			default:
				calls = append(calls, run.close)
			}
		}
		clients = append(clients, calls)
	}
	h.play(clients)
	run.close()
	over := h.now()
	for _, f := range run.finished {
		h.add(f.from, over, finish{f.task}, nil)
	}
}

// poolRun is one history of a pool.
type poolRun struct {
	h *history
	p *pool.Pool

	mu       sync.Mutex
	finished []ending
}

// ending is the last that was seen of a task.
type ending struct {
	task int
	from int64
}

func (r *poolRun) submit(task, yields int) {
	from := r.h.now()
	err := r.p.TrySubmit(func(context.Context) error {
		r.h.add(from, r.h.now(), start{task}, nil)
		for range yields {
			runtime.Gosched()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.finished = append(r.finished, ending{task, r.h.now()})
		return nil
	})
	r.h.add(from, r.h.now(), submit{task}, err)
}

func (r *poolRun) resize(workers int) {
	from := r.h.now()
	err := r.p.Resize(workers)
	r.h.add(from, r.h.now(), resize{workers}, err)
}

func (r *poolRun) close() {
	from := r.h.now()
	err := r.p.Close()
	r.h.add(from, r.h.now(), stop{}, err)
}
