package pool

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// promises are what has to be true of the history of every cell.
var promises = []struct {
	name string
	kept func(*scenario, *history) error
}{
	{"P1: exactly once", (*scenario).runsOnce},
	{"P2: synchronizes before", (*scenario).synchronizes},
	{"P3: nothing after Close", (*scenario).nothingAfterClose},
	{"P4: the stop", (*scenario).stops},
	{"P4: who waits", (*scenario).releases},
	{"P6: the submission", (*scenario).submits},
	{"P7: the limit", (*scenario).limits},
	{"P9: failures", (*scenario).reports},
	{"P14: counters", (*scenario).counts},
}

// want returns an error unless e happened once, at that time, with an error that is all of
// errs, or none.
func (e event) want(what string, at time.Duration, errs ...error) error {
	if e.n != 1 || e.at != at {
		return fmt.Errorf("%s: %d times, at %v, want once at %v", what, e.n, e.at, at)
	}
	return wantAll(what, e.err, errs)
}

func wantAll(what string, err error, errs []error) error {
	if err != nil && len(errs) == 0 {
		return fmt.Errorf("%s: got %w", what, err)
	}
	for _, target := range errs {
		if !errors.Is(err, target) && (target != errAny || err == nil) {
			return fmt.Errorf("%s: got %v, want %w", what, err, target)
		}
	}
	return nil
}

// never returns an error if e happened.
func (e event) never(what string) error {
	if e.n != 0 {
		return fmt.Errorf("%s: %d times, at %v with %v, want never", what, e.n, e.at, e.err)
	}
	return nil
}

func wantEqual[V comparable](what string, got, want V) error {
	if got != want {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}

// failure is the error that a subject with this outcome ends with.
func (c *scenario) failure() []error {
	switch {
	case !c.fails():
		return nil
	case c.outcome == "goexit":
		return []error{ErrGoexit}
	}
	return []error{errBad}
}

// kept is the error that Close has to return.
func (c *scenario) kept() []error {
	if c.call == "Go" {
		return nil // it is the future's
	}
	return c.failure()
}

// refusal is the error of who was blocked when the pool was stopped.
func (c *scenario) refusal() []error {
	if c.call == "TrySubmit" {
		return []error{ErrFull}
	}
	errs := []error{ErrClosed}
	if c.stop.aborts == atStop {
		errs = append(errs, c.stop.causes...)
	}
	return errs
}

func (c *scenario) runsOnce(h *history) error {
	at, begins := c.begins()
	if !begins {
		if err := errors.Join(h.begun.never("the task began"), h.ended.never("the task ended")); err != nil {
			return err
		}
	} else if err := errors.Join(h.begun.want("the task began", at), h.ended.want("the task ended", c.ends())); err != nil {
		return err
	}
	back := map[*job]int{}
	for _, j := range h.back {
		back[j]++
	}
	subject := 0
	if c.when == "queued" && !begins && c.call != "Go" {
		subject = 1
	}
	errs := []error{
		wantEqual("handed back", len(h.back), c.handedBack()),
		wantEqual("handed back by a second call", h.late, 0),
		wantEqual("the task was handed back", back[h.subject], subject),
	}
	for _, j := range h.others {
		errs = append(errs, wantEqual("a queued task ran or was handed back", j.note-1+back[j], 1))
	}
	return errors.Join(errs...)
}

func (c *scenario) synchronizes(h *history) error {
	want := 1
	if _, begins := c.begins(); begins {
		want = 2
	}
	return wantEqual("what the task has written, after Close", h.subject.note, want)
}

func (c *scenario) nothingAfterClose(h *history) error {
	at := c.drained()
	if c.stop.call == nil {
		at = atEnd
	}
	errs := []error{
		h.done.want("Done was closed", at),
		h.again.want("a second Close", atEnd),
		wantEqual("goroutines", h.rest.Goroutines, 0),
		wantEqual("running", h.gauge.now.Load(), 0),
	}
	want := []error{ErrClosed}
	if c.stop.name == "parent" {
		want = append(want, errParent)
	}
	for _, err := range h.refusals {
		errs = append(errs, wantAll("after the end", err, want))
	}
	return errors.Join(errs...)
}

func (c *scenario) stops(h *history) error {
	_, begins := c.begins()
	var cancelled error
	if begins && c.stop.aborts > 0 && c.outcome != "ignore" {
		cancelled = h.cancelled.want("the context of the task was cancelled", c.stop.aborts, c.stop.causes...)
	} else {
		cancelled = h.cancelled.never("the context of the task was cancelled")
	}
	if c.stop.call == nil {
		return errors.Join(cancelled, h.closed.want("Close", atEnd, c.kept()...))
	}
	var errs, late []error // of the stop, and of a Close after it
	at := atStop
	switch {
	case c.stop.waits:
		at = c.drained()
	case c.stop.aborts > 0:
		at = c.stop.aborts
	}
	if c.stop.closes {
		errs = c.kept()
	} else {
		late = c.kept()
	}
	if c.stop.missed {
		errs = append(errs, c.stop.causes[1])
		var d *DeadlineError
		if !errors.As(h.stop.err, &d) || d.Unstarted != c.handedBack() || d.Running != c.workers {
			return fmt.Errorf("got %v, want %d that never started and %d that run", h.stop.err, c.handedBack(), c.workers)
		}
	}
	if c.stop.name == "parent" && c.handedBack() > 0 {
		late = append(late, errParent)
	}
	return errors.Join(cancelled, h.stop.want("the stop", at, errs...), h.closed.want("Close", atEnd, late...))
}

func (c *scenario) releases(h *history) error {
	var errs []error
	if c.waiter == "Wait" {
		at := taskTime // a blocked submission came later
		if _, begins := c.begins(); begins && c.when != "blocked" {
			at = c.ends()
		}
		if c.stop.aborts > 0 {
			at = c.stop.aborts
		}
		errs = append(errs, h.wait.want("Wait", at, c.stop.causes...))
	}
	if c.call != "Go" {
		return errors.Join(errs...)
	}
	at, want := c.stop.aborts, c.stop.causes
	if _, begins := c.begins(); begins {
		at, want = c.ends(), c.failure()
	} else if c.refused() {
		at, want = atStop, c.refusal()
	}
	if c.waiter != "Future" {
		at = atEnd // it was looked at only then
	}
	return errors.Join(append(errs, h.future.want("the future", at, want...))...)
}

func (c *scenario) submits(h *history) error {
	switch {
	case c.when != "blocked":
		return h.submit.want("the submission", 0)
	case c.call == "TrySubmit":
		return h.submit.want("the submission", 0, ErrFull)
	case !c.refused():
		return h.submit.want("the submission", taskTime)
	case c.call == "Go":
		return h.submit.want("the submission", atStop) // its error is the future's
	}
	return h.submit.want("the submission", atStop, c.refusal()...)
}

func (c *scenario) limits(h *history) error {
	return errors.Join(
		wantEqual("running at a time", h.gauge.max.Load(), int64(c.workers)),
		wantEqual("running at a time, afterwards", h.free, uint64(c.more())),
	)
}

// more is how many tasks run after the subject, if the pool was not stopped.
func (c *scenario) more() int {
	if c.stop.call == nil {
		return c.workers
	}
	return 0
}

func (c *scenario) reports(h *history) error {
	var handled, panicked int
	if c.fails() && c.call != "Go" {
		handled = 1
	}
	if c.fails() && c.outcome == "panic" {
		panicked = 1
	}
	errs := []error{
		wantEqual("errors in the handler", len(h.handled), handled),
		wantEqual("panics in the handler", len(h.panicked), panicked),
	}
	for _, err := range append(h.handled, h.panicked...) {
		errs = append(errs, wantAll("in a handler", err, c.failure()))
	}
	return errors.Join(errs...)
}

func (c *scenario) counts(h *history) error {
	want := Stats{
		Workers: c.workers, Buffer: c.buffer,
		Accepted: uint64(c.blockers() + c.fillers() + c.more()),
		Unrun:    uint64(c.handedBack()),
		Batch:    h.rest.Batch,
	}
	if c.refused() {
		want.Rejected = 1
	} else {
		want.Accepted++
	}
	if c.fails() {
		switch c.outcome {
		case "error":
			want.Failed = 1
		case "panic":
			want.Panicked = 1
		case "goexit":
			want.Goexited = 1
		}
	}
	want.Completed = want.Accepted - want.Unrun - want.Failed - want.Panicked - want.Goexited
	if got := counters(h.rest); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("at rest: got %+v, want %+v", got, want)
	}
	return nil
}

// What the cell comes to.

// weight is that of a weighted submission.
func (c *scenario) weight() int64 {
	if c.call == "SubmitWeighted" {
		return 2
	}
	return 1
}

// blockers is how many tasks keep workers busy from the start.
func (c *scenario) blockers() int {
	if c.when == "running" {
		return c.workers - 1
	}
	return c.workers
}

// fillers is how many tasks wait in the queue before the subject.
func (c *scenario) fillers() int {
	switch c.when {
	case "blocked":
		if c.keyedPerWorker() { // what a worker has for keys, and the one that it might run
			return max(1, c.buffer/c.workers) + 1
		}
		return c.buffer
	case "queued":
		return c.buffer - 1
	}
	return 0
}

// keyedPerWorker reports whether the subject waits apart from jobs without a key.
func (c *scenario) keyedPerWorker() bool { return strategy == PerWorker && c.call == "SubmitKeyed" }

// refused reports whether the subject's submission is.
func (c *scenario) refused() bool {
	return c.when == "blocked" && (c.stop.call != nil || c.call == "TrySubmit")
}

// begins returns when the subject does, and whether.
func (c *scenario) begins() (at time.Duration, yes bool) {
	switch {
	case c.when == "running":
		return 0, true
	case c.refused() || c.stop.aborts > 0:
		return 0, false
	}
	return taskTime, true
}

// ends returns when the subject does, if it begins.
func (c *scenario) ends() time.Duration {
	at, _ := c.begins()
	if c.when == "running" && c.stop.aborts > 0 && c.outcome != "ignore" {
		return c.stop.aborts
	}
	return at + taskTime
}

// drained is when the last task ends.
func (c *scenario) drained() time.Duration {
	last := time.Duration(0)
	if c.blockers() > 0 {
		last = taskTime
		if c.stop.aborts > 0 {
			last = c.stop.aborts
		}
	}
	if _, yes := c.begins(); yes {
		last = max(last, c.ends())
	}
	return last
}

// handedBack is how many tasks are.
func (c *scenario) handedBack() int {
	n := 0
	if c.stop.aborts > 0 {
		n = c.fillers()
		if c.when == "queued" {
			n++
		}
	}
	return n
}

// fails reports whether the subject does, and is begun.
func (c *scenario) fails() bool {
	_, yes := c.begins()
	return yes && slices.Contains([]string{"error", "panic", "goexit"}, c.outcome)
}
