// Package hist counts durations in a fixed set of buckets, log-linear as in HdrHistogram (G. Tene):
// each power of two is divided into 16 buckets of equal width. So the middle of a bucket is within
// 3.2 % of everything in it, memory has a bound, and histograms of different times and pools add up
// bucket by bucket.
package hist

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

const (
	subBits = 4
	sub     = 1 << subBits
	// maxBits bounds what is told apart: all durations of 2^maxBits ns, 4.9 hours, and more are in
	// the last bucket.
	maxBits = 44
	// Buckets is how many there are: one for each nanosecond below 2*sub, and sub for each power of
	// two above.
	Buckets = (maxBits - subBits + 1) * sub
)

// bucket returns where d is counted.
func bucket(d time.Duration) int {
	if d < sub {
		return max(0, int(d))
	}
	n := bits.Len64(uint64(d))
	if n > maxBits {
		return Buckets - 1
	}
	return (n-subBits)*sub + int(uint64(d)>>(n-1-subBits))&(sub-1)
}

// Lower returns the least duration that is counted in bucket i; that of Buckets is where the last
// one ends.
func Lower(i int) time.Duration {
	if i < sub {
		return time.Duration(i)
	}
	return time.Duration(sub+i%sub) << (i/sub - 1)
}

// Live is a histogram that any number of goroutines add to. The zero value is empty.
type Live struct {
	counts atomic.Pointer[[Buckets]atomic.Uint64] // nil until something was added
	sum    atomic.Int64
	used   atomic.Uint32 // the first bucket in use, from the end, and the last: 16 bits each
}

// Add counts d, or 0 if d is negative.
func (l *Live) Add(d time.Duration) { l.AddN(d, 1) }

// AddN counts d n times.
func (l *Live) AddN(d time.Duration, n uint64) {
	c := l.counts.Load()
	for c == nil {
		l.counts.CompareAndSwap(nil, new([Buckets]atomic.Uint64))
		c = l.counts.Load()
	}
	d = max(d, 0)
	i := bucket(d)
	l.use(uint32(i))
	c[i].Add(n)
	l.sum.Add(int64(d) * int64(n))
}

// use makes used cover bucket i.
func (l *Live) use(i uint32) {
	for {
		u := l.used.Load()
		now := max(u>>16, Buckets-i)<<16 | max(u&0xffff, i)
		if now == u || l.used.CompareAndSwap(u, now) {
			return
		}
	}
}

// Snapshot returns what was counted, or nil if that is nothing.
func (l *Live) Snapshot() *Snapshot {
	c := l.counts.Load()
	if c == nil {
		return nil
	}
	u := l.used.Load()
	if u == 0 { // the first is just being added
		return nil
	}
	first, last := Buckets-int(u>>16), int(u&0xffff)
	counts := make([]uint64, last+1-first)
	for i := range counts {
		counts[i] = c[first+i].Load()
	}
	return Of(first, counts, time.Duration(l.sum.Load()))
}

// Snapshot is a histogram at one moment. It does not change. Nil is empty.
type Snapshot struct {
	Count  uint64
	Sum    time.Duration
	First  int      // the bucket of Counts[0]
	Counts []uint64 // neither the first nor the last is 0
}

// combine returns the sum of a and b, or what a has more than b.
func combine(a, b *Snapshot, sign int64) *Snapshot {
	var counts [Buckets]uint64
	var sum time.Duration
	for _, s := range []struct {
		*Snapshot
		sign int64
	}{{a, 1}, {b, sign}} {
		if s.Snapshot == nil {
			continue
		}
		sum += time.Duration(s.sign) * s.Sum
		for i, n := range s.Counts {
			if at := &counts[s.First+i]; s.sign > 0 {
				*at += n
			} else {
				*at -= min(*at, n)
			}
		}
	}
	return Of(0, slices.Clone(counts[:]), sum)
}

// Of returns the snapshot with these counts, of which the first is that of bucket first, or nil if
// they are all 0. It keeps counts.
func Of(first int, counts []uint64, sum time.Duration) *Snapshot {
	for len(counts) > 0 && counts[len(counts)-1] == 0 {
		counts = counts[:len(counts)-1]
	}
	for len(counts) > 0 && counts[0] == 0 {
		first, counts = first+1, counts[1:]
	}
	if len(counts) == 0 {
		return nil
	}
	s := &Snapshot{Sum: max(sum, 0), First: first, Counts: counts}
	for _, n := range counts {
		s.Count += n
	}
	return s
}

// Plus returns what s and t have together.
func (s *Snapshot) Plus(t *Snapshot) *Snapshot { return combine(s, t, 1) }

// Minus returns what s has more than t, an earlier snapshot of the same histogram.
func (s *Snapshot) Minus(t *Snapshot) *Snapshot { return combine(s, t, -1) }

// Quantile returns a duration that a share q of the durations does not exceed, 0 <= q <= 1: the
// middle of the bucket it is in. It is 0 for an empty histogram, and for a q that is not a number;
// other q are moved to 0 or 1.
func (s *Snapshot) Quantile(q float64) time.Duration {
	if s == nil || s.Count == 0 || math.IsNaN(q) {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(s.Count)))
	rank = min(max(rank, 1), s.Count)
	for i, n := range s.Counts {
		if rank <= n {
			return middle(s.First + i)
		}
		rank -= n
	}
	return middle(s.First + len(s.Counts) - 1) // unreachable: the counts add up to Count
}

func middle(i int) time.Duration { return Lower(i) + (Lower(i+1)-1-Lower(i))/2 }
