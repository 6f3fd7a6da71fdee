package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A load is what customers do to a service for a while, and what they get.
type load struct {
	settings
	client *http.Client
	url    string

	flooder, others party
}

// A party is customer 1, or all others.
type party struct {
	mu      sync.Mutex
	waits   []time.Duration // of each request that was answered
	refused int
}

// impatience is how soon customer 1 comes again after it was refused, whatever Retry-After says.
const impatience = 100 * time.Millisecond

// run lets customers send requests for the time of the load, and returns when all are answered. It fails when a request
// fails or ctx is done.
func (l *load) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	open, end := context.WithTimeout(ctx, l.lasts)
	defer end()
	var clients sync.WaitGroup
	start := func(client func() error) {
		clients.Go(func() {
			if err := client(); err != nil {
				fail(err)
			}
		})
	}
	for range l.flood {
		start(func() error { return l.pour(ctx, open) })
	}
	for i := range l.customers {
		start(func() error { return l.visit(ctx, open, i) })
	}
	clients.Wait()
	return context.Cause(ctx)
}

// pour sends requests of customer 1, the next one as soon as one is answered, until open is done.
func (l *load) pour(ctx, open context.Context) error {
	for open.Err() == nil {
		answered, err := l.request(ctx, 1, &l.flooder)
		if err != nil {
			return err
		}
		if !answered {
			pause(open, impatience)
		}
	}
	return nil
}

// visit sends a request of the other customer i now and then, until open is done. The customers take turns.
func (l *load) visit(ctx, open context.Context, i int) error {
	if !pause(open, l.every*time.Duration(i)/time.Duration(l.customers)) {
		return nil
	}
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		if _, err := l.request(ctx, 2+i, &l.others); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-open.Done():
			return nil
		}
	}
}

// request sends a request and notes what has become of it.
func (l *load) request(ctx context.Context, customer int, p *party) (answered bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/customers/%d", l.url, customer), nil)
	if err != nil {
		return false, err
	}
	begin := time.Now()
	resp, err := l.client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false, err
	}
	answered = resp.StatusCode == http.StatusOK
	if !answered && (resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "") {
		return false, fmt.Errorf("the service answered %s", resp.Status)
	}
	p.note(answered, time.Since(begin))
	return answered, nil
}

// note notes what has become of a request, and how long it took.
func (p *party) note(answered bool, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		p.waits = append(p.waits, wait)
	} else {
		p.refused++
	}
}

// latest returns how long the latest n requests waited, the shortest first.
func (p *party) latest(n int) []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	waits := slices.Clone(p.waits[max(0, len(p.waits)-n):])
	slices.Sort(waits)
	return waits
}
