package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/headrace-go/pool"
)

// A service answers requests of customers.
type service struct {
	pool *pool.Pool
	work time.Duration
}

// newService returns a service. All that fairness takes is an option.
func newService(s settings) (*service, error) {
	opts := []pool.Option{pool.WithWorkers(s.workers), pool.WithBuffer(s.buffer), pool.WithOverflow(pool.Reject)}
	if s.fair {
		opts = append(opts, pool.WithTenants(nil))
	}
	p, err := pool.New(opts...)
	return &service{p, s.work}, err
}

// handler returns the handler of the service.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /customers/{number}", s.serve)
	return mux
}

// serve answers a request by a task of the pool, or refuses it.
func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	customer, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		http.Error(w, "there is no such customer", http.StatusNotFound)
		return
	}
	ctx := pool.WithAttrs(r.Context(), pool.Attrs{Tenant: customer})
	answer, err := pool.Do(ctx, s.pool, s.query)
	switch {
	case errors.Is(err, pool.ErrFull):
		w.Header().Set("Retry-After", "1") // second
		http.Error(w, "too busy", http.StatusServiceUnavailable)
	case err != nil: // the client has gone away
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		fmt.Fprintln(w, answer)
	}
}

// query stands for a call of a database.
func (s *service) query(ctx context.Context) (answer string, err error) {
	return "done", pause(ctx, s.work)
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
