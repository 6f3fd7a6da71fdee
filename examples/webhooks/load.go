package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/headrace-go/pool"
)

// A receiver takes events, as the services of customers do.
type receiver struct {
	url    string
	server *http.Server
	ended  chan error
}

// startReceiver starts a receiver that takes latency for each event.
func startReceiver(latency time.Duration) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String(), ended: make(chan error, 1)}
	r.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodHead {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body) // or it would not be seen when the client goes away
		t := time.NewTimer(latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-req.Context().Done():
		}
	})}
	go func() { r.ended <- r.server.Serve(listener) }()
	return r, nil
}

func (r *receiver) stop() error {
	err := r.server.Close()
	if e := <-r.ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// senders is how many requests of a burst are under way at a time.
const senders = 16

// drive takes the service through calm, a burst, rest and another burst. It returns before the events of the last one are delivered.
func drive(ctx context.Context, svc *service, base string, out io.Writer) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	d := driver{client: client, base: base, out: out}
	fmt.Fprintf(out, "\n%-8s %8s %9s %8s %10s %8s %8s\n", "phase", "events", "accepted", "refused", "delivered", "waiting", "workers")
	// In calm the workers are busy for half of the time.
	pause := max(time.Millisecond, 2*svc.latency/time.Duration(svc.workers))
	if err := d.phase(ctx, "calm", func() error { return d.paced(ctx, svc.burst/4+1, pause) }); err != nil {
		return err
	}
	if err := d.phase(ctx, "burst", func() error { return d.burst(ctx, svc.burst) }); err != nil {
		return err
	}
	if err := d.phase(ctx, "rest", func() error { return d.rest(ctx) }); err != nil {
		return err
	}
	err := d.phase(ctx, "burst", func() error { return d.burst(ctx, svc.burst) })
	fmt.Fprintln(out)
	return err
}

// A driver is the client of a service.
type driver struct {
	client *http.Client
	base   string
	out    io.Writer

	mu                     sync.Mutex
	sent, accepted, refuse int
	err                    error
}

// phase does f and prints what became of it.
func (d *driver) phase(ctx context.Context, name string, f func() error) error {
	before, err := d.stats(ctx)
	if err != nil {
		return err
	}
	d.sent, d.accepted, d.refuse = 0, 0, 0
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	after, err := d.stats(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%-8s %8d %9d %8d %10d %8d %8d\n", name, d.sent, d.accepted, d.refuse, after.Completed-before.Completed, after.Queued, after.Goroutines)
	return nil
}

// paced posts n events, one after the other, with a pause between them.
func (d *driver) paced(ctx context.Context, n int, pause time.Duration) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for range n {
		if err := d.post(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// burst posts n events as fast as it can.
func (d *driver) burst(ctx context.Context, n int) error {
	var wg sync.WaitGroup
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	for range senders {
		wg.Go(func() {
			for range next {
				if err := d.post(ctx); err != nil {
					d.mu.Lock()
					d.err = err
					d.mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return d.err
}

// rest waits until all is delivered and no worker is left.
func (d *driver) rest(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := d.stats(ctx)
		if err != nil || s.Queued+s.Running == 0 && s.Goroutines == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post posts an event.
func (d *driver) post(ctx context.Context) error {
	d.mu.Lock()
	d.sent++
	body := fmt.Sprintf(`{"event":%d}`, d.sent)
	d.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/events", strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case resp.StatusCode == http.StatusAccepted:
		d.accepted++
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		d.refuse++
	default:
		return fmt.Errorf("the service answered %s", resp.Status)
	}
	return nil
}

// stats asks the service for the pool's statistics, as a monitoring system does.
func (d *driver) stats(ctx context.Context) (pool.Stats, error) {
	var vars struct{ Pool pool.Stats }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/debug/vars", nil)
	if err != nil {
		return vars.Pool, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return vars.Pool, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&vars)
	return vars.Pool, err
}
