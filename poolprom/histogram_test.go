package poolprom

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/headrace-go/pool"
)

// measured returns the histogram of a pool whose tasks have run for these durations, to the nanosecond.
func measured(t *testing.T, ds ...time.Duration) (h pool.Histogram) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.WithWorkers(1), pool.WithSampling(1))
		for _, d := range ds {
			must(t, p.Submit(context.Background(), func(context.Context) error { time.Sleep(d); return nil }))
		}
		must(t, p.Close())
		h = p.Stats().Run
	})
	if h.Count != uint64(len(ds)) {
		t.Fatalf("%d tasks were measured, want %d", h.Count, len(ds))
	}
	return h
}

// mixed returns durations of all lengths: both sides of each classic bound, zero, and what no bucket ends behind.
func mixed() []time.Duration {
	ds := []time.Duration{0, 1, 2, 15, 16, 17, 31, 32, 33, 100 * time.Second, 6 * time.Hour}
	for bound := firstBound; bound < 100*time.Second; bound *= boundFactor {
		ds = append(ds, bound-1, bound, bound+1)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		ds = append(ds, time.Duration(math.Exp(random.Float64()*math.Log(float64(time.Hour)))))
	}
	return ds
}

// Classic buckets are cumulative, and count exactly the durations below their bounds.
func TestClassic(t *testing.T) {
	ds := mixed()
	h := folded(measured(t, ds...))
	if h.GetSampleCount() != uint64(len(ds)) {
		t.Errorf("count %d, want %d", h.GetSampleCount(), len(ds))
	}
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}
	if got := h.GetSampleSum(); got != sum.Seconds() {
		t.Errorf("sum %v, want %v", got, sum.Seconds())
	}
	bound, last := 1024*time.Nanosecond, uint64(0)
	for _, b := range h.Bucket {
		below := uint64(0)
		for _, d := range ds {
			if d < bound {
				below++
			}
		}
		if b.GetUpperBound() != bound.Seconds() || b.GetCumulativeCount() != below || below <= last {
			t.Errorf("%d up to %v s, want %d up to %v; before it %d", b.GetCumulativeCount(), b.GetUpperBound(), below, bound, last)
		}
		bound, last = bound*4, below
	}
	if len(h.Bucket) != 14 || h.Bucket[13].GetUpperBound() != 68.719476736 {
		t.Errorf("%d buckets, the last up to %v", len(h.Bucket), h.Bucket[len(h.Bucket)-1])
	}
}

// Native buckets are those that client_golang makes of the same counts.
func TestNative(t *testing.T) {
	for _, ds := range [][]time.Duration{{}, {0}, {time.Second}, {0, 1}, {5, 5, 5, time.Hour}, mixed()} {
		h := measured(t, ds...)
		counts, zeros := make(map[int]int64), uint64(0)
		for upper, n := range h.Buckets() {
			if upper == 1 {
				zeros += n
			} else {
				counts[int(nativeIndex(upper))] += int64(n)
			}
		}
		m, err := prometheus.NewConstNativeHistogram(prometheus.NewDesc("x", "", nil, nil), h.Count, h.Sum.Seconds(), counts, nil, zeros,
			schema, prometheus.DefNativeHistogramZeroThreshold, time.Time{})
		must(t, err)
		var want dto.Metric
		must(t, m.Write(&want))
		got := folded(h)
		if a, b := indexes(got), indexes(want.Histogram); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%d durations: buckets\n%v, want\n%v", len(ds), a, b)
		}
		if got.GetSchema() != schema || got.GetZeroCount() != want.Histogram.GetZeroCount() ||
			got.GetZeroThreshold() != want.Histogram.GetZeroThreshold() || got.GetSampleCount() != want.Histogram.GetSampleCount() {
			t.Errorf("%d durations: %v, want %v", len(ds), got, want.Histogram)
		}
		total := zeros
		for _, n := range indexes(got) {
			total += uint64(n)
		}
		if total != uint64(len(ds)) {
			t.Errorf("%d durations in buckets, want %d", total, len(ds))
		}
	}
}

// indexes returns the native buckets that are not empty, as a reader of the format does.
func indexes(h *dto.Histogram) map[int32]int64 {
	all := make(map[int32]int64)
	index, i, n := int32(0), 0, int64(0)
	for _, span := range h.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			if n += h.PositiveDelta[i]; n != 0 {
				all[index] = n
			}
			index++
			i++
		}
	}
	return all
}

// The native bucket of a duration is that of a duration at most 3.2 % from it, and at 1 s the bound is where the format has it.
func TestNativeError(t *testing.T) {
	for _, d := range mixed() {
		if d == 0 || d > 4*time.Hour {
			continue
		}
		got := indexes(folded(measured(t, d)))
		if len(got) != 1 {
			t.Fatalf("%v is in %d buckets", d, len(got))
		}
		for i := range got {
			lower, upper := math.Exp2(float64(i-1)/8), math.Exp2(float64(i)/8)
			if s := d.Seconds(); s < lower*.968 || s > upper*1.032 {
				t.Errorf("%v is in the bucket from %v to %v s", d, lower, upper)
			}
		}
	}
	if below, above := nativeIndex(1e9*.9), nativeIndex(1e9*1.05); below != -1 || above != 1 {
		t.Errorf("0.9 s is in bucket %d and 1.05 s in bucket %d", below, above)
	}
}

// From 16 ns on no native bucket is empty between two that are not because of the folding alone.
func TestNativeHasNoGaps(t *testing.T) {
	var all struct{ Counts []uint64 }
	for range 41 * 16 {
		all.Counts = append(all.Counts, 1)
	}
	text, err := json.Marshal(all)
	must(t, err)
	var h pool.Histogram
	must(t, json.Unmarshal(text, &h))
	got := indexes(folded(h))
	from := nativeIndex(17)
	for i := range got {
		if i > from && got[i-1] == 0 {
			t.Errorf("bucket %d is empty", i-1)
		}
	}
	if len(got) < 40*8 {
		t.Errorf("%d buckets", len(got))
	}
}

// A histogram that contradicts itself is shown by its buckets, so the scrape does not fail.
func TestCountOfBuckets(t *testing.T) {
	s := each()
	s.Run = pool.Histogram{Count: 7, Sum: time.Second}
	want(t, scrape(t, register(t, s)), map[string]float64{`workerpool_run_seconds_count{pool="mail"}`: 0})
}

// Each metric has both forms.
func TestBothForms(t *testing.T) {
	s := each()
	s.Run = measured(t, 1, time.Millisecond, time.Second)
	families := gather(t, register(t, s))
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "workerpool_run_seconds" })
	h := families[i].Metric[0].Histogram
	if len(h.Bucket) != 14 || len(h.PositiveSpan) != 3 || h.GetSampleCount() != 3 {
		t.Errorf("%v", h)
	}
}

func folded(h pool.Histogram) *dto.Histogram { return &fold(h, nil, nil).Histogram }
