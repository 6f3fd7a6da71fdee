package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
	"golang.org/x/time/rate"
)

// TestRateReference compares the starts of a pool's tasks, all of which wait, with those that a rate.Limiter allows: from the beginning, and again
// after a rest in which tokens gather. In each window of a second, or in each tenth of a shorter run, the numbers differ by at most a hundredth, or
// by one.
func TestRateReference(t *testing.T) {
	for _, c := range []struct {
		rate   float64
		burst  int
		last   time.Duration // of the starts after the burst
		rest   time.Duration
		window time.Duration
	}{
		{10, 1, 20 * time.Second, 350 * time.Millisecond, time.Second},
		{10, 5, 20 * time.Second, 350 * time.Millisecond, time.Second},
		{1000, 10, 5 * time.Second, 5500 * time.Microsecond, time.Second},
		{1e6, 1e6, 100 * time.Millisecond, 0, 10 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(c.rate, ",", c.burst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := c.burst + int(c.rate*c.last.Seconds())
				got, want := poolStarts(t, c.rate, c.burst, n, c.rest), limiterStarts(t, c.rate, c.burst, n, c.rest)
				// Windows begin and end between two starts, so that a nanosecond makes no difference.
				between := time.Duration(1e9 / c.rate / 2)
				sameStarts(t, got, want, c.window, between)
			})
		})
	}
}

// sameStarts compares the numbers of starts in all windows of that length that begin a tenth of it after one another, and in the whole run.
func sameStarts(t *testing.T, got, want []time.Duration, window, shift time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d starts, want %d", len(got), len(want))
	}
	end := max(got[len(got)-1], want[len(want)-1])
	if d := (got[len(got)-1] - want[len(want)-1]).Abs(); d > max(2*shift, end/100) {
		t.Errorf("the last start is at %v, want %v", got[len(got)-1], want[len(want)-1])
	}
	for from := -shift; from <= end; from += window / 10 {
		g, w := count(got, from, from+window), count(want, from, from+window)
		if d := math.Abs(float64(g - w)); d > max(1, float64(w)/100) {
			t.Errorf("%d starts from %v to %v, want %d", g, from, from+window, w)
		}
	}
}

// count returns how many of the starts, which are sorted, are in that window.
func count(starts []time.Duration, from, to time.Duration) int {
	a, _ := slices.BinarySearch(starts, from)
	b, _ := slices.BinarySearch(starts, to)
	return b - a
}

// poolStarts returns when n tasks start that are submitted at once. If there is a rest, n more are submitted after it.
func poolStarts(t *testing.T, perSecond float64, burst, n int, rest time.Duration) []time.Duration {
	p, err := pool.New(pool.WithWorkers(4), pool.WithBuffer(n), pool.WithRate(perSecond, burst))
	if err != nil {
		t.Fatal(err)
	}
	starts := make([]time.Duration, 2*n)
	var started atomic.Int64
	begin := time.Now()
	task := func(context.Context) error {
		starts[started.Add(1)-1] = time.Since(begin)
		return nil
	}
	for round := range 2 {
		if round == 1 {
			if rest == 0 {
				break
			}
			time.Sleep(rest)
		}
		for range n {
			if err := p.Submit(t.Context(), task); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	starts = starts[:started.Load()]
	slices.Sort(starts)
	return starts
}

// limiterStarts is the same with a rate.Limiter.
func limiterStarts(t *testing.T, perSecond float64, burst, n int, rest time.Duration) []time.Duration {
	l := rate.NewLimiter(rate.Limit(perSecond), burst)
	var starts []time.Duration
	begin := time.Now()
	for round := range 2 {
		if round == 1 {
			if rest == 0 {
				break
			}
			time.Sleep(rest)
		}
		for range n {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			starts = append(starts, time.Since(begin))
		}
	}
	return starts
}
