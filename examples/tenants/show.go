package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

// onOff says whether fairness is on.
func (s *settings) onOff() string {
	if s.fair {
		return "on"
	}
	return "off"
}

// watch waits for the end of l. On a terminal it shows bars meanwhile.
func watch(out io.Writer, l *load, ended <-chan error) error {
	if !cli.Terminal(out) {
		return <-ended
	}
	fmt.Fprint(out, "\n\n\n") // to draw over
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		draw(out, l)
		select {
		case err := <-ended:
			fmt.Fprint(out, "\x1b[3A\x1b[J") // the rows take the place of the bars
			return err
		case <-tick.C:
		}
	}
}

// draw draws a bar for each wait, of the latest answers, over the three lines above. A bar is full if it takes as long to answer all
// requests that can be open.
func draw(out io.Writer, l *load) {
	const width, latest = 40, 200
	full := l.work.Seconds() * float64(l.flood+l.customers) / float64(l.workers)
	bar := func(name string, wait time.Duration) {
		n := min(width, math.Ceil(width*wait.Seconds()/full))
		fmt.Fprintf(out, "\r\x1b[K%-16s [%-*s] %9s\n", name, width, strings.Repeat("#", int(n)), ms(wait))
	}
	fmt.Fprint(out, "\x1b[3A")
	bar("customer 1, p50", l.flooder.wait(50, latest))
	bar("the others, p50", l.others.wait(50, latest))
	bar("the others, p99", l.others.wait(99, latest))
}

// ms prints a wait in milliseconds.
func ms(d time.Duration) string {
	if d == 0 {
		return "no answer"
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
}

// header is above the rows that print prints.
var header = fmt.Sprintf("%-8s  %-10s %9s %9s %10s %10s", "fairness", "who", "answered", "refused", "wait, p50", "wait, p99")

// print prints what all got.
func (l *load) print(out io.Writer) {
	row := func(name string, p *party) {
		fmt.Fprintf(out, "%-8s  %-10s %9d %9d %10s %10s\n", l.onOff(), name, len(p.waits), p.refused, ms(p.wait(50, len(p.waits))), ms(p.wait(99, len(p.waits))))
	}
	row("customer 1", &l.flooder)
	row("the others", &l.others)
}
