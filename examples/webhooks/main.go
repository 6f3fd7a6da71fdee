// Webhooks is an HTTP service that accepts events and delivers each to a receiver, in the background and through a pool. It shows the
// service in calm, under a burst, at rest and in a drain:
//
//	go run ./examples/webhooks
//	go run ./examples/webhooks -drain 50ms -spool /tmp/spool
//	go run ./examples/webhooks -listen 127.0.0.1:8080
//
// Without -listen it serves at a free port of 127.0.0.1, sends itself events, and then ends as if it had received SIGTERM. With -listen
// it serves until SIGTERM or Ctrl-C: post events to /events, and look at /debug/vars:
//
//	curl -d '{"event":1}' 127.0.0.1:8080/events
//	curl 127.0.0.1:8080/debug/vars
//
// Without -target it has a receiver of its own, which takes -latency for each event.
//
// # What it shows
//
// The pool in the life of a service:
//
//	start     the workers are warm before the service listens ([pool.WithWarmup]): each has a connection to the receiver
//	calm      an event is accepted with 202 at once, and delivered a little later
//	burst     an event that finds the queue full is refused ([pool.Reject]) with 503 and Retry-After; the service neither slows down
//	          nor grows
//	rest      workers without work end ([pool.WithLazy]), until none is left
//	shutdown  the server stops, and then the pool drains within -drain ([pool.Typed.Shutdown]). The events that are left are handed
//	          back and appended to the -spool file: they were accepted with 202, so they must not be lost
//
// /debug/vars has the pool's statistics, through package poolexpvar. The pool has a name ([pool.WithName]), which is in its statistics,
// in profiles and in traces.
//
// # When it backfires
//
// A receiver that is down for long fills the queue, and then events for other receivers are refused: use a pool for each receiver, or
// tenants. Reject needs clients that heed Retry-After; those that try again at once make it worse. After each rest lazy workers have to
// connect anew: if that is expensive, keep some with [pool.WithFloor]. And if -drain is longer than the time between
// SIGTERM and SIGKILL, nothing is handed back.
//
// # What to look at
//
// Accepted and refused in the burst: about as many events are accepted as there are free workers and places in the queue. The number of
// workers after each phase. At the end, that no event is missing: delivered, failed, cut off and handed back add up to accepted. Events
// that are left without a -spool are an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/webhooks [flags]

Accepts events by HTTP and delivers them in the background. Without -listen it
sends itself events.`

func main() { cli.Main("webhooks", run) }

// settings is what the command line says.
type settings struct {
	listen, target, spool string
	workers, queue, burst int
	latency, idle, drain  time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("webhooks", flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", "", "serve at this `address` until SIGTERM, and send itself no events")
	flags.StringVar(&s.target, "target", "", "deliver to this `URL`, instead of a receiver of its own")
	flags.StringVar(&s.spool, "spool", "", "append the events that are left at the end to this `file`")
	flags.IntVar(&s.workers, "workers", 8, "deliver `n` events at a time")
	flags.IntVar(&s.queue, "queue", 128, "let `n` events wait")
	flags.IntVar(&s.burst, "burst", 600, "send `n` events in a burst")
	flags.DurationVar(&s.latency, "latency", 20*time.Millisecond, "`time` that the receiver takes for an event")
	flags.DurationVar(&s.idle, "idle", 200*time.Millisecond, "workers end after this `time` without work")
	flags.DurationVar(&s.drain, "drain", 5*time.Second, "longest `time` from SIGTERM to the end")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	switch {
	case s.workers < 1 || s.burst < 1:
		return cli.Misusef("-workers and -burst must be at least 1, got %d and %d", s.workers, s.burst)
	case s.idle <= 0:
		return cli.Misusef("-idle must be positive, got %v", s.idle)
	case s.queue < 0 || s.latency < 0 || s.drain < 0:
		return cli.Misusef("-queue, -latency and -drain must not be negative, got %d, %v and %v", s.queue, s.latency, s.drain)
	}
	cli.Say(out, "A service delivers events in the background: see what it does in calm, in a burst, at rest and at its end.\n\n")
	if s.target != "" {
		return serve(ctx, s, out)
	}
	r, err := startReceiver(s.latency)
	if err != nil {
		return err
	}
	s.target = r.url
	return errors.Join(serve(ctx, s, out), r.stop())
}

// serve runs the service until ctx is done or, without -listen, until its own client has finished.
func serve(ctx context.Context, s settings, out io.Writer) error {
	begin := time.Now()
	svc, err := newService(s)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "start: %d workers warmed up in %.1f ms, a queue of %d\n", svc.pool.Stats().Goroutines, time.Since(begin).Seconds()*1000, s.queue)
	address := s.listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return errors.Join(err, svc.pool.Close())
	}
	fmt.Fprintf(out, "serving http://%s\n", listener.Addr())
	server := &http.Server{Handler: svc.handler(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	var failure error // of the server or the client
	if s.listen == "" {
		failure = drive(ctx, svc, "http://"+listener.Addr().String(), out)
		if ctx.Err() != nil {
			svc.drain = 0 // nobody needs its own events
		}
	} else {
		select {
		case <-ctx.Done():
		case failure = <-ended:
		}
	}
	return errors.Join(failure, svc.shutdown(server, out))
}
