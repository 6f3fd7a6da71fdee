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

// run lets customers send requests until the load is over, and returns when all are answered. It stops at once when one
// fails, or ctx is done.
func (l *load) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	open, end := context.WithTimeout(ctx, l.lasts)
	defer end()
	var clients sync.WaitGroup
	start := func(client func(ctx, open context.Context) error) {
		clients.Go(func() {
			if err := client(ctx, open); err != nil {
				fail(err)
			}
		})
	}
	for range l.flood {
		start(l.pour)
	}
	for i := range l.customers {
		start(func(ctx, open context.Context) error { return l.visit(ctx, open, i) })
	}
	clients.Wait()
	return context.Cause(ctx)
}

// pour sends requests of customer 1, one after the other, until open is done. It does not heed Retry-After.
func (l *load) pour(ctx, open context.Context) error {
	for open.Err() == nil {
		answered, err := l.request(ctx, 1, &l.flooder)
		if err != nil {
			return err
		}
		if !answered {
			_ = pause(open, 100*time.Millisecond)
		}
	}
	return nil
}

// visit sends a request of the other customer i each second, until open is done. The others take turns.
func (l *load) visit(ctx, open context.Context, i int) error {
	if pause(open, time.Second*time.Duration(i)/time.Duration(l.customers)) != nil {
		return nil
	}
	tick := time.NewTicker(time.Second)
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

// request sends a request, and notes what becomes of it.
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
	if !answered && resp.Header.Get("Retry-After") == "" {
		return false, fmt.Errorf("customer %d got the answer %s", customer, resp.Status)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		p.waits = append(p.waits, time.Since(begin))
	} else {
		p.refused++
	}
	return answered, nil
}

// A party is customer 1, or the others.
type party struct {
	mu      sync.Mutex
	waits   []time.Duration // of those that were answered
	refused int
}

// wait returns a percentile of the waits for the latest n answers. It is 0 if there is no answer.
func (p *party) wait(percent, n int) time.Duration {
	p.mu.Lock()
	waits := slices.Clone(p.waits[max(0, len(p.waits)-n):])
	p.mu.Unlock()
	if len(waits) == 0 {
		return 0
	}
	slices.Sort(waits)
	return waits[(len(waits)*percent+99)/100-1]
}
