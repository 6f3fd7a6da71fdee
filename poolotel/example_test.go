package poolotel_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/poolotel"
)

// A reader collects the statistics of two pools. A service has a reader that exports them periodically.
func ExampleRegister() {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))

	mail, err := pool.New(pool.WithName("mail"), pool.WithWorkers(2))
	if err != nil {
		log.Fatal(err)
	}
	images, err := pool.New(pool.WithName("images"), pool.WithWorkers(4))
	if err != nil {
		log.Fatal(err)
	}
	unregister, err := poolotel.Register(provider, mail, images)
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	for range 3 {
		if err := mail.Submit(ctx, func(context.Context) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	for _, p := range []*pool.Pool{mail, images} {
		if err := p.Close(); err != nil {
			log.Fatal(err)
		}
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		log.Fatal(err)
	}
	var lines []string
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name != "workerpool.workers.limit" && m.Name != "workerpool.tasks.accepted" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			name, _ := p.Attributes.Value("pool.name")
			lines = append(lines, fmt.Sprintf("%s of %s: %d %s", m.Name, name.AsString(), p.Value, m.Unit))
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
	if err := unregister(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// workerpool.tasks.accepted of images: 0 {task}
	// workerpool.tasks.accepted of mail: 3 {task}
	// workerpool.workers.limit of images: 4 {worker}
	// workerpool.workers.limit of mail: 2 {worker}
}

// The span of the task links to that of the request which submitted it, and the request need not wait for it.
func ExampleTracer_Trace() {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	tracer := poolotel.NewTracer(provider, trace.WithAttributes(attribute.String("pool.name", "images")))

	images, err := pool.New(pool.WithName("images"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, request := provider.Tracer("shop").Start(context.Background(), "POST /images")
	err = images.Submit(ctx, tracer.Trace(ctx, "resize", func(context.Context) error { return nil }))
	if err != nil {
		log.Fatal(err)
	}
	request.End()
	if err := images.Close(); err != nil {
		log.Fatal(err)
	}

	for _, span := range recorder.Ended() {
		for _, link := range span.Links() {
			fmt.Printf("%s links to the request: %v\n", span.Name(), link.SpanContext.Equal(request.SpanContext()))
		}
	}
	// Output:
	// resize links to the request: true
}

// Trace uses the global tracer provider. Without an SDK it runs the task and makes no span.
func ExampleTrace() {
	p, err := pool.New()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background() // that of the request
	err = p.Submit(ctx, poolotel.Trace(ctx, "greet", func(context.Context) error {
		fmt.Println("hello")
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// hello
}
