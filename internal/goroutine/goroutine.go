// Package goroutine lets code find out who started its goroutine, where nobody could hand that down
// to it.
//
// A goroutine has no storage of its own, and its number is only in the text of its stack, which
// costs a few microseconds: too much for each goroutine that starts. So Run keeps a mark on the
// stack, which costs nothing, and Mark reads it there, for the few that ask.
package goroutine

import (
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// Run calls f with a mark below it. An array of more than one element is passed on the stack and
// not in registers, so a stack trace shows it as it is.
//
//go:noinline
func Run(f func(), mark [2]uintptr) { f() }

const runFrame = "internal/goroutine.Run("

// Package is the prefix of the names of this package's functions.
var Package = reflect.TypeFor[here]().PkgPath() + "."

type here struct{}

// Mark returns the first word of the mark of the Run that started the calling goroutine, or 0. It
// takes about half a microsecond if something else started it, and otherwise about ten.
func Mark() uintptr {
	if !marked() {
		return 0
	}
	return markIn(stack())
}

// markIn returns the mark in a stack trace, or 0.
func markIn(trace string) uintptr {
	_, mark, _ := strings.Cut(trace[max(0, strings.LastIndex(trace, runFrame)):], runFrame)
	_, mark, _ = strings.Cut(mark, "{0x")
	mark, _, _ = strings.Cut(mark, ",")
	n, _ := strconv.ParseUint(mark, 16, 64)
	return uintptr(n)
}

// maxTrace bounds the memory for Stacks, which leaves out what is beyond.
const maxTrace = 64 << 20

// Stacks returns the stack traces of the goroutines that were started with Run, by their marks. It
// stops the program for a while.
func Stacks() map[uintptr]string {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < maxTrace {
		buf = make([]byte, 4*len(buf))
		n = runtime.Stack(buf, true)
	}
	traces := make(map[uintptr]string)
	for trace := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		if mark := markIn(trace); mark != 0 {
			traces[mark] = strings.TrimSpace(trace)
		}
	}
	return traces
}

// marked reports whether Run is at the bottom of the stack, above the runtime's goexit and the
// function that a go statement makes.
func marked() bool {
	var buf [128]uintptr
	pcs := Callers(buf[:])
	for _, pc := range pcs[max(0, len(pcs)-3):] {
		if f := runtime.FuncForPC(pc - 1); f != nil && f.Entry() == reflect.ValueOf(Run).Pointer() {
			return true
		}
	}
	return false
}

// stack returns the text of the calling goroutine's stack from its bottom frames on, which are
// never left out.
func stack() string {
	buf := make([]byte, 1<<12)
	for {
		if n := runtime.Stack(buf, false); n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 4*len(buf))
	}
}

// Callers returns the caller's whole stack; buf is used if it is large enough.
func Callers(buf []uintptr) []uintptr {
	for {
		if n := runtime.Callers(2, buf); n < len(buf) {
			return buf[:n]
		}
		buf = make([]uintptr, 4*len(buf))
	}
}
