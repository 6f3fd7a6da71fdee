package poolprom_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/poolprom"
)

// A service registers one collector for all its pools, and serves its registry.
func Example() {
	mail, err := pool.New(pool.WithName("mail"), pool.WithWorkers(2), pool.WithBuffer(16))
	if err != nil {
		log.Fatal(err)
	}
	images, err := pool.New(pool.WithName("images"), pool.WithWorkers(4))
	if err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(poolprom.NewCollector(mail, images))
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) // http.Handle("/metrics", metrics)

	for range 3 {
		if err := mail.Submit(context.Background(), func(context.Context) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	for _, p := range []*pool.Pool{mail, images} {
		if err := p.Close(); err != nil {
			log.Fatal(err)
		}
	}

	w := httptest.NewRecorder()
	metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "workerpool_workers") || strings.Contains(line, `outcome="completed"`) {
			fmt.Print(line)
		}
	}
	// Output:
	// workerpool_tasks_total{outcome="completed",pool="images"} 0
	// workerpool_tasks_total{outcome="completed",pool="mail"} 3
	// workerpool_workers{pool="images"} 4
	// workerpool_workers{pool="mail"} 2
}
