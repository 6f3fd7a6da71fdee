package migration

import (
	"context"
	"errors"
	"slices"

	"github.com/sourcegraph/conc/iter"
	concpool "github.com/sourcegraph/conc/pool"

	"github.com/headrace-go/pool"
)

func checkConc(ctx context.Context, urls []string, fetch fetcher) error {
	p := concpool.New().WithMaxGoroutines(4).WithContext(ctx)
	for _, url := range urls {
		p.Go(func(ctx context.Context) error {
			_, err := fetch(ctx, url)
			return err
		})
	}
	return p.Wait() // all errors
}

func checkGroup(ctx context.Context, p *pool.Pool, urls []string, fetch fetcher) error {
	g := pool.NewGroup(ctx, p)
	g.SetErrorMode(pool.KeepGoing) // without it: WithCancelOnError and WithFirstError
	for _, url := range urls {
		g.Go(func(ctx context.Context) error {
			_, err := fetch(ctx, url)
			return err
		})
	}
	return g.Wait() // all errors, in the order of Go
}

func gatherConc(urls []string, size func(url string) int) []int {
	p := concpool.NewWithResults[int]().WithMaxGoroutines(4)
	for _, url := range urls {
		p.Go(func() int { return size(url) })
	}
	return p.Wait()
}

func gatherMap(ctx context.Context, p *pool.Pool, urls []string, size func(url string) int) ([]int, error) {
	var sizes []int
	for n, err := range pool.MapUnordered(ctx, p, slices.Values(urls), func(_ context.Context, url string) (int, error) {
		return size(url), nil
	}) {
		if err != nil {
			return nil, err // ctx is done, or the pool has stopped
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

func mapConc(ctx context.Context, urls []string, fetch fetcher) ([]string, error) {
	m := iter.Mapper[string, string]{MaxGoroutines: 4}
	return m.MapErr(urls, func(url *string) (string, error) { return fetch(ctx, *url) })
}

func mapPool(ctx context.Context, p *pool.Pool, urls []string, fetch fetcher) ([]string, error) {
	var pages []string
	var errs []error
	for page, err := range pool.Map(ctx, p, slices.Values(urls), fetch) {
		pages = append(pages, page)
		errs = append(errs, err)
	}
	return pages, errors.Join(errs...)
}

func doubleConc(values []int) {
	iter.ForEach(values, func(v *int) { *v *= 2 })
}

func doublePool(ctx context.Context, p *pool.Pool, values []int) error {
	return pool.ForEach(ctx, p, slices.Chunk(values, 1024), func(_ context.Context, part []int) error {
		for i := range part {
			part[i] *= 2
		}
		return nil
	})
}
