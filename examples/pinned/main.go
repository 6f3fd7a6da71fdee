// Pinned runs tasks on workers that have a thread of the operating system each, and on workers that have none, and shows the threads
// that the tasks of each worker ran on:
//
//	go run ./examples/pinned
//	go run ./examples/pinned -workers 2 -tasks 100000
//
// # What it shows
//
// [pool.WithLockedThread]. Go's scheduler runs a goroutine first on one thread and then on another. That does not work with what belongs
// to a thread: the last error or the graphics context of a C library, or the priority, the namespaces or the processor affinity of the
// thread itself. With the option all tasks of a worker run on one thread, nothing else runs there, and the thread ends with the worker.
//
// What belongs to the thread is created once for each worker, with [pool.WithState], whose function runs on the same thread. Here that
// is a record of the worker's tasks.
//
// # When it backfires
//
// With short tasks. To wake a locked worker the operating system has to switch threads; otherwise the same thread would go on with
// another goroutine. Each such worker also holds a thread while it is idle. Use the option only for the tasks that need it, in a pool of
// their own.
//
// # What to look at
//
// The thread ids. Without the option a worker has been on several threads, and a thread has run several workers. With it each worker has
// one thread of its own. Then the time per task, which is the price of the option: a task does nothing but let another goroutine run. A
// worker that got no task is not in the list.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

const help = `
usage: go run ./examples/pinned [flags]

Shows the threads that tasks run on, with and without locked threads.`

func main() { cli.Main("pinned", run) }

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("pinned", flag.ContinueOnError)
	workers := flags.Int("workers", 4, "run `n` tasks at a time")
	tasks := flags.Int("tasks", 20000, "run `n` tasks with the option, and as many without")
	if err := cli.Parse(flags, args, 0, help, out); err != nil {
		return err
	}
	if *tasks < 1 || *workers < 1 {
		return cli.Misusef("-tasks and -workers must be at least 1, got %d and %d", *tasks, *workers)
	}
	cli.Say(out, "%d tasks run without and with WithLockedThread: see the threads that each worker's tasks ran on.\n\n", *tasks)
	if _, ok := threadID(); !ok {
		fmt.Fprintf(out, "On %s this program does not know the ids of threads: they are left out.\n", runtime.GOOS)
	}
	free, err := measure(ctx, out, *tasks, pool.WithWorkers(*workers))
	if err != nil {
		return err
	}
	free.print(out, "without WithLockedThread")
	fmt.Fprintln(out)
	locked, err := measure(ctx, out, *tasks, pool.WithWorkers(*workers), pool.WithLockedThread())
	if err != nil {
		return err
	}
	locked.print(out, "with WithLockedThread")
	if err := locked.check(); err != nil {
		return err
	}
	cli.So(out, "with a thread of its own for each worker, such a short task takes %.1f times as long.", locked.took.Seconds()/free.took.Seconds())
	return nil
}

// A record is a worker's state: how many of its tasks each thread has run.
type record map[int]int

// A ledger has the records of all workers of a pool.
type ledger struct {
	tasks int
	took  time.Duration

	mu      sync.Mutex
	records []record
}

// measure runs the tasks in a pool with the options.
func measure(ctx context.Context, out io.Writer, tasks int, opts ...pool.Option) (*ledger, error) {
	l := &ledger{tasks: tasks}
	create := func(context.Context) (record, error) { return record{}, nil }
	p, err := pool.New(append(opts, pool.WithContext(ctx), pool.WithState(create, l.add))...)
	if err != nil {
		return nil, err
	}
	defer cli.Progress(out, func() string { return fmt.Sprintf("%d of %d tasks", p.Stats().Completed, tasks) })()
	begin := time.Now()
	for range tasks {
		if err := p.Submit(ctx, task); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	err = p.Close() // every worker has ended then, and given its record to add
	l.took = time.Since(begin)
	return l, err
}

// task notes the thread that it runs on. It lets others run first, as a task that waits does.
func task(ctx context.Context) error {
	r, err := pool.StateOf[record](ctx)
	if err != nil {
		return err
	}
	runtime.Gosched()
	id, _ := threadID()
	r[id]++
	return nil
}

// add receives the record of a worker that ends.
func (l *ledger) add(r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
}

// print lists the threads of each worker.
func (l *ledger) print(out io.Writer, title string) {
	fmt.Fprintf(out, "%s: %d tasks, %.2f µs each\n", title, l.tasks, l.took.Seconds()*1e6/float64(l.tasks))
	_, known := threadID()
	for i, r := range l.records {
		sum := 0
		for _, n := range r {
			sum += n
		}
		line := fmt.Sprintf("  worker %d: %6d tasks", i+1, sum)
		if known {
			line += fmt.Sprintf(" on %d threads:", len(r))
			for _, id := range slices.Sorted(maps.Keys(r)) {
				line += fmt.Sprintf(" %d (%d)", id, r[id])
			}
		}
		cli.Say(out, "%s", line)
	}
}

// check returns an error unless each worker has a thread of its own.
func (l *ledger) check() error {
	if _, known := threadID(); !known {
		return nil
	}
	seen := map[int]bool{}
	for i, r := range l.records {
		if len(r) != 1 {
			return fmt.Errorf("worker %d was on %d threads", i+1, len(r))
		}
		for id := range r {
			if seen[id] {
				return fmt.Errorf("thread %d has run two workers", id)
			}
			seen[id] = true
		}
	}
	return nil
}
