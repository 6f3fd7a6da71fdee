package queue

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const small = 16 // slots at rest in all tests

// startAt makes an unused queue go on at pos.
func startAt(q *Queue[int], pos uint64) {
	q.tail.Store(pos)
	q.head.Store(pos)
	r := q.newRing(pos, small)
	q.first.Store(r)
	q.last.Store(r)
}

// entry is an element of the model.
type entry struct {
	val  int
	attr Attr
	tag  int
	from time.Duration // not pushed before
	mark bool          // it is stamped
}

// machine runs operations on a queue and on a slice, and compares.
type machine struct {
	t       *testing.T
	q       Queue[int]
	items   []entry // what is in the queue
	start   uint64
	pushed  uint64
	popped  uint64
	buffer  uint64 // how many elements may be in the queue
	every   uint64 // one of these is stamped; 0: none
	thin    uint64 // one of these of them
	begun   time.Time
	now     time.Duration // when the last operation began
	tag     int
	next    int // the next value
	closed  bool
	split   bool
	held    bool
	places  uint64 // that are reserved
	history []string
}

func (m *machine) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), m.history[max(0, len(m.history)-20):])
}

// bound is what a caller would give to Raise.
func (m *machine) bound() uint64 { return min(m.popped+m.buffer, MaxPos) }

// refusal tells why a push has to fail, or OK.
func (m *machine) refusal(tag int, holder bool) Status {
	switch {
	case m.closed:
		return Closed
	case m.split && tag == Any:
		return Untold
	case m.pushed+m.places >= m.bound(), m.held && !holder:
		return Full
	}
	return OK
}

// tagFor returns the tag that an element gets.
func (m *machine) tagFor(tag int) int {
	if m.split && (tag == 0 || tag == 1) {
		return tag
	}
	return m.tag
}

// add puts an element into the model, and returns the status that its push has.
func (m *machine) add(a *Attr, tag int) Status {
	e := entry{val: m.next, tag: m.tagFor(tag), from: m.now, mark: m.every > 0 && m.pushed%(m.every*m.thin) == 0}
	if a != nil {
		e.attr = *a
	}
	m.items = append(m.items, e)
	m.next++
	m.pushed++
	if e.tag != m.tag {
		return Other
	}
	return OK
}

func (m *machine) push(a *Attr, tag int, holder bool) {
	want := m.refusal(tag, holder)
	var got Status
	if holder {
		got = m.q.PushHeld(m.next, a, tag, m.bound())
	} else if got = m.q.Push(m.next, a, tag); got == Full {
		if may := m.q.Raise(m.bound(), false); may != (want == OK) {
			m.fail("Raise: %v, but a push ends with %d", may, want)
		}
		got = m.q.Push(m.next, a, tag)
	}
	if want == OK {
		want = m.add(a, tag)
	}
	if got != want {
		m.fail("push with the tag %d: status %d, want %d", tag, got, want)
	}
}

// reserve reserves places, uses some and gives others back.
func (m *machine) reserve(arg, tag int) {
	most := 1 + arg%16
	want := min(uint64(most), m.bound()-min(m.bound(), m.pushed+m.places))
	s := OK
	switch {
	case m.closed:
		want, s = 0, Closed
	case want == 0 || m.held && arg%3 > 0:
		want, s = 0, Full
	}
	n, got := m.q.Reserve(m.bound, most, arg%3 == 0)
	if uint64(n) != want || got != s {
		m.fail("Reserve(%d): %d and status %d, want %d and %d", most, n, got, want, s)
	}
	m.places += want
	if m.places == 0 {
		return
	}
	want, s = 1, OK
	switch {
	case m.closed:
		s = Closed
	case m.split && tag == Any:
		s = Untold
	case arg%2 == 0:
		want, s = m.places, OK
		m.q.Unreserve(int(want))
		m.places = 0
		return
	}
	got = m.q.PushReserved(m.next, nil, tag)
	if s == OK {
		s = m.add(nil, tag)
	}
	if got != s {
		m.fail("PushReserved: status %d, want %d", got, s)
	}
	m.q.Unreserve(1)
	m.places--
}

func (m *machine) pushAll(n, tag int, late bool) {
	if late {
		n = int(min(uint64(n), MaxPos-m.pushed)) // nothing keeps these out but the last position
	}
	vs := make([]int, n)
	for i := range vs {
		vs[i] = m.next + i
	}
	done, others := 0, 0
	for {
		k, o, s := m.q.PushAll(vs[done:], tag, late)
		done, others = done+k, others+o
		if s == Full && m.q.Raise(m.bound(), false) {
			continue
		}
		want := 0
		for range vs {
			if r := m.refusal(tag, false); r != OK && !(late && r == Closed) {
				if s != r {
					m.fail("PushAll: status %d, want %d", s, r)
				}
				break
			}
			if m.add(nil, tag) == Other {
				others--
			}
			want++
		}
		if done != want || others != 0 || want == n && s != OK {
			m.fail("PushAll of %d: %d and status %d, want %d; %d too many have another tag", n, done, s, want, others)
		}
		return
	}
}

func (m *machine) pop(n int, withAttrs bool) {
	want := 0
	for want < min(n, len(m.items)) {
		e := m.items[want]
		if want > 0 && (e.tag != m.items[0].tag || e.attr.alone()) {
			break
		}
		if want++; e.attr.alone() {
			break
		}
	}
	vals := make([]int, n)
	var attrs []Attr
	if withAttrs {
		attrs = make([]Attr, n)
		for i := range attrs {
			attrs[i].Key = 1 << 60 // Pop has to overwrite it
		}
	}
	got, tag := m.q.Pop(vals, attrs)
	if got != want || got > 0 && tag != m.items[0].tag {
		m.fail("Pop of %d: %d with the tag %d, want %d of %v", n, got, tag, want, m.items)
	}
	for i, e := range m.items[:want] {
		if vals[i] != e.val || withAttrs && attrs[i] != e.attr {
			m.fail("Pop: element %d is %d, want %v", i, vals[i], e)
		}
	}
	stamps := m.q.Stamps()
	for i, e := range m.items[:want] {
		if !e.mark {
			continue
		}
		if len(stamps) == 0 || stamps[0].Index != i || stamps[0].At < e.from || stamps[0].At > time.Since(m.begun) {
			m.fail("Pop: element %d of %d, pushed after %v, has the first stamp of %v", i, want, e.from, stamps)
		}
		stamps = stamps[1:]
	}
	if len(stamps) > 0 {
		m.fail("Pop: too many stamps: %v", stamps)
	}
	m.items = m.items[want:]
	m.popped += uint64(want)
}

func (m *machine) trim() {
	before := len(m.q.last.Load().slots)
	m.q.Trim()
	want := before
	if len(m.items) == 0 {
		want = small
	}
	if got := len(m.q.last.Load().slots); got != want {
		m.fail("Trim with %d elements: %d slots after %d", len(m.items), got, before)
	}
}

// check compares what can be looked at.
func (m *machine) check() {
	q := &m.q
	switch {
	case q.Len() != len(m.items):
		m.fail("Len: got %d, want %d", q.Len(), len(m.items))
	case q.Ready() != (len(m.items) > 0):
		m.fail("Ready: got %v with %d elements", q.Ready(), len(m.items))
	case q.Accepted() != m.pushed || q.Popped() != m.popped:
		m.fail("accepted %d, popped %d; want %d, %d", q.Accepted(), q.Popped(), m.pushed, m.popped)
	case q.IsClosed() != m.closed || q.IsSplit() != m.split || q.IsHeld() != m.held:
		m.fail("closed %v, split %v, held %v; want %v, %v, %v", q.IsClosed(), q.IsSplit(), q.IsHeld(), m.closed, m.split, m.held)
	case q.Reserved() != int(m.places):
		m.fail("Reserved: got %d, want %d", q.Reserved(), m.places)
	case q.CurrentTag() != m.tag:
		m.fail("CurrentTag: got %d, want %d", q.CurrentTag(), m.tag)
	}
	for tag := Any; tag <= Current; tag++ {
		if got, want := q.TagFor(tag), m.tagFor(tag); got != want {
			m.fail("TagFor(%d): got %d, want %d", tag, got, want)
		}
	}
}

// run interprets a program: two bytes which say where and with how much room it starts, and two for
// each operation.
func run(t *testing.T, prog []byte) {
	if len(prog) < 2 {
		return
	}
	starts := []uint64{0, 0, small - 1, 1 << 32, MaxPos - 40}
	buffers := []uint64{1 << 20, 1000, 20, 3, 1, 0}
	m := &machine{t: t, start: starts[int(prog[0])%len(starts)], buffer: buffers[int(prog[1])%len(buffers)]}
	m.every, m.thin, m.begun = []uint64{0, 1, 2, small, 64, 1024}[int(prog[0]^prog[1])%6], 1, time.Now()
	m.q.Init(small)
	if m.every > 0 {
		m.q.Stamp(int(m.every), m.begun)
	}
	if m.start > 0 {
		startAt(&m.q, m.start)
	}
	m.pushed, m.popped = m.start, m.start
	for prog = prog[2:]; len(prog) >= 2; prog = prog[2:] {
		op, arg := prog[0], int(prog[1])
		tag := arg%4 + Any
		m.now = time.Since(m.begun)
		m.history = append(m.history, fmt.Sprint(op%32, ":", arg))
		switch op % 32 {
		case 0, 1, 2, 3, 4, 5:
			m.push(nil, tag, false)
		case 6, 7:
			m.push(&Attr{Key: uint64(arg), Keyed: true}, tag, false)
		case 8:
			m.push(&Attr{Weight: int64(arg % 8)}, tag, false)
		case 9, 10:
			m.pushAll(arg/4, tag, m.closed)
		case 11:
			m.pushAll(arg*8, tag, m.closed)
		case 12:
			if m.held {
				m.push(nil, tag, true)
			} else if arg%4 == 0 {
				m.q.Hold()
				m.held = true
			}
		case 13, 14:
			m.q.Release()
			m.held = false
		case 15:
			if arg%4 == 0 {
				m.q.Split()
				m.split, m.tag = true, 1-m.tag
			}
		case 16:
			m.q.Join()
			m.split = false
		case 17:
			m.thin = 1 << (arg % 4)
			m.q.Thin(int(m.thin))
		case 18:
			if arg == 0 {
				if did := m.q.Close(); did == m.closed {
					m.fail("Close: %v", did)
				}
				m.closed = true
			}
		case 19, 20:
			for range 1 + arg/4 {
				m.pop(64, arg%2 == 0)
			}
			m.trim()
		case 21:
			m.trim()
		case 22, 23, 24:
			m.reserve(arg, tag)
		default:
			m.pop(arg/4, arg%2 == 0)
		}
		m.check()
	}
	for len(m.items) > 0 {
		m.pop(100, true)
	}
	m.check()
	for r := m.q.first.Load(); r != nil; r = r.newer.Load() {
		for i := range r.slots {
			if r.slots[i].val != 0 {
				m.fail("the queue is empty and keeps %d", r.slots[i].val)
			}
		}
	}
}

// program returns a random program.
func program(seed uint64, length int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	prog := make([]byte, 2+2*length)
	for i := range prog {
		prog[i] = byte(rnd.Uint32())
	}
	return prog
}

// TestModel compares the queue with a slice.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { run(t, program(seed, 300)) })
	}
}

// FuzzModel compares the queue with a slice.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 6, 2, 8, 3, 31, 255})
	f.Add([]byte{1, 1, 11, 100, 30, 80, 11, 60, 19, 255, 11, 10, 30, 9})
	f.Add([]byte{4, 2, 9, 200, 30, 255, 9, 200, 30, 255, 9, 200})
	f.Add([]byte{0, 3, 15, 4, 0, 1, 0, 2, 0, 0, 16, 0, 0, 0, 31, 40, 31, 40})
	f.Add(program(1, 100))
	f.Fuzz(run)
}

// fill appends the numbers from from to to, not including to.
func fill(t *testing.T, q *Queue[int], from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		for q.Push(i, nil, Any) == Full {
			if !q.Raise(MaxPos, false) {
				t.Fatalf("no room for %d", i)
			}
		}
	}
}

// expect pops the numbers from from to to, at most chunk at a time.
func expect(t *testing.T, q *Queue[int], from, to, chunk int) {
	t.Helper()
	vals := make([]int, chunk)
	for from < to {
		n, _ := q.Pop(vals[:min(chunk, to-from)], nil)
		if n == 0 {
			t.Fatalf("nothing to pop, want %d", from)
		}
		for _, v := range vals[:n] {
			if v != from {
				t.Fatalf("got %d, want %d", v, from)
			}
			from++
		}
	}
}

// TestEmpty: a new queue has no room before Raise, and nothing to pop.
func TestEmpty(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	if s := q.Push(1, nil, Any); s != Full {
		t.Errorf("Push before Raise: status %d", s)
	}
	if n, others, s := q.PushAll(nil, Any, false); n != 0 || others != 0 || s != OK {
		t.Errorf("PushAll of nothing: %d, %d, %d", n, others, s)
	}
	if q.Raise(0, false) {
		t.Error("Raise to 0 makes room")
	}
	if n, _ := q.Pop(make([]int, 4), nil); n != 0 || q.Ready() || q.Len() != 0 {
		t.Errorf("an empty queue has %d elements, ready: %v, Len %d", n, q.Ready(), q.Len())
	}
	fill(t, &q, 0, 1)
	if n, _ := q.Pop(nil, nil); n != 0 || q.Len() != 1 {
		t.Errorf("Pop into nothing takes %d and leaves %d", n, q.Len())
	}
}

// TestLastPosition: no position comes after MaxPos.
func TestLastPosition(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	startAt(&q, MaxPos-2)
	fill(t, &q, 0, 2)
	if q.Raise(MaxPos, false) || q.Push(2, nil, Any) != Full {
		t.Error("there is room behind the last position")
	}
	expect(t, &q, 0, 2, 1)
}

// TestSizes: the ring grows with what waits, the old one goes when it was emptied, and Trim
// gives memory back, but not while something waits.
func TestSizes(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	n := 0
	for _, slots := range []int{16, 64, 256, 1024, 2048} {
		if slots > small && q.Large() {
			t.Errorf("large before it has %d slots", slots)
		}
		fill(t, &q, n, n+slots) // the first of these makes it grow
		n += slots
		if got := len(q.last.Load().slots); got != slots {
			t.Fatalf("%d elements: %d slots, want %d", n, got, slots)
		}
	}
	if q.Trim(); !q.Large() {
		t.Error("not large with 2048 slots")
	}
	expect(t, &q, 0, n-1, 100)
	if first, last := q.first.Load(), q.last.Load(); first != last || last.older.Load() != nil {
		t.Error("old rings are kept")
	}
	if q.Trim(); !q.Large() {
		t.Error("Trim with an element in the queue")
	}
	expect(t, &q, n-1, n, 1)
	if q.Trim(); len(q.last.Load().slots) != small || q.first.Load() != q.last.Load() {
		t.Errorf("%d slots after Trim", len(q.last.Load().slots))
	}
	fill(t, &q, 0, 100)
	expect(t, &q, 0, 100, 7)
}

// TestRoomStays: a ring that never overflows is not replaced, however often it wraps around.
func TestRoomStays(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	ring := q.last.Load()
	for i := range 10 * small {
		fill(t, &q, i*small, (i+1)*small)
		expect(t, &q, i*small, (i+1)*small, 5)
	}
	if q.last.Load() != ring {
		t.Error("the ring was replaced")
	}
}

// TestRoomBehindAnOldRing: while an old ring is not emptied, the whole of the new one is used
// before it is replaced.
func TestRoomBehindAnOldRing(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	for i := range small + quickGrow*small {
		if !q.Raise(uint64(i+1), false) || q.Push(i, nil, Any) != OK {
			t.Fatalf("no room for %d", i)
		}
	}
	if n := len(q.last.Load().slots); n != quickGrow*small {
		t.Errorf("%d slots, want %d", n, quickGrow*small)
	}
}

// TestUnpublished: a position that was won and not published hides later ones, and Pop
// ends before it, also where the ring was replaced.
func TestUnpublished(t *testing.T) {
	for _, before := range []int{0, 3, small - 1, small} {
		var q Queue[int]
		q.Init(small)
		fill(t, &q, 0, before)
		q.Raise(MaxPos, false)
		late := q.tail.Load()
		q.tail.Add(1)
		fill(t, &q, before+1, 2*small)
		expect(t, &q, 0, before, 100)
		if n, _ := q.Pop(make([]int, 4), nil); n != 0 || q.Ready() || q.Len() != 2*small-before {
			t.Fatalf("position %d: %d popped, ready: %v, Len %d", before, n, q.Ready(), q.Len())
		}
		q.fill(late, before, nil, late, Any)
		if !q.Ready() {
			t.Fatalf("position %d: not ready", before)
		}
		expect(t, &q, before, 2*small, 100)
	}
}

// TestPushDuringDrain: what is pushed between two Pops comes behind what was there, also
// while part of a run, and an old ring, still hold elements.
func TestPushDuringDrain(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	vs := make([]int, 500)
	for i := range vs {
		vs[i] = i
	}
	next, popped := 0, 0
	for next < len(vs) {
		n, _, s := q.PushAll(vs[next:min(next+40, len(vs))], Any, false)
		if next += n; s == Full {
			q.Raise(MaxPos, false)
		}
		if popped+7 <= next {
			expect(t, &q, popped, popped+7, 3)
			popped += 7
		}
	}
	expect(t, &q, popped, len(vs), 64)
}

// TestLate: what was accepted elsewhere gets into a closed queue, and nothing else does.
func TestLate(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	fill(t, &q, 0, 5)
	q.Hold()
	if !q.Close() || q.Close() {
		t.Error("not the first Close alone closes")
	}
	vs := make([]int, 1000)
	for i := range vs {
		vs[i] = 5 + i
	}
	if n, _, s := q.PushAll(vs, Any, false); n != 0 || s != Closed {
		t.Errorf("PushAll: %d and status %d", n, s)
	}
	if n, _, s := q.PushAll(vs, Any, true); n != len(vs) || s != OK {
		t.Errorf("PushAll of late elements: %d and status %d", n, s)
	}
	if q.Push(0, nil, Any) != Closed || q.PushHeld(0, nil, Any, MaxPos) != Closed {
		t.Error("a push into a closed queue does not fail")
	}
	expect(t, &q, 0, 5+len(vs), 64)
}

// TestTrimIsSeen: a push that has looked at the tail and the limit before Trim, which takes
// away the room, does not win positions after it. There is no room for 100 elements then.
func TestTrimIsSeen(t *testing.T) {
	var q Queue[int]
	q.Init(small)
	fill(t, &q, 0, 400)
	expect(t, &q, 0, 400, 64)
	before, limit := q.tail.Load(), q.limit.Load()
	if before&posMask+100 > limit {
		t.Fatalf("no room before Trim: position %d, limit %d", before&posMask, limit)
	}
	q.Trim()
	if q.tail.Load() == before {
		t.Error("the tail is the same after Trim")
	}
	if n := q.Accepted(); n != 400 || q.Len() != 0 {
		t.Errorf("Trim changes Accepted to %d, Len to %d", n, q.Len())
	}
}

// TestKeepsNothing: popped elements, and what stood beside them, are let go.
func TestKeepsNothing(t *testing.T) {
	var q Queue[*int]
	q.Init(small)
	q.Raise(MaxPos, false)
	for range 4 {
		q.Push(new(int), &Attr{Key: 7, Keyed: true}, Any)
	}
	q.PushAll([]*int{new(int), new(int), new(int)}, Any, false)
	vals, attrs := make([]*int, 6), make([]Attr, 6)
	if n, _ := q.Pop(vals, attrs); n != 6 {
		t.Fatalf("%d popped, want 6", n)
	}
	held := 0
	r := q.last.Load()
	for i := range r.slots {
		if r.slots[i].val != nil {
			held++
		}
		if *r.attr(uint64(i)) != (Attr{}) {
			t.Errorf("slot %d keeps %v", i, *r.attr(uint64(i)))
		}
	}
	if held != 1 {
		t.Errorf("%d elements are held, want 1", held)
	}
}
