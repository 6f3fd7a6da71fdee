package keymap

import "testing"

type val struct {
	n    int
	used bool
}

func idle(v *val) bool { return v.n == 0 }

// FuzzModel compares the table with a Go map. Few distinct keys make long runs, and
// keys with equal hashes; a value of 0 is idle and may be forgotten.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 128, 129, 1, 130, 2})
	f.Add([]byte{127, 63, 31, 15, 255, 127, 191, 63})
	all := make([]byte, 0, 2048)
	for i := range 1024 {
		all = append(all, byte(i%128), byte(i))
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := New(idle)
		model := map[uint64]int{}
		for i, op := range ops {
			// Keys of which many share a home, and more than the smallest table holds.
			key := uint64(op&127) + uint64(i/64)<<32
			if op >= 128 {
				key = uint64(op&127) + uint64(i/256)<<32
			}
			if v := m.Get(key); v == nil && model[key] != 0 || v != nil && v.n != model[key] {
				t.Fatalf("Get(%d): got %v, want %d", key, v, model[key])
			}
			if op >= 128 {
				*m.At(key) = val{0, true}
				delete(model, key)
			} else {
				v := m.At(key)
				if v.n != model[key] {
					t.Fatalf("At(%d): got %d, want %d", key, v.n, model[key])
				}
				v.n++
				v.used = true
				model[key]++
			}
			if i%64 == 0 && m.Len() != len(model) {
				t.Fatalf("Len: got %d, want %d", m.Len(), len(model))
			}
		}
		n := 0
		m.All(func(v *val) { n += v.n })
		want := 0
		for key, k := range model {
			want += k
			if v := m.Get(key); v == nil || v.n != k {
				t.Fatalf("Get(%d) at the end: got %v, want %d", key, v, k)
			}
		}
		if n != want {
			t.Fatalf("All: the values add up to %d, want %d", n, want)
		}
	})
}

// TestShrinks: a table is as large as the keys that are in use, however many were.
func TestShrinks(t *testing.T) {
	m := New(idle)
	for k := range uint64(10_000) {
		*m.At(k) = val{1, true}
	}
	for k := range uint64(10_000) {
		m.Get(k).n = 0
	}
	for k := range uint64(100_000) {
		*m.At(k + 20_000) = val{0, true}
	}
	if len(m.slots) > minSize {
		t.Errorf("%d slots for no key in use", len(m.slots))
	}
	if n := testing.AllocsPerRun(10, func() {
		for k := range uint64(1000) {
			m.At(k).used = true
		}
	}); n != 0 {
		t.Errorf("%v allocations for 1000 keys that are used once", n)
	}
	if m.Trim(); m.slots != nil || m.Get(1) != nil {
		t.Error("Trim keeps the table")
	}
}

func BenchmarkMap(b *testing.B) {
	for _, keys := range []uint64{64, 1 << 40} {
		name := map[bool]string{true: "keys=64", false: "keys=new"}[keys == 64]
		b.Run(name, func(b *testing.B) {
			m := New(idle)
			k := uint64(0)
			for b.Loop() {
				k++
				v := m.At(k % keys)
				v.used = true
			}
		})
	}
}
