package batch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/headrace-go/pool/internal/queue"
)

// entry is a job of the model.
type entry struct {
	val  int
	attr queue.Attr
}

// machine runs operations on a batch and on a slice, and compares.
type machine struct {
	t       *testing.T
	b, to   Batch[int]
	c       Counters
	left    []entry
	attrs   bool
	owned   bool
	running []entry // one, or all that run together
	whole   bool
	begun   uint64 // of which all but those that run have ended
	before  uint64 // begun when End last counted
	tag     int
	next    int
	seen    Word
	watched uint64
	watches bool
	done    [2]uint64
	taken   [Sizes]uint64
	history []string
}

func (m *machine) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), m.history[max(0, len(m.history)-20):])
}

// ended returns how many jobs have ended.
func (m *machine) ended() uint64 { return m.begun - uint64(len(m.running)) }

// over reports whether the job at pos has ended.
func (m *machine) over(pos uint64) bool { return pos < m.ended() }

func (m *machine) acquire() {
	if m.b.Acquire() == m.owned {
		m.fail("Acquire: %v", !m.owned)
	}
	m.owned = true
}

func (m *machine) fill(n, tag int, attrs bool) {
	if len(m.left) > 0 || len(m.running) > 0 || !m.owned {
		return
	}
	jobs, beside := m.b.Buffer(n, attrs)
	if len(jobs) != n || attrs && len(beside) != n || !attrs && beside != nil {
		m.fail("Buffer(%d, %v): %d jobs and %d attrs", n, attrs, len(jobs), len(beside))
	}
	for i := range jobs {
		e := entry{val: m.next}
		if attrs {
			e.attr = queue.Attr{Key: uint64(m.next % 5), Keyed: m.next%3 > 0}
			beside[i] = e.attr
		}
		if got, want := m.b.Pos(i), (m.begun+uint64(i))&CountMask; got != want {
			m.fail("Pos(%d): got %d, want %d", i, got, want)
		}
		m.next++
		jobs[i] = e.val
		m.left = append(m.left, e)
	}
	m.b.Fill(n, tag)
	m.tag, m.attrs = tag, attrs
}

func (m *machine) begin() {
	if m.whole || !m.owned {
		return
	}
	job, ok := m.b.Begin()
	if ok != (len(m.left) > 0) || ok && job != m.left[0].val {
		m.fail("Begin: got %d, %v of %v", job, ok, m.left)
	}
	if ok {
		m.running, m.left = m.left[:1], m.left[1:]
		m.begun++
	}
}

func (m *machine) beginAll() {
	if len(m.running) > 0 || !m.owned {
		return
	}
	jobs := m.b.BeginAll()
	if len(jobs) != len(m.left) {
		m.fail("BeginAll: %d jobs, want %d", len(jobs), len(m.left))
	}
	for i, e := range m.left {
		if jobs[i] != e.val {
			m.fail("BeginAll: job %d is %d, want %d", i, jobs[i], e.val)
		}
	}
	clear(jobs)
	m.whole = len(m.left) > 0
	m.begun += uint64(len(m.left))
	m.running, m.left = m.left, nil
}

func (m *machine) end() {
	if !m.owned {
		return
	}
	want := int(m.begun - m.before)
	if got := m.b.End(m.before&CountMask, &m.c); got != want {
		m.fail("End: got %d, want %d", got, want)
	}
	m.before = m.begun
	m.running, m.whole = nil, false
	m.done[m.tag] += uint64(want)
	size := 0
	for want > 1 {
		size++
		want /= 2
	}
	switch {
	case size > 0:
		m.taken[size]++
	case want == 1:
		m.taken[0]++
	}
}

func (m *machine) steal(limit int) {
	n := len(m.left)
	want := min((n+1)/2, limit)
	if !m.owned {
		want = min(n, limit)
	}
	if got := m.b.Steal(&m.to, limit); got != want {
		m.fail("Steal(%d) of %d, owned: %v: got %d, want %d", limit, n, m.owned, got, want)
	}
	if want == 0 {
		return
	}
	jobs, attrs := m.to.Buffer(want, m.attrs)
	for i, e := range m.left[n-want:] {
		if jobs[i] != e.val || m.attrs && attrs[i] != e.attr {
			m.fail("Steal: job %d is %d, want %v", i, jobs[i], e)
		}
	}
	m.left = m.left[:n-want]
}

// at returns a job that runs or is left, and its position.
func (m *machine) at(i int) (entry, uint64) {
	pos := m.ended() + uint64(i)
	if i < len(m.running) {
		return m.running[i], pos
	}
	return m.left[i-len(m.running)], pos
}

func (m *machine) lastOf(key uint64) {
	want, found := uint64(0), false
	for i := range len(m.running) + len(m.left) {
		if e, pos := m.at(i); e.attr.Keyed && e.attr.Key == key {
			want, found = pos&CountMask, true
		}
	}
	if pos, ok := m.b.LastOf(m.b.Load(), key); ok != found || pos != want {
		m.fail("LastOf(%d): got %d, %v, want %d, %v", key, pos, ok, want, found)
	}
}

func (m *machine) watch(arg int) {
	pos := m.ended()
	if n := len(m.running) + len(m.left); n > 0 {
		_, pos = m.at(arg % n)
	} else if pos > 0 {
		pos--
	}
	if !m.watches || pos < m.watched {
		m.watches, m.watched = true, pos
	}
	if got := m.b.Watch(pos & CountMask); got == m.over(pos) {
		m.fail("Watch(%d): %v with %d ended", pos, got, m.ended())
	}
}

func (m *machine) stuck() {
	w := m.b.Load()
	want := len(m.left) > 0 && (!m.owned || m.seen == w)
	if got := m.b.Stuck(); got != want {
		m.fail("Stuck: got %v, want %v", got, want)
	}
	if len(m.left) > 0 && m.owned {
		m.seen = w
	}
}

// check compares what can be looked at.
func (m *machine) check() {
	w := m.b.Load()
	switch {
	case w.Left() != len(m.left) || w.Running() != len(m.running):
		m.fail("%d left, %d run; want %d, %d", w.Left(), w.Running(), len(m.left), len(m.running))
	case w.Begun() != m.begun&CountMask || w.Ended() != m.ended()&CountMask:
		m.fail("begun %d, ended %d; want %d, %d", w.Begun(), w.Ended(), m.begun&CountMask, m.ended()&CountMask)
	case w.Owned() != m.owned || m.b.Tag() != m.tag:
		m.fail("owned %v, tag %d; want %v, %d", w.Owned(), m.b.Tag(), m.owned, m.tag)
	case m.b.Due() != (m.watches && m.over(m.watched)):
		m.fail("Due: %v, watched %v %d, ended %d", m.b.Due(), m.watches, m.watched, m.ended())
	case m.ended() > 0 && !m.b.Over((m.ended()-1)&CountMask):
		m.fail("Over: the last job that has ended has not")
	case m.b.Over(m.ended() & CountMask):
		m.fail("Over: the next job to end has ended")
	}
	var want *queue.Attr
	if m.attrs && len(m.left) > 0 {
		want = &m.left[0].attr
	}
	if got := m.b.Next(); (got == nil) != (want == nil) || got != nil && *got != *want {
		m.fail("Next: got %v, want %v", got, want)
	}
	for tag, want := range m.done {
		if got := m.c.Done(tag); got != want {
			m.fail("Done(%d): got %d, want %d", tag, got, want)
		}
	}
	for i, want := range m.taken {
		if got := m.c.Taken(i); got != want {
			m.fail("Taken(%d): got %d, want %d", i, got, want)
		}
	}
	for i, job := range m.b.jobs {
		if kept := len(m.left) + len(m.running); job != 0 && kept == 0 {
			m.fail("nothing is left, and slot %d keeps %d", i, job)
		}
	}
}

// run interprets a program: a byte which says how many jobs were begun before, and two bytes for
// each operation.
func run(t *testing.T, prog []byte) {
	if len(prog) == 0 {
		return
	}
	starts := []uint64{0, 1, CountMask - 20, CountMask}
	m := &machine{t: t, next: 1}
	m.begun = starts[int(prog[0])%len(starts)]
	m.before = m.begun
	m.b.word.Store(m.begun << shift)
	for prog = prog[1:]; len(prog) >= 2; prog = prog[2:] {
		op, arg := prog[0]%16, int(prog[1])
		m.history = append(m.history, fmt.Sprint(op, ":", arg))
		switch op {
		case 0, 1, 2:
			m.fill(1+arg/8, arg%2, arg%8 > 3)
		case 3, 4, 5:
			m.begin()
		case 6:
			m.beginAll()
		case 7, 8:
			m.end()
		case 9:
			m.steal(arg % 20)
		case 10, 11:
			m.acquire()
		case 12:
			if arg%2 == 0 && len(m.running) == 0 {
				m.end()
				m.b.Release()
				m.owned = false
			}
		case 13:
			m.stuck()
		case 14:
			m.watch(arg)
		case 15:
			m.lastOf(uint64(arg % 5))
			if arg%4 == 0 {
				m.b.Unwatch()
				m.watches = false
			}
		}
		m.check()
	}
}

// program returns a random program.
func program(seed uint64, length int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	prog := make([]byte, 1+2*length)
	for i := range prog {
		prog[i] = byte(rnd.Uint32())
	}
	return prog
}

// TestModel compares a batch with a slice.
func TestModel(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { run(t, program(seed, 300)) })
	}
}

// FuzzModel compares a batch with a slice.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 10, 0, 0, 255, 3, 0, 9, 3, 3, 0, 7, 0})
	f.Add([]byte{2, 10, 0, 0, 255, 6, 0, 15, 1, 7, 0, 0, 255, 3, 0, 3, 0, 14, 3, 8, 0})
	f.Add([]byte{3, 10, 0, 0, 15, 3, 0, 12, 0, 13, 0, 9, 19, 10, 0, 3, 0, 7, 0})
	f.Add(program(1, 100))
	f.Fuzz(run)
}

// TestEmpty: of a batch that was never filled nothing can be begun or stolen.
func TestEmpty(t *testing.T) {
	var b, to Batch[int]
	var c Counters
	if _, ok := b.Begin(); ok || b.BeginAll() != nil || b.Steal(&to, 10) != 0 || b.Stuck() || b.Due() || b.Next() != nil {
		t.Error("an empty batch has something")
	}
	if b.End(0, &c) != 0 || c.Done(0) != 0 || c.Taken(0) != 0 {
		t.Error("nothing has ended, and counts")
	}
	if _, ok := b.LastOf(b.Load(), 0); ok {
		t.Error("an empty batch has a job with the key 0")
	}
}

// TestLargest: the largest batch fits into the word beside the flags.
func TestLargest(t *testing.T) {
	var b Batch[int]
	var c Counters
	b.Acquire()
	jobs, _ := b.Buffer(MaxLen, false)
	jobs[MaxLen-1] = 7
	b.Fill(MaxLen, 1)
	if w := b.Load(); w.Left() != MaxLen || w.Running() != 0 || w.Begun() != 0 || !w.Owned() {
		t.Errorf("left %d, running %d, begun %d, owned %v", w.Left(), w.Running(), w.Begun(), w.Owned())
	}
	if all := b.BeginAll(); len(all) != MaxLen || all[MaxLen-1] != 7 {
		t.Errorf("%d jobs", len(all))
	}
	if w := b.Load(); w.Left() != 0 || w.Running() != MaxLen || w.Begun() != MaxLen || w.Ended() != 0 {
		t.Errorf("left %d, running %d, begun %d, ended %d", w.Left(), w.Running(), w.Begun(), w.Ended())
	}
	if n := b.End(0, &c); n != MaxLen || c.Done(1) != MaxLen || c.Taken(Sizes-1) != 1 || c.Taken(0) != 0 {
		t.Errorf("ended %d, counted %d, batches %d", n, c.Done(1), c.Taken(Sizes-1))
	}
}

// TestSizes: batches are counted by size, and jobs of no batch as batches of one.
func TestSizes(t *testing.T) {
	var c Counters
	c.Add(0, 3)
	for n := range MaxLen + 1 {
		c.ended(n%2, n)
	}
	for i := range Sizes {
		want := uint64(1) << i
		switch i {
		case 0:
			want = 4
		case Sizes - 1:
			want = 1
		}
		if got := c.Taken(i); got != want {
			t.Errorf("Taken(%d): got %d, want %d", i, got, want)
		}
	}
	if got := c.Done(0) + c.Done(1); got != 3+MaxLen*(MaxLen+1)/2 {
		t.Errorf("%d jobs", got)
	}
}

// TestBuffer: the buffer is used again. What stands beside jobs goes once they have nothing.
func TestBuffer(t *testing.T) {
	var b Batch[int]
	big, beside := b.Buffer(100, true)
	if again, attrs := b.Buffer(10, true); &again[0] != &big[0] || &attrs[0] != &beside[0] {
		t.Error("a smaller buffer is a new one")
	}
	if b.Buffer(10, false); b.attrs != nil {
		t.Error("the attrs of jobs without any are kept")
	}
}

// TestKeepsNothing: a job that was begun, or stolen, is let go.
func TestKeepsNothing(t *testing.T) {
	var b, to Batch[*int]
	b.Acquire()
	jobs, _ := b.Buffer(8, false)
	for i := range jobs {
		jobs[i] = new(int)
	}
	b.Fill(8, 0)
	b.Begin()
	b.Steal(&to, 3)
	held := 0
	for _, p := range b.jobs {
		if p != nil {
			held++
		}
	}
	if held != 4 || b.Load().Left() != 4 {
		t.Errorf("%d are held, %d left, want 4", held, b.Load().Left())
	}
}

// Jobs keep their stamps when they are begun, taken over, and put in with something beside them.
func TestMarks(t *testing.T) {
	at := func(b *Batch[int]) (where []int) {
		marks, begun := b.Marks()
		for _, m := range marks {
			if m.At != time.Duration(100+m.Index) && b.attrs == nil {
				t.Errorf("%v at %d", m.At, m.Index)
			}
			where = append(where, m.Index-begun)
		}
		return where
	}
	var b, to Batch[int]
	b.Acquire()
	to.Acquire()
	b.Buffer(8, false)
	b.Mark([]queue.Stamped{{Index: 1, At: 101}, {Index: 5, At: 105}})
	b.AddMark(queue.Stamped{Index: 6, At: 106})
	b.Fill(8, 0)
	b.Begin()
	b.Begin()
	if got := at(&b); !slices.Equal(got, []int{-1, 3, 4}) {
		t.Errorf("after two have begun the stamps are at %v", got)
	}
	n := b.Steal(&to, 100) // the last three
	to.Fill(n, 0)
	if marks, _ := to.Marks(); n != 3 || !slices.Equal(marks, []queue.Stamped{{Index: 0, At: 105}, {Index: 1, At: 106}}) {
		t.Errorf("the thief of %d has %v", n, marks)
	}

	var c Batch[int]
	c.Acquire()
	_, attrs := c.Buffer(3, true)
	attrs[0], attrs[1], attrs[2] = queue.Attr{Key: 1, Keyed: true}, queue.Attr{At: 7}, queue.Attr{Key: 2, Keyed: true, At: 9}
	c.Mark([]queue.Stamped{{Index: 0, At: 1}})
	c.Fill(3, 0)
	if marks, _ := c.Marks(); !slices.Equal(marks, []queue.Stamped{{Index: 1, At: 7}, {Index: 2, At: 9}}) {
		t.Errorf("of what stands beside them: %v", marks)
	}
	if a := c.Current(); a != nil {
		t.Errorf("nothing runs, and %v stands beside it", a)
	}
	c.Begin()
	if a := c.Current(); a == nil || a.Key != 1 {
		t.Errorf("%v stands beside the first", a)
	}
	c.BeginAll()
	if a := c.Current(); a == nil || a.At != 7 {
		t.Errorf("%v stands beside the first of those that run together", a)
	}
}
