// Package cli is the command line that the examples share: flags, -h, Ctrl-C, exit codes, and
// output that fits a terminal. It has nothing to do with pools.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Columns is the width of a terminal that all output fits.
const Columns = 80

// The exit codes.
const (
	OK          = 0
	Failed      = 1
	Misused     = 2   // the command line is wrong
	Interrupted = 130 // as a shell reports a program that Ctrl-C ended
)

// Main runs an example and ends the process. Ctrl-C and SIGTERM cancel the context; a second one
// kills the program.
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Code(ctx, name, run(ctx, os.Args[1:], os.Stdout), os.Stderr))
}

// Code reports the error of an example, and returns the exit code.
func Code(ctx context.Context, name string, err error, stderr io.Writer) int {
	_, misused := errors.AsType[misuse](err)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return OK
	case misused:
		fmt.Fprintf(stderr, "%s: %v\n%s: -h lists the flags\n", name, err, name)
		return Misused
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		fmt.Fprintf(stderr, "%s: interrupted\n", name)
		return Interrupted
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "%s: interrupted: %v\n", name, err)
		return Interrupted
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return Failed
}

// misuse is an error of the command line.
type misuse struct{ error }

// Misuse returns an error with exit code 2.
func Misuse(err error) error {
	if err == nil {
		return nil
	}
	return misuse{err}
}

// Misusef is Misuse with a new error.
func Misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// Parse parses flags, after which at most so many arguments may follow. For -h it prints what the
// example does and its flags to out, and returns [flag.ErrHelp].
func Parse(flags *flag.FlagSet, args []string, most int, help string, out io.Writer) error {
	flags.Init(flags.Name(), flag.ContinueOnError)
	flags.Usage = func() {} // errors are printed by Main
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(out, strings.TrimSpace(help))
		flags.SetOutput(out)
		any := false
		flags.VisitAll(func(*flag.Flag) { any = true })
		if any {
			fmt.Fprint(out, "\nFlags:\n")
		}
		flags.PrintDefaults()
		return err
	case err != nil:
		return misuse{err}
	case flags.NArg() > most && most == 0:
		return Misusef("takes no arguments, got %q", flags.Arg(0))
	case flags.NArg() > most:
		return Misusef("takes at most %d argument, got %q", most, flags.Args())
	}
	return nil
}

// Terminal reports whether out is a terminal.
func Terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Progress shows text on a terminal, again and again, on a line that end takes away. It shows
// nothing elsewhere.
func Progress(out io.Writer, text func() string) (end func()) {
	if !Terminal(out) {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				fmt.Fprint(out, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(out, "\r\x1b[K%s", text())
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// Say prints a text in lines that fit.
func Say(out io.Writer, format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintln(out, wrap(strings.TrimSuffix(line, "\n")))
	}
}

// So prints what was learned.
func So(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out)
	Say(out, "So: "+format, args...)
}

// wrap breaks a line at blanks. What follows is indented as far as the line is, and two blanks more.
func wrap(line string) string {
	if utf8.RuneCountInString(line) <= Columns {
		return line
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(line[len(indent):], " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > Columns:
			b.WriteString("\n  " + indent)
			column = len(indent) + 2
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
