// Advice asks three services that are slow for what is wrong with them, does what the pool's report says, and asks again:
//
//	go run ./examples/advice
//	go run ./examples/advice -window 2s
//
// # What it shows
//
// [pool.Pool.Report] says whether the pool is the bottleneck, which option to change, and what that gains:
//
//	thumbnails   tasks wait for a store, and there is a worker for each processor: too few
//	counters     tasks of some nanoseconds: handing them over takes longer than running them
//	mailbox      one key takes most of the tasks, and they run one after the other
//
// The pictures are of how long tasks wait in the queue and how long they run: a row for each power of two.
//
// # When it backfires
//
// Each change makes something worse, and the report says what: more workers than the store can serve move the queue there, a batch holds tasks
// back, and a key that was split has no order. A report of a window in which the load is not the usual one advises for that load.
//
// # What to look at
//
// The predicted gain beside the measured one. Prediction is a band: from nothing to what the evidence allows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
)

func main() {
	window := flag.Duration("window", time.Second, "how long to watch each service")
	flag.Parse()
	if flag.NArg() > 0 || *window <= 0 {
		fmt.Fprintln(os.Stderr, "advice: the window must be positive, and there are no arguments")
		os.Exit(2)
	}
	if err := run(os.Stdout, *window); err != nil {
		fmt.Fprintln(os.Stderr, "advice:", err)
		os.Exit(1)
	}
}

// A service has a pool and a load.
type service struct {
	name, change string
	opts         func(changed bool) []pool.Option
	submit       func(ctx context.Context, p *pool.Pool, i int, changed bool) error
}

var services = []service{
	{"thumbnails", "four times as many workers",
		func(changed bool) []pool.Option {
			workers := 2
			if changed {
				workers = 8
			}
			return []pool.Option{pool.WithWorkers(workers), pool.WithSampling(1)}
		},
		func(ctx context.Context, p *pool.Pool, _ int, _ bool) error {
			return p.Submit(ctx, fetch(5*time.Millisecond))
		},
	},
	{"counters", "64 tasks at a time",
		func(bool) []pool.Option { return nil },
		func(ctx context.Context, p *pool.Pool, _ int, changed bool) error {
			if changed {
				_, err := p.SubmitBatch(ctx, many)
				return err
			}
			return p.Submit(ctx, add)
		},
	},
	{"mailbox", "the key is split into 16",
		func(bool) []pool.Option { return []pool.Option{pool.WithWorkers(8), pool.WithSampling(1)} },
		func(ctx context.Context, p *pool.Pool, i int, changed bool) error {
			key := pool.KeyOf(1000 + i)
			switch {
			case i%10 >= 7: // somebody else's mail
			case changed:
				key = pool.KeyOf(i % 16)
			default:
				key = pool.KeyOf(0)
			}
			return p.SubmitKeyed(ctx, key, fetch(2*time.Millisecond))
		},
	},
}

// fetch waits for a store.
func fetch(d time.Duration) pool.Task {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return nil
	}
}

var (
	counter atomic.Uint64
	add     = pool.Task(func(context.Context) error { counter.Add(1); return nil })
	many    = func() (tasks []pool.Task) {
		for range 64 {
			tasks = append(tasks, add)
		}
		return tasks
	}()
)

func run(out io.Writer, window time.Duration) error {
	for _, s := range services {
		before, err := s.watch(window, false)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(out, "%v\n%s\n", before, picture(before))
		after, err := s.watch(window, true)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		predicted := "there was no advice"
		if len(before.Findings) > 0 {
			g := before.Findings[0].Gain
			predicted = fmt.Sprintf("%.1f to %.1f was predicted", g[0], g[1])
		}
		fmt.Fprintf(out, "changed: %s. It does %.1f times as much; %s.\n%v\n%s\n\n",
			s.change, after.Throughput/before.Throughput, predicted, after, picture(after))
	}
	return nil
}

// watch runs the service and reports on it.
func (s service) watch(window time.Duration, changed bool) (pool.Report, error) {
	p, err := pool.New(append(s.opts(changed), pool.WithName(s.name))...)
	if err != nil {
		return pool.Report{}, err
	}
	ctx, stop := context.WithCancel(context.Background())
	var failed error
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; failed == nil && ctx.Err() == nil; i++ {
			failed = s.submit(ctx, p, i, changed)
		}
	})
	_, err = p.Report(ctx, window/4) // the queue fills
	var r pool.Report
	if err == nil {
		r, err = p.Report(ctx, window)
	}
	stop()
	load.Wait()
	p.Abort() // what waits is of no use to anybody
	if errors.Is(failed, context.Canceled) {
		failed = nil
	}
	return r, errors.Join(err, failed, p.Close())
}

// picture shows how long tasks waited and ran, side by side.
func picture(r pool.Report) string {
	const columns = 24
	wait, run := powers(r.Wait), powers(r.Run)
	var b strings.Builder
	fmt.Fprintf(&b, "%10s  %-*s %s", "", columns, "wait", "run")
	for i := range wait {
		if wait[i]+run[i] > 0 {
			fmt.Fprintf(&b, "\n%10s  %-*s %s", "< "+brief(time.Duration(1)<<i),
				columns, bar(wait[i], columns-1), bar(run[i], columns-1))
		}
	}
	return b.String()
}

// powers returns which share of h is in each power of two.
func powers(h pool.Histogram) (shares [64]float64) {
	for upper, n := range h.Buckets() {
		shares[bits.Len64(uint64(upper-1))] += float64(n) / float64(h.Count)
	}
	return shares
}

// brief prints d with three digits at most.
func brief(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

func bar(share float64, columns int) string {
	n := int(share*float64(columns) + .5)
	if share > 0 && n == 0 {
		return "."
	}
	return strings.Repeat("#", n)
}
