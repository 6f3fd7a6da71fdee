package fair

import (
	"math"
	"time"
)

// rate is a token bucket: a job takes a token when it is claimed. The zero value has no bound.
type rate struct {
	per    float64 // tokens in a nanosecond
	burst  float64
	tokens float64
	last   time.Duration // when tokens was right
}

// enough is one token, less what rounding may take from it.
const enough = 1 - 1e-9

// ready reports whether there is a token.
func (r *rate) ready(now time.Duration) bool {
	if r.per == 0 {
		return true
	}
	if now > r.last {
		r.tokens = min(r.burst, r.tokens+float64(now-r.last)*r.per)
		r.last = now
	}
	return r.tokens >= enough
}

// take takes a token, if there is one. It is called after ready.
func (r *rate) take() bool {
	if r.per == 0 {
		return true
	}
	if r.tokens < enough {
		return false
	}
	r.tokens = max(0, r.tokens-1)
	return true
}

// next returns when there will be a token.
func (r *rate) next() time.Duration {
	wait := max(1, math.Ceil((enough-r.tokens)/r.per))
	return r.last + time.Duration(min(wait, float64(math.MaxInt64/2)))
}

// Wake returns when the table has to be looked at though nothing was pushed and nothing has ended:
// for a deadline or a token.
func (t *Table[T]) Wake() (at time.Duration, ok bool) {
	if t.due.len() > 0 {
		at, ok = t.due.all[0].attr.Deadline, true
	}
	if t.starved && t.next() != nil {
		if r := t.rate.next(); !ok || r < at {
			at, ok = r, true
		}
	}
	return at, ok
}

// Look takes out what has expired, and looks whether there is a token.
func (t *Table[T]) Look(now time.Duration) {
	for t.due.len() > 0 && t.due.all[0].attr.Deadline <= now {
		n := t.due.all[0]
		n.flow.class.Expired++
		t.expired = append(t.expired, Job[T]{n.job, n.tag})
		t.gone++
		t.remove(n)
	}
	starved := t.next() != nil && !t.rate.ready(now)
	switch {
	case starved && !t.starved:
		t.since = now
	case !starved && t.starved:
		t.throttled += now - t.since
	}
	t.starved = starved
}

// Expired returns what has expired since the last call: the caller has to hand it over.
func (t *Table[T]) Expired() []Job[T] {
	all := t.expired
	t.expired = nil
	return all
}

// Gone returns how many jobs have expired and still count as accepted. They take no places.
func (t *Table[T]) Gone() int { return t.gone }

// Told notes that n jobs that have expired no longer count as accepted.
func (t *Table[T]) Told(n int) { t.gone -= n }

// Late reports whether Expired would return something.
func (t *Table[T]) Late() bool { return len(t.expired) > 0 }

// Timed reports whether Take has to know the time exactly.
func (t *Table[T]) Timed() bool { return t.due.len() > 0 || t.rate.per > 0 }

// Counts returns the counts of a class.
func (t *Table[T]) Counts(class int) Counts { return t.classes[class].Counts }

// Throttled returns how long jobs have waited for nothing but the rate.
func (t *Table[T]) Throttled(now time.Duration) time.Duration {
	if t.starved {
		return t.throttled + max(0, now-t.since)
	}
	return t.throttled
}
