package main

import (
	"io"
	"strings"
	"testing"
)

// TestSuites runs every suite with tiny sizes. Each measurement of equal tasks
// checks by itself that all of them ran.
func TestSuites(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			var out strings.Builder
			if err := run([]string{"-suite", s.name, "-quick", "-rounds", "2"}, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), "|-") {
				t.Errorf("no table:\n%s", out.String())
			}
			if testing.Verbose() {
				t.Log(out.String())
			}
		})
	}
}

// TestOwnCount runs every contender with its own way of waiting.
func TestOwnCount(t *testing.T) {
	var out strings.Builder
	if err := run([]string{"-count", "own", "-quick", "-rounds", "1", "-rows", "/P=16$"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-suite", "nothing"}, {"-rounds", "0"}, {"-rows", "("}, {"-count", "twice"}, {"left over"},
	} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("odd: got %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("even: got %v", got)
	}
}

// TestRatios pairs each round's figure with the same round's baseline.
func TestRatios(t *testing.T) {
	r := &results{
		metrics: []metric{{ratio: speedUp}, {ratio: times}},
		base:    1,
		values:  [][][]float64{{{1, 20}, {2, 40}}, {{10, 10}, {40, 10}}},
	}
	if got := r.ratios(0, 0); got[0] != 10 || got[1] != 20 {
		t.Errorf("speed-up: got %v", got)
	}
	if got := r.ratios(0, 1); got[0] != 2 || got[1] != 4 {
		t.Errorf("times: got %v", got)
	}
}

func TestPercentile(t *testing.T) {
	d := make([]int64, 1000)
	for i := range d {
		d[i] = int64(i)
	}
	for p, want := range map[float64]float64{0: 0, .5: 500, .999: 999, 1: 999} {
		if got := percentile(d, p); got != want {
			t.Errorf("%v: got %v, want %v", p, got, want)
		}
	}
}
