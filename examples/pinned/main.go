// Pinned runs tasks on workers that have a thread of the operating system each, and on workers
// that do not, and prints the threads that the tasks of each worker have run on:
//
//	go run ./examples/pinned
//
// # What it shows
//
// [pool.WithLockedThread]. The scheduler of Go runs a goroutine now on one thread and now
// on another. That is in the way where something belongs to the thread: a C library
// that keeps its last error or a graphics context there, or a property of the thread itself, such as its
// priority, its namespaces or the cores that it may run on. With the option all tasks of a
// worker run on one thread, nothing else runs there, and the thread ends with the worker.
//
// What belongs to the thread is made once for each worker, with [pool.WithState], whose function
// runs on the same thread. Here that is a record of the worker's tasks.
//
// # When it backfires
//
// For short tasks. To wake a locked worker the system has to switch threads, where otherwise
// the thread at hand would go on with another goroutine. And each such worker holds a thread,
// at rest too. Use it only for what needs it, in a pool of its own.
//
// # What to look at
//
// The thread ids. Without the option a worker has been on several threads, and a thread has
// served several workers; with it each has one of its own. Then the time per task, which is what the
// option costs: the tasks do nothing but let another goroutine go first. A few workers may
// be missing from the first part: one that was never needed has run nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
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
		fmt.Fprintln(os.Stderr, "pinned: interrupted")
		os.Exit(130) // as a shell reports a program ended by an interrupt
	default:
		fmt.Fprintln(os.Stderr, "pinned:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("pinned", flag.ExitOnError)
	workers := flags.Int("workers", 4, "how many tasks run at a time")
	tasks := flags.Int("tasks", 20000, "how many tasks run with the option, and how many without")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("takes no arguments, got %q", flags.Arg(0))
	case *tasks < 1:
		return fmt.Errorf("-tasks must be at least 1, got %d", *tasks)
	}
	if _, ok := threadID(); !ok {
		fmt.Fprintf(out, "on %s this program does not know the ids of threads: they are left out\n", runtime.GOOS)
	}
	free, err := measure(ctx, *tasks, pool.WithWorkers(*workers))
	if err != nil {
		return err
	}
	free.print(out, "without WithLockedThread")
	locked, err := measure(ctx, *tasks, pool.WithWorkers(*workers), pool.WithLockedThread())
	if err != nil {
		return err
	}
	locked.print(out, "with WithLockedThread")
	fmt.Fprintf(out, "A task took %.1f times as long on locked threads.\n", locked.took.Seconds()/free.took.Seconds())
	return locked.check()
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

// measure runs so many tasks in a pool with the options.
func measure(ctx context.Context, tasks int, opts ...pool.Option) (*ledger, error) {
	l := &ledger{tasks: tasks}
	create := func(context.Context) (record, error) { return record{}, nil }
	p, err := pool.New(append(opts, pool.WithContext(ctx), pool.WithState(create, l.add))...)
	if err != nil {
		return nil, err
	}
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
		fmt.Fprintf(out, "  worker %d: %6d tasks", i+1, sum)
		if known {
			fmt.Fprintf(out, " on %d threads:", len(r))
			for _, id := range slices.Sorted(maps.Keys(r)) {
				fmt.Fprintf(out, " %d (%d)", id, r[id])
			}
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
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
