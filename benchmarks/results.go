package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// A metric is one figure of a measurement.
type metric struct {
	name   string
	format string
	ratio  ratio
}

// A ratio says how a metric is compared with the baseline's.
type ratio int

const (
	noRatio ratio = iota
	speedUp       // baseline / contender: above 1 is better than the baseline
	times         // contender / baseline: below 1 is better, for metrics where less is better
)

var ratioNames = [...]string{speedUp: "speed-up", times: "times"}

// results holds what a row measured: values[contender][round][metric].
type results struct {
	row     string
	names   []string
	metrics []metric
	base    int // index of the baseline, or -1
	values  [][][]float64
}

// A row is one table: contenders that are measured in turns.
type row struct {
	name    string
	base    string   // the contender that ratios are computed with, "" for none
	names   []string // of the contenders
	metrics []metric
	each    time.Duration // that a measurement takes, about
	measure func(k, round int) []float64
	group   string // rows of one group get a summary of their first metric; may be ""
}

// interleave measures a row: every name once in each round, in an order that moves
// by one from round to round, so that nobody always follows the same neighbour.
func (h *harness) interleave(w row) *results {
	r := &results{row: w.name, names: w.names, metrics: w.metrics, base: slices.Index(w.names, w.base)}
	r.values = make([][][]float64, len(w.names))
	for round := range h.rounds {
		for turn := range w.names {
			k := (turn + round) % len(w.names)
			h.progress.at(w.name, round+1, h.rounds, w.names[k])
			r.values[k] = append(r.values[k], h.gate.measure(func() []float64 { return w.measure(k, round) }))
			h.progress.done(w.each)
		}
	}
	h.progress.clear()
	return r
}

// series returns the figures of one metric, one for each round.
func (r *results) series(k, m int) []float64 {
	var vs []float64
	for _, v := range r.values[k] {
		vs = append(vs, v[m])
	}
	return vs
}

// ratios returns the metric's ratios to the baseline, each within its round.
func (r *results) ratios(k, m int) []float64 { return r.against(k, r.base, m) }

// against is ratios with any contender as the baseline.
func (r *results) against(k, other, m int) []float64 {
	mine, base := r.series(k, m), r.series(other, m)
	for i := range mine {
		if r.metrics[m].ratio == speedUp {
			mine[i] = base[i] / mine[i]
		} else {
			mine[i] /= base[i]
		}
	}
	return mine
}

func (r *results) print(out io.Writer) {
	head := []string{r.row}
	for _, m := range r.metrics {
		head = append(head, m.name)
		if m.ratio != noRatio && r.base >= 0 {
			head = append(head, ratioNames[m.ratio]+" (min..max)")
		}
	}
	rows := [][]string{head}
	for k, name := range r.names {
		cells := []string{name}
		for i, m := range r.metrics {
			cells = append(cells, figure(m.format, median(r.series(k, i))))
			if m.ratio != noRatio && r.base >= 0 {
				cells = append(cells, spread(r.ratios(k, i)))
			}
		}
		rows = append(rows, cells)
	}
	printTable(out, rows)
}

// summary returns a table of one metric of several rows side by side: its median,
// and the median of its ratio to the baseline.
func summary(title string, all []*results, m int) [][]string {
	rows := [][]string{{title}}
	for _, r := range all {
		rows[0] = append(rows[0], r.row)
	}
	if len(all) == 0 {
		return rows
	}
	for k, name := range all[0].names {
		cells := []string{name}
		for _, r := range all {
			cell := figure(r.metrics[m].format, median(r.series(k, m)))
			if r.base >= 0 && k != r.base {
				cell += fmt.Sprintf(" (%sx)", short(median(r.ratios(k, m))))
			}
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
	}
	return rows
}

// printTable prints a Markdown table that is aligned in plain text too.
func printTable(out io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			width[i] = max(width[i], len(c))
		}
	}
	fmt.Fprintln(out)
	for n, row := range rows {
		fmt.Fprintf(out, "| %-*s |", width[0], row[0])
		for i, c := range row[1:] {
			fmt.Fprintf(out, " %*s |", width[i+1], c)
		}
		fmt.Fprintln(out)
		if n == 0 {
			fmt.Fprintf(out, "|-%s-|", strings.Repeat("-", width[0]))
			for _, w := range width[1:] {
				fmt.Fprintf(out, "-%s:|", strings.Repeat("-", w))
			}
			fmt.Fprintln(out)
		}
	}
}

func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	n := len(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2
}

// spread prints a series of ratios: median (min..max).
func spread(vs []float64) string {
	return fmt.Sprintf("%s (%s..%s)", short(median(vs)), short(slices.Min(vs)), short(slices.Max(vs)))
}

// short prints a ratio with two or three significant digits.
func short(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0) || v == 0: // one of the two was never reached
		return "-"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// figure prints a value; a task size that was never reached is infinite.
func figure(format string, v float64) string {
	if math.IsInf(v, 1) {
		return "over " + figure(format, float64(metgTop))
	}
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// percentile returns the p-quantile, 0 to 1, of sorted values.
func percentile(sorted []int64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))])
}
