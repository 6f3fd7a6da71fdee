package deque

import "testing"

// FuzzModel compares the queue with a slice.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 2, 3, 0, 1, 2, 3, 2, 2, 2})
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 0, 0, 0, 3, 3})
	long := make([]byte, 400)
	for i := range long {
		long[i] = byte(i / 200 * 2)
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, ops []byte) {
		var d Deque[int]
		var model []int
		for i, op := range ops {
			switch op % 4 {
			case 0:
				d.PushBack(i)
				model = append(model, i)
			case 1:
				d.PushFront(i)
				model = append([]int{i}, model...)
			case 2:
				e, ok := d.PopFront()
				if ok != (len(model) > 0) || ok && e != model[0] {
					t.Fatalf("PopFront: got %d, %v of %v", e, ok, model)
				}
				model = model[min(1, len(model)):]
			case 3:
				e, ok := d.PopBack()
				if ok != (len(model) > 0) || ok && e != model[len(model)-1] {
					t.Fatalf("PopBack: got %d, %v of %v", e, ok, model)
				}
				model = model[:max(0, len(model)-1)]
			}
			if d.Len() != len(model) {
				t.Fatalf("Len: got %d, want %d", d.Len(), len(model))
			}
			for j, want := range model {
				if *d.At(j) != want {
					t.Fatalf("At(%d): got %d, want %d", j, *d.At(j), want)
				}
			}
		}
	})
}

// TestKeepsNothing: taken elements and large buffers are let go.
func TestKeepsNothing(t *testing.T) {
	var d Deque[*int]
	for range 1000 {
		d.PushBack(new(int))
	}
	for i := range 999 {
		if i%2 == 0 {
			d.PopFront()
		} else {
			d.PopBack()
		}
	}
	held := 0
	for _, p := range d.buf {
		if p != nil {
			held++
		}
	}
	d.PopFront()
	if held != 1 || d.buf != nil {
		t.Fatalf("holds %d elements, and a buffer of %d", held, len(d.buf))
	}
}
