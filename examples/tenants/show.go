package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	often  = 200 * time.Millisecond // the time between two looks at a load
	recent = 200                    // how many waits of a party are looked at
)

// A view shows how long the customers of a load wait: bars on a terminal, a line at the end elsewhere.
type view struct {
	out      io.Writer
	terminal bool
	drawn    bool
	title    string
	load     *load
}

// newView returns a view that shows nothing yet.
func newView(out io.Writer, fair bool, l *load) *view {
	v := &view{out: out, title: "fairness " + onOff(fair), load: l}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		v.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return v
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// follow shows the load as it goes, until the function that it returns is called.
func (v *view) follow() (end func()) {
	ended := make(chan struct{})
	var follower sync.WaitGroup
	follower.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			v.draw()
			select {
			case <-tick.C:
			case <-ended:
				v.draw()
				v.tell()
				return
			}
		}
	})
	return func() {
		close(ended)
		follower.Wait()
	}
}

// draw draws the bars, over the earlier ones. A bar is full at the time in which the service can answer all that may be open.
func (v *view) draw() {
	if !v.terminal {
		return
	}
	if v.drawn {
		fmt.Fprint(v.out, "\x1b[4A") // four lines up
	}
	v.drawn = true
	l := v.load
	full := l.work * time.Duration(l.flood+l.customers) / time.Duration(l.workers)
	others := l.others.latest(recent)
	fmt.Fprintf(v.out, "\r\x1b[K%s\n", v.title)
	bar(v.out, "customer 1, p50", percentile(l.flooder.latest(recent), 50), full)
	bar(v.out, "the others, p50", percentile(others, 50), full)
	bar(v.out, "the others, p99", percentile(others, 99), full)
}

// bar draws a bar.
func bar(out io.Writer, name string, wait, full time.Duration) {
	const width = 40
	n := int(min(width, max(0, math.Ceil(width*wait.Seconds()/full.Seconds()))))
	fmt.Fprintf(out, "\r\x1b[K  %-16s [%-*s] %9s\n", name, width, strings.Repeat("#", n), ms(wait))
}

// tell prints a line about a load that has ended.
func (v *view) tell() {
	if v.terminal {
		return
	}
	fmt.Fprintf(v.out, "%s: half of the requests of customer 1 waited for %s or less, and half of the others' for %s or less.\n",
		v.title, ms(percentile(v.load.flooder.latest(math.MaxInt), 50)), ms(percentile(v.load.others.latest(math.MaxInt), 50)))
}

// percentile returns the wait that so many percent do not exceed, or -1 if there is none.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return -1
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}

// ms prints a wait in milliseconds.
func ms(d time.Duration) string {
	if d < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
}

// compare prints a table of both loads, and what is to be learned from it.
func compare(out io.Writer, off, on *load) {
	fmt.Fprintf(out, "\n%-10s %-12s %9s %9s %10s %10s\n", "fairness", "", "answered", "refused", "wait, p50", "wait, p99")
	for i, l := range []*load{off, on} {
		row(out, onOff(i == 1), "customer 1", &l.flooder)
		row(out, "", "the others", &l.others)
	}
	before, after := off.others.latest(math.MaxInt), on.others.latest(math.MaxInt)
	fmt.Fprintf(out, "\nFairness made the others' median wait %s instead of %s, and %d of their requests were refused instead of %d.\n",
		ms(percentile(after, 50)), ms(percentile(before, 50)), on.others.refused, off.others.refused)
}

// row prints what a party got.
func row(out io.Writer, fairness, name string, p *party) {
	waits := p.latest(math.MaxInt)
	fmt.Fprintf(out, "%-10s %-12s %9d %9d %10s %10s\n", fairness, name, len(waits), p.refused, ms(percentile(waits, 50)), ms(percentile(waits, 99)))
}
