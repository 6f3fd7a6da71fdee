package poolotel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/headrace-go/pool"
)

// newTracerProvider returns a provider, and who records its spans.
func newTracerProvider() (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	r := tracetest.NewSpanRecorder()
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)), r
}

// submitting returns a context with a span, as that of a request is.
func submitting(ctx context.Context, p trace.TracerProvider) (context.Context, trace.Span) {
	return p.Tracer("request").Start(ctx, "request")
}

// named returns the spans with the name that have ended.
func named(r *tracetest.SpanRecorder, name string) (spans []sdktrace.ReadOnlySpan) {
	for _, s := range r.Ended() {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// one returns the only span with the name that has ended.
func one(t *testing.T, r *tracetest.SpanRecorder, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := named(r, name)
	if len(spans) != 1 {
		t.Fatalf("%d spans have the name %q", len(spans), name)
	}
	return spans[0]
}

// attributes returns those of a span, as text.
func attributes(s sdktrace.ReadOnlySpan) map[string]string {
	all := make(map[string]string)
	for _, a := range s.Attributes() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// The span covers the run of the task alone, says how long it waited, and links to the submitter's.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, r := newTracerProvider()
		tracer := NewTracer(provider, trace.WithAttributes(attribute.String("pool.name", "mail")), trace.WithSpanKind(trace.SpanKindConsumer))
		p, err := pool.New(pool.WithWorkers(1))
		check(t, err)
		check(t, p.Submit(t.Context(), func(context.Context) error { time.Sleep(3 * time.Second); return nil }))
		synctest.Wait()
		ctx, request := submitting(t.Context(), provider)
		var inside trace.SpanContext
		check(t, p.Submit(ctx, tracer.Trace(ctx, "resize", func(ctx context.Context) error {
			inside = trace.SpanContextFromContext(ctx)
			time.Sleep(2 * time.Second)
			return nil
		})))
		request.End()
		check(t, p.Close())
		s := one(t, r, "resize")
		if d := s.EndTime().Sub(s.StartTime()); d != 2*time.Second {
			t.Errorf("the span takes %v", d)
		}
		if a := attributes(s); len(a) != 2 || a[waitKey] != "3" || a["pool.name"] != "mail" {
			t.Errorf("attributes %v", a)
		}
		if ls := s.Links(); len(ls) != 1 || !ls[0].SpanContext.Equal(request.SpanContext()) {
			t.Errorf("links %v, want one to %v", ls, request.SpanContext())
		}
		if s.Parent().IsValid() || s.SpanContext().TraceID() == request.SpanContext().TraceID() {
			t.Errorf("the span is a child of %v", s.Parent())
		}
		if !inside.Equal(s.SpanContext()) {
			t.Errorf("the task has the span %v, want %v", inside, s.SpanContext())
		}
		if s.Status() != (sdktrace.Status{}) || len(s.Events()) > 0 || s.SpanKind() != trace.SpanKindConsumer || s.InstrumentationScope().Name != scopeName {
			t.Errorf("status %v, events %v, kind %v, scope %v", s.Status(), s.Events(), s.SpanKind(), s.InstrumentationScope())
		}
	})
}

// Without a span of the submitter there is no link.
func TestTraceNoSubmitter(t *testing.T) {
	provider, r := newTracerProvider()
	tracer := NewTracer(provider)
	for name, ctx := range map[string]context.Context{"background": context.Background(), "nil": nil} {
		check(t, tracer.Trace(ctx, name, func(context.Context) error { return nil })(context.Background()))
		if s := one(t, r, name); len(s.Links()) > 0 || s.Parent().IsValid() {
			t.Errorf("%s: links %v, parent %v", name, s.Links(), s.Parent())
		}
	}
}

// The span is a child of the one in the task's context: the pool's, or that of a group or a future.
func TestTraceParent(t *testing.T) {
	provider, r := newTracerProvider()
	tracer := NewTracer(provider)
	task := func(context.Context) error { return nil }
	service, span := submitting(t.Context(), provider)
	ctx, request := submitting(t.Context(), provider)
	p := newPool(t, pool.WithContext(service))
	check(t, p.Submit(ctx, tracer.Trace(ctx, "submit", task)))
	g := pool.NewGroup(ctx, p)
	g.Go(tracer.Trace(ctx, "group", task))
	check(t, g.Wait())
	check(t, p.Close())
	for name, parent := range map[string]trace.Span{"submit": span, "group": request} {
		s := one(t, r, name)
		if !s.Parent().Equal(parent.SpanContext()) {
			t.Errorf("%s: parent %v, want %v", name, s.Parent(), parent.SpanContext())
		}
		if ls := s.Links(); len(ls) != 1 || !ls[0].SpanContext.Equal(request.SpanContext()) {
			t.Errorf("%s: links %v", name, ls)
		}
	}
}

// badError is an error whose method panics.
type badError struct{}

func (badError) Error() string { panic("no text") }

// An error, a panic and Goexit end the span, and go on to the pool.
func TestTraceFailures(t *testing.T) {
	provider, r := newTracerProvider()
	tracer := NewTracer(provider)
	var mu sync.Mutex
	var got []error
	p := newPool(t, pool.WithWorkers(1), pool.WithErrorMode(pool.KeepGoing),
		pool.WithPanicHandler(func(*pool.PanicError) {}),
		pool.WithErrorHandler(func(err error) { mu.Lock(); got = append(got, err); mu.Unlock() }))
	failure := &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	for _, c := range []struct {
		name              string
		task              pool.Task
		kind, description string
		want              func(error) bool
	}{
		{"error", func(context.Context) error { return fmt.Errorf("resize: %w", failure) }, "*fs.PathError", "resize: open x: file does not exist",
			func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		{"bad error", func(context.Context) error { return badError{} }, scopeName + ".badError", "%!v(PANIC=Error method: no text)",
			func(err error) bool { return err == badError{} }},
		{"panic", badly, "panic", "panic: boom", func(err error) bool {
			e := new(pool.PanicError)
			return errors.As(err, &e) && e.Value == "boom" && strings.Contains(string(e.Stack), "poolotel.badly")
		}},
		{"goexit", func(context.Context) error { runtime.Goexit(); return nil }, "goexit", pool.ErrGoexit.Error(),
			func(err error) bool { return errors.Is(err, pool.ErrGoexit) }},
	} {
		got = nil
		check(t, p.Submit(t.Context(), tracer.Trace(t.Context(), c.name, c.task)))
		check(t, p.Wait(t.Context()))
		if len(got) != 1 || !c.want(got[0]) {
			t.Errorf("%s: errors %d", c.name, len(got))
		}
		s := one(t, r, c.name)
		if want := (sdktrace.Status{Code: codes.Error, Description: c.description}); s.Status() != want {
			t.Errorf("%s: status %v, want %v", c.name, s.Status(), want)
		}
		if kind := attributes(s)["error.type"]; kind != c.kind {
			t.Errorf("%s: error.type %q, want %q", c.name, kind, c.kind)
		}
	}
	if s := p.Stats(); s.Failed != 2 || s.Panicked != 1 || s.Goexited != 1 {
		t.Errorf("%v", s)
	}
}

func badly(context.Context) error { panic("boom") }

// What is not recorded goes on as well: under a sampler that drops, and without an SDK.
func TestTraceNotRecorded(t *testing.T) {
	dropping := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	for name, provider := range map[string]trace.TracerProvider{"dropped": dropping, "noop": noop.NewTracerProvider(), "global": nil} {
		tracer := NewTracer(provider)
		ctx, span := submitting(t.Context(), dropping)
		want := errors.New("x")
		if err := tracer.Trace(ctx, name, func(context.Context) error { return want })(t.Context()); err != want {
			t.Errorf("%s: error %v", name, err)
		}
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("%s: panic %v", name, v)
				}
			}()
			_ = tracer.Trace(ctx, name, badly)(t.Context())
		}()
		span.End()
	}
}

// endings is a provider of spans that are not recorded, and counts their ends.
type endings struct {
	noop.TracerProvider
	n int
}

func (p *endings) Tracer(string, ...trace.TracerOption) trace.Tracer { return endingTracer{p: p} }

type endingTracer struct {
	noop.Tracer
	p *endings
}

func (t endingTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	return ctx, endingSpan{p: t.p}
}

type endingSpan struct {
	noop.Span
	p *endings
}

func (s endingSpan) End(...trace.SpanEndOption) { s.p.n++ }

func TestTraceEnds(t *testing.T) {
	p := new(endings)
	check(t, NewTracer(p).Trace(t.Context(), "task", func(context.Context) error { return nil })(t.Context()))
	if p.n != 1 {
		t.Errorf("%d ends", p.n)
	}
}

// A provider that makes no spans costs nothing, and a submitter without a span no link.
func TestTraceAllocates(t *testing.T) {
	task := func(context.Context) error { return nil }
	ctx, span := submitting(context.Background(), sdktrace.NewTracerProvider())
	defer span.End()
	allocs := func(p trace.TracerProvider, ctx context.Context) float64 {
		tracer := NewTracer(p)
		return testing.AllocsPerRun(100, func() {
			if err := tracer.Trace(ctx, "task", task)(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if n := allocs(noop.NewTracerProvider(), ctx); n > 0 {
		t.Errorf("noop: %v allocations", n)
	}
	dropping := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	if without, with := allocs(dropping, context.Background()), allocs(dropping, ctx); without > 4 || with < without+2 {
		t.Errorf("%v allocations without a link, %v with one", without, with)
	}
}

// A program may install its SDK after it has made its Tracer.
func TestTraceGlobal(t *testing.T) {
	onlyOnce(t)
	task := func(context.Context) error { return nil }
	before := NewTracer(nil)
	check(t, before.Trace(t.Context(), "lost", task)(t.Context()))
	provider, r := newTracerProvider()
	old := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(old) })
	check(t, before.Trace(t.Context(), "before", task)(t.Context()))
	check(t, Trace(t.Context(), "after", task, trace.WithAttributes(attribute.Bool("mine", true)))(t.Context()))
	one(t, r, "before")
	if a := attributes(one(t, r, "after")); a["mine"] != "true" || len(r.Ended()) != 2 {
		t.Errorf("attributes %v, %d spans", a, len(r.Ended()))
	}
}

func TestTraceNil(t *testing.T) {
	p := newPool(t)
	if err := p.Submit(t.Context(), Trace(t.Context(), "nil", nil)); !errors.Is(err, pool.ErrNilTask) {
		t.Errorf("error %v", err)
	}
}

// The pool recognises a call from inside a task by the context that the wrapped task gets.
func TestTraceInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, r := newTracerProvider()
		tracer := NewTracer(provider)
		p, err := pool.New(pool.WithWorkers(1), pool.WithBuffer(0))
		check(t, err)
		check(t, p.Submit(t.Context(), tracer.Trace(t.Context(), "parent", func(ctx context.Context) error {
			return p.Submit(ctx, tracer.Trace(ctx, "child", func(context.Context) error { return nil }))
		})))
		check(t, p.Wait(t.Context()))
		check(t, p.Close())
		parent, child := one(t, r, "parent"), one(t, r, "child")
		if ls := child.Links(); len(ls) != 1 || !ls[0].SpanContext.Equal(parent.SpanContext()) {
			t.Errorf("links %v, want one to %v", ls, parent.SpanContext())
		}
	})
}

// What never starts has no span, and what runs again has one more.
func TestTraceRuns(t *testing.T) {
	provider, r := newTracerProvider()
	task := NewTracer(provider).Trace(t.Context(), "task", func(context.Context) error { return nil })
	p := newPool(t)
	check(t, p.Close())
	if err := p.Submit(t.Context(), task); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if n := len(r.Started()); n != 0 {
		t.Errorf("%d spans", n)
	}
	for range 2 {
		check(t, task(t.Context()))
	}
	if n := len(named(r, "task")); n != 2 {
		t.Errorf("%d spans after 2 runs", n)
	}
}

// Many submitters share a Tracer, its options, and a task.
func TestTraceConcurrent(t *testing.T) {
	provider, r := newTracerProvider()
	opts := make([]trace.SpanStartOption, 1, 4)
	opts[0] = trace.WithAttributes(attribute.String("pool.name", "mail"))
	tracer := NewTracer(provider, opts...)
	p := newPool(t, pool.WithWorkers(4))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ctx, request := submitting(t.Context(), provider)
			defer request.End()
			task := tracer.Trace(ctx, request.SpanContext().SpanID().String(), func(context.Context) error { return nil })
			for range 100 {
				if err := p.Submit(ctx, task); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check(t, p.Close())
	n := 0
	for _, s := range r.Ended() {
		if s.Name() == "request" {
			continue
		}
		n++
		if ls := s.Links(); len(ls) != 1 || ls[0].SpanContext.SpanID().String() != s.Name() || attributes(s)["pool.name"] != "mail" {
			t.Fatalf("%s: links %v, attributes %v", s.Name(), ls, attributes(s))
		}
	}
	if n != 400 {
		t.Errorf("%d spans", n)
	}
}

// One op is one empty task. by says what makes its span: a Tracer, the function Trace, or Start and End in the task itself.
func BenchmarkTrace(b *testing.B) {
	if _, ran := once.Load("TestTraceGlobal"); ran {
		b.Skip("an SDK is installed: run with -run '^$'")
	}
	for _, c := range []struct {
		sdk      string
		provider trace.TracerProvider
	}{
		{"none", otel.GetTracerProvider()},
		{"noop", noop.NewTracerProvider()},
		{"unsampled", sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))},
		{"sampled", sdktrace.NewTracerProvider()},
	} {
		task := func(context.Context) error { return nil }
		tracer, bare := NewTracer(c.provider), c.provider.Tracer(scopeName)
		for by, wrap := range map[string]func(context.Context) pool.Task{
			"tracer": func(ctx context.Context) pool.Task { return tracer.Trace(ctx, "task", task) },
			"func":   func(ctx context.Context) pool.Task { return Trace(ctx, "task", task) },
			"start": func(context.Context) pool.Task {
				return func(ctx context.Context) error {
					ctx, span := bare.Start(ctx, "task")
					defer span.End()
					return task(ctx)
				}
			},
		} {
			if by == "func" && c.sdk != "none" { // it uses the global provider
				continue
			}
			for _, linked := range []bool{false, true} {
				b.Run(fmt.Sprintf("sdk=%s/by=%s/linked=%v", c.sdk, by, linked), func(b *testing.B) {
					ctx := context.Background()
					if linked {
						ctx, _ = submitting(ctx, sdktrace.NewTracerProvider())
					}
					b.ReportAllocs()
					for b.Loop() {
						if err := wrap(ctx)(context.Background()); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
