package batch

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// ran counts how often each job was begun.
type ran []atomic.Int32

// all checks that each job was begun once.
func (r ran) all(t *testing.T) {
	t.Helper()
	for job := range r {
		if n := r[job].Load(); n != 1 {
			t.Fatalf("job %d was begun %d times", job, n)
		}
	}
}

// TestStressSteal: each job is begun once, by its owner or a thief, in the order of its batch,
// and the sum of what has ended is exact at the end, and never decreases.
func TestStressSteal(t *testing.T) {
	const workers, total = 4, 60_000
	var claim sync.Mutex // the claim lock, of next too
	next := 0
	bs := make([]Batch[int], workers)
	var c Counters
	r := make(ran, total)
	ended := func() (n uint64) {
		for i := range bs {
			n += bs[i].Load().Ended()
		}
		return n
	}
	var wg sync.WaitGroup
	for i := range bs {
		b := &bs[i]
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		b.Acquire()
		wg.Go(func() {
			for sum := uint64(0); ; {
				// Take new jobs, or those of another.
				claim.Lock()
				before := b.Load().Begun()
				n := 0
				if rnd.IntN(2) == 0 {
					n = min(1+rnd.IntN(40), total-next)
					jobs, _ := b.Buffer(n, false)
					for j := range jobs {
						jobs[j] = next
						next++
					}
				}
				over := next == total
				for j := 0; n == 0 && j < workers; j++ {
					if v := &bs[(i+1+j)%workers]; v != b {
						n = v.Steal(b, 1+rnd.IntN(40))
					}
				}
				if n > 0 {
					b.Fill(n, 0)
				}
				claim.Unlock()
				if n == 0 && over {
					return
				}
				for last := -1; ; {
					job, ok := b.Begin()
					if !ok {
						break
					}
					if job <= last {
						t.Errorf("job %d was begun after %d", job, last)
					}
					last = job
					r[job].Add(1)
					if rnd.IntN(8) == 0 {
						runtime.Gosched()
					}
					if s := ended(); s < sum {
						t.Errorf("%d have ended, after %d", s, sum)
					} else {
						sum = s
					}
				}
				b.End(before, &c)
			}
		})
	}
	wg.Wait()
	r.all(t)
	if c.Done(0) != total || ended() != total {
		t.Errorf("%d counted, %d ended, want %d", c.Done(0), ended(), total)
	}
}

// TestStressWhole: jobs that begin together are not stolen any more, and those that were
// stolen before do not begin there.
func TestStressWhole(t *testing.T) {
	const rounds = 3000
	var claim sync.Mutex
	var b Batch[int]
	var c Counters
	r := make(ran, 16*rounds)
	b.Acquire()
	var wg sync.WaitGroup
	var done atomic.Bool
	wg.Go(func() {
		defer done.Store(true)
		for i := range rounds {
			claim.Lock()
			jobs, _ := b.Buffer(16, false)
			for j := range jobs {
				jobs[j] = 16*i + j
			}
			before := b.Load().Begun()
			b.Fill(16, 0)
			claim.Unlock()
			if i%2 == 0 {
				runtime.Gosched()
			}
			all := b.BeginAll()
			for _, job := range all {
				r[job].Add(1)
			}
			clear(all)
			if n := b.End(before, &c); n != len(all) {
				t.Errorf("%d jobs have ended, of %d", n, len(all))
			}
		}
	})
	stolen := uint64(0)
	wg.Go(func() {
		var to Batch[int]
		for last := false; !last; {
			last = done.Load()
			claim.Lock()
			n := b.Steal(&to, 3)
			claim.Unlock()
			jobs, _ := to.Buffer(n, false)
			for _, job := range jobs {
				r[job].Add(1)
			}
			if stolen += uint64(n); n == 0 {
				runtime.Gosched()
			}
		}
	})
	wg.Wait()
	r.all(t)
	if c.Done(0)+stolen != 16*rounds {
		t.Errorf("%d have ended and %d were stolen, of %d", c.Done(0), stolen, 16*rounds)
	}
}

// TestStressWatch: whoever watches a position and learns that its job has not ended is told:
// either Watch reports false, or the owner sees Due once it has ended the job.
func TestStressWatch(t *testing.T) {
	for range 4000 {
		var b Batch[int]
		b.Acquire()
		b.Buffer(2, false)
		b.Fill(2, 0)
		b.Begin()
		var waits, due bool
		var wg sync.WaitGroup
		start := make(chan struct{})
		wg.Go(func() {
			<-start
			waits = b.Watch(0)
		})
		wg.Go(func() {
			<-start
			b.Begin() // which ends the first
			due = b.Due()
		})
		close(start)
		wg.Wait()
		if waits && !due {
			t.Fatal("the watcher waits, and the owner was not told")
		}
	}
}
