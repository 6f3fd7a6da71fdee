package queue

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// buffer is how many elements the queues of the stress tests hold.
const buffer = 700

// item is an element: the n-th of a producer.
type item struct{ producer, n int }

// sink checks what is popped: each producer's elements come in order, and all of them once.
type sink struct {
	t    *testing.T
	next []int
}

func (s *sink) take(it item) {
	if s.next[it.producer] != it.n {
		s.t.Errorf("producer %d: got %d, want %d", it.producer, it.n, s.next[it.producer])
	}
	s.next[it.producer] = it.n + 1
}

// total checks that each producer's elements were all popped.
func (s *sink) total(want int) {
	for p, n := range s.next {
		if n != want {
			s.t.Errorf("producer %d: %d elements popped, want %d", p, n, want)
		}
	}
}

// raise makes room, or gives way to those who do.
func raise(q *Queue[item]) {
	if !q.Raise(q.Popped()+buffer, false) {
		runtime.Gosched()
	}
}

// produce pushes n elements, alone and several at a time.
func produce(q *Queue[item], producer, n int, rnd *rand.Rand) {
	var many []item
	for i := 0; i < n; {
		if rnd.IntN(3) > 0 {
			var a *Attr
			if i%5 == 0 {
				a = &Attr{Key: uint64(i), Keyed: true, Weight: int64(i % 3)}
			}
			if s := q.Push(item{producer, i}, a, Current); s == OK {
				i++
			} else {
				raise(q)
			}
			continue
		}
		many = many[:0]
		for j := i; j < min(i+1+rnd.IntN(400), n); j++ {
			many = append(many, item{producer, j})
		}
		k, _, s := q.PushAll(many, Current, false)
		if i += k; s != OK {
			raise(q)
		}
	}
}

// consume pops until the producers are done and nothing is left. It trims when the queue is
// empty, as workers do that run out of work. Two consumers take turns.
func consume(q *Queue[item], s *sink, mu *sync.Mutex, done *atomic.Bool, rnd *rand.Rand) {
	vals, attrs := make([]item, 128), make([]Attr, 128)
	for {
		last := done.Load()
		mu.Lock()
		from := q.Popped()
		n, _ := q.Pop(vals[:1+rnd.IntN(len(vals))], attrs)
		stamps := q.Stamps()
		for every, p := q.sampled(from); p < from+uint64(n) && q.every > 0; p += every {
			if len(stamps) == 0 || stamps[0].Index != int(p-from) || stamps[0].At > time.Since(q.start) {
				s.t.Errorf("element %d of %d has the first stamp of %v", p-from, n, stamps)
				break
			}
			stamps = stamps[1:]
		}
		for i, it := range vals[:n] {
			s.take(it)
			if a := attrs[i]; a.Keyed && (a.Key != uint64(it.n) || a.Weight != int64(it.n%3)) {
				s.t.Errorf("%v stands beside element %d", a, it.n)
			}
		}
		if n == 0 {
			q.Trim()
		}
		mu.Unlock()
		if n == 0 {
			if last {
				return
			}
			runtime.Gosched()
		}
	}
}

// TestStressOrder: no element is lost, or comes twice, or overtakes one of its producer, while
// the ring grows, is trimmed, and one side is now and then behind the other.
func TestStressOrder(t *testing.T) {
	const producers, each = 4, 15_000
	var q Queue[item]
	q.Init(small)
	q.Stamp(4, time.Now())
	s := &sink{t: t, next: make([]int, producers)}
	var mu sync.Mutex
	var done atomic.Bool
	var ps, cs sync.WaitGroup
	for p := range producers {
		ps.Go(func() { produce(&q, p, each, rand.New(rand.NewPCG(uint64(p), 1))) })
	}
	for c := range 2 {
		cs.Go(func() { consume(&q, s, &mu, &done, rand.New(rand.NewPCG(uint64(c), 2))) })
	}
	ps.Wait()
	done.Store(true)
	cs.Wait()
	s.total(each)
	if q.Len() != 0 || q.Ready() || q.Accepted() != producers*each {
		t.Errorf("at the end: Len %d, ready: %v, accepted %d", q.Len(), q.Ready(), q.Accepted())
	}
}

// TestStressTrim: a queue that is trimmed whenever it is empty loses nothing of what is
// pushed at that moment.
func TestStressTrim(t *testing.T) {
	const each = 60_000
	var q Queue[item]
	q.Init(small)
	s := &sink{t: t, next: make([]int, 2)}
	var done atomic.Bool
	var ps, cs sync.WaitGroup
	for p := range 2 {
		ps.Go(func() {
			all := make([]item, 200)
			for i := 0; i < each; {
				many := all[:min(len(all), each-i)]
				for j := range many {
					many[j] = item{p, i + j}
				}
				n, _, _ := q.PushAll(many, Any, false)
				if i += n; n == 0 {
					raise(&q)
				}
			}
		})
	}
	cs.Go(func() {
		vals := make([]item, 256)
		for last := false; ; {
			n, _ := q.Pop(vals, nil)
			for _, it := range vals[:n] {
				s.take(it)
			}
			if n == 0 {
				if last {
					return
				}
				last = done.Load()
				runtime.Gosched()
			}
			q.Trim()
		}
	})
	ps.Wait()
	done.Store(true)
	cs.Wait()
	s.total(each)
}

// TestStressClose: what was accepted before the queue was closed can be popped, and nothing is
// accepted after.
func TestStressClose(t *testing.T) {
	for range 100 {
		var q Queue[item]
		q.Init(small)
		const producers = 3
		var accepted [producers]int
		var wg sync.WaitGroup
		begun := make(chan struct{}, producers)
		for p := range producers {
			wg.Go(func() {
				begun <- struct{}{}
				for accepted[p] < 1000 {
					switch q.Push(item{p, accepted[p]}, nil, Any) {
					case OK:
						if accepted[p]++; accepted[p]%8 == p {
							runtime.Gosched()
						}
					case Full:
						q.Raise(MaxPos, false)
					case Closed:
						return
					}
				}
			})
		}
		for range producers {
			<-begun
		}
		if !q.Close() {
			t.Fatal("somebody else has closed the queue")
		}
		n := q.Accepted()
		wg.Wait()
		if q.Accepted() != n {
			t.Fatalf("%d accepted after Close", q.Accepted()-n)
		}
		s := &sink{t: t, next: make([]int, producers)}
		vals := make([]item, 100)
		for q.Len() > 0 {
			k, _ := q.Pop(vals, nil)
			if k == 0 {
				t.Fatalf("%d elements are left and cannot be popped", q.Len())
			}
			for _, it := range vals[:k] {
				s.take(it)
			}
		}
		for p := range producers {
			if s.next[p] != accepted[p] {
				t.Fatalf("producer %d: %d popped, %d accepted", p, s.next[p], accepted[p])
			}
		}
	}
}

// TestStressSplit: the position that Split returns tells exactly which elements have the
// old tag, while others push.
func TestStressSplit(t *testing.T) {
	const producers, each, splits = 3, 4000, 300
	var q Queue[item]
	q.Init(small)
	var ps sync.WaitGroup
	var untold atomic.Int64
	for p := range producers {
		ps.Go(func() {
			for i := 0; i < each; {
				tag := Any
				if i%2 == 0 {
					tag = Current
				}
				s := q.Push(item{p, i}, nil, tag)
				if s == Untold {
					if tag == Current {
						t.Error("the current tag is said, and not told")
					}
					untold.Add(1)
					s = q.Push(item{p, i}, nil, Current)
				}
				switch s {
				case OK:
					i++
				case Full:
					q.Raise(MaxPos, false)
				default:
					t.Errorf("status %d", s)
				}
			}
		})
	}
	var cuts []uint64 // the tag changes before these positions; two at the same one change nothing
	ps.Go(func() {
		for range splits {
			if pos := q.Split(); len(cuts) > 0 && cuts[len(cuts)-1] == pos {
				cuts = cuts[:len(cuts)-1]
			} else {
				cuts = append(cuts, pos)
			}
			runtime.Gosched()
			q.Join()
			runtime.Gosched()
		}
	})
	ps.Wait()
	s := &sink{t: t, next: make([]int, producers)}
	vals := make([]item, 50)
	want := 0
	for pos := uint64(0); pos < producers*each; {
		if len(cuts) > 0 && cuts[0] == pos {
			cuts, want = cuts[1:], 1-want
		}
		n, tag := q.Pop(vals, nil)
		if n == 0 || tag != want {
			t.Fatalf("position %d: %d elements with the tag %d, want %d", pos, n, tag, want)
		}
		for _, it := range vals[:n] {
			s.take(it)
		}
		if pos += uint64(n); len(cuts) > 0 && cuts[0] < pos {
			t.Fatalf("elements before and after %d were popped together", cuts[0])
		}
	}
	s.total(each)
}

// TestStressHold: while the queue is held, nobody pushes but its holder and those whose push
// was under way already, and nothing is lost.
func TestStressHold(t *testing.T) {
	const producers, each, holds = 3, 5000, 200
	var q Queue[item]
	q.Init(small)
	s := &sink{t: t, next: make([]int, producers+1)}
	var mu sync.Mutex
	var done atomic.Bool
	var ps, cs sync.WaitGroup
	for p := range producers {
		ps.Go(func() {
			for i := 0; i < each; {
				if q.Push(item{p, i}, nil, Any) == OK {
					i++
				} else {
					raise(&q)
				}
			}
		})
	}
	ps.Go(func() {
		for i := 0; i < holds; i++ {
			q.Hold()
			before := q.Accepted()
			for q.PushHeld(item{producers, i}, nil, Any, q.Popped()+buffer) != OK {
				runtime.Gosched()
			}
			if n := q.Accepted() - before - 1; n > producers {
				t.Errorf("%d pushes while the queue was held, of %d producers", n, producers)
			}
			q.Release()
			runtime.Gosched()
		}
	})
	cs.Go(func() { consume(&q, s, &mu, &done, rand.New(rand.NewPCG(1, 2))) })
	ps.Wait()
	done.Store(true)
	cs.Wait()
	s.next[producers] += each - holds // so that total can look at all
	s.total(each)
}
