package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-go/pool"
)

// With one worker the numbers are exact.
func TestWastedWork(t *testing.T) {
	p, err := pool.New(pool.WithWorkers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := settings{rows: 60, after: 20, workers: 1}
	for _, c := range []struct {
		mode            pool.ErrorMode
		started, wasted int
	}{{pool.FailFast, 21, 0}, {pool.KeepGoing, 60, 39}} {
		r, err := writeAll(t.Context(), p, filepath.Join(t.TempDir(), "rows ?%20.db"), c.mode, s)
		if err != nil {
			t.Fatal(err)
		}
		if r.started != c.started || r.wasted != c.wasted || r.written != s.after || r.inFile != s.after || r.cutOff != 0 {
			t.Errorf("mode %v: want %d started and %d wasted, got %+v", c.mode, c.started, c.wasted, *r)
		}
		if !strings.Contains(r.err.Error(), "database is closed") {
			t.Errorf("mode %v: error %v", c.mode, r.err)
		}
	}
}

func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := run(t.Context(), strings.Fields("-rows 100 -after 20 -workers 4"), &out); err != nil {
		t.Fatalf("%v, printed\n%s", err, &out)
	}
	for _, want := range []string{"\nfail fast ", "\nkeep going ", "more errors", "\nSo: ", "keep going: Wait returned:\n    row "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q:\n%s", want, &out)
		}
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestWrongResults(t *testing.T) {
	down := errors.New("down")
	for _, r := range []*result{
		{written: 5, inFile: 5},
		{written: 5, inFile: 4, err: down},
		{written: 5, inFile: 7, cutOff: 1, err: down},
	} {
		if r.wrong() == nil {
			t.Errorf("%+v is right", *r)
		}
	}
	if err := (&result{written: 5, inFile: 6, cutOff: 1, err: down}).wrong(); err != nil {
		t.Error(err)
	}
}

func TestInterrupt(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x": `"x"`, "-after=0": "-after", "-workers=0": "-workers", "-rows=4008": "got 4008",
	} {
		if err := run(t.Context(), []string{args}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
