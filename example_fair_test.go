package pool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headrace-go/pool"
)

// held returns a pool of one worker that is busy until release is called.
func held(opts ...pool.Option) (p *pool.Pool, release func()) {
	p, err := pool.New(append(opts, pool.WithWorkers(1))...)
	if err != nil {
		panic(err)
	}
	started, gate := make(chan struct{}), make(chan struct{})
	_ = p.Submit(context.Background(), func(context.Context) error { close(started); <-gate; return nil })
	<-started
	return p, func() { close(gate) }
}

func ExampleWithTenants() {
	// One customer has five tasks queued. The task of another customer does not wait for them all.
	p, release := held(pool.WithTenants(func(tenant uint64) int { return 1 }))
	const big, small = 1, 2
	for _, customer := range []uint64{big, big, big, big, big, small} {
		_ = p.SubmitAs(context.Background(), pool.Attrs{Tenant: customer}, func(context.Context) error {
			fmt.Print(customer, " ")
			time.Sleep(time.Millisecond)
			return nil
		})
	}
	release()
	_ = p.Close()
	// Output: 1 2 1 1 1 1
}

func ExampleWithTenantLimit() {
	// At most one request to each host at a time, so a slow host does not hold all workers.
	p, _ := pool.New(pool.WithWorkers(4), pool.WithTenantLimit(func(host uint64) int { return 1 }))
	var fetched []int
	for page := range 5 {
		a := pool.Attrs{Tenant: pool.KeyOf("example.com")}
		_ = p.SubmitAs(context.Background(), a, func(context.Context) error {
			fetched = append(fetched, page) // no lock: one at a time, in the order of acceptance
			return nil
		})
	}
	_ = p.Close()
	fmt.Println(fetched)
	// Output: [0 1 2 3 4]
}

func ExampleWithClasses() {
	// Tasks that people wait for go first. Those in the background still get a tenth of the time.
	p, release := held(pool.WithClasses(pool.Class{Name: "interactive"}, pool.Class{Name: "background", Share: .1}))
	const interactive, background = 0, 1
	for _, class := range []int{background, interactive} {
		_ = p.SubmitAs(context.Background(), pool.Attrs{Class: class}, func(context.Context) error {
			fmt.Println(p.Stats().Classes[class].Name)
			return nil
		})
	}
	release()
	_ = p.Close()
	// Output:
	// interactive
	// background
}

func ExampleWithQueueTimeout() {
	// Callers give up after 10 ms, so nobody needs the result any more.
	p, release := held(pool.WithQueueTimeout(10 * time.Millisecond))
	_, err := pool.Do(context.Background(), p, func(context.Context) (string, error) { return "ran", nil })
	fmt.Println(errors.Is(err, pool.ErrExpired), errors.Is(err, context.DeadlineExceeded))
	release()
	_ = p.Close()
	// Output: true true
}

func ExampleWithExpiredHandler() {
	expired := make(chan string, 1)
	jobs, _ := pool.NewTyped(func(_ context.Context, name string) error {
		time.Sleep(20 * time.Millisecond)
		return nil
	}, pool.WithWorkers(1), pool.WithExpiredHandler(func(name string) { expired <- name }))
	_ = jobs.Submit(context.Background(), "first")
	_ = jobs.SubmitAs(context.Background(), pool.Attrs{Deadline: time.Now().Add(time.Millisecond)}, "too late")
	_ = jobs.TrySubmitAs(pool.Attrs{Deadline: time.Now().Add(time.Hour)}, "in time")
	fmt.Println(<-expired)
	_ = jobs.Close()
	fmt.Println(jobs.Stats().Completed, jobs.Stats().Expired, len(jobs.Tenants(3)))
	// Output:
	// too late
	// 2 1 0
}

func ExampleWithRate() {
	// The tasks call a service that takes 100 calls a second, and two at once.
	p, _ := pool.New(pool.WithRate(100, 2))
	begin := time.Now()
	for range 5 {
		_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	}
	_ = p.Close()
	fmt.Println("five calls take 30 ms or more:", time.Since(begin) >= 30*time.Millisecond)
	// Output: five calls take 30 ms or more: true
}

func ExampleWithAttrs() {
	// All tasks of a request run on behalf of its customer.
	p, release := held(pool.WithTenants(nil))
	ctx := pool.WithAttrs(context.Background(), pool.Attrs{Tenant: 7})
	g := pool.NewGroup(ctx, p)
	for range 3 {
		g.Go(func(context.Context) error { return nil })
	}
	for _, t := range p.Tenants(2) {
		fmt.Println("tenant", t.Tenant, "queued", t.Queued)
	}
	release()
	fmt.Println(g.Wait(), p.Close())
	// Output:
	// tenant 0 queued 0
	// tenant 7 queued 3
	// <nil> <nil>
}

func ExamplePool_Tenants() {
	p, release := held(pool.WithTenants(nil))
	for customer := range uint64(3) {
		for range customer {
			_ = p.TrySubmitAs(pool.Attrs{Tenant: customer}, func(context.Context) error { return nil })
		}
	}
	for _, t := range p.Tenants(2) {
		fmt.Println("tenant", t.Tenant, "queued", t.Queued, "running", t.Running)
	}
	release()
	_ = p.Close()
	// Output:
	// tenant 0 queued 0 running 1
	// tenant 2 queued 2 running 0
}
