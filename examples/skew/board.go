package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

// often is the time between two looks at the bars.
const often = 50 * time.Millisecond

// A board shows how many tasks have finished: as bars on a terminal, and elsewhere as a line at the end of each strategy.
type board struct {
	out        io.Writer
	terminal   bool
	drawn      bool
	contenders []*contender
	told       []bool // its line is written
	tasks      int
	ideal      time.Duration
}

func newBoard(out io.Writer, contenders []*contender, tasks int, ideal time.Duration) *board {
	return &board{out: out, terminal: cli.Terminal(out), contenders: contenders, told: make([]bool, len(contenders)), tasks: tasks, ideal: ideal}
}

// draw brings the board up to date.
func (b *board) draw() {
	if !b.terminal {
		b.tell()
		return
	}
	if b.drawn {
		fmt.Fprintf(b.out, "\x1b[%dA", len(b.contenders)) // up
	}
	b.drawn = true
	const width = 30
	for _, c := range b.contenders {
		n := int(c.finished.Load())
		end := ""
		if c.ended.Load() {
			end = b.times(c)
		}
		fmt.Fprintf(b.out, "\r\x1b[K%-12v [%-*s] %6d%s\n", c.strategy, width, strings.Repeat("#", width*n/b.tasks), n, end)
	}
}

// tell writes a line for each strategy that has ended since the last call.
func (b *board) tell() {
	for i, c := range b.contenders {
		if c.ended.Load() && !b.told[i] {
			b.told[i] = true
			fmt.Fprintf(b.out, "%-12v %6d tasks%s\n", c.strategy, c.finished.Load(), b.times(c))
		}
	}
}

// times says how long c took.
func (b *board) times(c *contender) string {
	return fmt.Sprintf("%8.2f s %6.2fx ideal", c.makespan.Seconds(), c.makespan.Seconds()/b.ideal.Seconds())
}
