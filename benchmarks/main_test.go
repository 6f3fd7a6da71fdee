package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSuites runs every suite with tiny sizes. Each measurement of equal tasks
// checks by itself that all of them ran.
func TestSuites(t *testing.T) {
	for _, s := range suites {
		if s.name == "claims" {
			continue // TestClaims
		}
		t.Run(s.name, func(t *testing.T) {
			var out strings.Builder
			if err := run([]string{"-suite", s.name, "-divide", "100", "-rounds", "2"}, &out, io.Discard); err != nil {
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

// TestCharts draws all charts, and none of what was not measured.
func TestCharts(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-divide", "100", "-rounds", "1", "-contenders", "^(pool|channel)$", "-plots", dir}
	var out strings.Builder
	if err := run(append(args, "-suite", "throughput,grain,latency", "-rows", here("procs={n}/N={n}/P=1|^work=1|^load=")), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if want := len(charts); err != nil || len(files) != want {
		t.Errorf("got %v, %v; want %d files", files, err, want)
	}
	if err := run(append(args, "-suite", "panics"), &out, io.Discard); err == nil {
		t.Error("nothing to draw: no error")
	}
}

// TestClaims writes the page of claims, and not if a row is missing.
func TestClaims(t *testing.T) {
	file := filepath.Join(t.TempDir(), "claims.md")
	args := []string{"-suite", "claims", "-divide", "100", "-rounds", "1", "-claims", file}
	var out strings.Builder
	if err := run(append(args, "-rows", "^08"), &out, io.Discard); err == nil {
		t.Error("all but one row missing: no error")
	}
	if err := run(args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range optimisations {
		if !strings.Contains(string(page), o) {
			t.Errorf("the page has nothing about %q", o)
		}
	}
}

// TestGates fails if one of them names a row, a contender or a metric that there is none of.
func TestGates(t *testing.T) {
	h := &harness{rounds: 1, divide: 1, buffer: 1024, hogs: 4, nsPerIter: 1, rows: regexp.MustCompile(""), contenders: regexp.MustCompile("")}
	for _, s := range suites {
		for _, w := range s.rows(h) {
			r := &results{row: w.name, names: w.names, metrics: w.metrics}
			for range w.names {
				r.values = append(r.values, [][]float64{slices.Repeat([]float64{1}, len(w.metrics))})
			}
			h.measured = append(h.measured, r)
		}
	}
	file := filepath.Join(t.TempDir(), "gates.md")
	if err := writeGates(h, file); err != nil {
		t.Fatal(err)
	}
	if page, err := os.ReadFile(file); err != nil || !strings.Contains(string(page), "| 17 |") {
		t.Errorf("got %v, %s", err, page)
	}
	h.measured = h.measured[1:]
	if err := writeGates(h, file); err == nil {
		t.Error("a row is missing: no error")
	}
}

// TestLeft scales the plan by what was measured of it.
func TestLeft(t *testing.T) {
	w := row{names: []string{"a", "b"}, each: time.Minute}
	p := newProgress(io.Discard, []row{w, w}, 3)
	if got := p.left(); got != "12m0s left" {
		t.Errorf("at the beginning: got %q", got)
	}
	p.begin = now() - int64(12*time.Minute)
	for range 6 {
		p.done(w.each)
	}
	if got := p.left(); got != "12m0s left" {
		t.Errorf("half of it in twice the time: got %q", got)
	}
}

// TestOwnCount runs every contender with its own way of waiting.
func TestOwnCount(t *testing.T) {
	var out strings.Builder
	if err := run([]string{"-count", "own", "-divide", "100", "-rounds", "1", "-rows", "/P=16$"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-suite", "nothing"}, {"-rounds", "0"}, {"-divide", "0"}, {"-attempts", "0"}, {"-rows", "("}, {"-count", "twice"}, {"left over"},
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

// TestRowNames: charts and gates find their rows by name.
func TestRowNames(t *testing.T) {
	h := &harness{rounds: 1, divide: 1, buffer: 1024, rows: regexp.MustCompile(""), contenders: regexp.MustCompile("")}
	seen := map[string]string{}
	for _, s := range suites {
		for _, w := range s.rows(h) {
			if other, ok := seen[w.name]; ok {
				t.Errorf("%s: there is a row %q in %s too", s.name, w.name, other)
			}
			seen[w.name] = s.name
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		what          string
		rule          func(before, after float64) verdict
		before, after float64
		want          verdict
	}{
		{"no overhead, faster", noOverhead(.03), 100, 90, reproduced},
		{"no overhead, the same", noOverhead(.03), 100, 100, reproduced},
		{"no overhead, within the tolerance", noOverhead(.03), 100, 102.9, reproduced},
		{"no overhead, slower", noOverhead(.03), 100, 103.1, refuted},
		{"equal, faster", equal(.03), 100, 96, refuted},
		{"equal, within the tolerance", equal(.03), 100, 97.1, reproduced},
		{"equal, slower", equal(.03), 100, 104, refuted},
		{"a gain, all of it", gain(1.2, 2), 100, 50, reproduced},
		{"a gain, a part of it", gain(1.2, 2), 100, 70, partly},
		{"a gain, none", gain(1.2, 2), 100, 100, refuted},
		{"a gain, to nothing", gain(1.2, 2), 100, 0, reproduced},
		{"a gain, from nothing", gain(1.2, 2), 0, 0, refuted},
		{"more is better, all of it", gainMore(1.2, 2), 50, 100, reproduced},
		{"more is better, less", gainMore(1.2, 2), 100, 50, refuted},
	} {
		if got := c.rule(c.before, c.after); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
