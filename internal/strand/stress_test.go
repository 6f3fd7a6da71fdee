package strand

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/deque"
	"github.com/headrace-go/pool/internal/queue"
)

const keys = 4 // and one in five jobs has none

// task is a job of the crew.
type task struct {
	id    int
	key   uint64
	keyed bool
	tag   int
}

// crew is a pool in small: workers with a batch each, and a queue. Workers that find nothing
// sleep, and are woken by whoever makes work ready.
type crew struct {
	t   *testing.T
	tab *Table[task]
	bs  []batch.Batch[task]
	c   batch.Counters

	mu    sync.Mutex // the claim lock
	work  *sync.Cond
	queue deque.Deque[task]
	over  bool

	ran  []atomic.Int32 // how often each job ran
	last [keys]atomic.Int64
	busy [keys]atomic.Int32
	wg   sync.WaitGroup
}

func newCrew(t *testing.T, workers, jobs int) *crew {
	c := &crew{t: t, tab: New[task](), bs: make([]batch.Batch[task], workers), ran: make([]atomic.Int32, jobs)}
	c.work = sync.NewCond(&c.mu)
	for i := range c.bs {
		c.bs[i].Acquire()
		c.wg.Go(func() { c.worker(i, rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	return c
}

// run runs a job. No other one of its key runs, and those before it have.
func (c *crew) run(j task, rnd *rand.Rand) {
	if c.ran[j.id].Add(1) != 1 {
		c.t.Errorf("job %d runs twice", j.id)
	}
	if !j.keyed {
		return
	}
	if c.busy[j.key].Add(1) != 1 {
		c.t.Errorf("job %d: another one with the key %d runs", j.id, j.key)
	}
	if last := c.last[j.key].Swap(int64(j.id)); last > int64(j.id) {
		c.t.Errorf("job %d after job %d, which has the same key", j.id, last)
	}
	if rnd.IntN(3) == 0 {
		runtime.Gosched()
	}
	c.busy[j.key].Add(-1)
}

// release makes the jobs ready that have waited for what ran in b.
func (c *crew) release(b *batch.Batch[task]) {
	if !b.Due() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tab.Release(b) {
		c.work.Broadcast()
	}
}

// find fills b, or sleeps. It reports false at the end.
func (c *crew) find(i int, rnd *rand.Rand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if n, tag := c.claim(i, rnd); n > 0 {
			c.bs[i].Fill(n, tag)
			if c.tab.Ready() || c.queue.Len() > 0 || n > 1 {
				c.work.Broadcast()
			}
			return true
		}
		if c.over {
			return false
		}
		c.work.Wait()
	}
}

func (c *crew) claim(i int, rnd *rand.Rand) (n, tag int) {
	b := &c.bs[i]
	for j := 1; j < len(c.bs) && (c.queue.Len() == 0 || rnd.IntN(4) == 0); j++ {
		from := &c.bs[(i+j)%len(c.bs)]
		if n = from.Steal(b, 8); n > 0 {
			jobs, attrs := b.Buffer(n, true)
			tag = from.Tag()
			if n = c.tab.Adopt(from, b, jobs, attrs, n, tag); c.tab.Ready() {
				c.work.Broadcast()
			}
			if n > 0 {
				return n, tag
			}
		}
	}
	limit := 1 + rnd.IntN(16)
	jobs, attrs := b.Buffer(limit, true)
	if rnd.IntN(2) == 0 {
		if n, tag = c.tab.Take(b, jobs, attrs); n > 0 {
			return n, tag
		}
	}
	for c.queue.Len() > 0 {
		n = 0
		for n < limit && c.queue.Len() > 0 && (n == 0 || c.queue.At(0).tag == tag) {
			j, _ := c.queue.PopFront()
			jobs[n], attrs[n], tag = j, queue.Attr{Key: j.key, Keyed: j.keyed}, j.tag
			n++
		}
		if n = c.tab.Sort(b, jobs, attrs, n, tag); n > 0 {
			return n, tag
		}
	}
	return c.tab.Take(b, jobs, attrs)
}

func (c *crew) worker(i int, rnd *rand.Rand) {
	b := &c.bs[i]
	for {
		before := b.Load().Begun()
		if !c.find(i, rnd) {
			return
		}
		for n := 0; ; n++ {
			if n > 0 && rnd.IntN(16) == 0 {
				c.putBack(b)
			}
			j, ok := b.Begin()
			if !ok {
				break
			}
			c.release(b)
			c.run(j, rnd)
		}
		b.End(before, &c.c)
		c.release(b)
	}
}

// putBack puts what is left of b back. A job without a key becomes the next of the queue.
func (c *crew) putBack(b *batch.Batch[task]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var to batch.Batch[task]
	for b.Steal(&to, 1) > 0 {
		jobs, _ := to.Buffer(1, true)
		if j := jobs[0]; j.keyed {
			c.tab.Return(b, Item[task]{j, j.key, j.tag, 0})
		} else {
			c.queue.PushFront(j)
		}
	}
	c.work.Broadcast()
}

// TestStressKeys: each job runs once, those of a key one after the other and in order, and
// when all workers sleep no job is left behind a key.
func TestStressKeys(t *testing.T) {
	const rounds, bursts, burst = 40, 5, 60
	for round := range rounds {
		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t, 4, bursts*burst)
			rnd := rand.New(rand.NewPCG(uint64(round), 2))
			for id := 0; id < bursts*burst; {
				for range burst {
					c.mu.Lock()
					c.queue.PushBack(task{id: id, key: rnd.Uint64N(keys), keyed: rnd.IntN(5) > 0, tag: id / 50 % 2})
					c.work.Broadcast()
					c.mu.Unlock()
					if id++; rnd.IntN(4) == 0 {
						runtime.Gosched()
					}
				}
				synctest.Wait()
				if n := c.tab.Len(); n != 0 || c.queue.Len() != 0 || c.tab.Keys() != 0 {
					t.Errorf("round %d: all sleep, and %d jobs wait behind keys, %d in the queue; %d keys are in use",
						round, n, c.queue.Len(), c.tab.Keys())
				}
			}
			for id := range c.ran {
				if n := c.ran[id].Load(); n != 1 {
					t.Errorf("round %d: job %d ran %d times", round, id, n)
				}
			}
			if n := c.c.Done(0) + c.c.Done(1); n != bursts*burst {
				t.Errorf("round %d: %d have ended, want %d", round, n, bursts*burst)
			}
			c.mu.Lock()
			c.over = true
			c.work.Broadcast()
			c.mu.Unlock()
			c.wg.Wait()
		})
	}
}
