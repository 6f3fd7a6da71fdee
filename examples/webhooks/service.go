package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
	"github.com/headrace-go/pool/poolexpvar"
)

// A service accepts events and delivers them.
type service struct {
	settings
	client *http.Client
	pool   *pool.Typed[event]

	delivered, failed atomic.Uint64

	mu     sync.Mutex
	cutOff []event // deliveries that the end of the drain has interrupted
}

// An event is what a client has posted.
type event []byte

// maxEvent bounds the size of an event, in bytes.
const maxEvent = 64 << 10

// newService returns a service whose workers are warm.
func newService(s settings) (*service, error) {
	svc := &service{settings: s, client: &http.Client{
		Transport: &http.Transport{MaxConnsPerHost: s.workers, MaxIdleConnsPerHost: s.workers},
		Timeout:   10 * time.Second,
	}}
	p, err := pool.NewTyped(svc.deliver,
		pool.WithName("webhooks"),
		pool.WithSizing(pool.IO(s.workers)),
		pool.WithBuffer(s.queue),
		pool.WithOverflow(pool.Reject),
		pool.WithLazy(s.idle),
		pool.WithWarmup(svc.connect, 1))
	if err != nil {
		return nil, err
	}
	svc.pool = p
	if _, err := poolexpvar.Publish("pool", p); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return svc, nil
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /events", s.accept)
	mux.Handle("GET /debug/vars", expvar.Handler())
	return mux
}

// accept takes an event in, or refuses it.
func (s *service) accept(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// The event outlives the request: the pool's context is that of the delivery.
	if err := s.pool.Submit(r.Context(), body); err != nil { // full, or closing
		w.Header().Set("Retry-After", "1") // second
		http.Error(w, "too busy", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// deliver is the task of an event.
func (s *service) deliver(ctx context.Context, e event) error {
	err := s.send(ctx, http.MethodPost, e)
	switch {
	case err == nil:
		s.delivered.Add(1)
	case ctx.Err() != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cutOff = append(s.cutOff, e)
	default:
		s.failed.Add(1)
	}
	return err
}

// connect makes the connection of a worker. What the receiver says to it does not matter.
func (s *service) connect(ctx context.Context) error {
	err := s.send(ctx, http.MethodHead, nil)
	var refusal *statusError
	if errors.As(err, &refusal) {
		return nil
	}
	return err
}

// statusError is an answer of the receiver other than success.
type statusError struct{ status string }

func (e *statusError) Error() string { return "receiver answered " + e.status }

// send sends an event to the receiver.
func (s *service) send(ctx context.Context, method string, e event) error {
	req, err := http.NewRequestWithContext(ctx, method, s.target, bytes.NewReader(e))
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return &statusError{resp.Status}
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxEvent)) // the connection can be used again
	return err
}

// shutdown ends the service within s.drain, and says what that did. First nothing new may come in, so
// the server is first.
func (s *service) shutdown(server *http.Server, out io.Writer) error {
	begin := time.Now()
	waiting := s.pool.Stats()
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // cuts requests off
	}
	var deadline *pool.DeadlineError
	if e := s.pool.Shutdown(ctx); !errors.As(e, &deadline) {
		err = errors.Join(err, e)
	}
	<-s.pool.Done() // deliveries obey their context, so this is soon
	s.client.CloseIdleConnections()
	back := s.pool.Leftover()
	fmt.Fprintf(out, "drain: %d waiting and %d in delivery at the beginning\nended: after %.0f ms of %v, %d cut off, %d handed back\n",
		waiting.Queued, waiting.Running, time.Since(begin).Seconds()*1000, s.drain, len(s.cutOff), len(back))
	lost := append(s.cutOff, back...)
	total := s.pool.Stats()
	fmt.Fprintf(out, "total: %d accepted, %d refused, %d delivered, %d failed\n", total.Accepted, total.Rejected, s.delivered.Load(), s.failed.Load())
	if n := s.delivered.Load() + s.failed.Load() + uint64(len(lost)); n != total.Accepted {
		err = errors.Join(err, fmt.Errorf("%d events accepted, but %d accounted for", total.Accepted, n))
	}
	if err := errors.Join(err, s.save(lost, out)); err != nil {
		return err
	}
	cli.So(out, "the service refused %d events at once, and lost none of those that it accepted: %d were delivered, %d failed and %d are in the spool.",
		total.Rejected, s.delivered.Load(), s.failed.Load(), len(lost))
	return nil
}

// save appends events to the spool, as a string in JSON each on a line.
func (s *service) save(events []event, out io.Writer) (err error) {
	switch {
	case len(events) == 0:
		return nil
	case s.spool == "":
		return fmt.Errorf("%d events were accepted and are lost: there is no -spool", len(events))
	}
	f, err := os.OpenFile(s.spool, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	enc := json.NewEncoder(f)
	for _, e := range events {
		if err := enc.Encode(string(e)); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "spool: %d events appended to %s\n", len(events), s.spool)
	return nil
}
