// Advice asks three slow services what is wrong with them, changes what the pool's report says, and measures what that gains:
//
//	go run ./examples/advice
//	go run ./examples/advice -window 3s
//
// # What it shows
//
// [pool.Pool.Report] says whether the pool is the bottleneck, which option to change, and what the change gains:
//
//	thumbnails   tasks wait for a store, and two workers are too few
//	counters     tasks take nanoseconds: submitting them takes longer than running them
//	mailbox      most tasks have the same key, so they run one after the other
//
// The pictures show how long tasks wait in the queue and how long they run, with a row for each power of two.
//
// # When it backfires
//
// Each change has a price, which the report names. If the store cannot serve more workers, tasks wait there instead. A batch delays
// its first tasks. A key that is split no longer keeps its tasks in order. And a report is about the load of its window only.
//
// # What to look at
//
// The predicted gain and the measured one. The prediction is a range: from no gain to the most that the report's figures allow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/advice [flags]

Asks three slow services what is wrong with them, changes that, and asks again.`

func main() { cli.Main("advice", run) }

// A service has a pool and a load.
type service struct {
	name, change string
	opts         func(changed bool) []pool.Option
	submit       func(ctx context.Context, p *pool.Pool, i int, changed bool) error
}

var services = []service{
	{"thumbnails", "with four times as many workers",
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
	{"counters", "submitting 64 tasks at a time",
		func(bool) []pool.Option { return nil },
		func(ctx context.Context, p *pool.Pool, _ int, changed bool) error {
			if changed {
				_, err := p.SubmitBatch(ctx, many)
				return err
			}
			return p.Submit(ctx, add)
		},
	},
	{"mailbox", "with its key split into 16",
		func(bool) []pool.Option { return []pool.Option{pool.WithWorkers(8), pool.WithSampling(1)} },
		func(ctx context.Context, p *pool.Pool, i int, changed bool) error {
			key := pool.KeyOf(1000 + i)
			switch {
			case i%10 >= 7: // mail of another key
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

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("advice", flag.ContinueOnError)
	window := flags.Duration("window", time.Second, "watch each service for this `time`")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	if *window <= 0 {
		return cli.Misusef("-window must be positive, got %v", *window)
	}
	cli.Say(out, "Three slow services: see what their reports say, and what the change gains.\n\n")
	var gains []string
	for i, s := range services {
		if i > 0 {
			fmt.Fprintln(out)
		}
		gain, err := s.improve(ctx, *window, out)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		gains = append(gains, fmt.Sprintf("%s %.1f", s.name, gain))
	}
	cli.So(out, "what the reports advised multiplied the throughput: %s times.", strings.Join(gains, ", "))
	return nil
}

// improve reports on the service as it is and as it is changed, and returns how many times as much it does.
func (s service) improve(ctx context.Context, window time.Duration, out io.Writer) (gain float64, err error) {
	var reports [2]pool.Report
	for i, what := range []string{"as it is", s.change} {
		fmt.Fprintf(out, "%s, %s (watched for %v)\n\n", s.name, what, window)
		reports[i], err = s.watch(ctx, window, i == 1)
		if err != nil {
			return 0, err
		}
		cli.Say(out, "%v\n%s\n", reports[i], picture(reports[i]))
	}
	predicted := "no gain was predicted"
	if f := reports[0].Findings; len(f) > 0 && f[0].Gain[1] > 1 {
		predicted = fmt.Sprintf("%.1f to %.1f was predicted", f[0].Gain[0], f[0].Gain[1])
	}
	gain = reports[1].Throughput / reports[0].Throughput
	cli.Say(out, "Gain of %s: %.1f times as many tasks a second; %s.\n", s.name, gain, predicted)
	return gain, nil
}

// watch runs the service and reports on it.
func (s service) watch(ctx context.Context, window time.Duration, changed bool) (pool.Report, error) {
	p, err := pool.New(append(s.opts(changed), pool.WithName(s.name))...)
	if err != nil {
		return pool.Report{}, err
	}
	ctx, stop := context.WithCancel(ctx)
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
	p.Abort() // nobody needs the tasks that wait
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
			row := fmt.Sprintf("%10s  %-*s %s", "< "+brief(time.Duration(1)<<i),
				columns, bar(wait[i], columns-1), bar(run[i], columns-1))
			b.WriteString("\n" + strings.TrimRight(row, " "))
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
