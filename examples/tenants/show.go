package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
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
	fmt.Fprintf(out, "fairness %s, for %v\n", l.onOff(), l.lasts)
	bars := isTerminal(out)
	if bars {
		fmt.Fprint(out, "\n\n\n") // to draw over
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if bars {
			draw(out, l)
		}
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
	}
}

// isTerminal reports whether somebody watches.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
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

// compare prints what all got, and what is to be learned from that.
func compare(out io.Writer, off, on *load) {
	fmt.Fprintf(out, "\n%-8s  %-10s %9s %9s %10s %10s\n", "fairness", "who", "answered", "refused", "wait, p50", "wait, p99")
	row := func(l *load, name string, p *party) {
		fmt.Fprintf(out, "%-8s  %-10s %9d %9d %10s %10s\n", l.onOff(), name, len(p.waits), p.refused, ms(p.wait(50, len(p.waits))), ms(p.wait(99, len(p.waits))))
	}
	for _, l := range []*load{off, on} {
		row(l, "customer 1", &l.flooder)
		row(l, "the others", &l.others)
	}
	fmt.Fprintf(out, "\nWith tenants the median wait of the others was %s instead of %s, since each customer waits behind its own backlog.\n",
		ms(on.others.wait(50, math.MaxInt)), ms(off.others.wait(50, math.MaxInt)))
}
