package dropin

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	xsemaphore "golang.org/x/sync/semaphore"

	"github.com/headrace-go/pool/dropin/semaphore"
)

type weighted interface {
	Acquire(context.Context, int64) error
	TryAcquire(int64) bool
	Release(int64)
}

// Whatever is acquired, given up and released, in whole or in parts, the same acquisitions succeed as
// with the original.
func TestSemaphoreSameAsOriginal(t *testing.T) {
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			size := int64(1 + seed%40)
			got := play(seed, size, semaphore.NewWeighted(size))
			want := play(seed, size, xsemaphore.NewWeighted(size))
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("seed %d, size %d, after %d steps: %s, want %s\n%q", seed, size, i+1, got[i], want[i], want[:i])
				}
			}
		})
	}
}

// play makes random calls and returns, for each, what it was and who has been admitted after it.
func play(seed uint64, size int64, s weighted) []string {
	type waiter struct {
		n      int64
		cancel context.CancelFunc
		done   chan error
	}
	var (
		r       = rand.New(rand.NewPCG(seed, 0))
		held    int64
		waiting []waiter
		steps   []string
	)
	settle := func() (admitted string) {
		synctest.Wait()
		left := waiting[:0]
		for _, w := range waiting {
			select {
			case err := <-w.done:
				w.cancel()
				admitted += fmt.Sprintf(" %d:%v", w.n, err)
				if err == nil {
					held += w.n
				}
			default:
				left = append(left, w)
			}
		}
		waiting = left
		return admitted
	}
	for range 60 {
		var step string
		switch n := 1 + r.Int64N(size); r.IntN(5) {
		case 0, 1:
			ctx, cancel := context.WithCancel(context.Background())
			w := waiter{n, cancel, make(chan error, 1)}
			waiting = append(waiting, w)
			go func() { w.done <- s.Acquire(ctx, n) }()
			step = fmt.Sprintf("Acquire(%d)", n)
		case 2:
			ok := s.TryAcquire(n)
			if ok {
				held += n
			}
			step = fmt.Sprintf("TryAcquire(%d)=%v", n, ok)
		case 3:
			if n = min(n, held); n > 0 {
				held -= n
				s.Release(n)
			}
			step = fmt.Sprintf("Release(%d)", n)
		case 4:
			if len(waiting) > 0 {
				waiting[r.IntN(len(waiting))].cancel()
			}
			step = "cancel"
		}
		steps = append(steps, step+settle())
	}
	for _, w := range waiting {
		w.cancel()
	}
	settle()
	s.Release(held)
	steps = append(steps, fmt.Sprintf("in the end TryAcquire(%d)=%v", size, s.TryAcquire(size)))
	s.Release(size)
	return steps
}
