package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/headrace-go/pool"
)

// A service answers requests of customers.
type service struct {
	settings
	pool *pool.Pool
}

// newService returns a service, with or without fairness. All that fairness takes is an option.
func newService(s settings, fair bool) (*service, error) {
	opts := []pool.Option{
		pool.WithName("tenants"),
		pool.WithWorkers(s.workers),
		pool.WithBuffer(s.buffer),
		pool.WithOverflow(pool.Reject),
	}
	if fair {
		opts = append(opts, pool.WithTenants(nil))
	}
	p, err := pool.New(opts...)
	return &service{s, p}, err
}

// handler returns what serves requests.
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
func (s *service) query(ctx context.Context) (string, error) {
	if !pause(ctx, s.work) {
		return "", ctx.Err()
	}
	return "done", nil
}

// pause waits for d. It returns false if ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// listen makes the service listen, and returns a load for it. stop ends the server when the clients have ended.
func (s *service) listen() (l *load, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	l = &load{
		settings: s.settings,
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.flood + s.customers}},
		url:      "http://" + listener.Addr().String(),
	}
	return l, func() error {
		l.client.CloseIdleConnections()
		err := server.Shutdown(context.Background())
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}
