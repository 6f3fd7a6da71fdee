// Skew runs the same tasks, some of which take ten times as long as the others, under three
// strategies at the same time, and shows how far each has come:
//
//	go run ./examples/skew
//
// The tasks sleep, so the three do not take the processor from each other.
//
// # What it shows
//
// What becomes of uneven tasks in [pool.WorkStealing], [pool.Shared] and [pool.PerWorker]. One
// task submits all the others. Under WorkStealing they go to the queue of the worker it
// runs on, and idle workers take half of what they find there, again and again. Under
// Shared every worker takes from one queue. Under PerWorker each task has a key of its own, which
// belongs to a worker: the worker is chosen when nobody knows how long the task will take.
//
// With -outside the tasks come from outside of the pool, as the requests of a service do. Then
// there is nothing to steal: what comes from outside waits in one queue under WorkStealing too.
//
// # When it backfires
//
// Stealing balances no better than one shared queue does; it is for tasks that divide their
// work, whose data is still in the cache of their worker. It starts the tasks of a worker in
// nearly the opposite order. And no strategy divides a task: where one takes as long as
// all the others, the end waits for it (try -tasks 20).
//
// # What to look at
//
// The makespan, from the first submission to the end of the last task, as a multiple of the ideal,
// where no worker ever waits and no timer is late. Under PerWorker the bar gets slower towards the end: some workers
// have finished, others still have long tasks in their queues. With -factor 1 all tasks are
// equal, and the strategies too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync/atomic"
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
		fmt.Fprintln(os.Stderr, "skew: interrupted")
		os.Exit(130) // as a shell reports a program ended by an interrupt
	default:
		fmt.Fprintln(os.Stderr, "skew:", err)
		os.Exit(1)
	}
}

// settings is what the command line says.
type settings struct {
	tasks, workers, factor int
	every                  int
	short                  time.Duration
	outside                bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("skew", flag.ExitOnError)
	flags.IntVar(&s.tasks, "tasks", 3200, "how many tasks each strategy gets")
	flags.IntVar(&s.workers, "workers", 32, "how many tasks run at a time under each")
	flags.DurationVar(&s.short, "short", 10*time.Millisecond, "how long a short task takes")
	flags.IntVar(&s.factor, "factor", 10, "how many times as long a long one takes")
	flags.IntVar(&s.every, "every", 10, "one of so many tasks is a long one")
	flags.BoolVar(&s.outside, "outside", false, "submit from outside instead of from a task")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q", flags.Arg(0))
	case s.tasks < 1 || s.workers < 1 || s.factor < 1 || s.every < 1:
		return errors.New("-tasks, -workers, -factor and -every must be at least 1")
	case s.short <= 0:
		return fmt.Errorf("-short must be positive, got %v", s.short)
	}
	return race(ctx, s, out)
}

// durations returns how long each task takes, the same for each run, and how many are long.
func (s settings) durations() (d []time.Duration, long int) {
	random := rand.New(rand.NewPCG(1, 2))
	d = make([]time.Duration, s.tasks)
	for i := range d {
		d[i] = s.short
		if random.IntN(s.every) == 0 {
			d[i] *= time.Duration(s.factor)
			long++
		}
	}
	return d, long
}

// A contender is a strategy and what has become of its tasks.
type contender struct {
	strategy pool.Strategy
	finished atomic.Int64
	ended    atomic.Bool   // and the rest is settled
	makespan time.Duration // from the first submission to the end of the last task
	err      error
}

// run runs tasks of the given durations.
func (c *contender) run(ctx context.Context, s settings, durations []time.Duration) {
	defer c.ended.Store(true)
	// A task that submits to a full pool would run the new task itself: there is room for all, under
	// PerWorker for all in the queue of any worker.
	p, err := pool.New(pool.WithStrategy(c.strategy), pool.WithWorkers(s.workers), pool.WithBuffer(s.tasks*s.workers), pool.WithContext(ctx))
	if err != nil {
		c.err = err
		return
	}
	submit := func(ctx context.Context) (struct{}, error) {
		for i, d := range durations {
			task := func(ctx context.Context) error { return c.work(ctx, d) }
			if c.strategy == pool.PerWorker {
				err = p.SubmitKeyed(ctx, uint64(i), task)
			} else {
				err = p.Submit(ctx, task)
			}
			if err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}
	begin := time.Now()
	if s.outside {
		_, err = submit(ctx)
	} else {
		_, err = pool.Do(ctx, p, submit)
	}
	c.err = errors.Join(err, p.Close())
	c.makespan = time.Since(begin)
	if n := c.finished.Load(); c.err == nil && n != int64(s.tasks) {
		c.err = fmt.Errorf("%d of %d tasks finished", n, s.tasks)
	}
}

// work is a task: it waits for the time d, as for a disk or a network.
func (c *contender) work(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		c.finished.Add(1)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// race runs all strategies at the same time, shows how far they are, and prints what they took.
func race(ctx context.Context, s settings, out io.Writer) error {
	durations, long := s.durations()
	var sum time.Duration
	for _, d := range durations {
		sum += d
	}
	ideal := sum / time.Duration(s.workers)
	from := "one of them submits the others"
	if s.outside {
		from = "submitted from outside"
	}
	fmt.Fprintf(out, "%d tasks of %v and %d of %v, %s; %d workers for each strategy; ideal makespan %.3f s\n\n",
		s.tasks-long, s.short, long, s.short*time.Duration(s.factor), from, s.workers, ideal.Seconds())

	contenders := []*contender{{strategy: pool.WorkStealing}, {strategy: pool.Shared}, {strategy: pool.PerWorker}}
	all := make(chan struct{}, len(contenders))
	for _, c := range contenders {
		go func() {
			c.run(ctx, s, durations)
			all <- struct{}{}
		}()
	}
	show := newBoard(out, contenders, s.tasks)
	tick := time.NewTicker(often)
	defer tick.Stop()
	show.draw()
	for running := len(contenders); running > 0; {
		select {
		case <-tick.C:
		case <-all:
			running--
		}
		show.draw()
	}

	shared := contenders[1].makespan
	fmt.Fprintf(out, "\n%-14s %10s %14s %10s\n", "", "makespan", "of the ideal", "of Shared")
	for _, c := range contenders {
		if c.err != nil {
			return fmt.Errorf("%v: %w", c.strategy, c.err)
		}
		fmt.Fprintf(out, "%-14v %8.3f s %13.2fx %9.2fx\n", c.strategy, c.makespan.Seconds(),
			c.makespan.Seconds()/ideal.Seconds(), c.makespan.Seconds()/shared.Seconds())
	}
	return nil
}
