package pool

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Admission, cell by cell: each call with each kind of context and each policy, with and
// without room (P1, P6).

// entry is a cell.
type entry struct {
	typed    bool
	call     string
	context  string
	overflow Overflow
	room     string
	weight   int64
}

func TestAdmission(t *testing.T) {
	for _, typed := range []bool{false, true} {
		for _, call := range []string{"Submit", "TrySubmit", "SubmitBatch", "SubmitKeyed", "SubmitWeighted", "Go"} {
			for _, kind := range []string{"live", "nil", "done", "cancelled", "deadline"} {
				for _, overflow := range []Overflow{Block, Reject, CallerRuns, DropOldest} {
					for _, room := range []string{"free", "full"} {
						a := &entry{typed, call, kind, overflow, room, 2}
						if typed && call == "Go" || call == "TrySubmit" && kind != "live" {
							continue
						}
						t.Run(name("strategy", strategy, "typed", typed, "call", call, "context", kind, "overflow", overflow, "room", room), func(t *testing.T) {
							synctest.Test(t, a.test)
						})
					}
				}
			}
		}
	}
}

func (a *entry) test(t *testing.T) {
	var dropped atomic.Int64
	opts := []Option{WithStrategy(strategy), WithWorkers(1), WithBuffer(1), WithOverflow(a.overflow)}
	if a.call == "SubmitWeighted" {
		opts = append(opts, WithCapacity(a.weight))
	}
	if a.typed {
		if a.overflow == DropOldest {
			opts = append(opts, WithDropHandler(func(*job) { dropped.Add(1) }))
		}
		p, err := NewTyped(func(ctx context.Context, j *job) error { return j.run(ctx) }, opts...)
		must(t, err)
		admit(t, a, p, &p.engine, func(j *job) *job { return j }, &dropped)
		return
	}
	if a.overflow == DropOldest {
		opts = append(opts, WithDropHandler(func(Task) { dropped.Add(1) }))
	}
	p, err := New(opts...)
	must(t, err)
	admit(t, a, p, &p.engine, taskOf, &dropped)
	checkNoKeys(t, p)
}

// submissionContext is done, or will be, one second after the start, as its name says.
func (a *entry) submissionContext() (context.Context, context.CancelFunc) {
	switch a.context {
	case "nil":
		return noContext, func() {}
	case "deadline":
		return context.WithTimeout(bg, atStop)
	}
	ctx, cancel := context.WithCancel(bg)
	switch a.context {
	case "done":
		cancel()
	case "cancelled":
		time.AfterFunc(atStop, cancel)
	}
	return ctx, cancel
}

func admit[T any](t *testing.T, a *entry, p intake[T], e *engine[T], in func(*job) T, dropped *atomic.Int64) {
	h := &history{start: time.Now()}
	others := 0
	if a.room == "full" {
		fill := "Submit"
		if strategy == PerWorker && a.call == "SubmitKeyed" && a.overflow != DropOldest {
			fill = a.call // jobs with keys wait apart
		}
		must(t, enter(bg, p, fill, 0, in(&job{run: hold})))
		synctest.Wait()
		must(t, enter(bg, p, fill, 0, in(&job{run: sleep(0)})))
		others = 2
	}
	ctx, cancel := a.submissionContext()
	defer cancel()
	j := &job{run: func(context.Context) error { h.log(&h.begun, nil); return nil }}
	at, want := a.outcome()
	go func() {
		if a.call != "Go" {
			h.log(&h.submit, enter(ctx, p, a.call, a.weight, in(j)))
			return
		}
		u := Go(ctx, any(p).(*Pool), func(ctx context.Context) (int, error) { return 0, j.run(ctx) })
		if want == nil {
			h.log(&h.submit, nil)
			return
		}
		_, err := u.Wait(bg)
		h.log(&h.submit, err)
	}()
	synctest.Wait()
	if a.overflow == Block { // who comes behind gets in when there is room
		others++
		go func() { h.log(&h.wait, p.Submit(bg, in(&job{run: sleep(0)}))) }()
	}
	h.until(atEnd)
	must(t, p.Close())
	synctest.Wait()
	if n := e.weights.Used(); n != 0 {
		t.Errorf("weights of %d are left", n)
	}
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	check(h.submit.want("the submission", at, want...))
	s := p.Stats()
	checkRest(t, s)
	if want != nil {
		check(h.begun.never("the task began"))
		check(wantEqual("rejected", s.Rejected, 1))
	} else {
		begun := 1
		if a.lapses() {
			begun = 0
		}
		check(wantEqual("begun", h.begun.n, begun))
		others++
	}
	check(wantEqual("accepted", s.Accepted, uint64(others)))
	drops := uint64(0)
	if a.overflow == DropOldest && a.room == "full" && want == nil {
		drops = 1
	}
	check(wantEqual("dropped", s.Dropped, drops))
	check(wantEqual("given to the handler", dropped.Load(), int64(drops)))
	if a.overflow == Block {
		behind := time.Duration(0)
		if a.room == "full" && !(strategy == PerWorker && a.call == "SubmitKeyed") { // jobs with keys wait apart
			behind = taskTime
		}
		check(h.wait.want("the next submission", behind))
	}
}

// outcome returns when the submission returns, and with what.
func (a *entry) outcome() (at time.Duration, want []error) {
	special := slices.Contains([]string{"SubmitKeyed", "SubmitWeighted"}, a.call)
	switch full := a.room == "full"; {
	case a.context == "nil":
		return 0, []error{errNilContext}
	case a.context == "done":
		return 0, []error{context.Canceled}
	case a.call == "SubmitKeyed" && a.overflow == DropOldest:
		return 0, []error{errAny}
	case !full || a.overflow == DropOldest && a.call != "TrySubmit":
		return 0, nil
	case a.overflow == Reject || a.call == "TrySubmit":
		return 0, []error{ErrFull}
	case a.overflow == CallerRuns && !special:
		return 0, nil
	case a.context == "cancelled":
		return atStop, []error{context.Canceled}
	case a.context == "deadline":
		return atStop, []error{context.DeadlineExceeded}
	}
	return taskTime, nil
}

// lapses reports whether the task is accepted and its context done before it begins, which
// matters to Go alone.
func (a *entry) lapses() bool {
	return a.call == "Go" && a.overflow == DropOldest && a.room == "full" && a.context != "live"
}

// errAny stands for an error that has no name.
var errAny = errors.New("any")
