// Webhooks is an HTTP service that accepts events and delivers each to a receiver, in the
// background and through a pool:
//
//	go run ./examples/webhooks
//	go run ./examples/webhooks -listen 127.0.0.1:8080 -target http://receiver.example/hook
//
// Without -listen it starts itself on a free port of 127.0.0.1, drives itself with a client of its
// own, as if it got SIGTERM at the end, and ends. With -listen it serves until SIGTERM or Ctrl-C: POST
// events to /events, and look at /debug/vars. Without -target it has a receiver of its own,
// which takes -latency for each event.
//
// # What it shows
//
// The pool in the life of a service:
//
//	start     the workers are warmed up before the service listens ([pool.WithWarmup]):
//	          each has a connection to the receiver
//	calm      events are accepted with 202, at once, and delivered a little later
//	burst     what finds the queue full is refused ([pool.Reject]): 503 with Retry-After.
//	          The service neither slows down nor grows
//	rest      workers that have nothing to do end ([pool.WithLazy]), down to none
//	shutdown  the server stops accepting, then the pool drains within -drain
//	          ([pool.Typed.Shutdown]). What is left is handed back, and goes to the -spool file:
//	          it was accepted with 202, so it must not be lost
//
// The pool's statistics are in /debug/vars, through package poolexpvar. Its name is in them, and in profiles and
// traces ([pool.WithName]).
//
// # When it backfires
//
// A receiver that is down for long fills the queue with events for it, and those for
// others are refused: use a pool for each receiver, or keyed submissions. Reject needs callers that heed
// Retry-After; those that try again at once make it worse. Lazy workers have to make
// their connections anew after each rest: leave some with [pool.WithFloor] where that is
// expensive. And a drain deadline longer than the grace period of whoever stops the process
// hands nothing back.
//
// # What to look at
//
// Accepted and refused in the burst: about as many are accepted as there are free workers and room in the buffer. The
// number of workers after each phase. At the end what the drain did, and that no event is missing:
// accepted is delivered, failed, cut off and handed back together. Try -drain 100ms -spool FILE. To have
// events left and no -spool is an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil: // with -listen also after a signal: that is how a service ends
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "webhooks: interrupted:", err)
		os.Exit(130) // as a shell reports a program ended by an interrupt
	default:
		fmt.Fprintln(os.Stderr, "webhooks:", err)
		os.Exit(1)
	}
}

// settings is what the command line says.
type settings struct {
	listen, target, spool string
	workers, queue, burst int
	latency, idle, drain  time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("webhooks", flag.ExitOnError)
	flags.StringVar(&s.listen, "listen", "", "serve at this address until SIGTERM, instead of driving itself")
	flags.StringVar(&s.target, "target", "", "deliver to this URL, instead of a receiver of its own")
	flags.StringVar(&s.spool, "spool", "", "append what could not be delivered before the end to this file")
	flags.IntVar(&s.workers, "workers", 8, "deliver so many events at a time")
	flags.IntVar(&s.queue, "queue", 128, "let so many events wait")
	flags.IntVar(&s.burst, "burst", 600, "events in a burst of the client")
	flags.DurationVar(&s.latency, "latency", 20*time.Millisecond, "how long the receiver takes for an event")
	flags.DurationVar(&s.idle, "idle", 200*time.Millisecond, "workers end when they have had nothing to do for that time")
	flags.DurationVar(&s.drain, "drain", 5*time.Second, "how long the end may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q", flags.Arg(0))
	case s.burst < 1:
		return fmt.Errorf("-burst must be at least 1, got %d", s.burst)
	case s.latency < 0 || s.drain < 0:
		return errors.New("-latency and -drain must not be negative")
	}
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
	} else {
		select {
		case <-ctx.Done():
		case failure = <-ended:
		}
	}
	return errors.Join(failure, svc.shutdown(server, out))
}
