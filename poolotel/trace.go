package poolotel

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/headrace-go/pool"
)

// waitKey is the attribute with how long a task has waited, in seconds.
const waitKey = "workerpool.task.wait"

// Tracer wraps tasks so that each makes a span. [NewTracer] makes a Tracer. Any number of
// goroutines may use it at once.
type Tracer struct {
	tracer  trace.Tracer
	off     bool // provider makes no spans, now and later
	options []trace.SpanStartOption
}

// NewTracer returns a Tracer that makes its spans with provider, or with the global tracer provider
// if provider is nil. It gives the options to each span: attributes such as the name of the pool,
// or a kind.
func NewTracer(provider trace.TracerProvider, opts ...trace.SpanStartOption) *Tracer {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	t := &Tracer{tracer: provider.Tracer(scopeName), options: slices.Clip(slices.Clone(opts))}
	_, t.off = t.tracer.(noop.Tracer)
	return t
}

// Trace is [Tracer.Trace] of a Tracer for the global tracer provider and opts. Each call asks that
// provider for its tracer, which a [Tracer] does once.
func Trace(ctx context.Context, name string, task pool.Task, opts ...trace.SpanStartOption) pool.Task {
	return NewTracer(nil, opts...).Trace(ctx, name, task)
}

// Trace returns task, wrapped so that a span with the name covers its run. ctx is the submitter's.
// Trace needs it because a pool gives its own context to a task: the submitter's does not reach the
// task.
//
//	err := p.Submit(ctx, tracer.Trace(ctx, "resize", task))
//
// The span starts when the task starts. It links to the span in ctx, if there is one. It is a child
// of the span in the task's context, if there is one, and otherwise the root of a trace of its own.
// The context of a task in a [pool.Group] has the values of the context with which the group was
// made, so there the span is also a child of the span in that one. The task gets a context with the
// new span.
//
// The attribute workerpool.task.wait is the time from the call of Trace to the start of the task,
// in seconds, including the wait for room. An error of the task becomes the status of the span and
// its attribute error.type. A panic and [runtime.Goexit] end the span too, with the error.type
// "panic" or "goexit", and continue to the pool. A task that never starts makes no span. A task
// that runs several times makes a span each time.
//
// Trace of a nil task is nil, which the pool rejects. Trace keeps the span context of ctx, and not
// ctx itself.
//
// It backfires for short tasks: see README.md for what it costs, with an SDK and without.
func (t *Tracer) Trace(ctx context.Context, name string, task pool.Task) pool.Task {
	if task == nil || t.off {
		return task
	}
	called := time.Now()
	submitter := trace.SpanContextFromContext(ctx)
	return func(ctx context.Context) error {
		opts := t.options
		if submitter.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: submitter}))
		}
		ctx, span := t.tracer.Start(ctx, name, opts...)
		if !span.IsRecording() {
			defer span.End()
			return task(ctx)
		}
		span.SetAttributes(attribute.Float64(waitKey, time.Since(called).Seconds()))
		return record(ctx, span, task)
	}
}

// record runs task, and ends span with what has become of it.
func record(ctx context.Context, span trace.Span, task pool.Task) (err error) {
	returned := false
	defer func() {
		switch v := recover(); {
		case v != nil:
			fail(span, semconv.ErrorTypeKey.String("panic"), fmt.Sprint("panic: ", v))
			span.End()
			panic(v)
		case !returned:
			fail(span, semconv.ErrorTypeKey.String("goexit"), pool.ErrGoexit.Error())
		case err != nil:
			fail(span, semconv.ErrorType(err), fmt.Sprint(err))
		}
		span.End()
	}()
	err = task(ctx)
	returned = true
	return err
}

func fail(span trace.Span, kind attribute.KeyValue, description string) {
	span.SetAttributes(kind)
	span.SetStatus(codes.Error, description)
}
