package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/examples/internal/cli"
)

// The program runs, and tells of each service before and after the change.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-window=200ms"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		if n := strings.Count(out.String(), `pool "`+s.name+`"`); n != 2 {
			t.Errorf("%d reports on %s", n, s.name)
		}
		if !strings.Contains(out.String(), s.name+", "+s.change) || !strings.Contains(out.String(), "\nGain of "+s.name) {
			t.Errorf("nothing was changed in %s:\n%s", s.name, out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
	for _, args := range []string{"-window=0", "x"} {
		if err := run(ctx, []string{args}, io.Discard); cli.Code(ctx, "advice", err, io.Discard) != cli.Misused {
			t.Errorf("%s: error %v", args, err)
		}
	}
}

// The bars add up to all tasks, and few tasks are seen beside many.
func TestPicture(t *testing.T) {
	p, err := pool.New(pool.WithSampling(1))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := p.Submit(t.Context(), add); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	sum := 0.
	for _, share := range powers(p.Stats().Run) {
		sum += share
	}
	if sum < .999 || sum > 1.001 {
		t.Errorf("the shares add up to %v", sum)
	}
	if bar(0, 10) != "" || bar(.001, 10) != "." || bar(1, 10) != "##########" {
		t.Errorf("bars %q %q %q", bar(0, 10), bar(.001, 10), bar(1, 10))
	}
}
