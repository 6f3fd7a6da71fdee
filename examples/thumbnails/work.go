package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

// load is what is in memory at a moment.
type load struct {
	images int
	pixels int64
}

// A gauge knows what is in memory now, and the peaks.
type gauge struct {
	mu        sync.Mutex
	now, peak load
}

func (g *gauge) add(images int, pixels int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.images += images
	g.now.pixels += pixels
	g.peak.images = max(g.peak.images, g.now.images)
	g.peak.pixels = max(g.peak.pixels, g.now.pixels)
}

// result is what the thumbnails took.
type result struct {
	images   int
	pixels   int64 // of all images
	largest  int64 // pixels of one
	capacity int64 // 0: bounded by number
	peak     load
	took     time.Duration
}

// makeThumbnails makes the thumbnails of the images in the new directory to.
func makeThumbnails(ctx context.Context, s settings, names []string, to string, weighted bool, out io.Writer) (*result, error) {
	if err := os.Mkdir(to, 0o700); err != nil {
		return nil, err
	}
	r := &result{images: len(names)}
	opts := []pool.Option{pool.WithStrategy(pool.Elastic), pool.WithWorkers(s.workers), pool.WithContext(ctx), pool.WithErrorMode(pool.FailFast)}
	if weighted {
		r.capacity = s.pixels()
		opts = append(opts, pool.WithCapacity(r.capacity))
	}
	p, err := pool.New(opts...)
	if err != nil {
		return nil, err
	}
	defer cli.Progress(out, func() string { return fmt.Sprintf("%d of %d thumbnails", p.Stats().Completed, len(names)) })()
	begin := time.Now()
	var g gauge
	err = r.submit(ctx, p, &g, names, to)
	err = errors.Join(p.Close(), err)
	r.took, r.peak = time.Since(begin), g.peak
	return r, err
}

// submit submits a task for each image.
func (r *result) submit(ctx context.Context, p *pool.Pool, g *gauge, names []string, to string) error {
	for _, name := range names {
		pixels, err := size(name)
		if err != nil {
			return err
		}
		r.pixels += pixels
		r.largest = max(r.largest, pixels)
		task := func(context.Context) error {
			g.add(1, pixels)
			defer g.add(-1, -pixels)
			return thumbnail(name, filepath.Join(to, filepath.Base(name)+".jpg"))
		}
		if r.capacity == 0 {
			err = p.Submit(ctx, task)
		} else {
			err = p.SubmitWeighted(ctx, min(pixels, r.capacity), task)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
