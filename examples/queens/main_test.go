package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/headrace-go/pool/examples/internal/cli"
)

func TestRun(t *testing.T) {
	for _, args := range []string{"-n 8 -rounds 2", "-n 1 -rounds 1", "-n 8 -rows 0 -rounds 1", "-n 6 -rows 9 -rounds 1"} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(args), &out); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 81 {
				t.Errorf("%s: a line of %d columns: %s", args, len(line)-1, line)
			}
		}
		if !strings.Contains(out.String(), "\nSo: ") {
			t.Errorf("%s: no conclusion:\n%s", args, &out)
		}
		if args[:4] == "-n 8" && strings.Count(out.String(), " 92 ") != 3 {
			t.Errorf("%s: not 92 solutions three times:\n%s", args, &out)
		}
	}
	for _, args := range []string{"-n 0", "-n 17", "-rows -1", "-rounds 0", "x"} {
		err := run(t.Context(), strings.Fields(args), new(bytes.Buffer))
		if cli.Code(t.Context(), "queens", err, io.Discard) != cli.Misused {
			t.Errorf("%s: error %v", args, err)
		}
	}
}

// An interrupt ends the program while a way counts that knows no context.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gate := make(chan struct{})
	defer close(gate)
	w := way{"slow", func() (int, error) { cancel(); <-gate; return 0, nil }}
	if _, _, err := measure(ctx, io.Discard, w, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
