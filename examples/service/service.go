package main

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/pooldebug"
	"github.com/headrace-go/pool/poolexpvar"
)

// limits are the bounds of the service.
type limits struct {
	workers int           // tasks that run at a time
	buffer  int           // tasks that wait
	timeout time.Duration // for the answer to a request, and for an order
	drain   time.Duration // from SIGTERM to the end
}

// A shop does the work. Its methods return soon after ctx is done.
type shop interface {
	Price(ctx context.Context, item string) (cents int, err error)
	Order(ctx context.Context, item string) error
}

// A service answers the requests of a shop.
type service struct {
	limits
	shop shop
	log  *log.Logger
	pool *pool.Pool
}

func newService(l limits, shop shop, log *log.Logger) (*service, error) {
	p, err := pool.New(
		pool.WithName("shop"),
		pool.WithWorkers(l.workers),
		pool.WithBuffer(l.buffer),
		pool.WithOverflow(pool.Reject), // when full, return ErrFull instead of blocking
		// net/http recovers panics of handlers, but tasks run on other goroutines.
		pool.WithPanicHandler(func(e *pool.PanicError) { log.Printf("panic: %v\n%s", e.Value, e.Stack) }),
		pool.WithErrorHandler(func(err error) { log.Print("order: ", err) }),
	)
	return &service{l, shop, log, p}, err
}

// public is the handler for customers.
func (s *service) public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /price/{item}", s.price)
	mux.HandleFunc("POST /order/{item}", s.order)
	return mux
}

// private is the handler for operators: the metrics and the debug page.
func (s *service) private() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /debug/vars", expvar.Handler())
	mux.Handle("GET /debug/pool", pooldebug.Handler(s.pool))
	return mux
}

// price answers when the task has ended, or when the time is over.
func (s *service) price(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	cents, err := pool.Do(ctx, s.pool, func(ctx context.Context) (int, error) {
		return s.shop.Price(ctx, r.PathValue("item"))
	})
	if err != nil {
		refuse(w, err)
		return
	}
	fmt.Fprintln(w, cents)
}

// order answers when the task is accepted. The task outlives the request, so its context is the pool's.
func (s *service) order(w http.ResponseWriter, r *http.Request) {
	item := r.PathValue("item")
	err := s.pool.Submit(r.Context(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		return s.shop.Order(ctx, item)
	})
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// refuse tells a client what became of its request.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError // the task failed or panicked
	switch {
	case errors.Is(err, pool.ErrFull), errors.Is(err, pool.ErrClosed), errors.Is(err, pool.ErrAborted):
		w.Header().Set("Retry-After", "1") // second
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	http.Error(w, http.StatusText(status), status)
}

// serve answers requests until ctx is done, and then drains. It returns an error if accepted orders are left.
func (s *service) serve(ctx context.Context, public, private net.Listener) error {
	unpublish, err := poolexpvar.Publish("pool", s.pool)
	if err != nil {
		return errors.Join(err, s.pool.Close())
	}
	defer unpublish()
	server := &http.Server{Handler: s.public(), ReadHeaderTimeout: 5 * time.Second}
	debug := &http.Server{Handler: s.private(), ReadHeaderTimeout: 5 * time.Second}
	defer debug.Close() // last: operators can watch the drain
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(public) }()
	go func() { failed <- debug.Serve(private) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}

	begin, now := time.Now(), s.pool.Stats()
	s.log.Printf("draining %d running and %d waiting tasks, for %v at most", now.Running, now.Queued, s.drain)
	drain, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	// First the server, so that no request finds a closed pool. Then the pool, which runs what it has accepted.
	err = errors.Join(err, server.Shutdown(drain), s.pool.Shutdown(drain), server.Close())
	s.log.Printf("drained in %.1f s, %d tasks never started", time.Since(begin).Seconds(), len(s.pool.Leftover()))
	return err
}
