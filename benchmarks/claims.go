package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A claim is something that is said about an optimisation of worker pools, with the situation in which it
// is said to gain. Before is the plain code that people write, after is this pool with the option.
type claim struct {
	number        int    // of the optimisation, see optimisations
	name          string // of the row
	before, after string
	unit, format  string
	more          bool // is better
	claimed       string
	verdict       func(before, after float64) verdict
	why           string
	each          time.Duration
	measure       func(after bool, round int) float64
}

var optimisations = []string{
	"size to the bottleneck", "work stealing for skewed work", "dispatch in batches", "tune buffers", "elastic concurrency",
	"reuse buffers", "no results nobody reads", "fail fast", "pin OS threads", "no time.After in loops", "lazy spawn",
	"warm-up", "per-worker queues", "the right shutdown",
}

type verdict string

const (
	reproduced verdict = "reproduced"
	partly     verdict = "partly"
	refuted    verdict = "refuted here"
)

// gain judges by how many times less after is than before: from full on it is what was claimed, from part on
// some of it.
func gain(part, full float64) func(before, after float64) verdict {
	return func(before, after float64) verdict {
		switch g := before / after; {
		case before == 0:
			return refuted
		case g >= full || after == 0:
			return reproduced
		case g >= part:
			return partly
		}
		return refuted
	}
}

// gainMore is gain for figures of which more is better.
func gainMore(part, full float64) func(before, after float64) verdict {
	return func(before, after float64) verdict { return gain(part, full)(after, before) }
}

// equal judges that nothing changes, in either direction, or at most that part.
func equal(tolerance float64) func(before, after float64) verdict {
	return func(before, after float64) verdict {
		if math.Abs(after/before-1) <= tolerance {
			return reproduced
		}
		return refuted
	}
}

// noOverhead judges that after is not larger than before, or at most by that part.
func noOverhead(tolerance float64) func(before, after float64) verdict {
	return func(before, after float64) verdict {
		if after/before-1 <= tolerance {
			return reproduced
		}
		return refuted
	}
}

// claimRows measures the claims.
func claimRows(h *harness) []row {
	var rows []row
	for _, c := range claims(h) {
		m := metric{c.unit, c.format, speedUp}
		if c.more {
			m.ratio = times
		}
		rows = append(rows, row{
			name: c.title(), base: "before", names: []string{"before", "after"}, metrics: []metric{m}, each: c.each,
			measure: func(k, round int) []float64 { return []float64{c.measure(k == 1, round)} },
		})
	}
	return rows
}

func (c claim) title() string { return fmt.Sprintf("%02d %s", c.number, c.name) }

// writeClaims writes the table of all claims. It is an error if one was not measured.
func writeClaims(h *harness, file string) error {
	rows := [][]string{{"optimisation", "situation", "before", "after", "unit", "measured: times better (min..max)", "claimed", "verdict"}}
	var notes strings.Builder
	for _, c := range claims(h) {
		i := slices.IndexFunc(h.measured, func(r *results) bool { return r.row == c.title() })
		if i < 0 || len(h.measured[i].values[1]) == 0 {
			return fmt.Errorf("-claims: row %q was not measured", c.title())
		}
		r := h.measured[i]
		before, after := median(r.series(0, 0)), median(r.series(1, 0))
		v := c.verdict(before, after)
		rows = append(rows, []string{
			fmt.Sprintf("%d %s", c.number, optimisations[c.number-1]), c.name,
			c.before + ": " + fmt.Sprintf(c.format, before), c.after + ": " + fmt.Sprintf(c.format, after), c.unit,
			spread(r.ratios(1, 0)), c.claimed, string(v),
		})
		if c.why != "" {
			fmt.Fprintf(&notes, "- **%d, %s** (%s): %s\n", c.number, c.name, v, c.why)
		}
	}
	for n, what := range optimisations {
		if !slices.ContainsFunc(claims(h), func(c claim) bool { return c.number == n+1 }) {
			return fmt.Errorf("-claims: nothing measures %q", what)
		}
	}
	return writePage(h, file, claimsHead, rows, "\n## Why\n\n"+notes.String())
}

// writePage writes a page of one table. The text before it ends where the machine and the run are to be told.
func writePage(h *harness, file, before string, table [][]string, after string) error {
	var b strings.Builder
	b.WriteString(before + "```\n")
	told := *h
	told.out = &b
	header(&told)
	b.WriteString("```\n")
	printTable(&b, table)
	b.WriteString(after)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o666)
}

const claimsHead = `# Fourteen claims about worker pools

Each of the fourteen optimisations of worker pools that this package offers is
commonly claimed to help. Each row is a situation in which it should. It
compares the plain code that people write for it with the pool and its option,
measured in turns. The verdict is about the claim: reproduced, partly, or
refuted here. "Times better" is above 1 where the option is ahead. A pool by
hand is ` + "`" + `make(chan func(), n)` + "`" + ` and goroutines that range over it.

This page is written by

    cd benchmarks && go run . -suite claims -rounds 5 -divide 2 -claims ../docs/claims.md

which fails if a row was not measured. The machine, and the run:

`
