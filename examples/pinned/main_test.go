package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/headrace-go/pool"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), strings.Fields("-workers 3 -tasks 300"), &out); err != nil {
		t.Fatalf("%v, printed\n%s", err, &out)
	}
	for _, want := range []string{"\nwithout WithLockedThread: 300 tasks, ", "\nwith WithLockedThread: 300 tasks, ", "  worker 1: ", "\nSo: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q:\n%s", want, &out)
		}
	}
}

// All workers are at work at once, so each must have a thread of its own, and every task is in a record.
func TestEachWorkerHasAThread(t *testing.T) {
	const tasks, workers = 500, 5
	l, err := measure(t.Context(), io.Discard, tasks, pool.WithWorkers(workers), pool.WithLockedThread(),
		pool.WithWarmup(func(ctx context.Context) error { return task(ctx) }, 1))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, r := range l.records {
		for _, n := range r {
			sum += n
		}
	}
	if len(l.records) != workers || sum != tasks+workers {
		t.Errorf("%d records of %d tasks, want %d of %d", len(l.records), sum, workers, tasks+workers)
	}
	if err := l.check(); err != nil {
		t.Error(err)
	}
}

func TestCheckFindsMovedWorkers(t *testing.T) {
	if _, known := threadID(); !known {
		t.Skip("thread ids are not known here")
	}
	for _, records := range [][]record{{{7: 1, 8: 1}}, {{7: 1}, {7: 2}}, {{}}} {
		l := &ledger{records: records}
		if err := l.check(); err == nil {
			t.Errorf("%v is right", records)
		}
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{"x": `"x"`, "-tasks=0": "got 0", "-workers=0": "got 20000 and 0"} {
		if err := run(t.Context(), []string{args}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
