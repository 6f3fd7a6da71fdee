package migration

import (
	"context"
	"slices"

	"github.com/alitto/pond/v2"

	"github.com/headrace-go/pool"
)

func bothPond(ctx context.Context, p pond.ResultPool[string], a, b string, fetch fetcher) (string, error) {
	first := p.SubmitErr(func() (string, error) { return fetch(ctx, a) })
	second := p.SubmitErr(func() (string, error) { return fetch(ctx, b) })
	x, err := first.Wait()
	if err != nil {
		return "", err
	}
	y, err := second.Wait()
	return x + y, err
}

func bothGo(ctx context.Context, p *pool.Pool, a, b string, fetch fetcher) (string, error) {
	first := pool.Go(ctx, p, func(ctx context.Context) (string, error) { return fetch(ctx, a) })
	second := pool.Go(ctx, p, func(ctx context.Context) (string, error) { return fetch(ctx, b) })
	x, err := first.Wait(ctx)
	if err != nil {
		return "", err
	}
	y, err := second.Wait(ctx)
	return x + y, err
}

func pagesPond(ctx context.Context, p pond.ResultPool[string], urls []string, fetch fetcher) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx) // a group of results does not show its context
	defer cancel()
	g := p.NewGroupContext(ctx)
	for _, url := range urls {
		g.SubmitErr(func() (string, error) { return fetch(ctx, url) })
	}
	return g.Wait()
}

func pagesMap(ctx context.Context, p *pool.Pool, urls []string, fetch fetcher) ([]string, error) {
	var pages []string
	for page, err := range pool.Map(ctx, p, slices.Values(urls), fetch) {
		if err != nil {
			return nil, err // cancels the other calls, and waits for them
		}
		pages = append(pages, page)
	}
	return pages, nil
}
