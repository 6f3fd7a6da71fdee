package poolnats

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace-go/pool"
)

func TestServe(t *testing.T) {
	s := broker(t)
	var ran atomic.Int64
	t0 := time.Now()
	_, q := serve(t, s.ClientURL(), func(_ context.Context, n int) error { ran.Add(1); return nil }, []Option{Keys(64)}, pool.WithWorkers(2))
	t.Log("open", time.Since(t0))
	for i := range 100 {
		must(t, q.Enqueue(bg, i))
		must(t, q.Enqueue(bg, i, Key("a")))
	}
	empty(t, q, 5*time.Second)
	t.Log(ran.Load(), stats(t, q), time.Since(t0))
}
