// Package poolprom shows the statistics of pools to Prometheus.
//
// It is a module of its own, so that package pool does not depend on Prometheus. README.md lists
// the metrics. dashboard.json is a dashboard for Grafana, and alerts.yaml has alerting rules; both
// are made of these metrics.
package poolprom

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/headrace-go/pool"
)

// Source has statistics: a [pool.Pool], a [pool.Typed] of any type, or a type that adds up several
// of them. Any number of goroutines may call Stats at once.
type Source interface{ Stats() pool.Stats }

// NewCollector returns a collector that shows the statistics of the pools. It calls Stats once for
// each pool, to learn its name. The collector calls Stats once for each pool in each scrape.
// Nothing runs between scrapes: the collector starts no goroutine and no timer. Any number of
// goroutines may call NewCollector and use the collector.
//
// The label "pool" has the name of the pool, see [pool.WithName]. A pool without a name is
// "unnamed". If several pools have the same name, the first one keeps it, and each other one gets a
// number from 2 on: "mail", "mail#2", "mail#3". The numbers follow the order of the arguments, so
// give each pool a name of its own. U+FFFD replaces bytes that are not UTF-8. NewCollector decides
// on the names, and they do not change later.
//
// The label "class" has the name of a class, see [pool.WithClasses], made different in the same
// way. A type that adds up pools must keep its classes, and their order. No label has a tenant or a
// key: there are too many of those.
//
// A pool that has ended is still shown, with its last statistics. A registry rejects a second
// collector that has a pool of the same name: Register returns an error. A collector without pools
// shows nothing, and a registry cannot unregister it.
//
// NewCollector panics if a pool is nil, also if it is a nil pointer: that is a mistake in the
// program, and nobody would notice the missing series in time.
//
// It backfires with a pool for each request or customer. Each pool is 74 series, or 76 with
// weights, and 4 more for each class. The collector also keeps its pools from being collected as
// garbage, until it is unregistered.
func NewCollector(pools ...Source) prometheus.Collector {
	c := new(collector)
	first := snapshots(pools)
	for i, name := range namesOf(first) {
		c.pools = append(c.pools, watch(pools[i], &first[i], name))
	}
	return c
}

// snapshots returns the statistics of each pool.
func snapshots(pools []Source) []pool.Stats {
	all := make([]pool.Stats, len(pools))
	for i, p := range pools {
		if v := reflect.ValueOf(p); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			panic(fmt.Sprintf("poolprom: NewCollector: pool is nil, at index %d", i))
		}
		all[i] = p.Stats()
	}
	return all
}

// namesOf returns a name for each pool, all different.
func namesOf(pools []pool.Stats) []string {
	own := make([]string, len(pools))
	for i := range pools {
		own[i] = pools[i].Name
	}
	return different(own)
}

// different makes values of a label of names, all different.
func different(names []string) []string {
	own, taken := make([]string, len(names)), make(map[string]bool)
	names = slices.Clone(names)
	for i, name := range names {
		own[i], names[i] = strings.ToValidUTF8(name, "\uFFFD"), ""
		if own[i] == "" {
			own[i] = "unnamed"
		}
		if !taken[own[i]] {
			names[i] = own[i]
			taken[names[i]] = true
		}
	}
	for i := range names { // those whose name another one has
		for n := 2; names[i] == ""; n++ {
			if name := fmt.Sprintf("%s#%d", own[i], n); !taken[name] {
				names[i] = name
				taken[name] = true
			}
		}
	}
	return names
}

// collector implements [prometheus.Collector].
type collector struct{ pools []*watched }

// watched is a pool, and the descriptions of its series.
type watched struct {
	source     Source
	counts     []series
	weights    []series   // shown while the pool has a capacity
	classes    [][]series // of each class
	histograms []*prometheus.Desc

	mu     sync.Mutex
	folded []*histogram // those of the last scrape, guarded by mu; they do not change
}

// series is one number of a pool. Its description has all labels with their values, so a scrape
// makes none.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*pool.Stats) float64
}

// watch returns what a collector keeps of a pool.
func watch(p Source, first *pool.Stats, name string) *watched {
	w := &watched{source: p, counts: seriesOf(counts, name), weights: seriesOf(weights, name), folded: make([]*histogram, len(histograms))}
	for i, class := range classNames(first) {
		w.classes = append(w.classes, seriesOfClass(i, class, name))
	}
	for _, h := range histograms {
		w.histograms = append(w.histograms, prometheus.NewDesc(prefix+h.name, h.help, nil, prometheus.Labels{poolLabel: name}))
	}
	return w
}

func seriesOf(fs []family, name string) []series {
	var all []series
	for _, f := range fs {
		for _, p := range f.parts {
			labels := prometheus.Labels{poolLabel: name}
			if f.label != "" {
				labels[f.label] = p.value
			}
			all = append(all, series{prometheus.NewDesc(prefix+f.name, f.help, nil, labels), f.kind, p.of})
		}
	}
	return all
}

// classNames returns a name for each class, all different.
func classNames(s *pool.Stats) []string {
	own := make([]string, len(s.Classes))
	for i, k := range s.Classes {
		own[i] = k.Name
	}
	return different(own)
}

// seriesOfClass returns the series of the class at index i.
func seriesOfClass(i int, class, name string) []series {
	all := make([]series, len(classes))
	for j, f := range classes {
		labels := prometheus.Labels{poolLabel: name, classLabel: class}
		of := func(s *pool.Stats) float64 { return f.of(&s.Classes[i]) }
		all[j] = series{prometheus.NewDesc(prefix+f.name, f.help, nil, labels), f.kind, of}
	}
	return all
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, w := range c.pools {
		for _, s := range w.counts {
			ch <- s.desc
		}
		for _, s := range w.weights {
			ch <- s.desc
		}
		for _, s := range slices.Concat(w.classes...) {
			ch <- s.desc
		}
		for _, d := range w.histograms {
			ch <- d
		}
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, w := range c.pools {
		w.collect(ch)
	}
}

func (w *watched) collect(ch chan<- prometheus.Metric) {
	s := w.source.Stats()
	var since *timestamppb.Timestamp
	if !s.Started.IsZero() {
		since = timestamppb.New(s.Started)
	}
	send(ch, w.counts, &s, since)
	if s.Capacity > 0 {
		send(ch, w.weights, &s, since)
	}
	for _, class := range w.classes[:min(len(w.classes), len(s.Classes))] {
		send(ch, class, &s, since)
	}
	for i := range w.histograms {
		ch <- w.fold(i, histograms[i].of(&s), since)
	}
}

// fold returns the i-th histogram for Prometheus: that of the last scrape, if nothing was measured
// since.
func (w *watched) fold(i int, from pool.Histogram, since *timestamppb.Timestamp) *histogram {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.folded[i]; h == nil || h.count != from.Count || h.sum != from.Sum.Seconds() {
		w.folded[i] = fold(from, w.histograms[i], since)
	}
	return w.folded[i]
}

func send(ch chan<- prometheus.Metric, all []series, s *pool.Stats, since *timestamppb.Timestamp) {
	numbers := make([]number, len(all))
	for i := range all {
		numbers[i] = number{&all[i], all[i].of(s), since}
		ch <- &numbers[i]
	}
}

// number is what a series is in one scrape. All numbers of a pool are one allocation; a constant
// metric of package prometheus takes up to five.
type number struct {
	*series
	value float64
	since *timestamppb.Timestamp // when a counter was 0; nil: not known
}

// Desc implements [prometheus.Metric].
func (n *number) Desc() *prometheus.Desc { return n.desc }

// Write implements [prometheus.Metric].
func (n *number) Write(out *dto.Metric) error {
	out.Label = prometheus.MakeLabelPairs(n.desc, nil)
	if n.kind == counter {
		out.Counter = &dto.Counter{Value: &n.value, CreatedTimestamp: n.since}
	} else {
		out.Gauge = &dto.Gauge{Value: &n.value}
	}
	return nil
}
