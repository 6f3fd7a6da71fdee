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
	// Age is how long it has run, or how long its worker has been at work on its batch.
	Age time.Duration
	// Key is its key, or 0 if it has none, or under [PerWorker].
	Key uint64
	// Waits says that it waits in its own pool, for tasks that it has submitted.
	Waits bool
	// Name is the task's function. Stack is what its goroutine is doing, as a stack trace that ends
	// with that function. Both are empty if stacks were not asked for, or the task has just ended.
	Name, Stack string
}

// RunningTasks returns at most n of the tasks that workers run, those that have run longest first.
// With stacks it also sets their Name and Stack.
//
// It leaves out tasks that run on their submitter's goroutine ([CallerRuns]). Any goroutine may
// call it.
//
// With stacks it backfires in a program of many goroutines, which stands still while their traces
// are written: 0.2 ms with ten goroutines, and 18 ms with a thousand (go test -bench RunningTasks;
// two virtual processors of an AMD EPYC, 2026-12-01).
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

// nameIn returns the outermost function in a stack trace that is not the pool's own, and the trace
// without the frames that called it.
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
