package pool

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/headrace-go/pool/internal/goroutine"
)

// RunningTask is a task that a worker runs.
type RunningTask struct {
	// Age is for how long it has run, or for how long its worker is at work on the batch that it belongs to.
	Age time.Duration
	// Key is its key, 0 if it has none, or under [PerWorker].
	Key uint64
	// Waits says that it is inside a wait of its own pool, for tasks that it has submitted.
	Waits bool
	// Name is the task's function, and Stack what its goroutine is doing, in the form of a stack trace that ends
	// with that function. Both are empty unless they were asked for, or if the task has just ended.
	Name, Stack string
}

// RunningTasks returns the tasks that workers run, those that have run for longest first, at most n of them. With stacks it also
// says what they are and what they do.
//
// It backfires with stacks in a program of many goroutines: the program stands still while their traces are written, .2 ms with ten and 18 ms with
// a thousand (go test -bench RunningTasks; two virtual processors of an AMD EPYC, 2026-12-01).
//
// Tasks that run on their submitter's goroutine ([CallerRuns]) are not among them. It may be called by any goroutine.
func (e *engine[T]) RunningTasks(n int, stacks bool) []RunningTask {
	if n <= 0 {
		return nil
	}
	type running struct {
		RunningTask
		w *worker[T]
	}
	var all []running
	e.mu.Lock()
	now := e.now()
	for _, w := range e.workers {
		if b := w.cur.Load(); b.Load().Running() > 0 {
			all = append(all, running{RunningTask{Age: max(0, now-time.Duration(w.since.Load())), Waits: w.blocked.Load() != nil}, w})
		}
	}
	slices.SortFunc(all, func(a, b running) int { return cmp.Compare(b.Age, a.Age) })
	all = all[:min(n, len(all))]
	for i := range all {
		all[i].Key = e.keyLocked(all[i].w)
	}
	e.mu.Unlock()
	var traces map[uintptr]string
	if stacks && len(all) > 0 {
		traces = goroutine.Stacks()
	}
	tasks := make([]RunningTask, len(all))
	for i, r := range all {
		r.Name, r.Stack = nameIn(traces[r.w.mark()])
		tasks[i] = r.RunningTask
	}
	return tasks
}

// packageName is what the names of this package's functions begin with.
var packageName = reflect.TypeFor[PanicError]().PkgPath() + "."

// nameIn returns the outermost function in a stack trace that is not the pool's own, and the trace without the frames that called it.
func nameIn(trace string) (name, rest string) {
	lines := strings.Split(trace, "\n")
	for i := len(lines) - 1; i > 0; i-- {
		f, ok := strings.CutSuffix(lines[i], ")")
		at := strings.LastIndex(f, "(")
		if !ok || at < 0 || strings.HasPrefix(f, "\t") || strings.HasPrefix(f, "created by ") {
			continue
		}
		if f = f[:at]; !strings.HasPrefix(f, packageName) && !strings.HasPrefix(f, goroutine.Package) {
			return f, strings.Join(lines[:min(i+2, len(lines))], "\n") // a frame has two lines
		}
	}
	return "", trace
}
