// Package keymap is a hash table from 64-bit keys to small values for tables whose keys come and go
// all the time.
//
// It is open addressing with linear probing, with the values in the table. It is at most a quarter
// full: then the first look mostly finds what it looks for, or nothing, and is predicted. No key is
// deleted. When the table is full it is rebuilt without the keys whose values are idle, in the size
// that the others need. So a key that comes back soon costs one look, one that is used once costs
// its share of a rebuild, and the table is as large as the keys that are in use at a time. A Go map
// costs twice as much for an insertion with its deletion, and never shrinks.
package keymap

// Map is the table. Use New. It is not safe for concurrent use. A value that is zero marks a free
// slot: the caller that adds a key gives it another value, and it never becomes zero again.
type Map[V comparable] struct {
	idle  func(*V) bool
	slots []slot[V]
	used  []int32   // which slots, in the order of their use
	keep  []slot[V] // for rebuild
}

type slot[V comparable] struct {
	key uint64
	val V
}

const (
	minSize = 512
	spread  = 4 // slots for each key
)

func (s *slot[V]) used() bool {
	var zero V
	return s.val != zero
}

// New returns an empty table, which forgets keys whose values are idle.
func New[V comparable](idle func(*V) bool) Map[V] { return Map[V]{idle: idle} }

// mix spreads keys over the table: multiplication by 2^64 divided by the golden ratio
// (D. E. Knuth, The Art of Computer Programming vol. 3, section 6.4), and the upper
// half of the product, which depends on all bits, added to the lower one.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>32
}

func home(key uint64, slots int) int { return int(mix(key) & uint64(slots-1)) }

// Get returns the value of key, or nil. It is valid until the next call of At.
func (m *Map[V]) Get(key uint64) *V {
	if len(m.used) == 0 {
		return nil
	}
	slots := m.slots
	for i := home(key, len(slots)); slots[i].used(); i = (i + 1) & (len(slots) - 1) {
		if slots[i].key == key {
			return &slots[i].val
		}
	}
	return nil
}

// At returns the value of key. If there was none it is zero, and the caller has to change it at
// once. It is valid until the next call of At.
func (m *Map[V]) At(key uint64) *V {
	if spread*(len(m.used)+1) > len(m.slots) {
		if v := m.Get(key); v != nil {
			return v
		}
		m.rebuild()
	}
	slots := m.slots
	i := home(key, len(slots))
	for ; slots[i].used(); i = (i + 1) & (len(slots) - 1) {
		if slots[i].key == key {
			return &slots[i].val
		}
	}
	m.used = append(m.used, int32(i))
	slots[i].key = key
	return &slots[i].val
}

// rebuild forgets the keys that are idle.
func (m *Map[V]) rebuild() {
	for _, i := range m.used {
		s := &m.slots[i]
		if !m.idle(&s.val) {
			m.keep = append(m.keep, *s)
		}
		*s = slot[V]{}
	}
	size := minSize
	for size < 2*spread*len(m.keep) {
		size *= 2
	}
	if size != len(m.slots) {
		m.slots, m.used = make([]slot[V], size), make([]int32, 0, size/spread)
	}
	m.used = m.used[:0]
	for _, s := range m.keep {
		i := home(s.key, size)
		for m.slots[i].used() {
			i = (i + 1) & (size - 1)
		}
		m.slots[i] = s
		m.used = append(m.used, int32(i))
	}
	clear(m.keep)
	if m.keep = m.keep[:0]; cap(m.keep) > size {
		m.keep = nil
	}
}

// Len returns how many keys there are that are not idle. It looks at all.
func (m *Map[V]) Len() (n int) {
	m.All(func(*V) { n++ })
	return n
}

// All calls f for the value of each key that is not idle, in no order. f must not
// use the table.
func (m *Map[V]) All(f func(*V)) {
	for _, i := range m.used {
		if s := &m.slots[i]; !m.idle(&s.val) {
			f(&s.val)
		}
	}
}

// Trim gives the memory of a table back in which all keys are idle.
func (m *Map[V]) Trim() {
	if m.Len() == 0 {
		m.slots, m.used, m.keep = nil, nil, nil
	}
}
