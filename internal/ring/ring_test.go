package ring

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// take removes one element in order.
func take(r *Ring[int]) (int, bool) {
	pos, n := r.Claim(1)
	if n == 0 {
		return 0, false
	}
	v, _, _ := r.Take(pos)
	return v, true
}

// FuzzModel compares a ring with a slice. Positions start near the top of their
// range for some inputs, so that the bits above them are exercised.
func FuzzModel(f *testing.F) {
	f.Add(uint8(4), uint64(0), []byte{0, 0, 1, 0, 2, 3, 4, 5, 0, 1})
	f.Add(uint8(1), uint64(1<<32-2), []byte{0, 0, 2, 0, 2, 0, 2, 6, 0, 7, 0})
	f.Add(uint8(3), uint64(posMask-40), []byte{3, 4, 3, 4, 3, 4, 0, 1, 2, 5, 0})
	f.Fuzz(func(t *testing.T, size uint8, start uint64, ops []byte) {
		if size == 0 || len(ops) > 1000 {
			return
		}
		start &= posMask >> 1
		r := New[int](int(size))
		r.preset(start | creditMask)
		type element struct {
			val int
			tag uint64
		}
		var model []element
		var claimed []uint64
		free, tag, closed, reserved, next := int(size), uint64(0), false, false, 1
		want := func(holder bool) Status {
			switch {
			case closed:
				return Closed
			case reserved && !holder, free == 0:
				return Full
			}
			return OK
		}
		for _, op := range ops {
			switch op % 8 {
			case 0, 1: // push
				holder := op%8 == 1
				w := want(holder)
				if got := r.Push(next, nil, holder); got != w {
					t.Fatalf("Push: got %v, want %v", got, w)
				}
				if w == OK {
					model = append(model, element{next, tag})
					free--
					next++
				}
			case 2: // claim some
				pos, n := r.Claim(int(op>>3)%4 + 1)
				if unclaimed := len(model) - len(claimed); n != min(unclaimed, int(op>>3)%4+1) {
					t.Fatalf("Claim: got %d of %d", n, unclaimed)
				}
				for i := range n {
					claimed = append(claimed, pos+uint64(i))
				}
			case 3: // push several
				vs := []int{next, next + 1, next + 2}
				w, k := want(false), 0
				if w == OK {
					k = min(3, free)
				}
				n, got := r.PushAll(vs, false)
				if n != k || got != w {
					t.Fatalf("PushAll: got %d, %v, want %d, %v", n, got, k, w)
				}
				for i := range n {
					model = append(model, element{vs[i], tag})
				}
				free -= n
				next += n
			case 4: // take all that is claimed
				for i, pos := range claimed {
					v, tg, _ := r.Take(pos)
					if v != model[i].val || tg != model[i].tag {
						t.Fatalf("Take: got %d tag %d, want %v", v, tg, model[i])
					}
				}
				free += len(claimed)
				model, claimed = model[len(claimed):], nil
			case 5:
				tag = uint64(op>>3) % Tags
				r.Advance(tag)
			case 6:
				if reserved = !reserved; reserved {
					r.Reserve()
				} else {
					r.Release()
				}
			case 7:
				if op>>3 == 31 {
					if r.Close() == closed {
						t.Fatal("Close reported the wrong call")
					}
					closed = true
				}
			}
			if r.Ready() != (len(model) > len(claimed)) {
				t.Fatalf("Ready: got %v with %d unclaimed", r.Ready(), len(model)-len(claimed))
			}
			if r.Drained() != (len(model) == len(claimed)) {
				t.Fatal("Drained is wrong")
			}
		}
	})
}

// TestStress moves numbers from producers to consumers that claim batches and
// take them out of order, and compares the checksum.
func TestStress(t *testing.T) {
	for _, size := range []int{1, 2, 3, 64, 100} {
		const producers, consumers = 4, 4
		each := 20000
		if testing.Short() {
			each = 2000
		}
		r := New[int](size)
		var sum, count atomic.Int64
		var wg, in sync.WaitGroup
		for p := range producers {
			in.Add(1)
			wg.Go(func() {
				defer in.Done()
				for i := 0; i < each; {
					if p%2 == 0 {
						if r.Push(p*each+i, nil, false) == OK {
							i++
							continue
						}
					} else if n, _ := r.PushAll([]int{p*each + i, p*each + i + 1}[:min(2, each-i)], false); n > 0 {
						i += n
						continue
					}
					runtime.Gosched()
				}
			})
		}
		for range consumers {
			wg.Go(func() {
				for {
					pos, n := r.Claim(5)
					if n == 0 {
						if r.IsClosed() && r.Drained() {
							return
						}
						runtime.Gosched()
						continue
					}
					for i := n - 1; i >= 0; i-- {
						v, _, _ := r.Take(pos + uint64(i))
						sum.Add(int64(v))
						count.Add(1)
					}
				}
			})
		}
		in.Wait()
		r.Close()
		wg.Wait()
		total := int64(producers * each)
		if count.Load() != total || sum.Load() != total*(total-1)/2 {
			t.Fatalf("size %d: got %d elements with sum %d", size, count.Load(), sum.Load())
		}
	}
}

// A look that races with pushes and claims of others must not miss what was there
// all the time: a free slot, or a published element.
func TestLooksDoNotMiss(t *testing.T) {
	r := New[int](8)
	for range 3 {
		r.Push(0, nil, false)
	}
	rounds := 100000
	if testing.Short() {
		rounds = 20000
	}
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer over.Store(true)
		for range rounds { // 3 or 4 elements
			r.Push(1, nil, false)
			pos, _ := r.Claim(1)
			r.Take(pos)
		}
	})
	for looks := 0; !over.Load(); looks++ {
		if !r.Room() || !r.Ready() {
			t.Fatalf("a free slot or an element was missed at look %d", looks)
		}
		if _, _, ok := r.Front(); !ok {
			t.Fatalf("the front was missed at look %d", looks)
		}
	}
	wg.Wait()
}

func TestOrder(t *testing.T) {
	r := New[int](4)
	for lap := range 100 {
		for i := range 4 {
			if r.Push(lap*4+i, nil, false) != OK {
				t.Fatal("no room")
			}
		}
		for i := range 4 {
			if v, ok := take(r); !ok || v != lap*4+i {
				t.Fatalf("got %d, %v", v, ok)
			}
		}
	}
}

// TestTakeClears: a slot that was emptied keeps nothing alive (G2).
func TestTakeClears(t *testing.T) {
	r := New[*int](2)
	r.Push(new(int), nil, false)
	pos, _ := r.Claim(1)
	r.Take(pos)
	if r.slots[0].val != nil {
		t.Fatal("slot still holds the value")
	}
}

// TestPadding: the words that different goroutines write stand apart.
func TestPadding(t *testing.T) {
	var r Ring[int]
	tail, head, slots := unsafe.Offsetof(r.tail), unsafe.Offsetof(r.head), unsafe.Offsetof(r.slots)
	if tail < 128 || head-tail < 128 || slots-head < 128 {
		t.Fatalf("offsets %d, %d, %d", tail, head, slots)
	}
}

// A push of many spends a unit of credit for each, and pushes no more than there are.
func TestPushAllSpendsCredit(t *testing.T) {
	r := New[int](8)
	r.Count()
	r.Grant(3)
	vs := []int{1, 2, 3, 4, 5}
	if n, s := r.PushAll(vs[:2], false); n != 2 || s != OK || r.Credit() != 1 {
		t.Fatalf("pushed %d, status %v, credit left %d", n, s, r.Credit())
	}
	if n, s := r.PushAll(vs[2:], false); n != 1 || s != OK || r.Credit() != 0 {
		t.Fatalf("pushed %d with a credit of 1, status %v, credit left %d", n, s, r.Credit())
	}
	if n, s := r.PushAll(vs[3:], false); n != 0 || s != Broke || r.Accepted() != 3 {
		t.Fatalf("pushed %d without credit, status %v, %d accepted", n, s, r.Accepted())
	}
}
