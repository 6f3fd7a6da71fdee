package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// program is a random sequence of operations on one pool in virtual time, and what
// became of each task. Delays are whole seconds, so that coincidences are frequent.
type program struct {
	t    *testing.T
	p    *Pool
	r    *rand.Rand
	mu   sync.Mutex // guards r and what follows
	ids  int
	ran  map[int]int  // how often each task ran,
	back map[int]int  // was handed back,
	drop map[int]int  // was dropped,
	acc  map[int]bool // and whether it was accepted,
	rej  map[int]bool // refused,
	unk  map[int]bool // or nobody knows: Goexit on the submitter's goroutine
	g    gauge
	sum  scale           // of weights
	busy map[uint64]bool // keys of which a task runs
	most int             // the largest number of workers
	many bool            // tasks with several goroutines
	keys bool            // tasks with keys
	wts  bool            // tasks with weights
	fair *fairProgram    // nil, or see fuzz_fair_test.go
	log  []string
}

// probeKey makes a task tell who it is instead of running: funcs cannot be compared.
type probeKey struct{}

func (f *program) rnd(n int) int { f.mu.Lock(); defer f.mu.Unlock(); return f.r.IntN(n) }

// task makes a task of a random kind, that nests up to depth.
func (f *program) task(depth int) (int, Task) { return f.weighted(depth, 1) }

// keyed makes a task that checks that no other one with its key runs.
func (f *program) keyed(depth int, key uint64) (int, Task) {
	id, task := f.task(depth)
	return id, func(ctx context.Context) error {
		if ctx.Value(probeKey{}) == nil {
			f.mu.Lock()
			if f.busy[key] {
				f.t.Errorf("two tasks of key %d run\n%v", key, f.log)
			}
			f.busy[key] = true
			f.mu.Unlock()
			defer func() { f.mu.Lock(); f.busy[key] = false; f.mu.Unlock() }()
		}
		return task(ctx)
	}
}

func (f *program) weighted(depth int, weight int64) (int, Task) {
	f.mu.Lock()
	f.ids++
	id := f.ids
	kind := f.r.IntN(14)
	if f.fair != nil && f.fair.flat {
		depth = 0
	}
	d := time.Duration(f.r.IntN(4)) * time.Second
	f.mu.Unlock()
	return id, func(ctx context.Context) error {
		if m, ok := ctx.Value(probeKey{}).(map[int]int); ok {
			m[id]++
			return nil
		}
		f.mu.Lock()
		f.ran[id]++
		f.mu.Unlock()
		enter := func() { f.g.enter(); f.sum.add(weight) }
		leave := func() { f.sum.add(-weight); f.g.leave() }
		enter()
		defer leave()
		out := func(fn func()) { leave(); fn(); enter() }
		switch {
		case kind < 5:
			time.Sleep(d)
		case kind == 5:
			return errors.New("e")
		case kind == 6:
			time.Sleep(d)
			panic("p")
		case kind == 7:
			runtime.Goexit()
		case kind == 8 && depth > 0:
			out(func() { f.submit(ctx, depth-1) })
		case kind == 9 && depth > 0:
			for range 3 {
				out(func() { f.submit(ctx, depth-1) })
			}
			out(func() { f.wait(ctx, depth-1, d) })
			time.Sleep(d)
		case kind == 10 && depth > 0:
			out(func() { f.wait(ctx, depth-1, d) })
		case kind == 11 && depth > 0 && f.many:
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					f.submit(ctx, depth-1)
					f.wait(ctx, depth-1, d)
				})
			}
			out(func() { wg.Wait() })
		case kind == 12 || kind == 13:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
			}
		}
		return nil
	}
}

// wait waits, inside the task with the context ctx, for children of it. Each takes d and submits a task.
func (f *program) wait(ctx context.Context, depth int, d time.Duration) {
	if err := f.p.Wait(ctx); ctx.Err() == nil && err != ErrInTask {
		f.t.Errorf("Wait inside a task: %v", err)
	}
	g := NewGroup(ctx, f.p)
	for range 2 {
		g.Go(func(ctx context.Context) error {
			f.g.enter()
			f.sum.add(1)
			time.Sleep(d)
			f.sum.add(-1)
			f.g.leave()
			f.submit(ctx, depth)
			return nil
		})
	}
	_ = g.Wait()
}

func (f *program) record(id int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.acc[id] = true
	} else {
		f.rej[id] = true
	}
}

func (f *program) submit(ctx context.Context, depth int) {
	kind := f.rnd(4)
	key, weight := uint64(f.rnd(3)), int64(1+f.rnd(int(f.sum.limit)))
	var id int
	var t Task
	var how func() error
	switch {
	case f.fair != nil:
		id, t, how = f.fair.submission(ctx, depth, kind, key, weight)
	case kind == 0 && f.keys:
		id, t = f.keyed(depth, key)
		how = func() error { return f.p.SubmitKeyed(ctx, key, t) }
	case kind == 1 && f.wts:
		id, t = f.weighted(depth, weight)
		how = func() error { return f.p.SubmitWeighted(ctx, weight, t) }
	default:
		id, t = f.task(depth)
		how = func() error { return f.p.Submit(ctx, t) }
	}
	done := false
	defer func() {
		if !done { // goexit of an inline one
			f.record(id, nil)
		}
	}()
	err := how()
	done = true
	f.record(id, err)
}

// buffer submits n tasks through a Batcher.
func (f *program) buffer(n int) {
	b := f.p.Batcher()
	for range n {
		id, t := f.task(2)
		done := false
		func() {
			defer func() {
				if !done { // goexit of an inline one, which may be this or one before
					f.mu.Lock()
					f.unk[id] = true
					f.mu.Unlock()
				}
			}()
			err := b.Add(bg, t)
			done = true
			f.record(id, err)
		}()
		if f.rnd(4) == 0 {
			time.Sleep(time.Second)
		}
	}
	_ = b.Close() // what is left when the pool is full belongs to the pool
}

// invariants checks what holds whenever everything is blocked.
func (f *program) invariants(where string) {
	e := &f.p.engine
	s := f.p.Stats()
	e.eachCell(func(c *cell[Task]) {
		room := c.hasRoom()
		if c.fair != nil {
			f.fair.invariants(where, c)
			return
		}
		c.room.mu.Lock()
		defer c.room.mu.Unlock()
		if c.room.waking || c.room.First != nil && room {
			f.t.Fatalf("%s: waking %v blocked beside room\n%v", where, c.room.waking, f.log)
		}
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.idle.Load()
	full := e.unitsAreTaken()
	if g.Idle() < e.parked.Len+e.unborn() || g.Searching() != 0 && !full {
		f.t.Fatalf("%s: idle %d search %d parked %d unborn %d\n%v", where, g.Idle(), g.Searching(), e.parked.Len, e.unborn(), f.log)
	}
	if e.parked.Len+e.unborn() > 0 && e.hasWork(nil) && e.stopCause == nil && !full {
		f.t.Fatalf("%s: work beside an idle place: %+v\n%v", where, s, f.log)
	}
	if e.parked.Len+e.unborn() > 0 && e.overflow != CallerRuns && e.stopCause == nil && e.buffered() && !full {
		f.t.Fatalf("%s: tasks in a Batcher beside an idle place and room: %+v\n%v", where, s, f.log)
	}
	if e.active() > e.target && e.flags.word.Load()&flagShed == 0 {
		f.t.Fatalf("%s: overfull and no shed", where)
	}
	if e.parked.Len > 0 && len(e.back) > 0 {
		f.t.Fatalf("%s: parked and back", where)
	}
	sum := s.Completed + s.Failed + s.Panicked + s.Goexited + s.Skipped + s.Dropped + s.Expired + s.Unrun + s.Queued + s.Running
	if sum != s.Accepted {
		f.t.Fatalf("%s: sum %d accepted %d: %+v\n%v", where, sum, s.Accepted, s, f.log)
	}
	if s.Completed > s.Accepted || s.Running > 1<<40 {
		f.t.Fatalf("%s: %+v", where, s)
	}
}

// unitsAreTaken reports whether a worker may have to wait for a unit of the capacity, or stands behind one that waits.
func (e *engine[T]) unitsAreTaken() bool {
	ws := &e.weights
	return ws.waiting.Load() || ws.Active() && ws.Used() >= ws.Capacity()
}

// runProgram runs the program of a seed and checks that each accepted task ran, was
// handed back, or was dropped, exactly once (A1, B14, F), that the counters add up
// (H2), that nobody waits beside room and no job beside an idle place, and that
// there is a token for each idle place.
func runProgram(t *testing.T, seed uint64) { runProgramAs(t, seed, false) }

// runProgramAs is runProgram, with the options of attrs.go if that is set.
func runProgramAs(t *testing.T, seed uint64, fair bool) {
	defer watchdog(fmt.Sprintf("the program of seed %d", seed))()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := &program{t: t, r: r, ran: map[int]int{}, acc: map[int]bool{}, rej: map[int]bool{}, back: map[int]int{}, drop: map[int]int{}, unk: map[int]bool{}}
		n := 1 + r.IntN(4)
		buf := []int{0, 1, 2, 3, 64}[r.IntN(5)]
		ov := Overflow(r.IntN(4))
		if ov == DropOldest && buf == 0 {
			ov = Block
		}
		opts := []Option{WithWorkers(n), WithBuffer(buf), WithOverflow(ov), WithPanicHandler(func(*PanicError) {})}
		ff := r.IntN(6) == 0
		if ff {
			opts = append(opts, WithErrorMode(FailFast))
		}
		if ov == DropOldest {
			opts = append(opts, WithDropHandler(func(t Task) {
				m := map[int]int{}
				_ = t(context.WithValue(bg, probeKey{}, m))
				f.mu.Lock()
				for id := range m {
					f.drop[id]++
				}
				f.mu.Unlock()
			}))
		}
		handlerCloses := r.IntN(10) == 0
		opts = append(opts, WithErrorHandler(func(error) {
			if handlerCloses {
				f.p.Close()
			}
		}))
		sm := r.IntN(4)
		switch sm {
		case 0:
			opts = append(opts, WithShutdown(Abort))
		case 1:
			opts = append(opts, WithShutdown(DrainFor(3*time.Second)))
		}
		f.keys, f.wts = buf > 0 && ov != DropOldest && r.IntN(2) == 0, r.IntN(3) == 0
		f.sum.limit, f.busy = int64(n), map[uint64]bool{}
		if r.IntN(4) == 0 {
			f.sum.limit = 1 + r.Int64N(6)
			opts = append(opts, WithCapacity(f.sum.limit))
		}
		lazy := strategy != Elastic && r.IntN(3) == 0
		if lazy {
			opts = append(opts, WithLazy(time.Second), WithFloor(r.IntN(n)))
		}
		if fair {
			opts = append(opts, f.newFair(seed, buf, ov)...)
		}
		f.p = mustNew(t, opts...)
		f.most = n
		f.many = r.IntN(2) == 0
		f.log = append(f.log, fmt.Sprintf("seed %d n %d buf %d ov %d ff %v sm %d keys %v weights %v capacity %d lazy %v", seed, n, buf, ov, ff, sm, f.keys, f.wts, f.sum.limit, lazy))
		resized := false
		ops := 5 + r.IntN(40)
		var wg sync.WaitGroup
		for range ops {
			op := f.rnd(17)
			f.log = append(f.log, strconv.Itoa(op))
			switch op {
			case 0, 1, 2, 3:
				wg.Go(func() { f.submit(bg, 3) })
			case 4:
				id, tk := f.task(3)
				f.record(id, f.p.TrySubmit(tk))
			case 5:
				k := f.rnd(12)
				wg.Go(func() {
					var ids []int
					var ts []Task
					for range k {
						id, tk := f.task(2)
						ids, ts = append(ids, id), append(ts, tk)
					}
					fin := false
					m, err := 0, error(nil)
					defer func() {
						if !fin {
							// Goexit in a caller run of a batch: which were accepted is unknown
							f.mu.Lock()
							for _, id := range ids {
								f.unk[id] = true
							}
							f.mu.Unlock()
							return
						}
						for i, id := range ids {
							if i < m {
								f.record(id, nil)
							} else {
								if err == nil {
									t.Error("no error")
								}
								f.record(id, err)
							}
						}
					}()
					m, err = f.p.SubmitBatch(bg, ts)
					fin = true
				})
			case 6:
				ctx, cancel := context.WithTimeout(bg, time.Duration(f.rnd(3))*time.Second)
				wg.Go(func() { defer cancel(); f.submit(ctx, 2) })
			case 7:
				wg.Go(func() {
					f.p.Wait(bg)
				})
			case 8:
				ctx, cancel := context.WithTimeout(bg, time.Duration(f.rnd(3))*time.Second)
				wg.Go(func() { defer cancel(); f.p.Wait(ctx) })
			case 9, 10:
				k := 1 + f.rnd(6)
				if f.rnd(2) == 0 {
					resized = true
					f.most = max(f.most, k)
					f.p.Resize(k)
				}
			case 11, 12:
				time.Sleep(time.Duration(f.rnd(3)) * time.Second)
			case 13:
				synctest.Wait()
				f.invariants("mid")
			case 14:
				if f.rnd(8) == 0 {
					f.p.Abort()
				}
			case 15:
				if f.rnd(8) == 0 {
					wg.Go(func() { f.p.Close() })
				}
			case 16:
				wg.Go(func() { f.buffer(f.rnd(12)) })
			}
		}
		if f.rnd(2) == 0 {
			synctest.Wait()
			f.invariants("before end")
		}
		switch f.rnd(4) {
		case 0, 1:
			f.p.Close()
		case 2:
			ctx, c := context.WithTimeout(bg, 2*time.Second)
			f.p.Shutdown(ctx)
			c()
		case 3:
			f.p.Abort()
		}
		select {
		case <-f.p.Done():
		case <-time.After(1000 * time.Hour):
			e := &f.p.engine
			t.Fatalf("not done: live %d parked %d leaving %d closed %v unfinished %d used %d stop %v idle %x inlines %d dropping %d\n%v", e.live, e.parked.Len, e.leaving.Len, e.closeErr, e.main.unfinished(), e.weights.Used(), e.stopCause, e.idle.Load(), e.inlines, e.dropping, f.log)
		}
		left := f.p.Leftover()
		wg.Wait()
		synctest.Wait()
		left2 := f.p.Leftover()
		if len(left2) > 0 {
			t.Fatalf("late leftover %v", f.log)
		}
		for _, tk := range left {
			m := map[int]int{}
			tk(context.WithValue(bg, probeKey{}, m))
			for id := range m {
				f.back[id]++
			}
		}
		s := f.p.Stats()
		if sum := s.Completed + s.Failed + s.Panicked + s.Goexited + s.Skipped + s.Dropped + s.Expired + s.Unrun; sum != s.Accepted || s.Running != 0 || s.Queued != 0 {
			t.Fatalf("identity %+v %v", s, f.log)
		}
		if n := f.p.engine.weights.Used(); n != 0 {
			t.Fatalf("at the end %d units are taken %v", n, f.log)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for id := 1; id <= f.ids; id++ {
			n := f.ran[id] + f.back[id] + f.drop[id] + f.fair.expired(id)
			want := 0
			if f.acc[id] {
				want = 1
			}
			if n != want && !(f.unk[id] && n == 1) {
				t.Fatalf("task %d: accepted %v rejected %v ran %d back %d drop %d: %v", id, f.acc[id], f.rej[id], f.ran[id], f.back[id], f.drop[id], f.log)
			}
		}
		if ov != CallerRuns && !resized && !f.many && f.p.stopCause == nil && int(f.g.max.Load()) > f.most {
			t.Fatalf("%d ran at a time with at most %d workers\n%v", f.g.max.Load(), f.most, f.log)
		}
		if ov != CallerRuns && !resized && !f.many && f.p.stopCause == nil && f.sum.max.Load() > f.sum.limit {
			t.Fatalf("weights of %d ran at a time, the capacity is %d\n%v", f.sum.max.Load(), f.sum.limit, f.log)
		}
		if f.p.stopCause == nil {
			checkNoKeys(t, f.p)
		}
	})
}

func FuzzOperations(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(runProgram)
}

// More programs than the fuzz corpus has, in every run.
func TestStressOperations(t *testing.T) {
	for seed := range uint64(rounds(5000)) {
		runProgram(t, 1000+seed)
	}
}

// Programs that hung, or went round in circles, now and then.
func TestSeedsThatHung(t *testing.T) {
	for _, seed := range []uint64{3286, 1923, 2353, 2309, 1135, 1276, 2664, 3162, 5159, 5946, 5163, 2050, 1511} {
		for range rounds(50) {
			runProgram(t, seed)
		}
	}
}
