package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace-go/pool"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), strings.Fields("-burst=60 -workers=2 -queue=4 -latency=1ms -idle=20ms"), &out); err != nil {
		t.Fatalf("%v, printed\n%s", err, &out)
	}
	for _, want := range []string{"\nstart: 2 workers warmed up", "\ncalm           16 ", "\nburst          60 ", "\nrest            0 ", "\ndrain: ", "\ntotal: ", " 0 failed\n", "\nSo: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q:\n%s", want, &out)
		}
	}
}

// held is a receiver that says when it gets an event, and never answers.
func held(t *testing.T) (url string, got chan string) {
	got = make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

// post posts an event to the handler of a service.
func post(svc *service, event string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	svc.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(event)))
	return w
}

// One event is under way and one waits. The next one is refused; the end cuts off the one and gets the other back.
func TestFullQueueAndMissedDeadline(t *testing.T) {
	url, got := held(t)
	for _, spool := range []string{filepath.Join(t.TempDir(), "spool"), ""} {
		svc, err := newService(settings{target: url, spool: spool, workers: 1, queue: 1, idle: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if w := post(svc, "one"); w.Code != http.StatusAccepted {
			t.Fatalf("the first event: %d", w.Code)
		}
		if e := <-got; e != "one" {
			t.Errorf("delivered %q", e)
		}
		if w := post(svc, "two"); w.Code != http.StatusAccepted {
			t.Errorf("the second event: %d", w.Code)
		}
		if w := post(svc, "three"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("the third event: %d, %v", w.Code, w.Header())
		}

		vars := httptest.NewRecorder()
		svc.handler().ServeHTTP(vars, httptest.NewRequest(http.MethodGet, "/debug/vars", nil))
		var shown struct{ Pool pool.Stats }
		if err := json.Unmarshal(vars.Body.Bytes(), &shown); err != nil {
			t.Error(err)
		}
		if s := shown.Pool; s.Running != 1 || s.Queued != 1 || s.Rejected != 1 || s.Goroutines != 1 || s.Name != "webhooks" {
			t.Errorf("/debug/vars shows %+v", s)
		}

		var out bytes.Buffer
		err = svc.shutdown(&http.Server{}, &out)
		if !strings.Contains(out.String(), "1 cut off, 1 handed back\ntotal: 2 accepted, 1 refused, 0 delivered, 0 failed\n") {
			t.Errorf("printed\n%s", &out)
		}
		if spool == "" {
			if err == nil || !strings.Contains(err.Error(), "2 events were accepted and are lost") {
				t.Errorf("without a spool: error %v", err)
			}
			continue
		}
		if b, e := os.ReadFile(spool); err != nil || e != nil || string(b) != "\"one\"\n\"two\"\n" {
			t.Errorf("spool %q, %v, %v", b, e, err)
		}
		if w := post(svc, "four"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after the end: %d", w.Code)
		}
	}
}

// An event that the receiver refuses is counted, and a warm-up without receiver fails.
func TestReceiverFails(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	svc, err := newService(settings{target: server.URL, workers: 1, queue: 1, idle: time.Hour, drain: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	post(svc, "one")
	var out bytes.Buffer
	if err := svc.shutdown(&http.Server{}, &out); err != nil || !strings.Contains(out.String(), "1 accepted, 0 refused, 0 delivered, 1 failed") {
		t.Errorf("error %v, printed\n%s", err, &out)
	}
	server.Close()
	if err := run(t.Context(), []string{"-target", server.URL}, &out); err == nil {
		t.Error("started without a receiver")
	}
}

func TestTooLarge(t *testing.T) {
	svc := new(service)
	if w := post(svc, strings.Repeat("x", maxEvent+1)); w.Code != http.StatusBadRequest {
		t.Errorf("answered %d", w.Code)
	}
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

// A service that listens ends in order when it is told to.
func TestListen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &canceller{text: "serving http://", cancel: cancel}
	if err := run(ctx, []string{"-listen=127.0.0.1:0"}, out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "0 cut off, 0 handed back\ntotal: 0 accepted") || strings.Contains(got, "\nburst ") {
		t.Errorf("printed\n%s", got)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &canceller{text: "calm ", cancel: cancel}
	err := run(ctx, strings.Fields("-burst=4 -latency=1ms"), out)
	if !errors.Is(err, context.Canceled) || !strings.Contains(out.String(), "\ntotal: 2 accepted") {
		t.Errorf("error %v, printed\n%s", err, out)
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x": `"x"`, "-burst=0": "got 8 and 0", "-latency=-1s": "-latency", "-drain=-1s": "-drain",
		"-workers=0": "got 0 and 600", "-queue=-1": "-queue", "-idle=0": "-idle", "-listen=nowhere": "nowhere",
	} {
		if err := run(t.Context(), []string{args}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
