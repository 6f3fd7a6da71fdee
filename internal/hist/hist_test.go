package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// Each duration is in the bucket whose bounds are around it, and a bucket is no wider than 1/16 of its lower bound.
func TestBuckets(t *testing.T) {
	for i := range Buckets {
		lower, upper := Lower(i), Lower(i+1)
		if upper <= lower || bucket(lower) != i || bucket(upper-1) != i {
			t.Fatalf("bucket %d is from %d to %d, which are in %d and %d", i, lower, upper, bucket(lower), bucket(upper-1))
		}
		if w := upper - lower; w > 1 && w*sub > lower {
			t.Fatalf("bucket %d from %d is %d wide", i, lower, w)
		}
		if d := middle(i); bucket(d) != i {
			t.Fatalf("the middle of bucket %d is in %d", i, bucket(d))
		}
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 1: 1, 31: 31, 32: 32, math.MaxInt64: Buckets - 1, Lower(Buckets): Buckets - 1} {
		if got := bucket(d); got != want {
			t.Errorf("%d is in bucket %d, want %d", d, got, want)
		}
	}
}

// Quantiles are within 3.2 % of the exact ones.
func TestQuantile(t *testing.T) {
	var l Live
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(math.Exp(rand.NormFloat64()*3 + 14))
		all = append(all, d)
		l.Add(d)
	}
	slices.Sort(all)
	s := l.Snapshot()
	for _, q := range []float64{0, .01, .5, .9, .99, .999, 1} {
		exact := all[max(1, int(math.Ceil(q*float64(len(all)))))-1]
		if got := s.Quantile(q); math.Abs(float64(got-exact)) > .032*float64(exact)+1 {
			t.Errorf("quantile %v is %v, want %v", q, got, exact)
		}
	}
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	if s.Count != 10_000 || s.Sum != sum {
		t.Errorf("%d that add up to %v, want 10000 and %v", s.Count, s.Sum, sum)
	}
	if s.Quantile(-3) != s.Quantile(0) || s.Quantile(7) != s.Quantile(1) || s.Quantile(math.NaN()) != 0 {
		t.Errorf("beyond the ends: %v %v %v", s.Quantile(-3), s.Quantile(7), s.Quantile(math.NaN()))
	}
}

// Histograms add up, and what was counted between two snapshots is their difference.
func TestPlusMinus(t *testing.T) {
	var l Live
	for _, d := range []time.Duration{5, 70, 1000} {
		l.AddN(d, 3)
	}
	before := l.Snapshot()
	l.Add(70)
	l.Add(1e9)
	after := l.Snapshot()
	d := after.Minus(before)
	if d.Count != 2 || d.Sum != 1e9+70 || d.Quantile(.5) != middle(bucket(70)) || d.Quantile(1) != middle(bucket(1e9)) {
		t.Errorf("the difference is %+v", d)
	}
	if s := before.Plus(d); s.Count != after.Count || s.Sum != after.Sum || s.First != after.First || !slices.Equal(s.Counts, after.Counts) {
		t.Errorf("the sum is %+v, want %+v", s, after)
	}
	if d := before.Minus(after); d != nil {
		t.Errorf("in the wrong order: %+v", d)
	}
	var none *Snapshot
	if none.Plus(nil) != nil || none.Minus(before) != nil || none.Quantile(.5) != 0 || new(Live).Snapshot() != nil {
		t.Error("the sum of nothing is something")
	}
	if s := none.Plus(before); s.Count != before.Count {
		t.Errorf("with nothing: %+v", s)
	}
}

// Nothing that is added by many at once is lost.
func TestRaceLive(t *testing.T) {
	var l Live
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				l.Add(time.Duration(i * j))
				if j%100 == 0 {
					l.Snapshot()
				}
			}
		})
	}
	wg.Wait()
	if s := l.Snapshot(); s.Count != 8000 {
		t.Errorf("counted %d of 8000", s.Count)
	}
}

// A quantile is the least duration that the share does not exceed, not the one before it.
func TestQuantileOfFew(t *testing.T) {
	var l Live
	for _, d := range []time.Duration{1, 2, 3, 4} {
		l.Add(d)
	}
	s := l.Snapshot()
	for q, want := range map[float64]time.Duration{0: 1, .25: 1, .26: 2, .5: 2, .51: 3, .75: 3, .76: 4, 1: 4} {
		if got := s.Quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}
