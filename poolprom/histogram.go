package poolprom

import (
	"math"
	"math/bits"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/headrace-go/pool"
)

// A histogram is shown in both forms that Prometheus knows, in one metric, as the histograms of
// client_golang are: package prometheus has no constant metric for that. Prometheus reads the
// classic buckets from every format, and the native ones only from the protobuf format, if it is
// told to scrape native histograms.
//
// Classic bounds are powers of two in nanoseconds, where a bucket of the pool ends too, so no
// bucket has to be divided and the counts are exact. A duration of exactly the bound is in the next
// bucket, an error of 1 ns.
//
// Native buckets are exponential, and have no bound in common with the buckets of the pool. All
// durations of a bucket of the pool are counted in the native bucket that has the middle of that
// bucket, which is at most 3.2 % from each of them. With schema 3 a native bucket is 9 % wide. From
// 16 ns on that is wider than the buckets of the pool, so the folding leaves no native bucket
// empty.
type histogram struct {
	desc *prometheus.Desc
	dto.Histogram

	// The message points to these, so all of it is one allocation.
	count, zeros   uint64
	sum, threshold float64
	schema         int32
	classic        [bounds]classic
}

// classic is a classic bucket.
type classic struct {
	dto.Bucket
	count uint64
	bound float64
}

// Desc implements [prometheus.Metric].
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements [prometheus.Metric].
func (h *histogram) Write(out *dto.Metric) error {
	out.Histogram = &h.Histogram
	out.Label = prometheus.MakeLabelPairs(h.desc, nil)
	return nil
}

const (
	firstBound  = 1024 * time.Nanosecond
	boundFactor = 4
	bounds      = 14 // the last one is 2^36 ns, about 69 s

	schema      = 3
	perDoubling = 1 << schema // native buckets for each power of two
)

// fold returns from with the buckets of Prometheus. It counts what the buckets have, whatever
// from.Count says.
func fold(from pool.Histogram, desc *prometheus.Desc, since *timestamppb.Timestamp) *histogram {
	h := &histogram{desc: desc, sum: from.Sum.Seconds(), schema: schema, threshold: prometheus.DefNativeHistogramZeroThreshold}
	h.SampleCount, h.SampleSum, h.CreatedTimestamp = &h.count, &h.sum, since
	h.Schema, h.ZeroThreshold, h.ZeroCount = &h.schema, &h.threshold, &h.zeros
	h.Bucket = make([]*dto.Bucket, 0, bounds)

	var native deltas
	next := firstBound
	for upper, n := range from.Buckets() {
		for ; upper > next && len(h.Bucket) < bounds; next *= boundFactor {
			h.end(next)
		}
		h.count += n
		if upper == 1 {
			h.zeros = n // durations of 0 ns, which have no logarithm
		} else {
			native.add(nativeIndex(upper), int64(n))
		}
	}
	for ; len(h.Bucket) < bounds; next *= boundFactor {
		h.end(next)
	}
	h.PositiveSpan, h.PositiveDelta = native.spans, native.all
	return h
}

// end ends a classic bucket: what was counted is below its bound.
func (h *histogram) end(bound time.Duration) {
	c := &h.classic[len(h.Bucket)]
	c.count, c.bound = h.count, bound.Seconds()
	c.CumulativeCount, c.UpperBound = &c.count, &c.bound
	h.Bucket = append(h.Bucket, &c.Bucket)
}

// deltas are native buckets as they are transmitted: each count as the difference from the one
// before it, and spans of indexes without a gap.
type deltas struct {
	spans []*dto.BucketSpan
	all   []int64
	next  int32 // the index after that of the last bucket
	n     int64 // in the last bucket
}

// smallGap is how many empty buckets take no more room than a new span.
const smallGap = 2

// add counts n durations in the bucket with an index that is not below that of the last one.
func (d *deltas) add(index int32, n int64) {
	gap := index - d.next
	switch {
	case len(d.spans) > 0 && gap < 0:
		d.n += n
		d.all[len(d.all)-1] += n
		return
	case len(d.spans) > 0 && gap <= smallGap:
		for range gap {
			d.push(0)
		}
	default:
		d.spans = append(d.spans, &dto.BucketSpan{Offset: new(gap), Length: new(uint32(0))})
	}
	d.next = index
	d.push(n)
}

// push adds a bucket to the last span.
func (d *deltas) push(n int64) {
	if d.all == nil {
		d.all = make([]int64, 0, 64)
	}
	d.all = append(d.all, n-d.n)
	d.n = n
	*d.spans[len(d.spans)-1].Length++
	d.next++
}

// nativeIndex returns the index of the native bucket for the pool's bucket that ends at upper.
// Bucket i ends at 2^(i/8) seconds.
func nativeIndex(upper time.Duration) int32 {
	longest := upper - 1
	width := time.Duration(1) << max(0, bits.Len64(uint64(longest))-5) // 16 for each power of two
	middle := float64(longest) - float64(width-1)/2
	return int32(math.Ceil(perDoubling * math.Log2(middle/float64(time.Second))))
}
