// Package keymap is a hash table from 64-bit keys to pointers for tables that are
// written as often as they are read, and whose size goes up and down all the time:
// a Go map costs twice as much for an insertion with its deletion, and never
// shrinks.
//
// It is open addressing with linear probing, at most half full. Deletion moves
// later entries of the run back (D. E. Knuth, The Art of Computer Programming
// vol. 3, section 6.4, algorithm R), so there are no tombstones, and a table that
// has become empty is given to the collector when it was large.
package keymap

// Map is the table. The zero value is empty. It is not safe for concurrent use.
type Map[V any] struct {
	slots []slot[V]
	len   int
}

type slot[V any] struct {
	key uint64
	val *V // nil: the slot is free
}

const (
	minSize  = 16
	keepSize = 1024 // slots of an empty table
)

// mix spreads keys over the table: the finaliser of splitmix64 (G. L. Steele, D.
// Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (m *Map[V]) home(key uint64) int { return int(mix(key) & uint64(len(m.slots)-1)) }

// Get returns the value of key, or nil.
func (m *Map[V]) Get(key uint64) *V {
	if m.len == 0 {
		return nil
	}
	for i := m.home(key); ; i = (i + 1) & (len(m.slots) - 1) {
		switch s := &m.slots[i]; {
		case s.val == nil:
			return nil
		case s.key == key:
			return s.val
		}
	}
}

// Put adds key, which must not be in the table. val is not nil.
func (m *Map[V]) Put(key uint64, val *V) {
	if 2*(m.len+1) > len(m.slots) {
		m.grow()
	}
	m.len++
	m.put(key, val)
}

func (m *Map[V]) put(key uint64, val *V) {
	i := m.home(key)
	for m.slots[i].val != nil {
		i = (i + 1) & (len(m.slots) - 1)
	}
	m.slots[i] = slot[V]{key, val}
}

func (m *Map[V]) grow() {
	old := m.slots
	m.slots = make([]slot[V], max(minSize, 2*len(old)))
	for _, s := range old {
		if s.val != nil {
			m.put(s.key, s.val)
		}
	}
}

// Delete removes key, which must be in the table.
func (m *Map[V]) Delete(key uint64) {
	if m.len--; m.len == 0 && len(m.slots) > keepSize {
		m.slots = nil
		return
	}
	last := len(m.slots) - 1
	i := m.home(key)
	for m.slots[i].key != key || m.slots[i].val == nil {
		i = (i + 1) & last
	}
	for j := i; ; {
		m.slots[i] = slot[V]{}
		for {
			j = (j + 1) & last
			if m.slots[j].val == nil {
				return
			}
			// The entry at j may move to i unless its home lies between them.
			if (j-m.home(m.slots[j].key))&last >= (j-i)&last {
				break
			}
		}
		m.slots[i] = m.slots[j]
		i = j
	}
}

// Len returns how many keys there are.
func (m *Map[V]) Len() int { return m.len }

// All calls f for each value, in no order. f must not change the table.
func (m *Map[V]) All(f func(*V)) {
	for i := range m.slots {
		if v := m.slots[i].val; v != nil {
			f(v)
		}
	}
}
