// Service is an HTTP service with what a service in production wants. To make your own, copy service.go and replace the shop.
//
//	go run ./examples/service
//	go run ./examples/service -drain 100ms
//	go run ./examples/service -listen localhost:8080 -debug localhost:8081
//
// Without -listen it sends itself requests for about a second, and then ends as if it had received SIGTERM. With -listen it serves
// until SIGTERM or Ctrl-C:
//
//	curl localhost:8080/price/tea
//	curl -X POST localhost:8080/order/tea
//	curl localhost:8081/debug/vars
//	curl 'localhost:8081/debug/pool?format=text'
//
// # What it shows
//
//	limits     at most -workers tasks run and -buffer tasks wait ([pool.WithWorkers], [pool.WithBuffer])
//	overload   a request that finds the pool full gets 503 with Retry-After ([pool.WithOverflow], [pool.ErrFull])
//	deadline   a request that is not answered within -timeout gets 504, and its task is cancelled ([pool.Do])
//	panics     a panic in a task is logged, and the request gets 500 ([pool.WithPanicHandler]); without the option the process ends
//	metrics    /debug/vars has the pool's statistics (package poolexpvar), and /debug/pool is a page about it (package pooldebug);
//	           both are at an address of their own, which only operators should reach
//	drain      after SIGTERM the server stops, and the pool runs the tasks that it has accepted, within -drain ([pool.Pool.Shutdown])
//
// # When it backfires
//
// An order is answered with 202 before its task runs. If the drain takes longer than -drain, the orders that are left end with the
// process: this program only counts them. A service that must not lose them writes them to a file, as examples/webhooks does, or
// takes them from a queue outside the process. Choose a -drain that is shorter than the time between SIGTERM and SIGKILL.
//
// # What to look at
//
// In the rush twice as many requests arrive as the pool has room for. Those that find no room are refused at once, so the others are
// answered in time. With -drain 100ms orders are left, and the exit code is 1.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills the program
	switch err := run(ctx, os.Args[1:], os.Stdout); {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(2)
	case errors.Is(err, errInterrupted):
		fmt.Fprintln(os.Stderr, "service: interrupted")
		os.Exit(130) // as a shell reports it
	case err != nil:
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

var (
	errUsage       = errors.New("see -h")
	errInterrupted = errors.New("interrupted") // while it sent itself requests
)

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors
	var l limits
	listen := flags.String("listen", "", "serve customers at this `address`, and send itself no requests")
	debug := flags.String("debug", "localhost:0", "serve operators at this `address`")
	flags.IntVar(&l.workers, "workers", 20, "run `n` tasks at a time")
	flags.IntVar(&l.buffer, "buffer", 100, "let `n` tasks wait")
	flags.DurationVar(&l.timeout, "timeout", 500*time.Millisecond, "longest `time` for an answer")
	flags.DurationVar(&l.drain, "drain", 5*time.Second, "longest `time` from SIGTERM to the end")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, "usage: go run ./examples/service [flags]\n\nServes HTTP with limits, 503 when full, deadlines, metrics and a drain.\n\nFlags:\n")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", err, errUsage)
	case flags.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q: %w", flags.Arg(0), errUsage)
	case l.timeout <= 0 || l.drain <= 0:
		return fmt.Errorf("-timeout and -drain must be positive, got %v and %v: %w", l.timeout, l.drain, errUsage)
	}
	show := screen{mu: new(sync.Mutex), out: out}
	entries := show
	entries.firstLine = *listen == ""
	s, err := newService(l, tea{}, log.New(entries, "log: ", 0))
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	public, err := net.Listen("tcp", cmp.Or(*listen, "localhost:0"))
	if err != nil {
		return errors.Join(err, s.pool.Close())
	}
	private, err := net.Listen("tcp", *debug)
	if err != nil {
		return errors.Join(err, public.Close(), s.pool.Close())
	}
	fmt.Fprintf(show, "An HTTP service: see what it answers when it is full, and how it ends.\n\nCustomers: http://%s/price/tea\nOperators: http://%s/debug/pool\n", public.Addr(), private.Addr())
	if *listen != "" {
		return s.serve(ctx, public, private)
	}
	return s.demonstrate(ctx, public, private, show)
}
