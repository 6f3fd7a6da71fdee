// Hashtree prints the SHA-256 of every regular file below the directories that it is given, in the format of sha256sum, in the order of
// the names, and while it works:
//
//	go run ./examples/hashtree .
//	go run ./examples/hashtree -v docs examples
//	go run ./examples/hashtree "$(go env GOROOT)/src" | sha256sum --check --quiet
//
// # What it shows
//
// A stream of small jobs on as many workers as suit the machine. The results come out in the order in which the jobs went in, and the
// memory does not grow with the tree. There are three stages: a walker submits files to the pool, workers hash them, and a printer writes
// the sums. The stages pass on records from a fixed set, the window: the walker takes a free record, and the printer frees it. If none is
// free, the walker waits. So neither a deep tree nor a huge file that the printer waits for makes the program hold more. (For each level
// of the tree it holds the sorted names of one directory.) The jobs are records for a [pool.Typed], not closures, and each worker borrows
// a buffer and a hasher, so hashing a file allocates little more than the open file.
//
// # The order
//
// Arguments come in the order given. The entries of a directory are sorted by name, and a directory is walked in its place among them.
// That is the order of filepath.WalkDir: "a/z" comes before "a.go". A symbolic link is followed only if it is an argument. Devices, pipes
// and sockets below a directory are left out.
//
// # When it backfires
//
// One worker hashes one file: a tree with one file that is much larger than the rest takes as long as that file, and the lines after it
// wait. On a spinning disk with a cold cache several readers seek more than one: try -workers 1. On a network file system the workers
// wait instead of computing, and more workers than processors help.
//
// # What to look at
//
// On a terminal the bar shows the window. A full bar means that hashing limits the speed: there are too few workers, the disk is slow, or
// the printer waits for a big file. An empty bar means that the walk does, and then more workers do not help. The last lines have the
// speed and how many workers were busy; compare -workers 1 with the default. With -v the pool's statistics follow. Press Ctrl-C: files
// that are being read stop at the next read, files that wait are not begun, and the program counts what was left.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second Ctrl-C kills the program
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is a write error like any other
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const help = `
usage: go run ./examples/hashtree [flags] DIR...

Prints the SHA-256 of every regular file below each DIR, in the format of
sha256sum and in the order of the names. Everything else goes to standard error.`

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
	flags.IntVar(&cfg.workers, "workers", 0, "hash `n` files at a time (0: as many as suit the machine)")
	flags.IntVar(&cfg.queue, "queue", 1024, "let up to `n` files wait for a worker")
	flags.BoolVar(&cfg.verbose, "v", false, "print the pool's statistics at the end")
	err := cli.Parse(flags, args, math.MaxInt, help, stdout)
	if err == nil && flags.NArg() == 0 {
		err = cli.Misusef("want at least one DIR")
	}
	if err != nil {
		return cli.Code(ctx, "hashtree", err, stderr)
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
		return cli.Code(ctx, "hashtree", cli.Misuse(err), stderr)
	}
	workers := p.Stats().Workers
	t.start(p, 4*workers+cfg.queue)
	fmt.Fprintf(stderr, "hashtree: see the SHA-256 of each file, by %d workers and in order\n", workers)

	// An interrupt and a write error both cancel ctx, and that aborts the pool.
	defer context.AfterFunc(ctx, p.Abort)()
	go t.walk(ctx, roots)
	out := newPrinter(stdout, stderr, cancel)
	out.print(ctx, t)
	closeErr := p.Close()

	seconds := time.Since(start).Seconds()
	fmt.Fprintf(stderr, "hashtree: %d files, %.1f MB, %.2f s, %.1f MB/s, %d workers\n",
		out.files, float64(out.bytes)/1e6, seconds, float64(out.bytes)/1e6/seconds, workers)
	stats := p.Stats()
	if cfg.verbose {
		cli.Say(stderr, "hashtree: %v", stats)
	}
	stopped := ctx.Err() != nil
	if stopped || out.left > 0 {
		fmt.Fprintf(stderr, "hashtree: stopped: %d files hashed, %d files known but not hashed\n", out.files, out.left)
	} else {
		cli.So(stderr, "the sums came in order while on average %.1f of %d workers were busy.", stats.Busy.Seconds()/seconds, workers)
	}
	switch {
	case out.err != nil:
		fmt.Fprintf(stderr, "hashtree: standard output: %v\n", reason(out.err))
		return cli.Failed
	case stopped:
		return cli.Interrupted
	case closeErr != nil:
		fmt.Fprintf(stderr, "hashtree: %v\n", closeErr)
		return cli.Failed
	case out.failed > 0 || out.left > 0:
		return cli.Failed
	}
	return cli.OK
}
