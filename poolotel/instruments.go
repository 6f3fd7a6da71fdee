package poolotel

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/headrace-go/pool"
)

const (
	// nameKey is the attribute with the name of a pool.
	nameKey = "pool.name"
	// classKey is the attribute with the name of a class.
	classKey = "class"
)

// instrument is one line of the table in README.md.
type instrument struct {
	name string
	kind kind
	unit string
	help string
	key  string // the attribute that tells its figures apart, "" if there is only one figure
	figures
}

// figures returns the series of an instrument for a pool whose first snapshot is s.
type figures func(s *pool.Stats) []figure

// figure is one number of a snapshot. An instrument in seconds has it in nanoseconds.
type figure struct {
	value string // of the instrument's attribute
	of    func(*pool.Stats) int64
}

// none is a figure that does not exist.
const none = math.MinInt64

// instruments are all that Register makes.
var instruments = append([]instrument{
	{"workerpool.workers.limit", level, "{worker}", "How many tasks may run at a time.", "", only(func(s *pool.Stats) int { return s.Workers })},
	{"workerpool.workers.count", level, "{worker}", "How many workers there are, running or parked.", "", only(func(s *pool.Stats) int { return s.Goroutines })},
	{"workerpool.workers.started", counter, "{worker}", "How many workers were ever started.", "", only(func(s *pool.Stats) uint64 { return s.Starts })},
	{"workerpool.workers.busy_time", timeCounter, seconds, "How long workers have had tasks in hand, all together.", "", only(func(s *pool.Stats) time.Duration { return s.Busy })},
	{"workerpool.queue.limit", level, "{task}", "How many accepted tasks may wait.", "", only(func(s *pool.Stats) int { return s.Buffer })},
	{"workerpool.queue.length", level, "{task}", "How many accepted tasks have not started.", "", only(func(s *pool.Stats) uint64 { return s.Queued })},
	{"workerpool.queue.reserved", level, "{task}", "How many slots are reserved for tasks of a queue outside the process, and not used yet.", "", only(func(s *pool.Stats) int { return s.Reserved })},
	{"workerpool.tasks.running", level, "{task}", "How many tasks have started and not ended.", "", only(func(s *pool.Stats) uint64 { return s.Running })},
	{"workerpool.tasks.accepted", counter, "{task}", "How many tasks were accepted.", "", only(func(s *pool.Stats) uint64 { return s.Accepted })},
	{"workerpool.tasks.rejected", counter, "{task}", "How many tasks were not accepted, by reason.", "reason", each(
		figureOf("full", func(s *pool.Stats) uint64 { return s.Reject.Full }),
		figureOf("closed", func(s *pool.Stats) uint64 { return s.Reject.Closed }),
		figureOf("context", func(s *pool.Stats) uint64 { return s.Reject.Context }),
		figureOf("invalid", func(s *pool.Stats) uint64 { return s.Reject.Invalid }),
	)},
	{"workerpool.tasks.ended", counter, "{task}", "How many accepted tasks have ended, by outcome.", "outcome", each(
		figureOf("completed", func(s *pool.Stats) uint64 { return s.Completed }),
		figureOf("failed", func(s *pool.Stats) uint64 { return s.Failed }),
		figureOf("panicked", func(s *pool.Stats) uint64 { return s.Panicked }),
		figureOf("goexited", func(s *pool.Stats) uint64 { return s.Goexited }),
		figureOf("skipped", func(s *pool.Stats) uint64 { return s.Skipped }),
		figureOf("dropped", func(s *pool.Stats) uint64 { return s.Dropped }),
		figureOf("expired", func(s *pool.Stats) uint64 { return s.Expired }),
		figureOf("unrun", func(s *pool.Stats) uint64 { return s.Unrun }),
	)},
	{"workerpool.tasks.throttled_time", timeCounter, seconds, "How long tasks have waited for nothing but the rate.", "", only(func(s *pool.Stats) time.Duration { return s.Throttled })},
	{"workerpool.task.longest", timeLevel, seconds, "For how long the task runs that has run for longest, of those that workers run now.", "", only(func(s *pool.Stats) time.Duration { return s.Longest })},
	{"workerpool.class.queue.length", level, "{task}", "How many tasks of a class wait.", classKey, byClass(func(k *pool.ClassStats) uint64 { return k.Queued })},
	{"workerpool.class.tasks.started", counter, "{task}", "How many tasks of a class were started.", classKey, byClass(func(k *pool.ClassStats) uint64 { return k.Started })},
	{"workerpool.class.tasks.expired", counter, "{task}", "How many tasks of a class were not started before their deadline.", classKey, byClass(func(k *pool.ClassStats) uint64 { return k.Expired })},
	{"workerpool.class.busy_time", timeCounter, seconds, "How long tasks of a class have run that have ended.", classKey, byClass(func(k *pool.ClassStats) time.Duration { return k.Busy })},
}, histograms()...)

// histograms returns the instruments for what is measured in a sample.
func histograms() (all []instrument) {
	for _, h := range []struct {
		name, unit, what string
		of               func(*pool.Stats) *pool.Histogram
	}{
		{"workerpool.room", "{submission}", "submitters were blocked for want of room", func(s *pool.Stats) *pool.Histogram { return &s.Room }},
		{"workerpool.wait", "{task}", "tasks of a sample have waited from acceptance to start", func(s *pool.Stats) *pool.Histogram { return &s.Wait }},
		{"workerpool.run", "{task}", "tasks of a sample have run", func(s *pool.Stats) *pool.Histogram { return &s.Run }},
	} {
		quantile := func(value string, q float64) figure {
			return figure{value, func(s *pool.Stats) int64 {
				if h.of(s).Count == 0 {
					return none
				}
				return int64(h.of(s).Quantile(q))
			}}
		}
		all = append(all,
			instrument{h.name + ".quantile", timeLevel, seconds, "How long " + h.what + ": quantiles since the pool was made.", "quantile",
				each(quantile("0.5", .5), quantile("0.9", .9), quantile("0.99", .99))},
			instrument{h.name + ".count", counter, h.unit, "How many were measured of how long " + h.what + ".", "",
				only(func(s *pool.Stats) uint64 { return h.of(s).Count })},
			instrument{h.name + ".sum", timeCounter, seconds, "How long " + h.what + ", all that were measured together.", "",
				only(func(s *pool.Stats) time.Duration { return h.of(s).Sum })})
	}
	return all
}

// number is the type of a figure of Stats.
type number interface {
	int | uint64 | time.Duration
}

func figureOf[N number](value string, of func(*pool.Stats) N) figure {
	return figure{value, func(s *pool.Stats) int64 { return int64(of(s)) }}
}

// each returns the figures of an instrument that has the same ones for each pool.
func each(all ...figure) figures { return func(*pool.Stats) []figure { return all } }

// only returns the figures of an instrument that has one for each pool.
func only[N number](of func(*pool.Stats) N) figures { return each(figureOf("", of)) }

// byClass returns the figures of an instrument that has one for each class of a pool. Tenants are
// too many for attributes.
func byClass[N number](of func(*pool.ClassStats) N) figures {
	return func(first *pool.Stats) (all []figure) {
		for i, k := range first.Classes {
			all = append(all, figure{k.Name, func(s *pool.Stats) int64 {
				if i >= len(s.Classes) {
					return none
				}
				return int64(of(&s.Classes[i]))
			}})
		}
		return all
	}
}

// A kind makes an instrument.
type kind func(metric.Meter, instrument) (metric.Observable, observe, error)

// observe shows a figure.
type observe func(metric.Observer, int64, []metric.ObserveOption)

// seconds is the unit of instruments whose figures are durations.
const seconds = "s"

// counter makes an instrument for a number that only grows.
func counter(m metric.Meter, in instrument) (metric.Observable, observe, error) {
	i, err := m.Int64ObservableCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.help))
	return i, numbers(i), err
}

// level makes an instrument for a number that adds up over pools, and rises and falls.
func level(m metric.Meter, in instrument) (metric.Observable, observe, error) {
	i, err := m.Int64ObservableUpDownCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.help))
	return i, numbers(i), err
}

// timeCounter makes an instrument for a time that only grows.
func timeCounter(m metric.Meter, in instrument) (metric.Observable, observe, error) {
	i, err := m.Float64ObservableCounter(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.help))
	return i, times(i), err
}

// timeLevel makes an instrument for a time that does not add up.
func timeLevel(m metric.Meter, in instrument) (metric.Observable, observe, error) {
	i, err := m.Float64ObservableGauge(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.help))
	return i, times(i), err
}

func numbers(i metric.Int64Observable) observe {
	return func(o metric.Observer, v int64, opts []metric.ObserveOption) { o.ObserveInt64(i, v, opts...) }
}

func times(i metric.Float64Observable) observe {
	return func(o metric.Observer, v int64, opts []metric.ObserveOption) {
		o.ObserveFloat64(i, time.Duration(v).Seconds(), opts...)
	}
}
