package poolnats

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace-go/pool"
)

func TestServe(t *testing.T) {
	s := broker(t)
	var ran atomic.Int64
	_, q := serve(t, s.ClientURL(), func(_ context.Context, n int) error { ran.Add(1); return nil }, []Option{Keys(8), DoubleAck()}, pool.WithWorkers(2))
	for i := range 100 {
		must(t, q.Enqueue(bg, i, ID(fmt.Sprint(i))))
		must(t, q.Enqueue(bg, i, ID(fmt.Sprint(i)))) // is there already
		must(t, q.Enqueue(bg, i, Key("a")))
	}
	empty(t, q, 10*time.Second)
	if ran.Load() != 200 {
		t.Errorf("%d runs, want 200", ran.Load())
	}
}

func TestOpenErrors(t *testing.T) {
	s := broker(t)
	js := dial(t, s.ClientURL())
	for _, o := range []Option{AckWait(0), MaxDeliver(0), Backoff(nil), Keys(-1), Limit(-1), Expiry(0), WithCodec(nil)} {
		if _, err := Open(bg, js, "work", o); err == nil || !strings.HasPrefix(err.Error(), "poolnats: ") {
			t.Errorf("got error %v", err)
		}
	}
	q := open(t, s.ClientURL(), Limit(2))
	if err := q.Enqueue(bg, 1, Key("a")); err == nil {
		t.Error("a key without Keys is no error")
	}
	if _, err := Open(bg, js, "work", Keys(2)); err == nil {
		t.Error("other Keys are no error")
	}
	must(t, q.Enqueue(bg, 1))
	must(t, q.Enqueue(bg, 1))
	if err := q.Enqueue(bg, 1); !errors.Is(err, pool.ErrFull) {
		t.Errorf("a full queue: %v", err)
	}
}

// A process asks for as many jobs as it has places, also when these run for long, and when none comes it asks once in the time of a request.
func TestAsksForItsPlaces(t *testing.T) {
	s := broker(t)
	open := make(chan struct{})
	_, q := serve(t, s.ClientURL(), func(context.Context, int) error { <-open; return nil }, []Option{Expiry(300 * time.Millisecond)}, pool.WithWorkers(3), pool.WithBuffer(2))
	defer close(open)
	until(t, "a request", 5*time.Second, func() bool { return stats(t, q).Requests == 1 })
	from := stats(t, q).Asked
	t0 := time.Now()
	until(t, "four times of a request", 5*time.Second, func() bool { return time.Since(t0) > 1200*time.Millisecond })
	if n := stats(t, q).Asked - from; n > 5 {
		t.Errorf("%d requests in the time of 4", n)
	}
	for i := range 9 {
		must(t, q.Enqueue(bg, i))
	}
	until(t, "a pool at its limit", 5*time.Second, func() bool { s := stats(t, q); return s.AckPending == 5 && s.Requests == 0 })
	if st := stats(t, q); st.Pending != 4 {
		t.Errorf("%+v", st)
	}
}

// Jobs that take nearly a lease, and one of ten leases, run once, and two processes have as many.
func TestLongJobs(t *testing.T) {
	s := broker(t)
	const lease = 600 * time.Millisecond
	var runs [2]atomic.Int64
	var q *Queue
	for i := range 2 {
		_, q = serve(t, s.ClientURL(), func(_ context.Context, leases float64) error {
			runs[i].Add(1)
			<-time.After(time.Duration(leases * float64(lease)))
			return nil
		}, []Option{AckWait(lease)}, pool.WithWorkers(5), pool.WithBuffer(0))
	}
	until(t, "both ask", 5*time.Second, func() bool { return stats(t, q).Requests == 2 })
	for range 10 {
		must(t, q.Enqueue(bg, 28./30))
	}
	empty(t, q, 10*time.Second)
	if a, b := runs[0].Load(), runs[1].Load(); a != 5 || b != 5 {
		t.Errorf("%d and %d runs, want 5 and 5", a, b)
	}
	must(t, q.Enqueue(bg, 10.))
	empty(t, q, 20*time.Second)
	if n := runs[0].Load() + runs[1].Load(); n != 11 {
		t.Errorf("%d runs, want 11", n)
	}
}

// What a process hands back when it ends begins in another one within 100 ms, though the lease is long, and nothing runs twice.
func TestHandsBack(t *testing.T) {
	s := broker(t)
	var mu sync.Mutex
	begun := make(map[int]time.Time)
	twice := 0
	hold := make(chan struct{})
	handle := func(hold chan struct{}) func(context.Context, int) error {
		return func(_ context.Context, n int) error {
			mu.Lock()
			if _, ok := begun[n]; ok {
				twice++
			}
			begun[n] = time.Now()
			mu.Unlock()
			<-hold
			return nil
		}
	}
	open := make(chan struct{})
	close(open)
	first, q := serve(t, s.ClientURL(), handle(hold), nil, pool.WithWorkers(2), pool.WithBuffer(50))
	for i := range 52 {
		must(t, q.Enqueue(bg, i))
	}
	until(t, "all are taken", 5*time.Second, func() bool { return stats(t, q).AckPending == 52 && first.p.Stats().Running == 2 })
	serve(t, s.ClientURL(), handle(open), nil, pool.WithWorkers(4))
	until(t, "the other asks", 5*time.Second, func() bool { return stats(t, q).Requests == 1 })
	t0 := time.Now()
	end := make(chan error)
	go func() { end <- first.Shutdown(bg) }()
	until(t, "what was left has begun", 5*time.Second, func() bool { mu.Lock(); defer mu.Unlock(); return len(begun) == 52 })
	close(hold)
	must(t, <-end)
	empty(t, q, 5*time.Second)
	var worst time.Duration
	for _, at := range begun {
		worst = max(worst, at.Sub(t0))
	}
	t.Logf("the last of 50 has begun after %v; %d ran twice", worst, twice)
	if worst > 100*time.Millisecond*slow || twice > 0 {
		t.Fail()
	}
}

// slow is how much slower a busy machine may be.
const slow = 10

// A job that fails is dead after so many deliveries, one that cannot be decoded at once, and both are found with the reason.
func TestDead(t *testing.T) {
	s := broker(t)
	var runs atomic.Int64
	_, q := serve(t, s.ClientURL(), func(_ context.Context, n int) error {
		if n == 1 {
			runs.Add(1)
			panic("poison")
		}
		return nil
	}, []Option{MaxDeliver(3), Backoff(func(int) time.Duration { return time.Millisecond })}, pool.WithWorkers(2))
	must(t, q.Enqueue(bg, "no number"))
	must(t, q.Enqueue(bg, 1))
	for range 100 {
		must(t, q.Enqueue(bg, 2))
	}
	empty(t, q, 10*time.Second)
	until(t, "both are dead", 5*time.Second, func() bool { return stats(t, q).Dead == 2 })
	if runs.Load() != 3 {
		t.Errorf("the poison ran %d times, want 3", runs.Load())
	}
	dead, err := q.js.Stream(bg, q.dead)
	must(t, err)
	for seq, want := range []string{"cannot be decoded", "panic: poison"} {
		m, err := dead.GetMsg(bg, uint64(seq+1))
		must(t, err)
		if e := m.Header.Get(HeaderError); !strings.Contains(e, want) {
			t.Errorf("error %q, want %q", e, want)
		}
		if n := m.Header.Get(HeaderDeliveries); n != fmt.Sprint(1+2*seq) {
			t.Errorf("%s deliveries of %q", n, want)
		}
		if m.Header.Get(HeaderStack) == "" || m.Header.Get(HeaderSubject) != "work.plain" {
			t.Errorf("headers %v", m.Header)
		}
	}
}

// A process that is cut off stops its job before another one can have it.
func TestLeaseLost(t *testing.T) {
	s := broker(t)
	cause := make(chan error, 1)
	_, q := serve(t, s.ClientURL(), func(ctx context.Context, _ int) error {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return ctx.Err()
	}, []Option{AckWait(300 * time.Millisecond)}, pool.WithWorkers(1))
	must(t, q.Enqueue(bg, 1))
	until(t, "it runs", 5*time.Second, func() bool { return stats(t, q).AckPending == 1 })
	s.Shutdown()
	select {
	case err := <-cause:
		if !errors.Is(err, ErrLeaseLost) {
			t.Errorf("cause %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the job goes on")
	}
	if n := q.counts.leaseLost.Load(); n != 1 {
		t.Errorf("%d leases lost", n)
	}
}

var through = flag.Int("through", 20_000, "how many jobs TestThroughput runs in each round")

// The queue keeps up with a bare loop that fetches and acknowledges. A busy machine disturbs both, so this only logs.
func TestThroughput(t *testing.T) {
	for _, work := range []time.Duration{time.Microsecond, time.Millisecond} {
		n := *through
		if work > time.Microsecond {
			n /= 4
		}
		const workers = 64
		do := func() {
			if work < time.Millisecond {
				for t0 := time.Now(); time.Since(t0) < work; {
				}
				return
			}
			<-time.After(work)
		}
		var bare, ours time.Duration
		{
			s := broker(t)
			q := open(t, s.ClientURL())
			feed(t, q, n, nil)
			c, err := q.stream.Consumer(bg, q.consumer(0))
			must(t, err)
			t0 := time.Now()
			var ran atomic.Int64
			todo := make(chan jetstream.Msg, 256)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for m := range todo {
						do()
						must(t, m.Ack())
						ran.Add(1)
					}
				})
			}
			for got := 0; got < n; {
				b, err := c.Fetch(256, jetstream.FetchMaxWait(time.Second))
				must(t, err)
				for m := range b.Messages() {
					got++
					todo <- m
				}
			}
			close(todo)
			wg.Wait()
			bare = time.Since(t0)
		}
		{
			s := broker(t)
			feed(t, open(t, s.ClientURL()), n, nil)
			var ran atomic.Int64
			done := make(chan struct{})
			t0 := time.Now()
			serve(t, s.ClientURL(), func(context.Context, int) error {
				do()
				if ran.Add(1) == int64(n) {
					close(done)
				}
				return nil
			}, nil, pool.WithWorkers(workers), pool.WithBuffer(192))
			<-done
			ours = time.Since(t0)
		}
		t.Logf("work %v: bare loop %.0f/s, poolnats %.0f/s: %.0f %%", work, float64(n)/bare.Seconds(), float64(n)/ours.Seconds(), 100*bare.Seconds()/ours.Seconds())
	}
}
