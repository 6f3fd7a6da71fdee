package goroutine

import (
	"math"
	"runtime"
	"strings"
	"testing"
)

// deep calls f with n frames above it. What follows the call keeps the frames apart.
func deep(n int, f func()) int {
	if n == 0 {
		f()
		return 0
	}
	return deep(n-1, f) + 1
}

// A goroutine finds its own mark, however deep its stack is, and after the stack has been moved.
func TestMark(t *testing.T) {
	for _, mark := range []uintptr{1, 0xc0123456, math.MaxUint} {
		for _, frames := range []int{0, 1, 40, 99, 5000} {
			got := make(chan uintptr)
			go Run(func() {
				deep(frames, func() {
					runtime.GC()
					got <- Mark()
				})
			}, [2]uintptr{mark})
			if m := <-got; m != mark {
				t.Errorf("%d frames: Mark is %#x, want %#x", frames, m, mark)
			}
		}
	}
}

// A goroutine that Run has not started has no mark, though Run is among its callers.
func TestNoMark(t *testing.T) {
	if m := Mark(); m != 0 {
		t.Errorf("Mark is %#x without Run", m)
	}
	deep(1, func() {
		Run(func() {
			deep(3, func() {
				if m := Mark(); m != 0 {
					t.Errorf("Mark is %#x inside of a call of Run", m)
				}
			})
		}, [2]uintptr{1})
	})
	got := make(chan uintptr)
	go Run(func() { go func() { got <- Mark() }() }, [2]uintptr{1})
	if m := <-got; m != 0 {
		t.Errorf("Mark is %#x in a goroutine that one with a mark has started", m)
	}
}

// Stacks has the trace of each goroutine of Run by its mark, and of no other.
func TestStacks(t *testing.T) {
	stop, ready := make(chan struct{}), make(chan struct{})
	for mark := range uintptr(20) {
		go Run(func() { deep(int(mark), func() { ready <- struct{}{}; <-stop }) }, [2]uintptr{1000 + mark})
		<-ready
	}
	traces := Stacks() // other tests' goroutines may still end
	for mark := range uintptr(20) {
		if trace := traces[1000+mark]; strings.Count(trace, "goroutine.deep(") != int(mark)+1 {
			t.Errorf("%d has the trace\n%s", mark, trace)
		}
	}
	close(stop)
}
