package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool/examples/internal/cli"
)

// direct is a transport without a network. It counts the requests of customer 1 and of the others.
type direct struct {
	http.Handler
	flood, others atomic.Int64
}

func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/customers/1" {
		d.flood.Add(1)
	} else {
		d.others.Add(1)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// ended returns a load that has ended. Every request was answered or refused, once.
func ended(t *testing.T, s settings) *load {
	t.Helper()
	svc, err := newService(s)
	if err != nil {
		t.Fatal(err)
	}
	d := &direct{Handler: svc.handler()}
	l := &load{settings: s, client: &http.Client{Transport: d}, url: "http://service"}
	if err := errors.Join(l.run(t.Context()), svc.pool.Close()); err != nil {
		t.Fatal(err)
	}
	a, b, stats := &l.flooder, &l.others, svc.pool.Stats()
	if d.flood.Load() != int64(len(a.waits)+a.refused) || d.others.Load() != int64(len(b.waits)+b.refused) {
		t.Errorf("sent %d and %d requests, %d and %d were answered, %d and %d refused",
			d.flood.Load(), d.others.Load(), len(a.waits), len(b.waits), a.refused, b.refused)
	}
	if stats.Completed != uint64(len(a.waits)+len(b.waits)) || stats.Rejected != uint64(a.refused+b.refused) || stats.Accepted != stats.Completed {
		t.Errorf("%d and %d requests were answered, %d and %d refused: %v", len(a.waits), len(b.waits), a.refused, b.refused, stats)
	}
	return l
}

// In virtual time nothing depends on the machine. Without fairness all wait for the backlog, and with it only customer 1.
func TestWaits(t *testing.T) {
	for _, fair := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := settings{workers: 4, buffer: 1000, flood: 40, customers: 20, work: 10 * time.Millisecond, lasts: 4990 * time.Millisecond, fair: fair}
			l := ended(t, s)
			const backlog = 40 / 4 * 10 * time.Millisecond
			flooder, others := l.flooder.wait(50, 10_000), l.others.wait(50, 10_000)
			if n := len(l.others.waits); n != 5*s.customers {
				t.Errorf("fairness %s: %d requests of the others were answered", s.onOff(), n)
			}
			if flooder < backlog/2 || !fair && others < backlog/2 || fair && others > 3*s.work {
				t.Errorf("fairness %s: customer 1 waited %v, the others %v", s.onOff(), flooder, others)
			}
		})
	}
}

// A flood that fills the buffer keeps others out only without fairness.
func TestRefusals(t *testing.T) {
	for _, fair := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := settings{workers: 4, buffer: 20, flood: 100, customers: 20, work: 10 * time.Millisecond, lasts: 5 * time.Second, fair: fair}
			l := ended(t, s)
			if l.flooder.refused == 0 || (l.others.refused == 0) != fair {
				t.Errorf("fairness %s: %d requests of customer 1 were refused, %d of the others", s.onOff(), l.flooder.refused, l.others.refused)
			}
		})
	}
}

// An interrupt ends all at once.
func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings{workers: 2, buffer: 1, flood: 5, customers: 5, work: time.Hour, lasts: time.Hour}
		svc, err := newService(s)
		if err != nil {
			t.Fatal(err)
		}
		l := &load{settings: s, client: &http.Client{Transport: &direct{Handler: svc.handler()}}, url: "http://service"}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := l.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := svc.pool.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 1500*time.Millisecond {
			t.Errorf("ended after %v", d)
		}
	})
}

// canceller is a writer that calls cancel when it is given text.
type canceller struct {
	bytes.Buffer
	text   string
	cancel func()
}

func (c *canceller) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.text) {
		c.cancel()
	}
	return c.Buffer.Write(b)
}

const small = "-for=50ms -work=1ms -workers=2 -flood=8 -customers=40"

// The program runs, over the network, and prints a line for each party and load. It ends when it is told to.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, strings.Fields(small), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Customer 1 keeps 8 requests open, and 40 others ",
		"\noff       customer 1 ", "\noff       the others ", "\non        customer 1 ", "\non        the others ", "\nSo: with tenants half of the others waited at most "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q:\n%s", want, &out)
		}
	}
	stopped := &canceller{text: "off       the others ", cancel: cancel}
	if err := run(ctx, strings.Fields(small), stopped); !errors.Is(err, context.Canceled) || strings.Contains(stopped.String(), "So: ") {
		t.Errorf("error %v, printed\n%s", err, stopped)
	}
}

// An answer that is neither success nor a refusal ends the load.
func TestStrangeAnswer(t *testing.T) {
	svc, err := newService(settings{workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.pool.Close(); err != nil {
		t.Fatal(err)
	}
	l := &load{
		settings: settings{flood: 1, customers: 1, lasts: time.Hour},
		client:   &http.Client{Transport: &direct{Handler: svc.handler()}},
	}
	if err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("error %v", err)
	}
	w := httptest.NewRecorder()
	svc.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/customers/me", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("answered %d", w.Code)
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x": `"x"`, "-workers=0": "-workers", "-workers=100000000": "100000000", "-buffer=-1": "-buffer", "-flood=0": "-flood",
		"-customers=5001": "-customers", "-work=0": "-work", "-for=-1s": "-for",
	} {
		var out bytes.Buffer
		err := run(t.Context(), []string{args}, &out)
		if cli.Code(t.Context(), "tenants", err, io.Discard) != cli.Misused || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}

// On a terminal the bars are drawn over the earlier ones. A bar is never longer than full.
func TestDraw(t *testing.T) {
	l := &load{settings: settings{workers: 1, flood: 10, customers: 10, work: time.Second}}
	l.flooder.waits = []time.Duration{time.Hour}
	for i := range 99 {
		l.others.waits = append(l.others.waits, time.Duration(99-i)*100*time.Millisecond)
	}
	var out bytes.Buffer
	draw(&out, l)
	line := func(name string, bar int, wait string) string {
		return fmt.Sprintf("\r\x1b[K%-16s [%-40s] %9s\n", name, strings.Repeat("#", bar), wait)
	}
	want := "\x1b[3A" + line("customer 1, p50", 40, "3600000 ms") + line("the others, p50", 10, "5000 ms") + line("the others, p99", 20, "9900 ms")
	if out.String() != want {
		t.Errorf("drew\n%q, want\n%q", &out, want)
	}
	if got := ms(new(party).wait(99, 1)); got != "no answer" {
		t.Errorf("without answers: %s", got)
	}
}
