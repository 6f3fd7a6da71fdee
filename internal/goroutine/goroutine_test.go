package goroutine

import (
	"runtime"
	"strings"
	"testing"
)

// A goroutine has one number, and no other one has it.
func TestID(t *testing.T) {
	mine := ID()
	if mine == 0 || ID() != mine {
		t.Fatalf("%d, then %d", mine, ID())
	}
	others := make(chan uint64)
	go func() { others <- ID() }()
	if id := <-others; id == 0 || id == mine {
		t.Errorf("another goroutine has %d, this one has %d", id, mine)
	}
}

// The whole stack is returned, whatever the size of the buffer.
func TestCallers(t *testing.T) {
	var deep func(n int) int
	deep = func(n int) int {
		if n > 0 {
			return deep(n - 1)
		}
		return len(Callers(make([]uintptr, 4)))
	}
	if n := deep(100); n < 101 {
		t.Errorf("%d frames of at least 101", n)
	}
	f, _ := runtime.CallersFrames(Callers(make([]uintptr, 64))).Next()
	if !strings.HasSuffix(f.Function, "TestCallers") {
		t.Errorf("the first frame is that of %s", f.Function)
	}
}
