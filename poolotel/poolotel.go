// Package poolotel shows the statistics of pools as OpenTelemetry metrics, and makes a span of each
// task that is wrapped for it.
//
// [Register] shows pools to a meter provider. README.md lists the instruments. [Trace] and
// [Tracer.Trace] wrap a task for [pool.Pool.Submit]: the span of the task links to the span of its
// submitter.
//
// It is a module of its own, so that package pool does not depend on OpenTelemetry. It uses only
// the API of OpenTelemetry: the program chooses the SDK. It starts no goroutine and no timer.
//
// The names of instruments and attributes are in development: OpenTelemetry has no convention for
// worker pools yet, and they may change with one.
//
// When not to use it: if only Prometheus reads the metrics of a program, package poolprom gives it
// histograms with buckets. A span costs about a microsecond, and more where it is exported, so it
// backfires for tasks that are not much longer.
package poolotel

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/headrace-go/pool"
)

// scopeName is the instrumentation scope of all instruments and spans.
const scopeName = "github.com/headrace-go/pool/poolotel"

// Source has statistics: a [pool.Pool], a [pool.Typed] of any type, or a type that adds up several
// of them. Any number of goroutines may call Stats at once.
type Source interface{ Stats() pool.Stats }

// Register shows the statistics of the pools to provider, or to the global meter provider if
// provider is nil. It calls Stats once for each pool, to learn its name and classes. Each
// collection calls Stats once for each pool: all instruments of a collection show the same
// snapshot. Nothing runs between collections. Any number of goroutines may call Register.
//
// The attribute pool.name has the name of the pool, see [pool.WithName]. A pool without a name must
// be the only one, and has no such attribute. Register cannot see what other calls of Register
// show. Give each pool of a provider a name of its own: OpenTelemetry adds up the counters of two
// pools with one name.
//
// The attribute class has the name of a class, see [pool.WithClasses]. A type that adds up pools
// must keep its classes, and their order. No attribute has a tenant or a key: there are too many of
// those.
//
// On success unregister takes the pools away again, and they can be collected as garbage. With the
// SDK of OpenTelemetry it waits for a collection that is under way. It does nothing after the first
// call. Until then a pool that has ended is still shown, with its last statistics.
//
// On failure nothing is shown, and the error says why: there is no pool, a pool is nil (also a nil
// pointer), several pools have the same name or one of them has none, or provider has rejected an
// instrument.
//
// workerpool.wait and workerpool.run come from a sample of the tasks, one in 64 unless
// [pool.WithSampling] says otherwise. workerpool.room has each wait for room, unless sampling is
// off. OpenTelemetry has no observable histogram. So Register shows three quantiles of everything
// measured since the pool was made, and the count and the sum of what was measured. Mean times over
// a window follow from these two.
//
// It backfires with a pool for each request or customer: each pool is up to 38 series, and 4 more
// for each class.
func Register(provider metric.MeterProvider, pools ...Source) (unregister func() error, err error) {
	first, err := snapshots(pools)
	if err != nil {
		return nil, err
	}
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	meter := provider.Meter(scopeName)
	r := &registration{observe: make([]observe, len(instruments))}
	observables := make([]metric.Observable, len(instruments))
	for i, in := range instruments {
		if observables[i], r.observe[i], err = in.kind(meter, in); err != nil {
			return nil, fmt.Errorf("poolotel: Register: instrument %s: %w", in.name, err)
		}
	}
	all := make([]*watched, len(pools))
	for i, p := range pools {
		all[i] = watch(p, &first[i])
	}
	r.pools.Store(&all)
	callback, err := meter.RegisterCallback(r.collect, observables...)
	if err != nil {
		if callback != nil { // for the instruments that were not rejected
			err = errors.Join(err, callback.Unregister())
		}
		return nil, fmt.Errorf("poolotel: Register: %w", err)
	}
	return func() error {
		r.pools.Store(nil)
		return callback.Unregister()
	}, nil
}

// snapshots returns the statistics of the pools, or why Register cannot show them together.
func snapshots(pools []Source) ([]pool.Stats, error) {
	if len(pools) == 0 {
		return nil, errors.New("poolotel: Register: no pool")
	}
	all, first := make([]pool.Stats, len(pools)), make(map[string]int)
	for i, p := range pools {
		if v := reflect.ValueOf(p); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, fmt.Errorf("poolotel: Register: pool is nil, got %T at index %d", p, i)
		}
		all[i] = p.Stats()
		name := all[i].Name
		if j, ok := first[name]; ok && name != "" {
			return nil, fmt.Errorf("poolotel: Register: two pools have the name %q, at index %d and %d", name, j, i)
		}
		if name == "" && len(pools) > 1 {
			return nil, fmt.Errorf("poolotel: Register: one of %d pools has no name, at index %d: see pool.WithName", len(pools), i)
		}
		first[name] = i
	}
	return all, nil
}

// registration is one call of Register. unregister keeps it alive, but no pool: it takes the pools
// out of it.
type registration struct {
	observe []observe // of each instrument
	pools   atomic.Pointer[[]*watched]
}

// collect is the callback. The readers of a provider may call it at once.
func (r *registration) collect(_ context.Context, o metric.Observer) error {
	pools := r.pools.Load()
	if pools == nil {
		return nil
	}
	for _, w := range *pools {
		s := w.source.Stats()
		s.Busy = w.mostBusy(s.Busy)
		for i, all := range w.series {
			for _, x := range all {
				if v := x.of(&s); v != none {
					r.observe[i](o, v, x.options)
				}
			}
		}
	}
	return nil
}

// watched is a pool, and its series.
type watched struct {
	source Source
	series [][]series   // of each instrument
	busy   atomic.Int64 // the most that was shown
}

// series is a figure of a pool, and its attributes, so that a collection makes none.
type series struct {
	figure
	options []metric.ObserveOption
}

// watch returns what a registration keeps of a pool whose first snapshot is s.
func watch(p Source, s *pool.Stats) *watched {
	w := &watched{source: p, series: make([][]series, len(instruments))}
	for i, in := range instruments {
		for _, f := range in.figures(s) {
			var attributes []attribute.KeyValue
			if s.Name != "" {
				attributes = append(attributes, attribute.String(nameKey, s.Name))
			}
			if in.key != "" {
				attributes = append(attributes, attribute.String(in.key, f.value))
			}
			options := []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
			w.series[i] = append(w.series[i], series{f, options})
		}
	}
	return w
}

// mostBusy returns busy, or what was shown before if that is more: the order of two snapshots is
// not known, and a counter must not fall.
func (w *watched) mostBusy(busy time.Duration) time.Duration {
	for {
		most := w.busy.Load()
		if int64(busy) <= most {
			return time.Duration(most)
		}
		if w.busy.CompareAndSwap(most, int64(busy)) {
			return busy
		}
	}
}
