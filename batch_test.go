package pool

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// busy gives every worker a task that ends when the gate is opened.
func busy(t testing.TB, p *Pool, workers int) gate {
	t.Helper()
	g := make(gate)
	for range workers {
		must(t, p.Submit(bg, g.task))
	}
	synctest.Wait()
	if n := p.Stats().Running; n != uint64(workers) {
		t.Fatalf("%d run", n)
	}
	return g
}

// A task does not wait in a Batcher while a worker is idle.
func TestBatcherAtLowLoad(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(workers))
			b := p.Batcher()
			var ran record
			for i := range 100 {
				must(t, b.Add(bg, ran.task(i)))
				synctest.Wait()
				if n := len(ran.get()); n != i+1 {
					t.Fatalf("%d of %d ran", n, i+1)
				}
			}
			s := p.Stats()
			if s.Batch.Idle != 100 || s.Batch.Flushes != 100 || s.Batch.Flushed != 100 {
				t.Fatalf("got %+v", s.Batch)
			}
			must(t, b.Close())
			must(t, p.Close())
		})
	}
}

// What was added while all workers were busy runs when one is free.
func TestBatcherWaitsForAWorker(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(workers), WithBatch(8))
			g := busy(t, p, workers)
			b := p.Batcher()
			var ran record
			for i := range 7 {
				must(t, b.Add(bg, ran.task(i)))
			}
			synctest.Wait()
			if s := p.Stats(); s.Queued != 0 || s.Batch.Flushes != 0 {
				t.Fatalf("got %+v", s)
			}
			close(g)
			synctest.Wait()
			if n := len(ran.get()); n != 7 {
				t.Fatalf("%d ran", n)
			}
			if s := p.Stats(); s.Batch.Idle != 1 || s.Batch.Flushed != 7 {
				t.Fatalf("got %+v", s.Batch)
			}
			must(t, p.Close())
			checkRest(t, p.Stats())
		})
	}
}

func TestBatcherFlushesWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBatch(4), WithBuffer(10))
		g := busy(t, p, 1)
		b := p.Batcher()
		var ran record
		for i := range 11 {
			must(t, b.Add(bg, ran.task(i)))
		}
		if s := p.Stats(); s.Queued != 8 || s.Batch.Full != 2 || s.Batch.Flushed != 8 {
			t.Fatalf("got %+v", s)
		}
		must(t, b.Add(bg, ran.task(11))) // two of four fit
		if s := p.Stats(); s.Queued != 10 || s.Batch.Flushed != 10 {
			t.Fatalf("got %+v", s)
		}
		must(t, b.Add(bg, ran.task(12)))
		must(t, b.Add(bg, ran.task(13)))
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		wantIs(t, b.Add(ctx, ran.task(-1)), context.DeadlineExceeded)
		wantIs(t, b.Flush(ctx), context.DeadlineExceeded)
		close(g)
		must(t, b.Flush(bg))
		must(t, p.Wait(bg))
		got := ran.get()
		if len(got) != 14 {
			t.Fatalf("ran %v", got)
		}
		for i, v := range got {
			if i != v && strategy == Shared {
				t.Fatalf("order %v", got)
			}
		}
		must(t, p.Close())
		if s := p.Stats(); s.Rejected != 1 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestBatcherLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBatch(4), WithLinger(time.Second))
		g := busy(t, p, 1)
		b := p.Batcher()
		var ran record
		must(t, b.Add(bg, ran.task(0)))
		time.Sleep(time.Second - 1)
		must(t, b.Add(bg, ran.task(1)))
		synctest.Wait()
		if s := p.Stats(); s.Queued != 0 {
			t.Fatalf("got %+v", s)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s := p.Stats(); s.Queued != 2 || s.Batch.Linger != 1 {
			t.Fatalf("got %+v", s)
		}
		time.Sleep(time.Hour)
		must(t, b.Add(bg, ran.task(2)))
		time.Sleep(time.Second)
		synctest.Wait()
		if s := p.Stats(); s.Queued != 3 || s.Batch.Linger != 2 || s.Batch.Flushes != 2 {
			t.Fatalf("got %+v", s)
		}
		close(g)
		must(t, p.Close())
		must(t, b.Close())
		if n := len(ran.get()); n != 3 {
			t.Fatalf("%d ran", n)
		}
	})
}

// The last task that makes a batch full comes at the very moment when it would go anyway.
func TestBatcherFullAtItsLinger(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithBatch(4), WithLinger(time.Second))
			g := busy(t, p, 1)
			b := p.Batcher()
			var ran record
			for i := range 4 {
				if i == 3 {
					time.Sleep(time.Second)
				}
				must(t, b.Add(bg, ran.task(i)))
			}
			synctest.Wait()
			if s := p.Stats(); s.Queued != s.Batch.Flushed || s.Queued < 3 {
				t.Fatalf("got %+v", s)
			}
			time.Sleep(time.Hour)
			if s := p.Stats(); s.Queued != 4 || s.Batch.Flushed != 4 || s.Batch.Full+s.Batch.Linger != s.Batch.Flushes || s.Batch.Flushes > 2 {
				t.Fatalf("got %+v", s)
			}
			close(g)
			must(t, p.Close())
			if n := len(ran.get()); n != 4 {
				t.Fatalf("%d ran", n)
			}
		})
	}
}

// There is no room when the linger is over: what is in the Batcher goes as soon after as there
// is, though no worker becomes idle and the producer does nothing more.
func TestBatcherLingersAgainWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(4), WithBatch(4), WithLinger(time.Second))
		g := busy(t, p, 1)
		for range 4 {
			must(t, p.Submit(bg, sleep(time.Minute)))
		}
		b := p.Batcher()
		must(t, b.Add(bg, sleep(0)))
		time.Sleep(10 * time.Second)
		if s := p.Stats(); s.Batch.Flushed != 0 {
			t.Fatalf("flushed to a full queue: %+v", s)
		}
		close(g)
		time.Sleep(2 * time.Second)
		if s := p.Stats(); s.Batch.Flushed != 1 || s.Queued != 4 {
			t.Errorf("left in the Batcher beside room: %+v", s)
		}
		must(t, b.Close())
		must(t, p.Close())
	})
}

// Close of a Batcher returned while what was in it was not accepted, since the queue was full.
func TestBatcherCloseWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(2), WithBatch(2))
		g := busy(t, p, 1)
		for range 2 {
			must(t, p.Submit(bg, sleep(0)))
		}
		b := p.Batcher()
		var ran record
		must(t, b.Add(bg, ran.task(1)))
		closed := make(chan error, 1)
		go func() { closed <- b.Close() }()
		synctest.Wait()
		select {
		case <-closed:
			t.Errorf("Close returned beside a full queue: %+v", p.Stats())
		default:
		}
		close(g)
		synctest.Wait()
		if err := <-closed; err != nil || len(ran.get()) != 1 {
			t.Errorf("Close returned %v, %d ran", err, len(ran.get()))
		}
		p.batchers.mu.Lock()
		if n := len(p.batchers.all); n != 0 {
			t.Errorf("the pool keeps %d closed batchers", n)
		}
		p.batchers.mu.Unlock()
		must(t, p.Close())
	})
}

// Close runs what is in a Batcher, also when the queue is full, and Abort hands it back.
func TestBatcherAtTheEnd(t *testing.T) {
	for _, abort := range []bool{false, true} {
		for _, buffer := range []int{1, 3, 64} {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, WithWorkers(1), WithBatch(8), WithBuffer(buffer))
				g := busy(t, p, 1)
				var ran record
				for i := range buffer {
					must(t, p.Submit(bg, ran.task(100+i)))
				}
				size := min(8, buffer)
				b := p.Batcher()
				for i := range size {
					must(t, b.Add(bg, ran.task(i)))
				}
				if abort {
					p.Abort()
				} else {
					go p.Close()
				}
				synctest.Wait()
				wantIs(t, b.Add(bg, ran.task(-1)), ErrClosed)
				wantIs(t, p.Batcher().Add(bg, ran.task(-1)), ErrClosed)
				close(g)
				<-p.Done()
				must(t, b.Close())
				n, back := len(ran.get()), len(p.Leftover())
				if n+back != buffer+size || abort != (n == 0) || !abort && back != 0 {
					t.Fatalf("%d ran, %d back", n, back)
				}
				checkRest(t, p.Stats())
			})
		}
	}
}

// The queue is full of tasks that have to wait for others with their key. What is in a
// Batcher goes there as room is made, since a worker is idle.
func TestBatcherBesideAFullQueue(t *testing.T) {
	only(t, Shared, WorkStealing, Elastic)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(2), WithBatch(8), WithBuffer(8))
		step := make(chan bool)
		slow := func(context.Context) error { <-step; return nil }
		for range 10 {
			must(t, p.SubmitKeyed(bg, 1, slow))
		}
		b := p.Batcher()
		var ran record
		must(t, b.Add(bg, ran.task(1)))
		must(t, b.Add(bg, ran.task(2)))
		synctest.Wait()
		if n := len(ran.get()); n != 0 {
			t.Fatalf("%d ran", n)
		}
		step <- true
		synctest.Wait()
		if n := len(ran.get()); n != 2 {
			t.Fatalf("%d ran", n)
		}
		close(step)
		must(t, p.Close())
	})
}

func TestBatcherOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBatch(2), WithBuffer(2), WithOverflow(Reject))
		g := busy(t, p, 1)
		b := p.Batcher()
		for range 4 {
			must(t, b.Add(bg, g.task))
		}
		wantIs(t, b.Add(bg, g.task), ErrFull)
		wantIs(t, b.Flush(bg), ErrFull)
		close(g)
		must(t, p.Close())
		if s := p.Stats(); s.Completed != 5 || s.Rejected != 1 {
			t.Fatalf("got %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBatch(2), WithBuffer(2), WithOverflow(CallerRuns))
		g := busy(t, p, 1)
		var over sync.WaitGroup
		over.Go(func() {
			b := p.Batcher()
			for range 4 {
				must(t, b.Add(bg, func(context.Context) error { runtime.Goexit(); return nil }))
			}
			must(t, b.Add(bg, g.task)) // makes room by running the first
		})
		over.Wait()
		close(g)
		must(t, p.Wait(bg))
		wantIs(t, p.Close(), ErrGoexit)
		if s := p.Stats(); s.Goexited != 4 || s.Completed != 1 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestBatcherBadInput(t *testing.T) {
	p := mustNew(t, WithWorkers(1))
	b := p.Batcher()
	wantIs(t, b.Add(bg, nil), ErrNilTask)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	wantIs(t, b.Add(ctx, sleep(0)), context.Canceled)
	wantIs(t, b.Flush(ctx), context.Canceled)
	//lint:ignore SA1012 a nil context is what is tested
	wantIs(t, b.Add(nil, sleep(0)), errNilContext) //nolint:staticcheck
	//lint:ignore SA1012 a nil context is what is tested
	wantIs(t, b.Flush(nil), errNilContext) //nolint:staticcheck
	must(t, b.Close())
	must(t, b.Close())
	wantIs(t, b.Add(bg, sleep(0)), errBatcherClosed)
	must(t, p.Close())
	if s := p.Stats(); s.Rejected != 4 || s.Accepted != 0 {
		t.Fatalf("got %+v", s)
	}
}

// Inside a task of a full pool with one worker a Batcher makes room by running tasks.
func TestBatcherInsideATask(t *testing.T) {
	for _, buffer := range buffers {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, WithWorkers(1), WithBuffer(buffer), WithBatch(4))
			var n atomic.Int64
			must(t, p.Submit(bg, func(ctx context.Context) error {
				b := p.Batcher()
				for range 100 {
					must(t, b.Add(ctx, func(context.Context) error { n.Add(1); return nil }))
				}
				return b.Close()
			}))
			must(t, p.Wait(bg))
			must(t, p.Wait(bg))
			must(t, p.Close())
			if n.Load() != 100 {
				t.Fatalf("%d ran", n.Load())
			}
		})
	}
}

// A submitter that was overtaken often keeps others out until it has its turn. What is in a
// Batcher then must not stay behind.
func TestBatcherBehindAReservation(t *testing.T) {
	only(t, Shared, WorkStealing, PerWorker)
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1))
		c := &p.main
		c.room.mu.Lock()
		first := &blocked{ready: make(chan struct{}, 1), held: true}
		c.room.Push(first, false)
		c.room.mu.Unlock()
		c.queue.Hold()
		b := p.Batcher()
		ran := false
		must(t, b.Add(bg, func(context.Context) error { ran = true; return nil }))
		synctest.Wait()
		if ran {
			t.Fatal("it overtook")
		}
		c.leaveRoom(first)
		synctest.Wait()
		if !ran {
			t.Error("it was left behind")
		}
		must(t, b.Close())
		must(t, p.Close())
	})
}

// Producers with Batchers race with the end of the pool: every task that Add took runs
// or is handed back, once.
func TestRaceBatcherWithTheEnd(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for i := range rounds {
		p := mustNew(t, WithWorkers(1+i%3), WithBuffer(1+i%7), WithBatch(1+i%5), WithLinger(time.Duration(1+i%50)*time.Microsecond))
		var ran, added atomic.Int64
		var producers sync.WaitGroup
		for range 3 {
			producers.Go(func() {
				b := p.Batcher()
				for b.Add(bg, func(context.Context) error { ran.Add(1); return nil }) == nil {
					added.Add(1)
				}
				if i%2 == 0 {
					must(t, b.Close())
				}
			})
		}
		for p.Stats().Accepted < uint64(i) {
			runtime.Gosched()
		}
		if i%3 == 0 {
			p.Abort()
		}
		must(t, p.Close())
		producers.Wait()
		if back := int64(len(p.Leftover())); ran.Load()+back != added.Load() || i%3 != 0 && back != 0 {
			t.Fatalf("round %d: %d added, %d ran, %d back: %+v", i, added.Load(), ran.Load(), back, p.Stats())
		}
		checkRest(t, p.Stats())
	}
}

func TestWithBatchOfOneKeepsTheOrder(t *testing.T) {
	only(t, Shared)
	p := mustNew(t, WithWorkers(1), WithBatch(1))
	var ran record
	for i := range 1000 {
		must(t, p.Submit(bg, ran.task(i)))
	}
	must(t, p.Close())
	for i, v := range ran.get() {
		if i != v {
			t.Fatalf("task %d was number %d", v, i)
		}
	}
}

func TestBatchOptions(t *testing.T) {
	for _, opts := range [][]Option{
		{WithBatch(0)}, {WithBatch(-1)}, {WithBatch(1<<14 + 1)},
		{WithLinger(0)}, {WithLinger(-1)}, {WithLinger(1), WithBuffer(0)},
	} {
		if p, err := New(opts...); err == nil {
			t.Errorf("no error: %+v", p.Stats())
		}
	}
}

// The sizes of batches add up to the tasks that were run.
func TestBatchSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		only(t, Shared)
		p := mustNew(t, WithWorkers(1))
		task := Task(func(context.Context) error { return nil })
		for range 1000 {
			must(t, p.Submit(bg, task))
		}
		must(t, p.Close())
		least, most, several := uint64(0), uint64(0), false
		for i, n := range p.Stats().Batch.Taken {
			least += n << i
			most += n * (1<<(i+1) - 1)
			several = several || i > 0 && n > 0
		}
		if least > 1000 || most < 1000 || !several {
			t.Errorf("batches %v", p.Stats().Batch.Taken)
		}
	})
}

// A pool whose intake has ended does not end before its batchers are empty.
func TestEndWaitsForBatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, WithWorkers(1), WithBuffer(1), WithBatch(8))
		g := busy(t, p, 1)
		var ran record
		b := p.Batcher()
		must(t, b.Add(bg, ran.task(0)))
		must(t, b.Add(bg, ran.task(1)))
		p.mu.Lock()
		p.closeIntakeLocked(ErrClosed) // and batchers are not empty yet
		p.mu.Unlock()
		close(g)
		synctest.Wait()
		p.settle()
		select {
		case <-p.Done():
			t.Error("it has ended")
		default:
		}
		must(t, p.Close())
		if n := len(ran.get()); n != 2 {
			t.Errorf("%d ran, want 2", n)
		}
	})
}
