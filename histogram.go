package pool

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/headrace-go/pool/internal/hist"
)

// Histogram is how long something took, for a sample of the tasks: see [WithSampling]. It is a
// snapshot and does not change; copies share its memory. The zero value is empty.
//
// It counts durations in buckets, 16 for each power of two, so a quantile is within 3.2 % of the
// exact one. It tells apart durations from 1 ns to 4.8 hours. It takes at most 5 KB.
type Histogram struct {
	// Count is how many durations were measured, not how many tasks there were.
	Count uint64
	// Sum is the sum of the measured durations.
	Sum time.Duration

	buckets *hist.Snapshot
}

func histogram(s *hist.Snapshot) Histogram {
	if s == nil {
		return Histogram{}
	}
	return Histogram{s.Count, s.Sum, s}
}

// Quantile returns a duration that a share q of the measured ones did not exceed: 0.5 is the
// median, and 0.99 is what one in a hundred exceeds. It is 0 if nothing was measured, or q is not a
// number. A q below 0 counts as 0, above 1 as 1.
func (h Histogram) Quantile(q float64) time.Duration { return h.buckets.Quantile(q) }

// Mean returns Sum divided by Count, or 0.
func (h Histogram) Mean() time.Duration {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / time.Duration(h.Count)
}

// Merge returns what h and g have measured together.
func (h Histogram) Merge(g Histogram) Histogram { return histogram(h.buckets.Plus(g.buckets)) }

// Since returns what was measured after earlier, which must be of the same pool and the same kind.
func (h Histogram) Since(earlier Histogram) Histogram {
	return histogram(h.buckets.Minus(earlier.buckets))
}

// Buckets returns the buckets that are not empty, in ascending order. The key of each is the least
// duration that is longer than all in it, and the value is how many there are.
func (h Histogram) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		if h.buckets == nil {
			return
		}
		for i, n := range h.buckets.Counts {
			if n > 0 && !yield(hist.Lower(h.buckets.First+i+1), n) {
				return
			}
		}
	}
}

// String returns the count and three quantiles.
func (h Histogram) String() string {
	if h.Count == 0 {
		return "none measured"
	}
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s of %d", brief(h.Quantile(.5)), brief(h.Quantile(.9)), brief(h.Quantile(.99)), h.Count)
}

// brief prints d with three digits at most.
func brief(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// histogramJSON is a histogram in JSON. The quantiles are for readers.
type histogramJSON struct {
	Count         uint64
	Sum           time.Duration
	P50, P90, P99 time.Duration
	First         int      `json:",omitempty"`
	Counts        []uint64 `json:",omitempty"`
}

// MarshalJSON implements [json.Marshaler]: Count, Sum, P50, P90 and P99, with durations in
// nanoseconds, and the buckets.
func (h Histogram) MarshalJSON() ([]byte, error) {
	j := histogramJSON{Count: h.Count, Sum: h.Sum, P50: h.Quantile(.5), P90: h.Quantile(.9), P99: h.Quantile(.99)}
	if h.buckets != nil {
		j.First, j.Counts = h.buckets.First, h.buckets.Counts
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler], for what MarshalJSON returns.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	if j.First < 0 || len(j.Counts) > hist.Buckets-j.First {
		return fmt.Errorf("pool: Histogram: %d buckets from the %dth on, there are %d", len(j.Counts), j.First, hist.Buckets)
	}
	*h = histogram(hist.Of(j.First, j.Counts, j.Sum))
	return nil
}
