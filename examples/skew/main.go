// Skew runs the same tasks under three strategies at the same time, some of which take ten times as long as the others, and shows when
// each strategy has finished them:
//
//	go run ./examples/skew
//	go run ./examples/skew -outside
//	go run ./examples/skew -tasks 20
//
// The tasks sleep, so the three strategies do not compete for the processors.
//
// # What it shows
//
// What uneven tasks do under [pool.WorkStealing], [pool.Shared] and [pool.PerWorker]. One task submits all others. Under WorkStealing
// they go to the queue of the worker that runs this task, and idle workers take half of what they find there, again and again. Under
// Shared every worker takes from one queue. Under PerWorker each task has a key of its own, which belongs to a worker: the worker is
// chosen before anybody knows how long the task will take.
//
// With -outside the tasks are submitted from outside the pool, like the requests of a service. Then there is nothing to steal: these
// tasks wait in one queue under WorkStealing, too.
//
// # When it backfires
//
// Stealing balances no better than one shared queue. It is for tasks that divide their work, and whose data is still in the cache of
// their worker. It starts the tasks of a worker in nearly the opposite order. No strategy divides a task: if one task takes as long as
// all the others, everything waits for it (try -tasks 20).
//
// # What to look at
//
// The time from the first submission to the end of the last task, beside the ideal, in which no worker is ever idle and no timer is
// late. Under PerWorker the bar slows down towards the end: some workers have finished, and others still have long tasks in their queue.
// With -factor 1 all tasks are equal, and so are the strategies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/skew [flags]

Runs uneven tasks under three strategies, and shows when each has finished.`

func main() { cli.Main("skew", run) }

// settings is what the command line says.
type settings struct {
	tasks, workers, factor int
	every                  int
	short                  time.Duration
	outside                bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("skew", flag.ContinueOnError)
	flags.IntVar(&s.tasks, "tasks", 3200, "run `n` tasks under each strategy")
	flags.IntVar(&s.workers, "workers", 32, "run `n` tasks at a time under each strategy")
	flags.DurationVar(&s.short, "short", 10*time.Millisecond, "`time` that a short task takes")
	flags.IntVar(&s.factor, "factor", 10, "a long task takes `n` times as long")
	flags.IntVar(&s.every, "every", 10, "about one of `n` tasks is long")
	flags.BoolVar(&s.outside, "outside", false, "submit from outside the pool instead of from a task")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	switch {
	case s.tasks < 1 || s.workers < 1 || s.factor < 1 || s.every < 1:
		return cli.Misusef("-tasks, -workers, -factor and -every must be at least 1, got %d, %d, %d and %d", s.tasks, s.workers, s.factor, s.every)
	case s.short <= 0:
		return cli.Misusef("-short must be positive, got %v", s.short)
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
		from = "they are submitted from outside the pool"
	}
	cli.Say(out, "Short and long tasks run under three strategies at once: see when each strategy has finished them.\n")
	cli.Say(out, "%d tasks take %v and %d take %v; %s. Each strategy has %d workers. If no worker were ever idle, it would take %.2f s.\n\n",
		s.tasks-long, s.short, long, s.short*time.Duration(s.factor), from, s.workers, ideal.Seconds())

	contenders := []*contender{{strategy: pool.WorkStealing}, {strategy: pool.Shared}, {strategy: pool.PerWorker}}
	all := make(chan struct{}, len(contenders))
	for _, c := range contenders {
		go func() {
			c.run(ctx, s, durations)
			all <- struct{}{}
		}()
	}
	show := newBoard(out, contenders, s.tasks, ideal)
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

	for _, c := range contenders {
		if c.err != nil {
			return fmt.Errorf("%v: %w", c.strategy, c.err)
		}
	}
	shared := contenders[1].makespan.Seconds()
	cli.So(out, "WorkStealing took %.2f times as long as Shared, and PerWorker %.2f times.",
		contenders[0].makespan.Seconds()/shared, contenders[2].makespan.Seconds()/shared)
	return nil
}
