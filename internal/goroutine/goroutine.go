// Package goroutine tells goroutines apart. It is slow, and for those who have blocked for long.
package goroutine

import (
	"runtime"
	"strconv"
	"strings"
)

// ID returns the number of the calling goroutine.
func ID() uint64 {
	var buf [64]byte
	s := strings.TrimPrefix(string(buf[:runtime.Stack(buf[:], false)]), "goroutine ")
	s, _, _ = strings.Cut(s, " ")
	id, _ := strconv.ParseUint(s, 10, 64)
	return id
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
