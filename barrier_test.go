package pool

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// As many tasks as there are workers wait for each other. Each of them gets a worker, whatever the workers were
// before, and also if one was queued behind another: a pool that binds a task to a worker hangs.
func TestTasksThatWaitForEachOther(t *testing.T) {
	const n = 25
	before := map[string]func(t *testing.T, p *Pool){
		"cold":    func(*testing.T, *Pool) {},
		"warm":    func(t *testing.T, p *Pool) { occupy(t, p, n); synctest.Wait() },
		"expired": func(t *testing.T, p *Pool) { occupy(t, p, n); time.Sleep(time.Hour) },
		"one busy for a while": func(t *testing.T, p *Pool) {
			occupy(t, p, n)
			must(t, p.Submit(bg, sleep(time.Millisecond)))
		},
		"one has just become idle": func(t *testing.T, p *Pool) {
			must(t, p.Submit(bg, sleep(time.Millisecond)))
			time.Sleep(time.Millisecond)
		},
		"after a shrink and a grow": func(t *testing.T, p *Pool) {
			occupy(t, p, n)
			must(t, p.Resize(2))
			occupy(t, p, 2)
			must(t, p.Resize(n))
		},
		"after a grow": func(t *testing.T, p *Pool) {
			must(t, p.Resize(3))
			occupy(t, p, 3)
			synctest.Wait()
			must(t, p.Resize(n))
		},
	}
	submits := map[string]func(p *Pool, tasks []Task) error{
		"one at a time": func(p *Pool, tasks []Task) error {
			for _, task := range tasks {
				if err := p.Submit(bg, task); err != nil {
					return err
				}
			}
			return nil
		},
		"SubmitBatch": func(p *Pool, tasks []Task) error {
			_, err := p.SubmitBatch(bg, tasks)
			return err
		},
		"by many": func(p *Pool, tasks []Task) error {
			g := NewGroup(bg, p)
			var submitters sync.WaitGroup
			for _, task := range tasks {
				submitters.Go(func() { g.Go(task) })
			}
			submitters.Wait()
			return g.Wait()
		},
		"one with a key": func(p *Pool, tasks []Task) error {
			for i, task := range tasks {
				var err error
				if i == n/2 {
					err = p.SubmitKeyed(bg, KeyOf(i), task)
				} else {
					err = p.Submit(bg, task)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	options := map[string][]Option{
		"":        nil,
		"lazy":    {WithLazy(time.Second)},
		"floor":   {WithLazy(time.Second), WithFloor(2)},
		"buffer0": {WithBuffer(0)},
	}
	if strategy == PerWorker {
		delete(submits, "one with a key") // it waits for its worker, which may have got one of the others
	}
	for when, prepare := range before {
		for how, submit := range submits {
			for with, opts := range options {
				if strategy == Elastic && (with == "lazy" || with == "floor") {
					continue // it is that already
				}
				what := name("before", when, "submit", how, "with", with)
				t.Run(what, func(t *testing.T) {
					defer watchdog(what)()
					synctest.Test(t, func(t *testing.T) {
						p := mustNew(t, append(opts, WithWorkers(n))...)
						prepare(t, p)
						for range 3 {
							var all sync.WaitGroup
							all.Add(n)
							tasks := make([]Task, n)
							for i := range tasks {
								tasks[i] = func(context.Context) error {
									all.Done()
									all.Wait()
									return nil
								}
							}
							if err := submit(p, tasks); err != nil {
								t.Fatalf("%s: %v", what, err)
							}
							all.Wait()
						}
						must(t, p.Close())
					})
				})
			}
		}
	}
}
