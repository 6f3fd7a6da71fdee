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
	// One customer has five tasks waiting when another one comes, who does not wait for all of them.
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
	// At most one request to each host at a time. A host that is slow holds no worker that others could use.
	p, _ := pool.New(pool.WithTenantLimit(func(host uint64) int { return 1 }))
	for _, host := range []string{"a", "a", "b"} {
		_ = p.SubmitAs(context.Background(), pool.Attrs{Tenant: pool.KeyOf(host)}, func(context.Context) error { return nil })
	}
	fmt.Println(p.Close())
	// Output: <nil>
}

func ExampleWithClasses() {
	// What people wait for goes before what runs in the background, which gets a tenth of the time all the same.
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
	// Who has waited for 10 ms gives up, so nobody needs the result any more.
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
	// At most 100 calls a second of a service that takes no more, and two at once.
	p, _ := pool.New(pool.WithRate(100, 2))
	begin := time.Now()
	for range 5 {
		_ = p.Submit(context.Background(), func(context.Context) error { return nil })
	}
	_ = p.Close()
	fmt.Println(time.Since(begin) >= 30*time.Millisecond)
	// Output: true
}

func ExampleWithAttrs() {
	// All that is done for a request is done on behalf of its customer.
	p, _ := pool.New(pool.WithTenants(nil))
	ctx := pool.WithAttrs(context.Background(), pool.Attrs{Tenant: 7})
	g := pool.NewGroup(ctx, p)
	for range 3 {
		g.Go(func(context.Context) error { return nil })
	}
	fmt.Println(g.Wait(), p.Close())
	// Output: <nil> <nil>
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
