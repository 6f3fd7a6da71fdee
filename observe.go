package pool

import (
	"context"
	"runtime/pprof"
)

// What profiles and traces see of a pool with a name. A pool without one has none of it: the
// goroutine that runs a batch asks only whether the pool is plain, which also means without
// WithPanicHandler.

// WithName names the pool, which tells several in one program apart: in [Stats].Name, in profiles,
// and in execution traces. The empty name, the default, is no name.
//
// Profiles: the workers' goroutines carry the label pool=name (package runtime/pprof), so go tool
// pprof -tagfocus pool=name shows one pool alone, in CPU and goroutine profiles. Goroutines that a
// task starts inherit the label. The contexts of tasks carry it too, since pprof.Do restores the
// labels of the context that it is given. A worker sets the label once, when its goroutine starts.
// So if a task sets other labels, or calls pprof.Do with a context that has others, later tasks of
// the worker have those. (A [Group] gives its tasks the labels of its own context, if that has
// any.) The workers also carry the labels of the context of [WithContext]. Without a name they have
// the labels of the submitter that happened to start them.
//
// Traces: while package runtime/trace is enabled, each batch of tasks that a worker runs, of one or
// many, is a region "pool name".
//
// Tasks that [CallerRuns] runs on their submitter's goroutine have neither label nor region: the
// goroutine keeps its labels.
//
// It backfires with a name for each request or customer: every name is a value of its own in all
// profiles.
func WithName(name string) Option { return func(c *config) { c.name = name } }

// labelled returns ctx with the pool's label.
func (c *config) labelled(ctx context.Context) context.Context {
	if c.name == "" {
		return ctx
	}
	return pprof.WithLabels(ctx, pprof.Labels("pool", c.name))
}
