// Cluster hashes the files of a tree with four processes, which take their jobs from one queue, and shows that every job runs although one
// process is killed and another one is stopped:
//
//	go -C examples/cluster run .
//	go -C examples/cluster run . "$(go env GOROOT)/src/net"
//
// Without a DIR it hashes the files of package pool.
//
// # What it shows
//
// Module poolnats: a queue of jobs outside the process, on NATS JetStream. The program starts a NATS server inside itself, and four
// worker processes with a pool each. While they work it kills the first one with SIGKILL and stops the second one with SIGTERM. The
// second one hands back the jobs that it has not begun ([poolnats.Server.Shutdown]). Those of the first one come back to the queue when their
// lease ends.
//
// # When it backfires
//
// A job that was under way in a killed process runs again, so jobs must bear to run twice. A job that takes longer than its lease without
// a sign of life runs twice, too.
//
// # What to look at
//
// Each row shows the queue and what each process has done. At the end the program hashes all files itself and compares: every file is
// hashed, and right. It lists the files that were hashed twice, and why.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
	"github.com/headrace-go/pool/poolnats"
)

const (
	workers = 4
	lease   = time.Second
	pause   = 15 * time.Millisecond // added to each job, so that there is something to see
)

const help = `
usage: go -C examples/cluster run . [DIR]

Hashes the files below DIR with four processes, of which it kills one.`

func main() {
	if url := os.Getenv("CLUSTER_WORKER"); url != "" {
		if err := work(url); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
			os.Exit(cli.Failed)
		}
		return
	}
	cli.Main("cluster", run)
}

func open(ctx context.Context, url string) (*poolnats.Queue, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	return poolnats.Open(ctx, js, "files", poolnats.AckWait(lease))
}

// work is a worker process. It writes a line when it begins a file, and one with the hash.
func work(url string) error {
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer done()
	q, err := open(stop, url)
	if err != nil {
		return err
	}
	p, err := pool.NewTyped(poolnats.Handler(func(_ context.Context, file string) error {
		fmt.Println("begin", file)
		sum, err := hash(file)
		if err != nil {
			return err
		}
		time.Sleep(pause)
		fmt.Println("end", sum, file)
		return nil
	}), pool.WithWorkers(2), pool.WithBuffer(8))
	if err != nil {
		return err
	}
	s, err := poolnats.Serve(context.Background(), q, p)
	if err != nil {
		return err
	}
	<-stop.Done()
	err = s.Shutdown(context.Background()) // hands back what has not begun
	fmt.Println("stopped")
	return err
}

func hash(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// process is a worker process, as the first process sees it.
type process struct {
	*exec.Cmd
	name string
	fate string
	done int
	gone chan struct{}
}

// tally is what has happened. mu guards it, and the fields done of processes.
type tally struct {
	out io.Writer

	mu     sync.Mutex
	begun  map[string][]*process // the processes that have begun a file
	hashes map[string]string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	if err := cli.Parse(flags, args, 1, help, out); err != nil {
		return err
	}
	files, err := filesOf(cmp.Or(flags.Arg(0), "../.."))
	if err != nil {
		return cli.Misuse(err)
	}
	cli.Say(out, "%d processes hash %d files from one queue, while one of them is killed and one is stopped: see that every file is hashed.\n\n", workers, len(files))
	store, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return err
	}
	defer os.RemoveAll(store)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: store, NoLog: true, NoSigs: true})
	if err != nil {
		return err
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("the server does not start")
	}

	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	q, err := open(ctx, s.ClientURL())
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := q.Enqueue(ctx, f, poolnats.ID(f)); err != nil {
			return err
		}
	}
	t := &tally{out: out, begun: make(map[string][]*process), hashes: make(map[string]string)}
	var all []*process
	defer func() {
		for _, p := range all {
			_ = p.Process.Kill()
			<-p.gone
		}
	}()
	for i := range workers {
		p, err := t.start(fmt.Sprint("worker ", i+1), s.ClientURL())
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	if err := t.watch(ctx, q, all, len(files)); err != nil {
		return err
	}
	for _, p := range all {
		_ = p.Process.Signal(syscall.SIGTERM)
		<-p.gone
	}
	return t.prove(files, all)
}

func filesOf(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git":
			return fs.SkipDir
		case d.Type().IsRegular():
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// start starts a worker process, and a goroutine that reads what it writes.
func (t *tally) start(name, url string) (*process, error) {
	p := &process{Cmd: exec.Command(os.Args[0]), name: name, gone: make(chan struct{})}
	p.Env = append(os.Environ(), "CLUSTER_WORKER="+url)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.gone)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			t.note(p, lines.Text())
		}
		_ = p.Wait()
	}()
	return p, nil
}

func (t *tally) note(p *process, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if file, ok := strings.CutPrefix(line, "begin "); ok {
		t.begun[file] = append(t.begun[file], p)
	} else if rest, ok := strings.CutPrefix(line, "end "); ok {
		sum, file, _ := strings.Cut(rest, " ")
		t.hashes[file] = sum
		p.done++
	}
}

// watch shows what happens until the queue is empty. It kills one process and stops another one meanwhile.
func (t *tally) watch(ctx context.Context, q *poolnats.Queue, all []*process, files int) error {
	begin := time.Now()
	fmt.Fprintf(t.out, "%5s %8s %8s %7s", "time", "waiting", "running", "hashed")
	for _, p := range all {
		fmt.Fprintf(t.out, " %11s", p.name)
	}
	fmt.Fprintln(t.out)
	for {
		st, err := q.Stats(ctx)
		if err != nil {
			return err
		}
		t.mu.Lock()
		hashed := len(t.hashes)
		var each []string
		for _, p := range all {
			each = append(each, fmt.Sprintf("%11s", fmt.Sprint(p.done, p.fate)))
		}
		t.mu.Unlock()
		fmt.Fprintf(t.out, "%4.1fs %8d %8d %7d %s\n", time.Since(begin).Seconds(), st.Pending, st.AckPending, hashed, strings.Join(each, " "))
		if hashed == files && st.Pending == 0 && st.AckPending == 0 {
			return nil
		}
		if hashed > files/3 && all[0].fate == "" {
			all[0].fate = " killed"
			if err := all[0].Process.Kill(); err != nil {
				return err
			}
		}
		if hashed > files/2 && all[1].fate == "" {
			all[1].fate = " stopped"
			if err := all[1].Process.Signal(syscall.SIGTERM); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// prove hashes all files and compares.
func (t *tally) prove(files []string, all []*process) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wrong, twice, unexplained := 0, 0, 0
	for _, f := range files {
		sum, err := hash(f)
		if err != nil {
			return err
		}
		if t.hashes[f] != sum {
			wrong++
			cli.Say(t.out, "%s: %q, want %s", f, t.hashes[f], sum)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(t.begun)) {
		by := t.begun[f]
		if len(by) == 1 {
			continue
		}
		twice++
		why := "which was killed"
		if by[0] != all[0] {
			why, unexplained = "for no known reason", unexplained+1
		}
		cli.Say(t.out, "%s was hashed twice: %s had begun it, %s", f, by[0].name, why)
	}
	if wrong+unexplained > 0 {
		return fmt.Errorf("%d files have no hash or a wrong one, and %d were hashed twice for no known reason", wrong, unexplained)
	}
	cli.So(t.out, "all %d files are hashed right although a process was killed; %d were hashed twice.", len(files), twice)
	return nil
}
