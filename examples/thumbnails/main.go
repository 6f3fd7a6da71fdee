// Thumbnails makes small images of large ones, with and without a bound on the memory, and shows how much is in use at once:
//
//	go run ./examples/thumbnails
//	go run ./examples/thumbnails -capacity 1
//
// It first makes the images: PNG and JPEG files in a temporary directory. Most are small. The last ones have ten times as many pixels,
// as if from a better camera. Then it makes a thumbnail of each, twice: once with a bound on the number of images,
// and once with a bound on their weight.
//
// # What it shows
//
// Admission by weight. A decoded image takes memory for each of its pixels, so the number of images in work says little about the
// memory in use. [pool.Pool.SubmitWeighted], with the pixels as the weight, and [pool.WithCapacity] bound the pixels that are decoded at
// a time: many small images, or few large ones. The size is in the head of the file, which is read first.
//
// The strategy is [pool.Elastic]: there are goroutines only while there are images to work on, which in a service is now and then.
//
// # When it backfires
//
// Tasks are admitted in order: while a large image waits for capacity, those behind it wait, too. If the capacity is little more than
// the largest image, much of it is idle. The pool refuses an image above the capacity ([pool.ErrTooHeavy]); this program gives such an
// image the whole capacity, so it runs alone. And if weights are too low, the memory is not bounded.
//
// # What to look at
//
// The peak of the pixels. By weight it never exceeds the capacity. By number it depends on which images come together. The speed should
// be about the same, because the capacity suffices to keep the processors busy. With -capacity 1 one large image runs at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/thumbnails [flags]

Makes thumbnails, and shows how many pixels are in memory at once.`

func main() { cli.Main("thumbnails", run) }

// settings is what the command line says.
type settings struct {
	images, workers, side int
	capacity              float64 // megapixels
}

// pixels is the capacity.
func (s settings) pixels() int64 { return int64(s.capacity * 1e6) }

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("thumbnails", flag.ContinueOnError)
	flags.IntVar(&s.images, "images", 60, "make `n` images, the last tenth of them large")
	flags.IntVar(&s.workers, "workers", 8, "work on at most `n` images at a time")
	flags.Float64Var(&s.capacity, "capacity", 3, "`megapixels` to work on at a time, when bounded by weight")
	flags.IntVar(&s.side, "side", 400, "longer side of a small image, in `pixels`")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	switch {
	case s.images < 1 || s.workers < 1:
		return cli.Misusef("-images and -workers must be at least 1, got %d and %d", s.images, s.workers)
	case s.side < 4 || s.side > 10_000:
		return cli.Misusef("-side must be between 4 and 10000, got %d", s.side)
	case !(s.capacity >= 1e-6 && s.capacity <= 1e6):
		return cli.Misusef("-capacity must be between 0.000001 and 1000000, got %v", s.capacity)
	}
	dir, err := os.MkdirTemp("", "thumbnails")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return compare(ctx, s, dir, out)
}

// compare makes the images and, in both ways, their thumbnails, and prints what that took.
func compare(ctx context.Context, s settings, dir string, out io.Writer) error {
	cli.Say(out, "Thumbnails are made of %d images: see how many million pixels are in memory at once, bounded by number and by weight.\n", s.images)
	p, err := pool.New(pool.WithStrategy(pool.Elastic), pool.WithWorkers(s.workers), pool.WithContext(ctx))
	if err != nil {
		return err
	}
	begin := time.Now()
	end := cli.Progress(out, func() string { return "making the images" })
	names, err := makeImages(ctx, p, s, dir)
	end()
	if err := errors.Join(err, p.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d images made in %.2f s\n\n", len(names), time.Since(begin).Seconds())

	fmt.Fprintf(out, "%-10s %12s %13s %9s %12s %10s\n", "bounded by", "images, peak", "Mpixels, peak", "capacity", "Mpixels/s", "images/s")
	var results []*result
	for _, weighted := range []bool{false, true} {
		to := filepath.Join(dir, "by number")
		if weighted {
			to = filepath.Join(dir, "by weight")
		}
		r, err := makeThumbnails(ctx, s, names, to, weighted, out)
		if err != nil {
			return err
		}
		r.print(out)
		if weighted && r.peak.pixels > max(r.capacity, r.largest) {
			return fmt.Errorf("%d pixels at work, more than the capacity of %d", r.peak.pixels, r.capacity)
		}
		results = append(results, r)
	}
	n, w := results[0], results[1]
	cli.So(out, "by number up to %.2f million pixels were in memory, by weight at most %.2f million, at %.2f times the speed.",
		mega(n.peak.pixels), mega(w.peak.pixels), n.took.Seconds()/w.took.Seconds())
	return nil
}

func mega(pixels int64) float64 { return float64(pixels) / 1e6 }

func (r *result) print(out io.Writer) {
	by, capacity := "number", "-"
	if r.capacity > 0 {
		by, capacity = "weight", fmt.Sprintf("%.2f", mega(r.capacity))
	}
	fmt.Fprintf(out, "%-10s %12d %13.2f %9s %12.1f %10.0f\n", by, r.peak.images, mega(r.peak.pixels),
		capacity, mega(r.pixels)/r.took.Seconds(), float64(r.images)/r.took.Seconds())
}
