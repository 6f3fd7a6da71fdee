package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tea is a shop. It takes a while, and has a slow item and an item with a bug.
type tea struct{}

func (tea) Price(ctx context.Context, item string) (cents int, err error) {
	d := 50 * time.Millisecond
	switch item {
	case "slow":
		d = time.Hour
	case "bug":
		panic("no such price")
	}
	select {
	case <-time.After(d):
		return 420, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (t tea) Order(ctx context.Context, item string) error {
	_, err := t.Price(ctx, item)
	return err
}

// A screen is for one write at a time. firstLine leaves out all but the first line of each: the stacks of panics.
type screen struct {
	mu  *sync.Mutex
	out io.Writer

	firstLine bool
}

func (s screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := b
	if end := bytes.IndexByte(b, '\n'); s.firstLine && end >= 0 {
		shown = b[:end+1]
	}
	_, err := s.out.Write(shown)
	return len(b), err
}

// demonstrate serves, sends requests, and ends as if SIGTERM had come.
func (s *service) demonstrate(ctx context.Context, public, private net.Listener, out io.Writer) error {
	serving, sigterm := context.WithCancel(ctx)
	defer sigterm()
	ended := make(chan error, 1)
	go func() { ended <- s.serve(serving, public, private) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}

	full := s.workers + s.buffer
	fmt.Fprintf(out, "\nEach row sends requests and shows the answers, by status.\n\n")
	fmt.Fprintf(out, "%-26s %8s %5s %5s %5s %5s %5s\n", "", "requests", "200", "202", "500", "503", "504")
	var failed error
	for _, row := range []struct {
		name, method, path string
		n                  int // at the same time
	}{
		{"calm", "GET", "/price/tea", 10},
		{"rush, twice what fits", "GET", "/price/tea", 2 * full},
		{"an item that is too slow", "GET", "/price/slow", 10},
		{"an item with a bug", "GET", "/price/bug", 1},
		{"orders, then SIGTERM", "POST", "/order/tea", full},
	} {
		var mu sync.Mutex
		answers := map[int]int{}
		var clients sync.WaitGroup
		for range row.n {
			clients.Go(func() {
				status, err := send(ctx, client, row.method, "http://"+public.Addr().String()+row.path)
				mu.Lock()
				defer mu.Unlock()
				answers[status]++
				failed = errors.Join(failed, err)
			})
		}
		clients.Wait()
		if failed != nil {
			break
		}
		fmt.Fprintf(out, "%-26s %8d %5d %5d %5d %5d %5d\n", row.name, row.n, answers[200], answers[202], answers[500], answers[503], answers[504])
	}
	fmt.Fprintln(out)
	client.CloseIdleConnections() // Shutdown would wait for new connections without a request
	sigterm()
	err := <-ended
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err = errors.Join(failed, err); err == nil {
		fmt.Fprint(out, "\nSo: the service refuses what does not fit, survives a bug and a slow item, and\n  drains before it ends.\n")
	}
	return err
}

// send sends a request and returns the status of the answer.
func send(ctx context.Context, client *http.Client, method, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
