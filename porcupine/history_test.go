// Package porcupine checks that concurrent histories of the pool and of its queue are
// linearizable: what the calls return could have been returned by calls that happen one
// after the other, each at some moment while it runs.
package porcupine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history collects operations, without a lock that would put the calls in order. Its clock
// gives every event another time.
type history struct {
	clock, n atomic.Int64
	all      [256]porcupine.Operation
	ready    atomic.Int64
}

func (h *history) now() int64 { return h.clock.Add(1) }

// add notes an operation that happened at some moment between from and to.
func (h *history) add(from, to int64, input, output any) {
	i := h.n.Add(1) - 1
	h.all[i] = porcupine.Operation{ClientId: int(i), Input: input, Call: from, Output: output, Return: to}
}

// play makes each client's calls in a goroutine of its own, all at the same time.
func (h *history) play(clients [][]func()) {
	var wg sync.WaitGroup
	for _, calls := range clients {
		wg.Go(func() {
			h.ready.Add(1)
			for h.ready.Load() < int64(len(clients)) {
				runtime.Gosched()
			}
			for _, call := range calls {
				call()
			}
		})
	}
	wg.Wait()
}

// check fails the test unless the history is one of the model.
func (h *history) check(t *testing.T, m porcupine.Model) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(m, h.all[:h.n.Load()], 10*time.Second); got != porcupine.Ok {
		t.Logf("%s:", got)
		for _, op := range h.all[:h.n.Load()] {
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
