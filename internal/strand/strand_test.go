package strand

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/headrace-go/pool/internal/batch"
	"github.com/headrace-go/pool/internal/queue"
)

// Where a job is, besides in the batch with an index.
const (
	queued = -1 - iota
	again  // put back, without a key
	behind // its key
	drained
	ended
)

// job is a job of the model. Its index in machine.all is what the batches hold.
type job struct {
	attr    queue.Attr
	tag     int
	where   int
	running bool
}

// machine runs a few batches with a table, and knows where each job has to be.
type machine struct {
	t       *testing.T
	tab     *Table[int]
	bs      [4]batch.Batch[int]
	before  [4]uint64
	c       batch.Counters
	all     []job
	queue   []int // the jobs that nobody has claimed
	again   []int // those that were put back and have no key
	history []string
}

func (m *machine) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), m.history[max(0, len(m.history)-20):])
}

// count returns how many jobs are there.
func (m *machine) count(where int) (n int) {
	for _, j := range m.all {
		if j.where == where {
			n++
		}
	}
	return n
}

// bars reports whether a job of the key that was claimed is elsewhere than in the batch i.
func (m *machine) bars(key uint64, i int) bool {
	for _, j := range m.all {
		if j.attr.Keyed && j.attr.Key == key && (j.where == behind || j.where >= 0 && j.where != i) {
			return true
		}
	}
	return false
}

func (m *machine) submit(keyed bool, key uint64, tag int) {
	m.queue = append(m.queue, len(m.all))
	j := job{tag: tag, where: queued}
	if keyed {
		j.attr = queue.Attr{Key: key, Keyed: true}
	}
	m.all = append(m.all, j)
}

// free reports whether the batch can be filled.
func (m *machine) free(i int) bool {
	return m.bs[i].Load().Left() == 0 && m.bs[i].Load().Running() == 0
}

// fill makes the first n jobs the batch.
func (m *machine) fill(i, n, tag int) {
	jobs, attrs := m.bs[i].Buffer(n, true)
	m.before[i] = m.bs[i].Load().Begun()
	for k, id := range jobs {
		if attrs[k] != m.all[id].attr || tag != m.all[id].tag {
			m.fail("job %d with %v and the tag %d, want %v", id, attrs[k], tag, m.all[id])
		}
		m.all[id].where = i
	}
	m.bs[i].Fill(n, tag)
}

// claim fills the batch i from the queue.
func (m *machine) claim(i, limit int) {
	if !m.free(i) {
		return
	}
	b := &m.bs[i]
	jobs, attrs := b.Buffer(limit, true)
	if len(m.again) > 0 {
		jobs[0], attrs[0] = m.again[0], queue.Attr{}
		m.again = m.again[1:]
		m.fill(i, 1, m.all[jobs[0]].tag)
		return
	}
	n, tag := 0, 0
	for n < min(limit, len(m.queue)) {
		j := &m.all[m.queue[n]]
		if n > 0 && j.tag != tag {
			break
		}
		jobs[n], attrs[n], tag = m.queue[n], j.attr, j.tag
		n++
	}
	var want []int
	for _, id := range m.queue[:n] {
		j := &m.all[id]
		if j.where = i; j.attr.Keyed && m.bars(j.attr.Key, i) {
			j.where = behind
		} else {
			want = append(want, id)
		}
	}
	m.queue = m.queue[n:]
	n = m.tab.Sort(b, jobs, attrs, n, tag)
	if !slices.Equal(jobs[:n], want) {
		m.fail("Sort for the batch %d keeps %v, want %v", i, jobs[:n], want)
	}
	m.fill(i, n, tag)
}

// take fills the batch i from ready strands.
func (m *machine) take(i, limit int) {
	if !m.free(i) {
		return
	}
	ready := m.tab.Ready()
	jobs, attrs := m.bs[i].Buffer(limit, true)
	n, tag := m.tab.Take(&m.bs[i], jobs, attrs)
	if ready != (n > 0) {
		m.fail("ready: %v, and Take finds %d", ready, n)
	}
	for _, id := range jobs[:n] {
		if j := &m.all[id]; j.where != behind {
			m.fail("Take: job %d, which is at %d", id, j.where)
		} else {
			// Those of the key that come before it are in this batch, or have ended.
			for k, o := range m.all[:id] {
				if o.attr == j.attr && (o.where == queued || o.where == behind) {
					m.fail("Take: job %d before %d", id, k)
				}
			}
			j.where = i
		}
	}
	m.fill(i, n, tag)
}

// finish notes that the job that ran in the batch i has ended.
func (m *machine) finish(i int) {
	for k := range m.all {
		if j := &m.all[k]; j.where == i && j.running {
			j.where, j.running = ended, false
		}
	}
	if b := &m.bs[i]; b.Due() {
		m.tab.Release(b)
	}
}

// begin begins the next job of the batch i, and checks that it is alone and the first of its key.
func (m *machine) begin(i int) {
	id, ok := m.bs[i].Begin()
	if !ok {
		return
	}
	m.finish(i)
	j := &m.all[id]
	if j.where != i {
		m.fail("job %d begins in the batch %d, is at %d", id, i, j.where)
	}
	j.running = true
	if !j.attr.Keyed {
		return
	}
	for k, o := range m.all {
		if k != id && o.attr == j.attr && (o.running || k < id && o.where > ended && o.where != drained) {
			m.fail("job %d begins, and job %d of its key, at %d, has not ended", id, k, o.where)
		}
	}
}

// end ends what runs in the batch i.
func (m *machine) end(i int) {
	m.before[i] += uint64(m.bs[i].End(m.before[i], &m.c))
	m.finish(i)
}

// steal moves jobs from the batch i to the batch to.
func (m *machine) steal(i, to, limit int) {
	if i == to || !m.free(to) {
		return
	}
	b := &m.bs[to]
	n := m.bs[i].Steal(b, limit)
	tag := m.bs[i].Tag()
	jobs, attrs := b.Buffer(n, true)
	stolen := slices.Clone(jobs)
	for _, id := range stolen {
		m.all[id].where = to
	}
	// A job goes back if one of its key stays with the victim.
	var want []int
	for _, id := range stolen {
		j := &m.all[id]
		if j.attr.Keyed && slices.ContainsFunc(m.all, func(o job) bool { return o.attr == j.attr && o.where == i }) {
			j.where = behind
		} else {
			want = append(want, id)
		}
	}
	n = m.tab.Adopt(&m.bs[i], b, jobs, attrs, n, tag)
	if !slices.Equal(jobs[:n], want) {
		m.fail("Adopt of %v from the batch %d keeps %v, want %v", stolen, i, jobs[:n], want)
	}
	m.fill(to, n, tag)
}

// putBack puts back what is left in the batch i.
func (m *machine) putBack(i int) {
	var to batch.Batch[int]
	b := &m.bs[i]
	for b.Steal(&to, 1) > 0 {
		jobs, _ := to.Buffer(1, true)
		j := &m.all[jobs[0]]
		if !j.attr.Keyed {
			j.where = again
			m.again = slices.Insert(m.again, 0, jobs[0])
			continue
		}
		j.where = behind
		m.tab.Return(b, Item[int]{Job: jobs[0], Key: j.attr.Key, Tag: j.tag})
	}
}

// drain takes what is behind keys.
func (m *machine) drain() {
	last := map[uint64]int{}
	want := m.count(behind)
	m.tab.Drain(func(it Item[int]) {
		j := &m.all[it.Job]
		if j.where != behind || j.attr.Key != it.Key || j.tag != it.Tag {
			m.fail("Drain: %v, want %v", it, j)
		}
		if before, ok := last[it.Key]; ok && before > it.Job {
			m.fail("Drain: job %d after %d", it.Job, before)
		}
		last[it.Key], j.where = it.Job, drained
		want--
	})
	if want != 0 {
		m.fail("Drain: %d jobs too few", want)
	}
	if m.tab.Ready() {
		m.fail("ready after Drain")
	}
}

// check compares what can be looked at.
func (m *machine) check() {
	if n := m.count(behind); m.tab.Len() != n {
		m.fail("Len: got %d, want %d", m.tab.Len(), n)
	}
	keys := map[uint64]bool{}
	for _, j := range m.all {
		if j.attr.Keyed && (j.where >= 0 || j.where == behind) {
			keys[j.attr.Key] = true
		}
	}
	if m.tab.Keys() != len(keys) {
		m.fail("Keys: got %d, want %d", m.tab.Keys(), len(keys))
	}
}

// run interprets a program, of two bytes for each operation. At the end it runs what is left,
// and everything has to have run.
func run(t *testing.T, prog []byte) {
	m := &machine{t: t, tab: New[int]()}
	for i := range m.bs {
		m.bs[i].Acquire()
	}
	for len(m.all) < 600 && len(prog) >= 2 {
		op, arg := prog[0], int(prog[1])
		prog = prog[2:]
		i := int(op>>4) % 4
		m.history = append(m.history, fmt.Sprint(op%16, ":", i, ":", arg))
		switch op % 16 {
		case 0, 1, 2:
			for k := range 1 + arg/64 {
				m.submit((arg+k)%4 > 0, uint64(arg%5), int(op>>7)*(arg&1))
			}
		case 3, 4:
			m.claim(i, 1+arg%12)
		case 5:
			m.take(i, 1+arg%6)
		case 6, 7, 8, 9:
			m.begin(i)
		case 10, 11:
			m.end(i)
		case 12, 13:
			m.steal(i, arg%4, 1+arg/4%8)
		case 14:
			if arg%2 == 0 {
				m.putBack(i)
			}
		case 15:
			if arg == 0 {
				m.drain()
			} else if arg%8 == 1 {
				m.tab.Trim()
			}
		}
		m.check()
	}
	m.history = append(m.history, "the end")
	for moved := true; moved; {
		moved = false
		for i := range m.bs {
			for m.bs[i].Load().Left() > 0 {
				m.begin(i)
			}
			m.end(i)
			if m.claim(i, 5); m.free(i) {
				m.take(i, 5)
			}
			moved = moved || !m.free(i)
		}
		moved = moved || len(m.queue) > 0
	}
	m.check()
	for id, j := range m.all {
		if j.where != ended && j.where != drained {
			m.fail("job %d, %v, is at %d and never runs", id, j.attr, j.where)
		}
	}
	m.tab.Trim()
	if m.tab.Len() != 0 || m.tab.Keys() != 0 || m.tab.Ready() {
		m.fail("Len %d, Keys %d, ready: %v", m.tab.Len(), m.tab.Keys(), m.tab.Ready())
	}
}

// program returns a random program.
func program(seed uint64, length int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	prog := make([]byte, 2*length)
	for i := range prog {
		prog[i] = byte(rnd.Uint32())
	}
	return prog
}

// TestModel compares the table with a list of all jobs.
func TestModel(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { run(t, program(seed, 200)) })
	}
}

// FuzzModel compares the table with a list of all jobs.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 3, 7, 6, 0, 0, 1, 19, 7, 10, 0, 21, 5, 22, 0})
	f.Add([]byte{0, 255, 0, 255, 3, 11, 6, 0, 12, 1, 12, 30, 14, 0, 10, 0})
	f.Add(program(1, 100))
	f.Fuzz(run)
}

// push claims jobs with the keys into b, as if they had just been popped, and returns how many stay there.
func push(tab *Table[int], b *batch.Batch[int], first int, keys ...uint64) int {
	jobs, attrs := b.Buffer(len(keys), true)
	for i, key := range keys {
		jobs[i], attrs[i] = first+i, queue.Attr{Key: key, Keyed: true}
	}
	n := tab.Sort(b, jobs, attrs, len(keys), 0)
	b.Fill(n, 0)
	return n
}

// putBack puts the only job of b, which has the key, back.
func putBack(tab *Table[int], b *batch.Batch[int], key uint64) {
	var to batch.Batch[int]
	b.Steal(&to, 1)
	jobs, _ := to.Buffer(1, true)
	tab.Return(b, Item[int]{Job: jobs[0], Key: key})
}

// TestFirstPosition: a key whose job was the first of its batch stays in the table
// when the job is put back, and counts once.
func TestFirstPosition(t *testing.T) {
	tab := New[int]()
	var b batch.Batch[int]
	b.Acquire()
	push(tab, &b, 0, 7)
	putBack(tab, &b, 7)
	if n := tab.Keys(); n != 1 || tab.Len() != 1 {
		t.Errorf("%d keys and %d jobs, want 1", n, tab.Len())
	}
}

// TestDrainKeepsKeys: after Drain the table still knows all keys of which a job runs, also
// those that have the same place in it as one that was drained.
func TestDrainKeepsKeys(t *testing.T) {
	tab := New[int]()
	const n = 60 // enough for some with the same place
	var keys [2 * n]uint64
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range keys {
		keys[i] = rnd.Uint64()
	}
	var drained, runs [n]batch.Batch[int]
	for i := range n {
		drained[i].Acquire()
		push(tab, &drained[i], i, keys[i])
		putBack(tab, &drained[i], keys[i])
		runs[i].Acquire()
		push(tab, &runs[i], n+i, keys[n+i])
		runs[i].Begin()
	}
	got := 0
	tab.Drain(func(Item[int]) { got++ })
	if got != n || tab.Len() != 0 || tab.Ready() || tab.Keys() != n {
		t.Errorf("%d drained, Len %d, ready: %v, %d keys", got, tab.Len(), tab.Ready(), tab.Keys())
	}
	var other batch.Batch[int]
	other.Acquire()
	for i := range n {
		if push(tab, &other, 2*n+i, keys[n+i]) != 0 {
			t.Errorf("key %d: two jobs may run at a time", keys[n+i])
		}
	}
}

// TestEmpty: an empty table has nothing to give.
func TestEmpty(t *testing.T) {
	tab := New[int]()
	var b batch.Batch[int]
	b.Acquire()
	jobs, attrs := b.Buffer(4, true)
	if n, _ := tab.Take(&b, jobs, attrs); n != 0 || tab.Ready() || tab.Len() != 0 || tab.Keys() != 0 {
		t.Errorf("took %d, ready: %v, Len %d, %d keys", n, tab.Ready(), tab.Len(), tab.Keys())
	}
	if n := tab.Sort(&b, nil, nil, 0, 0); n != 0 {
		t.Errorf("Sort of nothing keeps %d", n)
	}
	if tab.Release(&b) {
		t.Error("somebody waits for a key")
	}
	tab.Drain(func(it Item[int]) { t.Errorf("Drain gives %v", it) })
	tab.Trim()
}

// TestTake: jobs of a ready strand are taken as long as they fit and have one tag; the others
// stay behind them, and come next.
func TestTake(t *testing.T) {
	tab := New[int]()
	var a, b batch.Batch[int]
	var c batch.Counters
	a.Acquire()
	b.Acquire()
	push(tab, &a, 0, 7)
	a.Begin()
	for i, tag := range []int{0, 0, 0, 1, 1} {
		jobs, attrs := b.Buffer(1, true)
		jobs[0], attrs[0] = 1+i, queue.Attr{Key: 7, Keyed: true}
		if tab.Sort(&b, jobs, attrs, 1, tag) != 0 {
			t.Fatalf("job %d overtakes", 1+i)
		}
		if jobs[0] != 0 {
			t.Error("the buffer keeps a job that went behind its key")
		}
	}
	if tab.Ready() {
		t.Fatal("ready while the first job runs")
	}
	a.End(0, &c)
	if due, any := a.Due(), tab.Release(&a); !due || !any || !tab.Ready() {
		t.Fatalf("the first job has ended: due %v, made ready %v, ready %v", due, any, tab.Ready())
	}
	if tab.Release(&a) || a.Due() {
		t.Fatal("the strand is made ready again")
	}
	next := 1
	for _, want := range []struct{ n, tag int }{{2, 0}, {1, 0}, {2, 1}} {
		jobs, attrs := b.Buffer(2, true)
		n, tag := tab.Take(&b, jobs, attrs)
		if n != want.n || tag != want.tag || jobs[0] != next || jobs[n-1] != next+n-1 {
			t.Fatalf("got %v with the tag %d, want %d with %d from %d", jobs[:n], tag, want.n, want.tag, next)
		}
		next += n
		before := b.Load().Begun()
		if b.Fill(n, tag); tab.Ready() {
			t.Fatal("ready while jobs of the key are left")
		}
		for range n {
			b.Begin()
		}
		b.End(before, &c)
		if b.Due() {
			tab.Release(&b)
		}
	}
	if tab.Ready() || tab.Len() != 0 || tab.Keys() != 0 {
		t.Errorf("at the end ready: %v, Len %d, %d keys", tab.Ready(), tab.Len(), tab.Keys())
	}
}

// TestMemory: few strands are kept for reuse, without jobs, and none after Trim.
func TestMemory(t *testing.T) {
	tab := New[*int]()
	var a, b batch.Batch[*int]
	var c batch.Counters
	a.Acquire()
	b.Acquire()
	const n = 3 * maxSpare
	for _, x := range []*batch.Batch[*int]{&a, &b} {
		jobs, attrs := x.Buffer(n, true)
		for i := range n {
			jobs[i], attrs[i] = new(int), queue.Attr{Key: uint64(i), Keyed: true}
		}
		x.Fill(tab.Sort(x, jobs, attrs, n, 0), 0)
	}
	if tab.Len() != n || tab.Keys() != n {
		t.Fatalf("%d jobs behind %d keys, want %d", tab.Len(), tab.Keys(), n)
	}
	clear(a.BeginAll())
	a.End(0, &c)
	tab.Release(&a)
	jobs, attrs := b.Buffer(n, true)
	if k, _ := tab.Take(&b, jobs, attrs); k != n {
		t.Fatalf("took %d, want %d", k, n)
	}
	if len(tab.spare) != maxSpare {
		t.Errorf("%d strands are kept, want %d", len(tab.spare), maxSpare)
	}
	for _, s := range tab.spare {
		if s.jobs.Len() > 0 {
			t.Fatal("a strand that is kept has jobs")
		}
	}
	b.Fill(n, 0)
	clear(b.BeginAll())
	b.End(0, &c)
	if tab.Trim(); tab.spare != nil || len(tab.watched) > 0 {
		t.Errorf("after Trim %d strands are kept, and %d batches watched", len(tab.spare), len(tab.watched))
	}
}
