package keymap

import "testing"

// FuzzModel compares the table with a Go map. Few distinct keys make long runs, and
// keys with equal hashes.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 128, 129, 1, 130, 2})
	f.Add([]byte{127, 63, 31, 15, 255, 127, 191, 63})
	all := make([]byte, 0, 512)
	for i := range 256 {
		all = append(all, byte(i%128), byte(i))
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, ops []byte) {
		var m Map[int]
		model := map[uint64]*int{}
		for _, op := range ops {
			key := uint64(op & 127)
			if got := m.Get(key); got != model[key] {
				t.Fatalf("Get(%d): got %v, want %v", key, got, model[key])
			}
			switch _, there := model[key]; {
			case there && op >= 128:
				m.Delete(key)
				delete(model, key)
			case !there && op < 128:
				v := new(int)
				m.Put(key, v)
				model[key] = v
			}
			if m.Len() != len(model) {
				t.Fatalf("Len: got %d, want %d", m.Len(), len(model))
			}
		}
		n := 0
		m.All(func(*int) { n++ })
		if n != len(model) {
			t.Fatalf("All: got %d values, want %d", n, len(model))
		}
		for key, v := range model {
			if m.Get(key) != v {
				t.Fatalf("Get(%d) is wrong at the end", key)
			}
			m.Delete(key)
		}
		if m.Len() != 0 {
			t.Fatalf("Len: got %d, want 0", m.Len())
		}
	})
}

// TestShrinks: a table that was large and is empty holds no memory.
func TestShrinks(t *testing.T) {
	var m Map[int]
	for k := range uint64(10_000) {
		m.Put(k, new(int))
	}
	for k := range uint64(10_000) {
		m.Delete(k)
	}
	if m.slots != nil {
		t.Fatalf("%d slots are left", len(m.slots))
	}
}

// BenchmarkChurn is a key's way through the table, with 64 others in it.
func BenchmarkChurn(b *testing.B) {
	v := new(int)
	b.Run("table=keymap", func(b *testing.B) {
		var m Map[int]
		var k uint64
		for b.Loop() {
			k++
			if m.Get(k) == nil {
				m.Put(k, v)
			}
			if k > 64 {
				m.Delete(k - 64)
			}
		}
	})
	b.Run("table=map", func(b *testing.B) {
		m := map[uint64]*int{}
		var k uint64
		for b.Loop() {
			k++
			if m[k] == nil {
				m[k] = v
			}
			if k > 64 {
				delete(m, k-64)
			}
		}
	})
}
