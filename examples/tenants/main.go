// Tenants is an HTTP service that one customer floods while a hundred others send a request now and then:
//
//	go run ./examples/tenants
//	go run ./examples/tenants -buffer 100
//
// Clients and service are in one process, and talk over 127.0.0.1. A request takes -work, for a database, say.
//
// # What it shows
//
// The same load twice, for -for each. The pools differ in one option, the handler does not differ at all:
//
//	off   the pool has one queue. Who comes waits for all that came before, which is nearly all of customer 1
//	on    [pool.WithTenants] shares the workers by customer. Customer 1 waits behind itself alone
//
// The handler says with [pool.WithAttrs] whose request it is, and waits for its task with [pool.Do]. A pool without tenants
// does not look at that. A full buffer makes it answer 503 with Retry-After ([pool.Reject]).
//
// # When it backfires
//
// Tenants share run time, in which a task may do nothing but wait: if the database is slow for one customer, that one is charged.
// Who can be many tenants gets many shares: take the tenant from the login, never from what a client may choose. And
// fairness makes no worker faster: if all customers together want too much, all of them wait.
//
// # What to look at
//
// How long the others wait, from the request to its answer: off for the whole backlog, on for about one request. How much
// less customer 1 is served: not at all, but for what the others were refused. With -buffer 100 there
// is no place for all of the flood: off, nearly all of the others are refused, and on nobody but customer 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/headrace-go/pool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdout)
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "tenants: interrupted")
		os.Exit(130) // as a shell reports a program ended by an interrupt
	case usage:
		fmt.Fprintln(os.Stderr, "tenants:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "tenants:", err)
		os.Exit(1)
	}
}

// settings is what the command line says.
type settings struct {
	workers, buffer, flood, customers int
	work, every, lasts                time.Duration
}

// usageError says that a flag has a bad value.
type usageError struct{ error }

// maxClients bounds the clients. Each takes a port and two files.
const maxClients = 10_000

// parse reads the command line.
func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("tenants", flag.ExitOnError)
	flags.IntVar(&s.workers, "workers", 8, "work on so many requests at a time")
	flags.IntVar(&s.buffer, "buffer", pool.DefaultBuffer, "let so many requests wait")
	flags.IntVar(&s.flood, "flood", 200, "customer 1 has so many requests open at all times")
	flags.IntVar(&s.customers, "customers", 100, "how many other customers there are")
	flags.DurationVar(&s.work, "work", 20*time.Millisecond, "how long a request takes")
	flags.DurationVar(&s.every, "every", time.Second, "each other customer sends one request in that time")
	flags.DurationVar(&s.lasts, "for", 3*time.Second, "how long the load lasts, with fairness off and then on")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, usageError{fmt.Errorf("takes no arguments, got %q", flags.Arg(0))}
	}
	return s, s.check()
}

// check reports the first bad value.
func (s *settings) check() error {
	for name, n := range map[string]int{"workers": s.workers, "flood": s.flood, "customers": s.customers} {
		if n < 1 || n > maxClients {
			return usageError{fmt.Errorf("-%s must be from 1 to %d, got %d", name, maxClients, n)}
		}
	}
	for name, d := range map[string]time.Duration{"work": s.work, "every": s.every, "for": s.lasts} {
		if d <= 0 || d > time.Hour {
			return usageError{fmt.Errorf("-%s must be positive, and one hour at most, got %v", name, d)}
		}
	}
	if s.buffer < 0 {
		return usageError{fmt.Errorf("-buffer must not be negative, got %d", s.buffer)}
	}
	return nil
}

// run shows the load with fairness off and on, and compares.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Customer 1 keeps %d requests open, and %d others send one every %v: see how long each waits, first with fairness off, then on.\n\n",
		s.flood, s.customers, s.every)
	off, err := phase(ctx, s, false, out)
	if err != nil {
		return err
	}
	on, err := phase(ctx, s, true, out)
	if err != nil {
		return err
	}
	compare(out, off, on)
	return nil
}

// phase puts the load on a service of its own, and shows how that goes.
func phase(ctx context.Context, s settings, fair bool, out io.Writer) (*load, error) {
	svc, err := newService(s, fair)
	if err != nil {
		return nil, err
	}
	l, stop, err := svc.listen()
	if err != nil {
		return nil, errors.Join(err, svc.pool.Close())
	}
	v := newView(out, fair, l)
	shown := v.follow()
	err = l.run(ctx)
	shown()
	return l, errors.Join(err, stop(), svc.pool.Close())
}
