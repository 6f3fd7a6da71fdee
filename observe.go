package pool

import (
	"context"
	"runtime/pprof"
)

// What profiles and traces see of a pool with a name. A pool without one has none of it: who runs
// a batch asks only whether the pool is plain, which takes WithPanicHandler in as well.

// WithName names the pool, so that several in one program can be told apart: in
// [Stats].Name, in profiles, and in execution traces. The empty name, the default, is none.
//
// Profiles: the workers' goroutines carry the label pool=name (package runtime/pprof), so
// go tool pprof -tagfocus pool=name shows one pool alone, in CPU and goroutine
// profiles. The goroutines that a task starts inherit it. The tasks' contexts carry it too, since
// pprof.Do puts back the labels of the context that it is given. A worker sets it once, when its goroutine starts:
// a task that sets other labels, or calls pprof.Do with a context that has others
// (a [Group] gives its tasks those of its own context, if that has any), leaves them to the
// tasks after it. The workers also carry the labels of the context of [WithContext],
// and not those of the submitter that happened to start them, as they do without a name.
//
// Traces: while package runtime/trace is enabled, each batch of tasks that a worker runs, of one or
// many, is a region "pool name".
//
// Tasks that [CallerRuns] runs on their submitter's goroutine have neither label nor
// region: the goroutine keeps the labels that it has.
//
// It backfires with a name for each request or customer: every name is a value of
// its own in all profiles.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// labelled returns ctx with the pool's label.
func (c *config) labelled(ctx context.Context) context.Context {
	if c.name == "" {
		return ctx
	}
	return pprof.WithLabels(ctx, pprof.Labels("pool", c.name))
}
