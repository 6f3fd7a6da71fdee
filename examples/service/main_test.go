package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
)

// start returns a service with one worker and room for one more task. It logs to the buffer.
func start(t *testing.T) (*service, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	s, err := newService(limits{workers: 1, buffer: 1, timeout: time.Second, drain: time.Minute}, tea{}, log.New(&out, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	return s, &out
}

// ask sends a request to the service, and returns the answer.
func ask(s *service, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.public().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := start(t)
		if w := ask(s, "GET", "/price/tea"); w.Code != http.StatusOK || w.Body.String() != "420\n" {
			t.Errorf("tea: %d, %q", w.Code, w.Body)
		}
		begin := time.Now()
		if w := ask(s, "GET", "/price/slow"); w.Code != http.StatusGatewayTimeout || time.Since(begin) != s.timeout {
			t.Errorf("slow: %d after %v", w.Code, time.Since(begin))
		}
		w := ask(s, "GET", "/price/bug")
		synctest.Wait() // the handler of the panic has ended
		if w.Code != http.StatusInternalServerError || !strings.Contains(out.String(), "panic: no such price\ngoroutine ") {
			t.Errorf("bug: %d, logged %q", w.Code, out)
		}
		// Two orders that are slow fill the pool, until they have been cancelled.
		for _, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusServiceUnavailable} {
			synctest.Wait() // the worker has the task
			w := ask(s, "POST", "/order/slow")
			if w.Code != want || (want == http.StatusServiceUnavailable) != (w.Header().Get("Retry-After") == "1") {
				t.Errorf("order: %d, want %d, header %v", w.Code, want, w.Header())
			}
		}
		if err := s.pool.Close(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if n := strings.Count(out.String(), "order: context deadline exceeded\n"); n != 2 {
			t.Errorf("%d orders failed, want 2:\n%s", n, out)
		}
		if w := ask(s, "GET", "/price/tea"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after the end: %d", w.Code)
		}
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A teller is a shop that says when an order begins.
type teller struct {
	tea
	begun chan string
}

func (t teller) Order(ctx context.Context, item string) error {
	t.begun <- item
	return t.tea.Order(ctx, item)
}

// The drain runs what fits into its time, and the rest is reported.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		item      string
		unstarted int
	}{{"tea", 0}, {"slow", 1}} {
		s, out := start(t)
		begun := make(chan string, 2)
		s.shop = teller{begun: begun}
		s.timeout, s.drain = time.Hour, 100*time.Millisecond+time.Hour*time.Duration(1-c.unstarted)
		ctx, sigterm := context.WithCancel(t.Context())
		public, ended := listen(t), make(chan error, 1)
		go func() { ended <- s.serve(ctx, public, listen(t)) }()
		for range 2 {
			status, err := send(ctx, http.DefaultClient, "POST", "http://"+public.Addr().String()+"/order/"+c.item)
			if err != nil || status != http.StatusAccepted {
				t.Errorf("%s: %d, %v", c.item, status, err)
			}
		}
		<-begun
		http.DefaultClient.CloseIdleConnections()
		sigterm()
		err := <-ended
		<-s.pool.Done()
		var late *pool.DeadlineError
		if errors.As(err, &late) != (c.unstarted > 0) || late != nil && late.Unstarted != c.unstarted {
			t.Errorf("%s: error %v, logged\n%s", c.item, err, out)
		}
	}
}

func TestPrivate(t *testing.T) {
	s, _ := start(t)
	defer s.pool.Close()
	for path, want := range map[string]string{"/debug/vars": `"memstats"`, "/debug/pool?format=text": `pool "shop"`} {
		w := httptest.NewRecorder()
		s.private().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, nothing about %s:\n%s", path, w.Code, want, w.Body)
		}
	}
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), strings.Fields("-workers 3 -buffer 4 -timeout 200ms"), &out); err != nil {
		t.Fatalf("%v, printed\n%s", err, &out)
	}
	for _, want := range []string{"log: panic: no such price\n", "\norders, then SIGTERM              7     0     ", ", 0 tasks never started\n", "\nSo: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q:\n%s", want, &out)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, io.Discard); !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted: error %v", err)
	}
	out.Reset()
	if err := run(ctx, []string{"-h"}, &out); err != nil || !strings.Contains(out.String(), "\nFlags:\n  -buffer n\n") {
		t.Errorf("-h: error %v, printed %q", err, &out)
	}
	if err := run(ctx, []string{"-listen=localhost:0"}, io.Discard); err != nil { // that is how a service ends
		t.Errorf("SIGTERM: error %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range []string{"x", "-workers=0", "-buffer=-1", "-timeout=0", "-drain=-1s", "-nonsense"} {
		if err := run(t.Context(), []string{args}, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%s: error %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-listen=nowhere"}, io.Discard); err == nil {
		t.Error("-listen nowhere: no error")
	}
}
