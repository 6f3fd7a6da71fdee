package poolnats_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/poolnats"
)

type mail struct{ To string }

// A service puts jobs into a queue, and runs them. Any number of processes may do either.
func Example() {
	url, stop := startServer()
	defer stop()

	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	q, err := poolnats.Open(ctx, js, "mails", poolnats.AckWait(10*time.Second), poolnats.Keys(16))
	if err != nil {
		log.Fatal(err)
	}
	sent := make(chan string)
	p, err := pool.NewTyped(poolnats.Handler(func(ctx context.Context, m mail) error {
		sent <- m.To
		return nil
	}), pool.WithWorkers(20), pool.WithBuffer(20))
	if err != nil {
		log.Fatal(err)
	}
	srv, err := poolnats.Serve(ctx, q, p)
	if err != nil {
		log.Fatal(err)
	}
	// The mails to one address are sent one after the other. A mail with the same ID is there once.
	if err := q.Enqueue(ctx, mail{"ann@example.com"}, poolnats.Key("ann"), poolnats.ID("welcome-ann")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-sent)
	fmt.Println(srv.Shutdown(ctx)) // what has not begun is given back
	// Output:
	// ann@example.com
	// <nil>
}

// startServer starts a server in this process.
func startServer() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "poolnats")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the server does not start")
	}
	return s.ClientURL(), func() {
		s.Shutdown()
		s.WaitForShutdown()
		os.RemoveAll(dir)
	}
}
