package ring

import "testing"

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
