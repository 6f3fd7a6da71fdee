// Hashtree prints the SHA-256 of every regular file below the directories it
// is given, in the format of sha256sum and in the order of the walk, while it
// works:
//
//	go run ./examples/hashtree "$(go env GOROOT)/src" | sha256sum --check --quiet
//
// # What it shows
//
// A stream of small jobs, handled by as many workers as the machine has use
// for, whose results come out in the order in which the jobs went in and whose
// memory does not grow with the tree. There are three stages: a walker submits
// files to the pool, workers hash them, a printer writes the sums. What flows
// between them is a fixed set of file records, the window: the walker takes a
// free one, and the printer frees it. When all are taken the walker waits, so
// neither a deep tree nor one huge file at the head of the line makes the
// program hold more. (The names in the directories being walked are held, one
// sorted listing for each level.) The jobs are records handed to a [pool.Typed],
// not closures, and each worker borrows a buffer and a hasher, so that hashing
// a file allocates little more than the open file.
//
// # The order
//
// Arguments come out in the order given; within a directory the entries are
// sorted by name, and a directory is walked where its name falls. That is the
// order of filepath.WalkDir: "a/z" comes before "a.go". Symbolic links are
// followed only when named as an argument; devices, pipes and sockets below a
// directory are passed over.
//
// # When it backfires
//
// One file is hashed by one worker: a tree with one file much larger than the
// rest takes as long as that file, and the lines behind it wait for it. On a
// spinning disk with a cold cache, several readers seek more than one does: try
// -workers 1. On a network file system the workers wait rather than compute,
// and more of them than processors will help.
//
// # What to look at
//
// On a terminal, the bar is the window: full, the hashing is what holds things
// up (too few workers, a slow disk, or one big file at the head of the line);
// empty, the walk is, and more workers will not help. The last line gives the
// speed; compare -workers 1 with the default. With -v the pool's own counters
// follow. Interrupt it: running files stop at the next read, queued ones are not
// begun, and what was left is counted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/headrace-go/pool"
)

// The exit statuses.
const (
	statusOK      = 0
	statusFailed  = 1 // something could not be read or written
	statusUsage   = 2
	statusStopped = 130 // as a shell reports a program ended by an interrupt
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second Ctrl-C ends the program the hard way
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is a write error like any other
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: hashtree [-workers n] [-queue n] [-v] dir...

Hashtree prints the SHA-256 of every regular file below each dir, in path
order and in the format of sha256sum. For example:

  hashtree -v src docs > sums && sha256sum --check --quiet sums

`

// config is what the command line and the tests can choose.
type config struct {
	workers int // 0: as many as the machine has use for
	queue   int
	verbose bool
	open    func(name string) (io.ReadCloser, error)
}

// run is main without the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg := config{open: func(name string) (io.ReadCloser, error) { return os.Open(name) }}
	flags := flag.NewFlagSet("hashtree", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&cfg.workers, "workers", 0, "hash `n` files at once (0: as many as suits the machine)")
	flags.IntVar(&cfg.queue, "queue", 1024, "let up to `n` files wait for a worker")
	flags.BoolVar(&cfg.verbose, "v", false, "print the pool's counters at the end")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage
	case flags.NArg() == 0:
		flags.Usage()
		return statusUsage
	}
	return hashTree(ctx, cfg, flags.Args(), stdout, stderr)
}

// hashTree walks, hashes and prints, and says on stderr how it went.
func hashTree(ctx context.Context, cfg config, roots []string, stdout, stderr io.Writer) int {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	t := newTree(cfg.open)
	opts := []pool.Option{pool.WithBuffer(cfg.queue)}
	if cfg.workers != 0 {
		opts = append(opts, pool.WithWorkers(cfg.workers))
	}
	p, err := pool.NewTyped(t.hash, opts...)
	if err != nil {
		fmt.Fprintf(stderr, "hashtree: %v\n", err)
		return statusUsage
	}
	workers := p.Stats().Workers
	t.start(p, 4*workers+cfg.queue)

	// An interrupt and a write error both cancel ctx, and that aborts the pool.
	defer context.AfterFunc(ctx, p.Abort)()
	go t.walk(ctx, roots)
	out := newPrinter(stdout, stderr, cancel)
	out.print(ctx, t)
	closeErr := p.Close()

	seconds := time.Since(start).Seconds()
	fmt.Fprintf(stderr, "hashtree: %d files, %.1f MB, %.2f s, %.1f MB/s, %d workers\n",
		out.files, float64(out.bytes)/1e6, seconds, float64(out.bytes)/1e6/seconds, workers)
	if cfg.verbose {
		fmt.Fprintf(stderr, "hashtree: pool: %+v\n", p.Stats())
	}
	stopped := ctx.Err() != nil
	if stopped || out.left > 0 {
		fmt.Fprintf(stderr, "hashtree: stopped: %d files hashed, %d files known but not hashed\n", out.files, out.left)
	}
	switch {
	case out.err != nil:
		fmt.Fprintf(stderr, "hashtree: standard output: %v\n", reason(out.err))
		return statusFailed
	case stopped:
		return statusStopped
	case closeErr != nil:
		fmt.Fprintf(stderr, "hashtree: %v\n", closeErr)
		return statusFailed
	case out.failed > 0 || out.left > 0:
		return statusFailed
	}
	return statusOK
}
