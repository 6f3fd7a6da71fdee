package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

// A printer writes the lines, and is the only one to write while files are
// being hashed: errors and the progress bar go through it too.
type printer struct {
	out    *bufio.Writer
	stderr io.Writer
	cancel context.CancelCauseFunc // called on a write error
	bar    bool                    // stderr is a terminal
	drawn  bool                    // the bar is on it now
	begun  time.Time
	line   []byte

	files  int   // hashed
	bytes  int64 // in them
	failed int   // could not be read
	left   int   // known but not hashed
	err    error // writing to standard output
}

// often is the time between two looks at the progress bar, and the longest a
// finished line stays in the buffer.
const often = 100 * time.Millisecond

func newPrinter(stdout, stderr io.Writer, cancel context.CancelCauseFunc) *printer {
	return &printer{out: bufio.NewWriterSize(stdout, 64<<10), stderr: stderr, cancel: cancel, bar: cli.Terminal(stderr), begun: time.Now()}
}

// print writes a line for each of the tree's files in the order of the walk,
// until that is over or ctx is. In the second case it waits for the running
// files to stop and writes what was finished, so that no sum is lost.
func (p *printer) print(ctx context.Context, t *tree) {
	defer p.flush()
	tick := time.NewTicker(often)
	defer tick.Stop()
	var f *file // whose turn it is, nil if that is for the walker to say
	for {
		order, done := t.order, chan struct{}(nil)
		if f != nil {
			order, done = nil, f.done
		}
		select {
		case next, ok := <-order:
			if !ok {
				return
			}
			f = next
		case <-done:
			p.report(f)
			t.free <- f
			f = nil
		case <-tick.C:
			p.flush()
			p.draw(t)
		case <-ctx.Done():
			<-t.pool.Done() // no worker has a file any more
			if f != nil {
				p.report(f)
			}
			for f := range t.order {
				p.report(f)
			}
			return
		}
	}
}

// report writes what has become of f.
func (p *printer) report(f *file) {
	switch f.err {
	case nil:
		p.files++
		p.bytes += f.size
		p.line = appendLine(p.line[:0], f)
		if p.out.Available() < len(p.line) {
			p.flush()
		}
		p.write(p.line)
	case errNotHashed:
		p.left++
	default:
		p.failed++
		p.erase()
		fmt.Fprintf(p.stderr, "hashtree: %s: %v\n", printable(f.path), reason(f.err))
	}
}

func (p *printer) write(line []byte) {
	if _, err := p.out.Write(line); err != nil {
		p.fail(err)
	}
}

// flush writes out the buffered lines. Standard output may be the same
// terminal as standard error, so the bar makes way first.
func (p *printer) flush() {
	p.erase()
	if err := p.out.Flush(); err != nil {
		p.fail(err)
	}
}

// fail stops everything on the first write error.
func (p *printer) fail(err error) {
	if p.err == nil {
		p.err = err
		p.cancel(err)
	}
}

// draw shows how full the window is, and the speed so far.
func (p *printer) draw(t *tree) {
	if !p.bar {
		return
	}
	const width = 20
	full := width * (cap(t.free) - len(t.free)) / cap(t.free)
	mb := float64(t.read.Load()) / 1e6
	fmt.Fprintf(p.stderr, "[%-*s] %d files, %.1f MB, %.1f MB/s",
		width, strings.Repeat("#", full), p.files, mb, mb/time.Since(p.begun).Seconds())
	p.drawn = true
}

// erase takes the bar away.
func (p *printer) erase() {
	if p.drawn {
		io.WriteString(p.stderr, "\r\x1b[K")
		p.drawn = false
	}
}

// escaper changes names as sha256sum does.
var escaper = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`)

// appendLine appends f's line: the sum, two spaces and the name, and in front
// of it all a backslash if the name had to be escaped.
func appendLine(b []byte, f *file) []byte {
	name := f.path
	if strings.ContainsAny(name, "\\\n\r") {
		b = append(b, '\\')
		name = escaper.Replace(name)
	}
	b = hex.AppendEncode(b, f.sum[:])
	b = append(b, "  "...)
	b = append(b, name...)
	return append(b, '\n')
}

// printable quotes a path that would upset a terminal.
func printable(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}

// reason is err without the path, which the message has already.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
