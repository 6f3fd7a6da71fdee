package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// keyLog records the tasks of each key and checks that they neither overlap nor
// change places.
type keyLog struct {
	t    testing.TB
	mu   sync.Mutex
	next map[uint64]int
	busy map[uint64]bool
}

func newKeyLog(t testing.TB) *keyLog {
	return &keyLog{t: t, next: map[uint64]int{}, busy: map[uint64]bool{}}
}

// task is the task number i of the key.
func (l *keyLog) task(key uint64, i int, body Task) Task {
	return func(ctx context.Context) error {
		l.mu.Lock()
		if l.busy[key] || l.next[key] != i {
			l.t.Errorf("key %d: task %d started, the next is %d, one runs: %v", key, i, l.next[key], l.busy[key])
		}
		l.busy[key], l.next[key] = true, i+1
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			l.busy[key] = false
			l.mu.Unlock()
		}()
		return body(ctx)
	}
}

// checkNoKeys checks that nothing is left of keys that are idle.
func checkNoKeys(t testing.TB, p *Pool) {
	t.Helper()
	p.main.mu.Lock()
	defer p.main.mu.Unlock()
	if p.main.keys == nil {
		return
	}
	if n := p.main.keys.Keys(); n != 0 || p.main.keys.Len() != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// F1: tasks with equal keys never overlap and start in order, whatever they do.
func TestKeyedOrder(t *testing.T) {
	bodies := map[string]func(i int) Task{
		"empty":  func(int) Task { return func(context.Context) error { return nil } },
		"sleep":  func(i int) Task { return sleep(time.Duration(i%3) * time.Second) },
		"panic":  func(int) Task { return func(context.Context) error { panic("bad") } },
		"goexit": func(int) Task { return func(context.Context) error { runtime.Goexit(); return nil } },
		"error":  func(int) Task { return func(context.Context) error { return errors.New("bad") } },
		"mixed": func(i int) Task {
			return func(context.Context) error {
				switch i % 7 {
				case 3:
					panic("bad")
				case 5:
					time.Sleep(time.Second)
				case 6:
					runtime.Goexit()
				}
				return nil
			}
		},
	}
	for what, body := range bodies {
		t.Run(what, func(t *testing.T) {
			for _, workers := range []int{1, 2, 5} {
				for _, buffer := range []int{1, 3, 64} {
					synctest.Test(t, func(t *testing.T) {
						p := mustNew(t, WithWorkers(workers), WithBuffer(buffer), WithPanicHandler(func(*PanicError) {}))
						l := newKeyLog(t)
						const keys = 4
						for i := range 300 {
							key := uint64(i % keys)
							must(t, p.SubmitKeyed(bg, key, l.task(key, i/keys, body(i))))
							if i%5 == 0 {
								must(t, p.Submit(bg, sleep(time.Second/2)))
							}
						}
						must(t, p.Wait(bg))
						checkRest(t, p.Stats())
						synctest.Wait()
						checkNoKeys(t, p)
						p.Close()
						for key, n := range l.next {
							if n != 300/keys {
								t.Errorf("key %d: %d ran", key, n)
							}
						}
					})
				}
			}
		})
	}
}

// A job in the home of a parked worker wakes that one, though all tokens are in the hands of those who will wake others.
func TestKeyedWakesItsWorker(t *testing.T) {
	only(t, PerWorker)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(3))
		e := &p.engine
		var gates []gate
		for range 3 {
			g := make(gate)
			gates = append(gates, g)
			must(t, p.Submit(bg, g.task))
			synctest.Wait()
		}
		close(gates[0])
		close(gates[1])
		synctest.Wait()
		w := e.parked.First
		key := uint64(0)
		for e.homeOf(key).worker.Load() != w {
			key++
		}
		for e.idle.Take() { // two that are about to wake somebody
		}
		ran := false
		must(t, p.SubmitKeyed(bg, key, func(context.Context) error { ran = true; return nil }))
		close(gates[2])
		synctest.Wait()
		e.employ()
		e.employ()
		synctest.Wait()
		if !ran {
			t.Error("the job of a key was left to a worker that is parked")
		}
		must(t, p.Close())
	})
}

// F1 on real processors, with many keys and submitters, and resizes.
func TestStressKeyed(t *testing.T) {
	for round := range rounds(300) {
		p := mustNew(t, WithWorkers(1+round%4), WithBuffer(1+round%70))
		l := newKeyLog(t)
		var wg sync.WaitGroup
		var ran atomic.Int64
		keys := 1 + round%13
		for s := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(s)))
				seq := make([]int, keys)
				for range 200 {
					if r.IntN(8) == 0 {
						must(t, p.Submit(bg, func(context.Context) error { ran.Add(1); return nil }))
						continue
					}
					k := r.IntN(keys)
					key := uint64(s<<8 | k)
					must(t, p.SubmitKeyed(bg, key, l.task(key, seq[k], func(context.Context) error {
						if r := ran.Add(1); r%64 == 0 {
							runtime.Gosched()
						}
						return nil
					})))
					seq[k]++
				}
			})
		}
		wg.Go(func() {
			for i := range 20 {
				_ = p.Resize(1 + (i+round)%5)
				runtime.Gosched()
			}
		})
		wg.Wait()
		must(t, p.Close())
		if ran.Load() != 800 {
			t.Fatalf("%d ran", ran.Load())
		}
		checkRest(t, p.Stats())
	}
}
