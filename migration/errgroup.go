package migration

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool"
)

func pagesErrgroup(ctx context.Context, urls []string, fetch fetcher) ([]string, error) {
	pages := make([]string, len(urls))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, url := range urls {
		g.Go(func() (err error) {
			pages[i], err = fetch(ctx, url)
			return err
		})
	}
	return pages, g.Wait()
}

func pagesGroup(ctx context.Context, p *pool.Pool, urls []string, fetch fetcher) ([]string, error) {
	pages := make([]string, len(urls))
	g := pool.NewGroup(ctx, p) // p bounds all groups together; g.SetLimit bounds this one
	for i, url := range urls {
		g.Go(func(ctx context.Context) (err error) { // the group's context
			pages[i], err = fetch(ctx, url)
			return err
		})
	}
	return pages, g.Wait()
}

func checkErrgroup(ctx context.Context, urls []string, fetch fetcher) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, url := range urls {
		g.Go(func() error {
			_, err := fetch(ctx, url)
			return err
		})
	}
	return g.Wait()
}

func checkForEach(ctx context.Context, p *pool.Pool, urls []string, fetch fetcher) error {
	return pool.ForEach(ctx, p, slices.Values(urls), func(ctx context.Context, url string) error {
		_, err := fetch(ctx, url)
		return err
	})
}
