package main

import (
	"slices"
	"sync"
	"testing"
)

// TestSharers holds the only worker, queues six tasks of one tenant and then two of another, and looks at the order in which they run.
func TestSharers(t *testing.T) {
	for name, want := range map[string]int{plainPool: 7, "pool-tenants": 4, "round-robin": 4, "pond-subpools": 4} {
		t.Run(name, func(t *testing.T) {
			c := sharers[slices.IndexFunc(sharers, func(c fairContender) bool { return c.name == name })]
			x := c.open(setting{workers: 1, tenants: 2, buffer: 16, total: 16})
			held, open := make(chan struct{}), make(chan struct{})
			x.submit(1, newChore(func() { close(held); <-open }))
			<-held
			var ran []uint64
			var wg sync.WaitGroup
			for _, tenant := range []uint64{1, 1, 1, 1, 1, 1, 2, 2} {
				wg.Add(1)
				x.submit(tenant, newChore(func() { ran = append(ran, tenant); wg.Done() }))
			}
			close(open)
			wg.Wait()
			x.close()
			last := len(ran) - 1
			for ran[last] != 2 {
				last--
			}
			if plain := name == plainPool; len(ran) != 8 || plain != (last == 7) || last > want {
				t.Errorf("got %v", ran)
			}
		})
	}
}

// TestLimiters runs two tasks of a tenant that would notice each other.
func TestLimiters(t *testing.T) {
	for _, c := range limiters[2:] {
		t.Run(c.name, func(t *testing.T) {
			x := c.open(setting{workers: 4, tenants: 1, buffer: 100, total: 100})
			var one sync.Mutex
			var wg sync.WaitGroup
			wg.Add(100)
			task := newChore(func() {
				defer wg.Done()
				if !one.TryLock() {
					t.Error("two at a time")
					return
				}
				_ = spin(10_000)
				one.Unlock()
			})
			for range 100 {
				x.submit(1, task)
			}
			wg.Wait()
			x.close()
		})
	}
}
