// Tenants is an HTTP service that one customer floods while a hundred others send a request each second:
//
//	go run ./examples/tenants
//	go run ./examples/tenants -buffer 100
//
// # What it shows
//
// The same load on two services. Their pools differ in one option, their handlers do not differ:
//
//	off   the pool has one queue, and all wait for the backlog of customer 1
//	on    [pool.WithTenants] shares the workers and the buffer, and customer 1 waits behind itself
//
// The handler says with [pool.WithAttrs] whose request it is, and waits for its task in [pool.Do]. If the pool is full
// ([pool.Reject]), it answers 503 with Retry-After.
//
// # When it backfires
//
// A customer is charged for the time of the workers, also where they wait for a database that is slow for all. Who can be many
// tenants gets many shares: take the tenant from the login. And fairness makes no
// worker faster: where the others alone are too many, they wait too.
//
// # What to look at
//
// How long the others wait for an answer: off as long as customer 1, on for about one request more than their own. With
// -buffer 100 not all of the flood has a place: off, most of the others are refused, on, none of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	code := 1
	switch _, usage := errors.AsType[usageError](err); {
	case err == nil:
		return
	case usage:
		code = 2
	case ctx.Err() != nil:
		err, code = errors.New("interrupted"), 130 // as a shell reports it
	}
	fmt.Fprintln(os.Stderr, "tenants:", err)
	os.Exit(code)
}

// settings is what the command line says, and whether fairness is on.
type settings struct {
	workers, buffer, flood, customers int
	work, lasts                       time.Duration
	fair                              bool
}

// usageError says that the command line is wrong.
type usageError struct{ error }

// parse reads the command line.
func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("tenants", flag.ExitOnError)
	flags.IntVar(&s.workers, "workers", 8, "work on so many requests at a time")
	flags.IntVar(&s.buffer, "buffer", pool.DefaultBuffer, "let so many requests wait")
	flags.IntVar(&s.flood, "flood", 200, "customer 1 keeps so many requests open")
	flags.IntVar(&s.customers, "customers", 100, "so many others send a request each second")
	flags.DurationVar(&s.work, "work", 20*time.Millisecond, "how long the work on a request takes")
	flags.DurationVar(&s.lasts, "for", 3*time.Second, "how long the load lasts, off and then on")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch most := 5000; { // clients: each takes two files
	case flags.NArg() > 0:
		err = fmt.Errorf("takes no arguments, got %q", flags.Arg(0))
	case s.workers < 1 || s.buffer < 0:
		err = fmt.Errorf("-workers must be at least 1 and -buffer at least 0, got %d and %d", s.workers, s.buffer)
	case min(s.flood, s.customers) < 1 || max(s.flood, s.customers) > most:
		err = fmt.Errorf("-flood and -customers must be 1 to %d, got %d and %d", most, s.flood, s.customers)
	case s.work <= 0 || s.lasts <= 0:
		err = fmt.Errorf("-work and -for must be positive, got %v and %v", s.work, s.lasts)
	default:
		return s, nil
	}
	return s, usageError{err}
}

// run shows the load with fairness off and on, and compares.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Customer 1 keeps %d requests open, %d others send one each second: see how long they wait, with fairness off and then on.\n\n", s.flood, s.customers)
	var loads []*load
	for _, s.fair = range []bool{false, true} {
		l, err := phase(ctx, s, out)
		if err != nil {
			return err
		}
		loads = append(loads, l)
	}
	compare(out, loads[0], loads[1])
	return nil
}

// phase puts the load on a service of its own, and shows how that goes.
func phase(ctx context.Context, s settings, out io.Writer) (*load, error) {
	svc, err := newService(s)
	if err != nil {
		return nil, usageError{err} // of values that are out of bounds
	}
	server := httptest.NewServer(svc.handler())
	transport := &http.Transport{MaxIdleConnsPerHost: s.flood + s.customers}
	l := &load{settings: s, client: &http.Client{Transport: transport}, url: server.URL}
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	err = watch(out, l, ended)
	transport.CloseIdleConnections()
	server.Close()
	return l, errors.Join(err, svc.pool.Close())
}
