package migration

import (
	"context"
	"errors"
	"sync"

	"github.com/panjf2000/ants/v2"

	"github.com/headrace-go/pool"
)

func runAnts(jobs []func()) error {
	p, err := ants.NewPool(4)
	if err != nil {
		return err
	}
	defer p.Release()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, job := range jobs {
		wg.Add(1)
		err := p.Submit(func() {
			defer wg.Done()
			job()
		})
		if err != nil {
			wg.Done()
			return err
		}
	}
	return nil
}

func runPool(ctx context.Context, jobs []func()) error {
	p, err := pool.New(pool.WithWorkers(4))
	if err != nil {
		return err
	}
	for _, job := range jobs {
		err := p.Submit(ctx, func(context.Context) error {
			job()
			return nil
		})
		if err != nil {
			return errors.Join(err, p.Close())
		}
	}
	return p.Close() // waits for the jobs, and for the workers
}

func handleAnts(jobs []int, handle func(int)) error {
	var wg sync.WaitGroup
	p, err := ants.NewPoolWithFuncGeneric(4, func(job int) {
		defer wg.Done()
		handle(job)
	})
	if err != nil {
		return err
	}
	defer p.Release()
	defer wg.Wait()
	for _, job := range jobs {
		wg.Add(1)
		if err := p.Invoke(job); err != nil {
			wg.Done()
			return err
		}
	}
	return nil
}

func handleTyped(ctx context.Context, jobs []int, handle func(int)) error {
	p, err := pool.NewTyped(func(_ context.Context, job int) error {
		handle(job)
		return nil
	}, pool.WithWorkers(4))
	if err != nil {
		return err
	}
	_, err = p.SubmitBatch(ctx, jobs)
	return errors.Join(err, p.Close())
}

// offerAnts tells whether a worker was free for the job. p was made with
// ants.WithNonblocking(true).
func offerAnts(p *ants.Pool, job func()) (bool, error) {
	err := p.Submit(job)
	if errors.Is(err, ants.ErrPoolOverload) {
		return false, nil
	}
	return err == nil, err
}

// offerPool tells whether a worker was free for the job. p was made with
// pool.WithBuffer(0); with a queue it tells whether there was room.
func offerPool(p *pool.Pool, job func()) (bool, error) {
	err := p.TrySubmit(func(context.Context) error {
		job()
		return nil
	})
	if errors.Is(err, pool.ErrFull) {
		return false, nil
	}
	return err == nil, err
}
