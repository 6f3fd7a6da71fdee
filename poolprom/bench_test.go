package poolprom

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/headrace-go/pool"
)

// used returns pools of two workers that have run tasks of different durations, each of them measured.
func used(b *testing.B, n int) []Source {
	b.Helper()
	var pools []Source
	for i := range n {
		p := newPool(b, pool.WithName(fmt.Sprint("pool", i)), pool.WithWorkers(2), pool.WithSampling(1))
		for j := range 50 {
			must(b, p.Submit(context.Background(), func(context.Context) error {
				for begun := time.Now(); time.Since(begun) < time.Duration(j*j)*time.Microsecond/8; {
				}
				return nil
			}))
		}
		must(b, p.Wait(context.Background()))
		pools = append(pools, p)
	}
	return pools
}

// One op is one scrape of 100 pools: Collect is what this package does, up to the messages that are encoded, Gather
// is that and what the registry adds.
func BenchmarkScrape(b *testing.B) {
	const pools = 100
	sources := used(b, pools)
	b.Run(fmt.Sprintf("Collect/pools=%d", pools), func(b *testing.B) {
		c := NewCollector(sources...)
		b.ReportAllocs()
		for b.Loop() {
			metrics := make(chan prometheus.Metric, 30*pools)
			c.Collect(metrics)
			close(metrics)
			for m := range metrics {
				if err := m.Write(new(dto.Metric)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run(fmt.Sprintf("Gather/pools=%d", pools), func(b *testing.B) {
		reg := prometheus.NewRegistry()
		must(b, reg.Register(NewCollector(sources...)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := reg.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(fmt.Sprintf("Stats/pools=%d", pools), func(b *testing.B) {
		for b.Loop() {
			for _, p := range sources {
				_ = p.Stats()
			}
		}
	})
}
