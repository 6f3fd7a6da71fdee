// Tenants is an HTTP service that one customer floods while a hundred others send one request each second. It shows how long they wait:
//
//	go run ./examples/tenants
//	go run ./examples/tenants -buffer 100
//
// # What it shows
//
// The same load on two services. Their pools differ in one option, and their handlers are the same:
//
//	off   the pool has one queue, and everybody waits for the backlog of customer 1
//	on    [pool.WithTenants] shares the workers and the buffer, and only customer 1 waits for its backlog
//
// The handler says with [pool.WithAttrs] whose request it is, and waits for its task in [pool.Do]. When the pool is full
// ([pool.Reject]), it answers 503 with Retry-After.
//
// # When it backfires
//
// A customer pays for the time of the workers, even while they wait for a database that is slow for everybody. A client that can appear
// as many tenants gets many shares: take the tenant from the login. And fairness makes no worker faster: if the others alone are too
// many, they wait, too.
//
// # What to look at
//
// How long the others wait for an answer. Off, they wait as long as customer 1. On, they wait for about one request besides their own.
// With -buffer 100 the flood does not fit into the buffer: off, most of the others are refused; on, none of them is.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/tenants [flags]

One customer floods a service: shows how long the others wait, with fairness
off and on.`

func main() { cli.Main("tenants", run) }

// settings is what the command line says, and whether fairness is on.
type settings struct {
	workers, buffer, flood, customers int
	work, lasts                       time.Duration
	fair                              bool
}

// parse reads the command line.
func parse(args []string, out io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("tenants", flag.ContinueOnError)
	flags.IntVar(&s.workers, "workers", 8, "work on `n` requests at a time")
	flags.IntVar(&s.buffer, "buffer", pool.DefaultBuffer, "let `n` requests wait")
	flags.IntVar(&s.flood, "flood", 200, "customer 1 keeps `n` requests open")
	flags.IntVar(&s.customers, "customers", 100, "`n` others send a request each second")
	flags.DurationVar(&s.work, "work", 20*time.Millisecond, "`time` that the work on a request takes")
	flags.DurationVar(&s.lasts, "for", 3*time.Second, "send requests for this `time`, off and then on")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return s, err
	}
	switch most := 5000; { // clients: each takes two files
	case s.workers < 1 || s.buffer < 0:
		err = cli.Misusef("-workers must be at least 1 and -buffer at least 0, got %d and %d", s.workers, s.buffer)
	case min(s.flood, s.customers) < 1 || max(s.flood, s.customers) > most:
		err = cli.Misusef("-flood and -customers must be 1 to %d, got %d and %d", most, s.flood, s.customers)
	case s.work <= 0 || s.lasts <= 0:
		err = cli.Misusef("-work and -for must be positive, got %v and %v", s.work, s.lasts)
	}
	return s, err
}

// run shows the load with fairness off and on, and compares.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	cli.Say(out, "Customer 1 keeps %d requests open, and %d others send one each second: see how long they wait, with fairness off and then on.\n\n%s",
		s.flood, s.customers, header)
	var loads []*load
	for _, s.fair = range []bool{false, true} {
		l, err := phase(ctx, s, out)
		if err != nil {
			return err
		}
		l.print(out)
		loads = append(loads, l)
	}
	cli.So(out, "with tenants half of the others waited at most %s for an answer, and %s without, because each customer waits for its own backlog only.",
		ms(loads[1].others.wait(50, math.MaxInt)), ms(loads[0].others.wait(50, math.MaxInt)))
	return nil
}

// phase puts the load on a service of its own, and shows how that goes.
func phase(ctx context.Context, s settings, out io.Writer) (*load, error) {
	svc, err := newService(s)
	if err != nil {
		return nil, cli.Misuse(err) // of values that are out of bounds
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
