package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// often is the time between two looks at the bars.
const often = 50 * time.Millisecond

// A board shows how many tasks have finished: bars on a terminal, a line at the end of
// each strategy elsewhere.
type board struct {
	out        io.Writer
	terminal   bool
	drawn      bool
	contenders []*contender
	told       []bool // its line is written
	tasks      int
}

func newBoard(out io.Writer, contenders []*contender, tasks int) *board {
	b := &board{out: out, contenders: contenders, told: make([]bool, len(contenders)), tasks: tasks}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
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
	const width = 40
	for _, c := range b.contenders {
		n := int(c.finished.Load())
		end := ""
		if c.ended.Load() {
			end = fmt.Sprintf("%8.3f s", c.makespan.Seconds())
		}
		fmt.Fprintf(b.out, "\r\x1b[K%-14v [%-*s] %6d%s\n", c.strategy, width, strings.Repeat("#", width*n/b.tasks), n, end)
	}
}

// tell writes a line for each strategy that has ended since the last call.
func (b *board) tell() {
	for i, c := range b.contenders {
		if c.ended.Load() && !b.told[i] {
			b.told[i] = true
			fmt.Fprintf(b.out, "%-14v %d tasks finished after %.3f s\n", c.strategy, c.finished.Load(), c.makespan.Seconds())
		}
	}
}
