// Thumbnails makes small images of large ones, and bounds the memory that this takes:
//
//	go run ./examples/thumbnails
//
// It makes the images itself, PNG and JPEG files in a temporary directory: small ones, and at the
// end some that have ten times as many pixels, as when somebody uploads those of a better camera. Of each it then makes a thumbnail, twice: bounded by number and
// bounded by weight.
//
// # What it shows
//
// Admission by weight. An image takes memory for each of its pixels as soon as it is decoded, so
// the number of images at work says little about the memory in use. [pool.Pool.SubmitWeighted] with the
// pixels as the weight, and [pool.WithCapacity], bound the pixels that are decoded at a time: many
// small images, or few large ones. The size is in the head of the file, and is read before the image is.
//
// The strategy is [pool.Elastic]: there is no goroutine except while images are worked on. In a
// service they come now and then.
//
// # When it backfires
//
// Admission is in order: a large image that waits for its share of the capacity keeps those behind it
// waiting, so that it gets its turn. If the capacity is little more than the largest image, much of it is idle.
// The pool would refuse an image above the capacity ([pool.ErrTooHeavy]); here such an image takes all of
// it and runs alone. And if a weight is guessed too low, the memory is not bounded.
//
// # What to look at
//
// The peak of the pixels at work: by weight it is never above the capacity, whatever comes
// together; by number it is what happened to come together. Then the speed, which should be
// about the same: the capacity is enough to keep the processors busy. Try -capacity 1, one large
// image at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/headrace-go/pool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "thumbnails: interrupted")
		os.Exit(130) // as a shell reports a program ended by an interrupt
	default:
		fmt.Fprintln(os.Stderr, "thumbnails:", err)
		os.Exit(1)
	}
}

// settings is what the command line says.
type settings struct {
	images, workers, side int
	capacity              float64 // megapixels
}

// pixels is the capacity.
func (s settings) pixels() int64 { return int64(s.capacity * 1e6) }

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("thumbnails", flag.ExitOnError)
	flags.IntVar(&s.images, "images", 60, "make so many images; the last tenth of them are large ones")
	flags.IntVar(&s.workers, "workers", 8, "work on so many at a time at most")
	flags.Float64Var(&s.capacity, "capacity", 3, "megapixels to work on at a time, when bounded by weight")
	flags.IntVar(&s.side, "side", 400, "the longer side of a small image, in pixels")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q", flags.Arg(0))
	case s.images < 1:
		return fmt.Errorf("-images must be at least 1, got %d", s.images)
	case s.side < 4 || s.side > 10_000:
		return fmt.Errorf("-side must be between 4 and 10000, got %d", s.side)
	case !(s.capacity >= 1e-6 && s.capacity <= 1e6):
		return fmt.Errorf("-capacity must be between 0.000001 and 1000000, got %v", s.capacity)
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
	p, err := pool.New(pool.WithStrategy(pool.Elastic), pool.WithWorkers(s.workers), pool.WithContext(ctx))
	if err != nil {
		return err
	}
	begin := time.Now()
	names, err := makeImages(ctx, p, s, dir)
	if err := errors.Join(err, p.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d images made in %.2f s\n\n", len(names), time.Since(begin).Seconds())

	fmt.Fprintf(out, "%-10s %8s %14s %14s %10s %12s %10s\n", "bounded by", "images", "at work, peak", "Mpixels, peak", "capacity", "Mpixels/s", "images/s")
	for _, weighted := range []bool{false, true} {
		to := filepath.Join(dir, "by number")
		if weighted {
			to = filepath.Join(dir, "by weight")
		}
		r, err := makeThumbnails(ctx, s, names, to, weighted)
		if err != nil {
			return err
		}
		r.print(out)
		if weighted && r.peak.pixels > max(r.capacity, r.largest) {
			return fmt.Errorf("%d pixels at work, more than the capacity of %d", r.peak.pixels, r.capacity)
		}
	}
	return nil
}

func (r *result) print(out io.Writer) {
	by, capacity := "number", "-"
	if r.capacity > 0 {
		by, capacity = "weight", fmt.Sprintf("%.2f", float64(r.capacity)/1e6)
	}
	fmt.Fprintf(out, "%-10s %8d %14d %14.2f %10s %12.1f %10.0f\n", by, r.images, r.peak.images, float64(r.peak.pixels)/1e6,
		capacity, float64(r.pixels)/1e6/r.took.Seconds(), float64(r.images)/r.took.Seconds())
}
