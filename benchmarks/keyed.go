package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/headrace-go/pool"
)

// keyed measures the cost of an empty task with a key. The baseline is what is
// written by hand: a channel for each worker, chosen by a hash of the key.
func keyed(h *harness) []row {
	n := runtime.GOMAXPROCS(0)
	var rows []row
	for _, producers := range []int{1, 2, 16} {
		for _, keys := range []int{16, 64, 1024, 100_000} {
			name := fmt.Sprintf("keys=%d/N=%d/P=%d", keys, n, producers)
			s := shape{workers: n, producers: producers}
			w := h.throughputRow(name, "hashed", h.among(keyedContenders(keys)), s)
			w.group = fmt.Sprintf("ns per task (speed-up), P=%d", producers)
			rows = append(rows, w)
		}
	}
	return rows
}

func keyedContenders(keys int) []contender {
	return []contender{
		{name: "hashed", counts: true, open: openHashed(keys)},
		{name: "pool", counts: true, open: openKeyed(keys, pool.Shared)},
		{name: "pool-stealing", counts: true, open: openKeyed(keys, pool.WorkStealing)},
		{name: "pool-perworker", counts: true, open: openKeyed(keys, pool.PerWorker)},
	}
}

// A keyring has a sequence of keys for each producer.
type keyring struct {
	keys      uint64
	producers atomic.Uint64
}

// sequence returns the next producer's. It is the same in every measurement.
func (r *keyring) sequence() keySequence {
	return keySequence{r.producers.Add(1) * 0x9e3779b97f4a7c15, r.keys}
}

// A keySequence generates uniform keys, in about a nanosecond each.
type keySequence struct{ state, keys uint64 }

func (s *keySequence) next() uint64 {
	s.state = s.state*6364136223846793005 + 1442695040888963407
	return s.state >> 32 * s.keys >> 32
}

// hashedInstance gives each worker a channel of its own. A key always goes to the
// same worker, which keeps its tasks in order, and makes them wait for all others
// there, even when the other workers are idle.
type hashedInstance struct {
	chs    []chan func()
	wg     sync.WaitGroup
	finish func()
	ring   keyring
	fns    []func()
	mask   int
}

// openHashed splits the queue bound among the workers.
func openHashed(keys int) func(*harness, int, *load) instance {
	return func(h *harness, workers int, l *load) instance {
		return newHashed(keys, workers, max(1, h.buffer/workers), l)
	}
}

func newHashed(keys, workers, buffer int, l *load) *hashedInstance {
	x := &hashedInstance{ring: keyring{keys: uint64(keys)}}
	x.fns, x.mask = l.funcs()
	for range workers {
		ch := make(chan func(), buffer)
		x.chs = append(x.chs, ch)
		x.wg.Go(func() {
			for f := range ch {
				f()
			}
		})
	}
	x.finish = sync.OnceFunc(func() {
		for _, ch := range x.chs {
			close(ch)
		}
		x.wg.Wait()
	})
	return x
}

// channel returns the one for the key, by its product with 2^64 divided by the
// golden ratio, whose upper bits are well mixed.
func (x *hashedInstance) channel(key uint64) chan<- func() {
	return x.chs[key*0x9e3779b97f4a7c15>>32*uint64(len(x.chs))>>32]
}

func (x *hashedInstance) submit(from, to int) {
	keys := x.ring.sequence()
	for i := from; i < to; i++ {
		x.channel(keys.next()) <- x.fns[i&x.mask]
	}
}
func (x *hashedInstance) wait()  { x.finish() }
func (x *hashedInstance) close() { x.finish() }

// keyedInstance is this project's pool with a key for each task.
type keyedInstance struct {
	*poolInstance
	ring keyring
}

func openKeyed(keys int, s pool.Strategy) func(*harness, int, *load) instance {
	return func(h *harness, workers int, l *load) instance {
		return &keyedInstance{newPool(h, workers, l, pool.WithStrategy(s)), keyring{keys: uint64(keys)}}
	}
}

func (x *keyedInstance) submit(from, to int) {
	keys := x.ring.sequence()
	for i := from; i < to; i++ {
		if err := x.p.SubmitKeyed(background, keys.next(), x.fns[i&x.mask]); err != nil {
			must(err)
		}
	}
}
