package fair

import "time"

// How tenants come and go.

// Rest forgets f, if it has nothing, and owes nothing.
func (t *Table[T]) Rest(f *Flow[T]) {
	switch {
	case !f.idle():
	case t.waiting == 0 && t.running == 0:
		for t.debts.len() > 0 {
			t.forgiveFirst()
		}
		t.forget(f.tenant)
	case f.v > f.class.virtual && f.debt == 0:
		t.debts.push((*debtor[T])(f))
		t.forgive()
	default:
		t.forget(f.tenant)
	}
}

// forgive forgets flows that no longer owe anything.
func (t *Table[T]) forgive() {
	for t.debts.len() > maxDebts || t.debts.len() > 0 && t.debts.all[0].v <= t.debts.all[0].class.virtual {
		t.forgiveFirst()
	}
}

func (t *Table[T]) forgiveFirst() {
	d := t.debts.all[0]
	t.debts.remove(d)
	t.forget(d.tenant)
}

// forget forgets a tenant that has nothing.
func (t *Table[T]) forget(n *tenant[T]) {
	for i := range n.flows {
		if f := &n.flows[i]; !f.idle() || f.debt != 0 {
			return
		}
	}
	if t.tenants[n.id] != n {
		return // it was forgotten
	}
	for i := range n.flows {
		if n.flows[i].line != 0 {
			t.lines.remove((*liner[T])(&n.flows[i]))
		}
	}
	delete(t.tenants, n.id)
	if len(t.spare) < maxSpare {
		t.spare = append(t.spare, n)
	}
}

// Trim gives memory back, if nothing waits or runs, and there was much.
func (t *Table[T]) Trim() {
	if t.waiting > 0 || t.running > 0 || t.peak <= maxSpare {
		return
	}
	t.tenants, t.keys, t.peak = make(map[uint64]*tenant[T]), nil, 0
	t.due.all, t.debts.all = nil, nil
	for i := range t.classes {
		t.classes[i].flows.all = nil
	}
}

func (t *Table[T]) newNode() *node[T] { return reuse(&t.nodes) }

func (t *Table[T]) newBehind() *nodes[T] { return reuse(&t.behind) }

func reuse[E any](spare *[]*E) *E {
	last := len(*spare) - 1
	if last < 0 {
		return new(E)
	}
	e := (*spare)[last]
	(*spare)[last] = nil
	*spare = (*spare)[:last]
	return e
}

func (t *Table[T]) newTenant(id uint64) *tenant[T] {
	n := reuse(&t.spare)
	n.table, n.id, n.share, n.limit, n.running, n.busy, n.ended = t, id, 1, 0, 0, 0, 0
	if n.flows == nil {
		n.flows = make([]Flow[T], len(t.classes))
	}
	for i := range n.flows {
		n.flows[i] = Flow[T]{tenant: n, class: &t.classes[i]}
	}
	t.tenants[id] = n
	return n
}

// release lets the next job of a key be claimed.
func (t *Table[T]) release(key uint64) {
	behind := t.keys[key]
	n := behind.First
	if n == nil {
		delete(t.keys, key)
		if len(t.behind) < maxSpare {
			t.behind = append(t.behind, behind)
		}
		return
	}
	behind.Remove(n)
	t.enqueue(n, false)
}

// Oldest takes out the oldest job of the flow in which most wait, in the lowest class in which any
// do.
func (t *Table[T]) Oldest() (job T, tag int, ok bool) {
	var most *Flow[T]
	for i := len(t.classes) - 1; i >= 0 && most == nil; i-- {
		if t.classes[i].Waiting == 0 {
			continue
		}
		for _, n := range t.tenants {
			if f := &n.flows[i]; f.jobs.Len > 0 && (most == nil || f.jobs.Len > most.jobs.Len) {
				most = f
			}
		}
	}
	if most == nil {
		return job, 0, false
	}
	n := most.jobs.First
	job, tag = n.job, n.tag
	t.remove(n)
	return job, tag, true
}

// Drain takes out everything that waits.
func (t *Table[T]) Drain(give func(job T, tag int)) {
	all := func(jobs *nodes[T]) {
		for d := jobs.First; d != nil; d = jobs.First {
			give(d.job, d.tag)
			t.remove(d)
		}
	}
	for more := true; more; { // a job behind a key comes into its flow when the one before has gone
		more = false
		for _, n := range t.tenants {
			for i := range n.flows {
				more = more || n.flows[i].jobs.Len > 0
				all(&n.flows[i].jobs)
			}
		}
	}
	for _, behind := range t.keys { // of one that runs
		all(behind)
	}
}

// Usage is what a tenant has used since it last had nothing waiting or running.
type Usage struct {
	Tenant  uint64
	Waiting int
	Running int // claims
	Ended   uint64
	Busy    time.Duration
}

// Behind returns how many jobs wait behind their keys, and the key behind which most of them wait,
// with their number.
func (t *Table[T]) Behind() (all, most int, key uint64) {
	for k, behind := range t.keys {
		if all += behind.Len; behind.Len > most {
			most, key = behind.Len, k
		}
	}
	return all, most, key
}

// Usages calls f for each tenant. What runs counts until now.
func (t *Table[T]) Usages(now time.Duration, f func(Usage)) {
	for _, n := range t.tenants {
		u := Usage{Tenant: n.id, Ended: n.ended, Busy: n.busy}
		for i := range n.flows {
			u.Waiting += n.flows[i].waiting
			u.Running += n.flows[i].running
			u.Busy += max(0, time.Duration(n.flows[i].running)*now-n.flows[i].started)
		}
		f(u)
	}
}
