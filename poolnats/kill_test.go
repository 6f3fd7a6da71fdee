package poolnats

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headrace-go/pool"
)

var (
	jobs    = flag.Int("jobs", 20_000, "how many jobs TestKills runs")
	keyJobs = flag.Int("keyjobs", 4_000, "how many jobs with keys TestKillsKeyed runs")
	keys    = flag.Int("keys", 1_000, "how many keys these have")
	every   = flag.Duration("every", 200*time.Millisecond, "the mean time between two kills")
)

// event is what a worker process writes at the start and at the end of a job. It goes to a file at once, so it outlives the process.
type event struct {
	Job  uint64
	Pid  uint32
	Kind uint32
	At   int64
}

const (
	began = iota
	ended
	lostLease // the handler has returned for that
)

// killTime is how long the work of a job takes in the worker processes.
const killTime = 200 * time.Microsecond

var killOptions = []Option{AckWait(time.Second), Keys(64), Expiry(time.Second), MaxDeliver(1000)}

// worker is a worker process.
func worker(url string) error {
	go func() { // whoever has started this process may end without stopping it
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	f, err := os.OpenFile(os.Getenv("POOLNATS_LOG"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	note := func(job uint64, kind uint32) {
		var b bytes.Buffer
		_ = binary.Write(&b, binary.LittleEndian, event{job, uint32(os.Getpid()), kind, time.Now().UnixNano()})
		_, _ = f.Write(b.Bytes())
	}
	js, _, err := connect(url)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(bg, 30*time.Second)
	defer cancel()
	q, err := Open(ctx, js, "work", killOptions...)
	if err != nil {
		return err
	}
	p, err := pool.NewTyped(Handler(func(ctx context.Context, job uint64) error {
		note(job, began)
		t := time.NewTimer(killTime)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			note(job, lostLease)
			return context.Cause(ctx)
		}
		if ctx.Err() != nil {
			note(job, lostLease)
			return context.Cause(ctx)
		}
		note(job, ended)
		return nil
	}), pool.WithWorkers(8), pool.WithBuffer(128), pool.WithErrorMode(pool.KeepGoing))
	if err != nil {
		return err
	}
	stop, done := signal.NotifyContext(bg, syscall.SIGTERM)
	defer done()
	s, err := Serve(bg, q, p)
	if err != nil {
		return err
	}
	<-stop.Done()
	return s.Shutdown(bg)
}

// fleet is some worker processes, which are killed and started again.
type fleet struct {
	t      *testing.T
	url    string
	log    string
	mu     sync.Mutex
	procs  []*exec.Cmd
	killed map[uint32]int64 // when
}

func newFleet(t *testing.T, url string, n int) *fleet {
	f := &fleet{t: t, url: url, log: filepath.Join(t.TempDir(), "log"), killed: make(map[uint32]int64)}
	for range n {
		f.procs = append(f.procs, f.start())
	}
	return f
}

func (f *fleet) start() *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "POOLNATS_WORKER="+f.url, "POOLNATS_LOG="+f.log)
	c.Stderr = os.Stderr
	_, err := c.StdinPipe() // it ends with this process
	must(f.t, err)
	must(f.t, c.Start())
	return c
}

// kill kills one at random, and starts another one.
func (f *fleet) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := rand.IntN(len(f.procs))
	c := f.procs[i]
	must(f.t, c.Process.Kill())
	_ = c.Wait()
	f.killed[uint32(c.Process.Pid)] = time.Now().UnixNano()
	f.procs[i] = f.start()
}

// stop stops all, gracefully.
func (f *fleet) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.procs {
		must(f.t, c.Process.Signal(syscall.SIGTERM))
	}
	for _, c := range f.procs {
		err := c.Wait()
		if w, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() && w.Signal() == syscall.SIGTERM {
			continue // it had just begun, and did not listen yet
		}
		if err != nil {
			f.t.Errorf("a worker: %v", err)
		}
	}
}

// chaos kills until the queue is empty.
func (f *fleet) chaos(q *Queue, limit time.Duration) {
	f.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		next := time.NewTimer(time.Duration(rand.ExpFloat64() * float64(*every)))
		select {
		case <-deadline.C:
			f.t.Fatalf("the queue is not empty after %v: %+v", limit, stats(f.t, q))
		case <-next.C:
			f.kill()
		}
		if i, err := q.stream.Info(bg); err == nil && i.State.Msgs == 0 {
			return
		}
	}
}

// run is one run of a job.
type run struct {
	job        uint64
	pid        uint32
	from, to   int64
	done, lost bool
}

// runs returns the runs of each job, in the order of their beginning.
func (f *fleet) runs() map[uint64][]*run {
	data, err := os.ReadFile(f.log)
	must(f.t, err)
	all := make(map[uint64][]*run)
	var events []event
	r := bytes.NewReader(data)
	for r.Len() >= 24 {
		var e event
		must(f.t, binary.Read(r, binary.LittleEndian, &e))
		events = append(events, e)
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.At, b.At) })
	for _, e := range events {
		if e.Kind == began {
			all[e.Job] = append(all[e.Job], &run{job: e.Job, pid: e.Pid, from: e.At})
			continue
		}
		for _, r := range all[e.Job] {
			if r.pid == e.Pid && r.to == 0 {
				r.to, r.done, r.lost = e.At, e.Kind == ended, e.Kind == lostLease
				break
			}
		}
	}
	for _, rs := range all {
		for _, r := range rs {
			if r.to == 0 {
				r.to = f.killed[r.pid]
			}
		}
	}
	return all
}

// account checks that each job ran to its end, and that each run beyond the first follows a kill of the process before, or a lost lease.
func (f *fleet) account(n int) map[uint64][]*run {
	all := f.runs()
	twice, twiceDone, unexplained := 0, 0, 0
	for job := range uint64(n) {
		done := 0
		for i, r := range all[job] {
			if r.done {
				done++
			}
			if i == 0 {
				continue
			}
			twice++
			if before := all[job][i-1]; f.killed[before.pid] == 0 && !before.lost {
				unexplained++
			}
		}
		if done == 0 {
			f.t.Errorf("job %d was lost: %d runs", job, len(all[job]))
		}
		if done > 1 {
			twiceDone++
		}
	}
	f.t.Logf("%d jobs, %d kills: 0 lost unless said, %d runs beyond the first, %d jobs with two ends, %d runs unexplained", n, len(f.killed), twice, twiceDone, unexplained)
	if unexplained > 0 {
		f.t.Errorf("%d runs beyond the first follow neither a kill nor a lost lease", unexplained)
	}
	return all
}

// feed puts the numbers below n into the queue, and calls with which options.
func feed(t *testing.T, q *Queue, n int, opts func(i int) []EnqueueOption) {
	t.Helper()
	for from := 0; from < n; from += 1000 {
		var some []any
		for i := from; i < min(from+1000, n); i++ {
			some = append(some, uint64(i))
		}
		var o func(int) []EnqueueOption
		if opts != nil {
			o = func(i int) []EnqueueOption { return opts(from + i) }
		}
		must(t, q.EnqueueAll(bg, some, o))
	}
}

// Three processes, of which one is killed every 200 ms on average: no job is lost, and what runs twice does so for a kill.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := broker(t)
	q := open(t, s.ClientURL(), killOptions...)
	f := newFleet(t, s.ClientURL(), 3)
	fed := make(chan struct{})
	go func() { defer close(fed); feed(t, q, *jobs, nil) }()
	<-fed
	f.chaos(q, time.Duration(*jobs)*2*time.Millisecond+20*time.Second)
	f.stop()
	f.account(*jobs)
}

// The same for keys: none of them has two jobs at a time, and all in order.
func TestKillsKeyed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := broker(t)
	q := open(t, s.ClientURL(), killOptions...)
	f := newFleet(t, s.ClientURL(), 3)
	feed(t, q, *keyJobs, func(i int) []EnqueueOption { return []EnqueueOption{Key(strconv.Itoa(i % *keys))} })
	f.chaos(q, time.Duration(*keyJobs)*10*time.Millisecond+30*time.Second)
	f.stop()
	all := f.account(*keyJobs)
	overlaps, inversions := 0, 0
	for key := range *keys {
		var rs []*run
		for i := key; i < *keyJobs; i += *keys {
			rs = append(rs, all[uint64(i)]...)
		}
		slices.SortFunc(rs, func(a, b *run) int { return cmp.Compare(a.from, b.from) })
		for i := 1; i < len(rs); i++ {
			if rs[i].job < rs[i-1].job {
				inversions++
			}
			if rs[i].from < rs[i-1].to {
				overlaps++
			}
		}
	}
	t.Logf("%d keys: %d inversions, %d overlaps", *keys, inversions, overlaps)
	if inversions+overlaps > 0 {
		t.Fail()
	}
}

// A server that pauses, is started again, or cuts connections loses no job either.
func TestServerRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	s := startServer(t, dir, -1)
	url := s.ClientURL()
	var port int
	if _, err := fmt.Sscanf(url, "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	q := open(t, url, killOptions...)
	f := newFleet(t, url, 3)
	n := *jobs
	feed(t, q, n, nil)
	var away [][2]int64
	for i := range 2 { // the connections are cut, and after the second time the server is away for longer than a lease
		until(t, "some jobs have run", time.Minute, func() bool {
			return stats(t, q).Pending < uint64(n*(2-i)/3+1) || stats(t, q).Pending == 0
		})
		from := time.Now().UnixNano()
		s.Shutdown()
		s.WaitForShutdown()
		if i == 1 {
			<-time.After(1500 * time.Millisecond)
		}
		s = startServer(t, dir, port)
		away = append(away, [2]int64{from, time.Now().UnixNano()})
	}
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	until(t, "an empty queue", time.Minute+time.Duration(n)*time.Millisecond, func() bool {
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		i, err := q.stream.Info(ctx)
		return err == nil && i.State.Msgs == 0
	})
	f.stop()
	// While the server ends it still gives out jobs and does not hear acknowledgments any more, so what ran then runs again.
	twice, unexplained := 0, 0
	for job, rs := range f.runs() {
		if !slices.ContainsFunc(rs, func(r *run) bool { return r.done }) {
			t.Errorf("job %d did not run to its end", job)
		}
		for i := 1; i < len(rs); i++ {
			twice++
			if !rs[i-1].lost && !slices.ContainsFunc(away, func(w [2]int64) bool { return rs[i-1].to > w[0]-int64(confirmTime) && rs[i-1].from < w[1] }) {
				unexplained++
			}
		}
	}
	lost := n - len(f.runs())
	t.Logf("%d jobs, 2 restarts: %d lost, %d runs beyond the first, %d of them unexplained", n, lost, twice, unexplained)
	if lost+unexplained > 0 {
		t.Fail()
	}
}

// confirmTime is in how much time an acknowledgment is on its way at most.
const confirmTime = 100 * time.Millisecond
