// Package porcupine checks that concurrent histories of the pool and of its queue are
// linearizable: what the calls return could have been returned by calls that happen one
// after the other, each at some moment while it runs.
package porcupine

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history collects operations. Its clock gives every event another time.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) now() int64 { return h.clock.Add(1) }

// add notes an operation that happened at some moment between from and to.
func (h *history) add(from, to int64, input, output any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: len(h.ops), Input: input, Call: from, Output: output, Return: to})
}

// check fails the test unless the history is one of the model.
func (h *history) check(t *testing.T, m porcupine.Model) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(m, h.ops, 10*time.Second); got != porcupine.Ok {
		t.Logf("%s:", got)
		for _, op := range h.ops {
			t.Logf("%3d to %3d: %+v: %+v", op.Call, op.Return, op.Input, op.Output)
		}
		t.FailNow()
	}
}

// rounds is n, or a tenth in short mode.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
