package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress says on a terminal what is measured and how much time is left, and elsewhere
// one line for each row.
type progress struct {
	out      io.Writer
	terminal bool
	rows     int // begun
	of       int
	planned  time.Duration // of all rows
	passed   time.Duration // of that
	begin    int64
}

func newProgress(out io.Writer, rows []row, rounds int) *progress {
	p := &progress{out: out, begin: now(), of: len(rows)}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	for _, w := range rows {
		p.planned += time.Duration(len(w.names)*rounds) * w.each
	}
	return p
}

// row says that the next row begins.
func (p *progress) row(name string) {
	p.rows++
	if !p.terminal {
		fmt.Fprintf(p.out, "%d of %d: %s, %s\n", p.rows, p.of, name, p.left())
	}
}

func (p *progress) at(row string, round, rounds int, name string) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K%d of %d: %s, round %d of %d, %s; %s", p.rows, p.of, row, round, rounds, name, p.left())
	}
}

// done says that a measurement has ended which was to take that long.
func (p *progress) done(d time.Duration) { p.passed += d }

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
}

// left estimates the time that is left. It scales the plan by what was seen of it so far.
func (p *progress) left() string {
	scale := 1.0
	if p.passed > p.planned/50 {
		scale = float64(now()-p.begin) / float64(p.passed)
	}
	return time.Duration(scale*float64(p.planned-p.passed)).Round(time.Second).String() + " left"
}
