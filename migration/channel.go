package migration

import (
	"context"
	"slices"
	"sync"

	"github.com/headrace-go/pool"
)

type page struct {
	url, text string
	err       error
}

func eachChannel(ctx context.Context, urls []string, fetch fetcher, use func(page)) {
	jobs := make(chan string)
	results := make(chan page)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for url := range jobs {
				text, err := fetch(ctx, url)
				results <- page{url, text, err}
			}
		})
	}
	go func() {
		for _, url := range urls {
			jobs <- url
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	for r := range results {
		use(r)
	}
}

func eachPool(ctx context.Context, p *pool.Pool, urls []string, fetch fetcher, use func(page)) error {
	get := func(ctx context.Context, url string) (page, error) {
		text, err := fetch(ctx, url)
		return page{url, text, err}, nil
	}
	for r, err := range pool.MapUnordered(ctx, p, slices.Values(urls), get) {
		if err != nil {
			return err // ctx is done, or the pool has stopped
		}
		use(r)
	}
	return nil
}

// A channelService handles jobs that come from many goroutines.
type channelService struct {
	jobs chan int
	wg   sync.WaitGroup
}

func newChannelService(handle func(int)) *channelService {
	s := &channelService{jobs: make(chan int, 100)}
	for range 4 {
		s.wg.Go(func() {
			for job := range s.jobs {
				handle(job)
			}
		})
	}
	return s
}

func (s *channelService) submit(ctx context.Context, job int) error {
	select {
	case s.jobs <- job: // panics after stop
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *channelService) stop() {
	close(s.jobs)
	s.wg.Wait() // for as long as it takes
}

// A poolService handles jobs that come from many goroutines.
type poolService struct{ p *pool.Typed[int] }

func newPoolService(handle func(int)) (*poolService, error) {
	p, err := pool.NewTyped(func(_ context.Context, job int) error {
		handle(job)
		return nil
	}, pool.WithWorkers(4), pool.WithBuffer(100))
	return &poolService{p}, err
}

func (s *poolService) submit(ctx context.Context, job int) error {
	return s.p.Submit(ctx, job) // pool.ErrClosed after stop
}

// stop returns the jobs that were accepted and not begun when ctx ended.
func (s *poolService) stop(ctx context.Context) ([]int, error) {
	err := s.p.Shutdown(ctx)
	return s.p.Leftover(), err
}
