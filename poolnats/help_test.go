package poolnats

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace-go/pool"
)

var bg = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startServer starts a server in this process that keeps its files in dir. A port of -1 is any.
func startServer(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	must(t, err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

// broker starts a server for one test.
func broker(t testing.TB) *server.Server {
	s := startServer(t, t.TempDir(), -1)
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// dial connects to a server.
func dial(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	js, nc, err := connect(url)
	must(t, err)
	t.Cleanup(nc.Close)
	return js
}

func connect(url string) (jetstream.JetStream, *nats.Conn, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return js, nc, err
}

func open(t testing.TB, url string, opts ...Option) *Queue {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	q, err := Open(ctx, dial(t, url), "work", opts...)
	must(t, err)
	return q
}

// serve runs jobs in a pool of its own, with a connection of its own, as another process would.
func serve[T any](t testing.TB, url string, handle func(context.Context, T) error, opts []Option, popts ...pool.Option) (*Server[T], *Queue) {
	t.Helper()
	q := open(t, url, opts...)
	p, err := pool.NewTyped(Handler(handle), popts...)
	must(t, err)
	s, err := Serve(bg, q, p)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_ = s.Shutdown(ctx)
		<-p.Done()
	})
	return s, q
}

// until waits for a condition at a real server.
func until(t testing.TB, what string, d time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("%s: not after %v", what, d)
		}
	}
}

func stats(t testing.TB, q *Queue) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	s, err := q.Stats(ctx)
	must(t, err)
	return s
}

// empty waits until nothing is in the queue.
func empty(t testing.TB, q *Queue, d time.Duration) {
	t.Helper()
	until(t, "an empty queue", d, func() bool {
		i, err := q.stream.Info(bg)
		return err == nil && i.State.Msgs == 0
	})
}

func TestMain(m *testing.M) {
	if url := os.Getenv("POOLNATS_WORKER"); url != "" {
		if err := worker(url); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
