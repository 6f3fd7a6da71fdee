package pool

import "github.com/headrace-go/pool/internal/ring"

// WithBuffer(0): no queue. A submission takes the token of an idle place (see
// park.go) and gives its job to the worker that it wakes or starts. The ring has no
// slots then; it counts, and orders acceptance with closing.

// handOver gives v to a free worker (WithBuffer(0)). first is as for push.
func (e *engine[T]) handOver(v T, n *ring.Record, first bool) ring.Status {
	if e.ring().IsClosed() {
		return ring.Closed
	}
	if !first && e.ring().IsReserved() {
		return ring.Full // for one that was overtaken, see room.go
	}
	if e.ctl.Load()&ctlWeighs == 0 {
		if s := e.handTo(v, 0); s != ring.Broke {
			return s
		}
	}
	weight := int64(1)
	if n != nil {
		weight = int64(n.Bits)
	}
	if !first && e.somebodyWaits() || !e.admitDirect(weight) {
		return ring.Full
	}
	s := e.handTo(v, weight)
	if s != ring.OK {
		e.giveWeight(nil, weight)
	}
	return s
}

// handTo gives v to a free worker, which then holds the weight. It returns Broke if weight is 0
// and the pool has begun to weigh.
func (e *engine[T]) handTo(v T, weight int64) ring.Status {
	if !e.takeToken() {
		if e.gate.Load()&gateLook != 0 {
			e.watch()
		}
		return ring.Full
	}
	s := ring.Closed
	if !e.employ(func(w *worker[T]) {
		if weight == 0 && e.ctl.Load()&ctlWeighs != 0 {
			s = ring.Broke
			return
		}
		var pos, tag uint64
		if pos, tag, s = e.ring().Ticket(); s == ring.OK {
			w.given, w.handed, w.pos, w.tag = v, true, pos, tag
			if weight > 0 {
				e.giveWeight(w, weight)
			}
		}
	}) && !e.ring().IsClosed() {
		return ring.Full
	}
	return s
}

// awaitHandOver parks until a job is handed over.
func (w *worker[T]) awaitHandOver() bool {
	for !w.handed {
		if !w.park() {
			return false
		}
	}
	if w.searching {
		w.searching = false
		w.e.gate.Add(^uint64(0))
	}
	w.end = w.pos
	w.mark.Store(markOf(w.pos, w.tag, true))
	return true
}
