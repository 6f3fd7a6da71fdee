package pool

import (
	"context"
	"sync/atomic"
	"testing"
)

func TestSmoke(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	for range 100000 {
		if err := p.Submit(context.Background(), func(context.Context) error { n.Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Wait(context.Background()); err != nil || n.Load() != 100000 {
		t.Fatal(err, n.Load())
	}
	t.Logf("%+v", p.Stats())
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", p.Stats())
}
