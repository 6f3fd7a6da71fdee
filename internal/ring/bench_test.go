package ring

import (
	"runtime"
	"testing"
)

// BenchmarkPass is the cost of a push, a claim and a take without contention.
func BenchmarkPass(b *testing.B) {
	r := New[int](1024)
	for i := 0; i < b.N; i += 64 {
		for j := range 64 {
			r.Push(j, nil, false)
		}
		pos, n := r.Claim(64)
		for j := range n {
			r.Take(pos + uint64(j))
		}
	}
}

// BenchmarkPipe is the cost of passing elements from one core to another.
func BenchmarkPipe(b *testing.B) {
	r := New[int](1024)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for taken := 0; taken < b.N; {
			pos, n := r.Claim(64)
			for i := range n {
				r.Take(pos + uint64(i))
			}
			if taken += n; n == 0 {
				runtime.Gosched()
			}
		}
	}()
	for i := range b.N {
		for r.Push(i, nil, false) != OK {
			runtime.Gosched()
		}
	}
	<-done
}
