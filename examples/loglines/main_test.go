package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-go/pool/examples/internal/cli"
)

// ran runs the program and returns what it printed.
func ran(ctx context.Context, args ...string) (status int, out, err string) {
	var o, e bytes.Buffer
	status = cli.Code(ctx, "loglines", run(ctx, args, &o), &e)
	return status, o.String(), e.String()
}

func TestAllWaysGiveOneAnswer(t *testing.T) {
	for _, args := range [][]string{{"-batch=1"}, {"-batch=64"}, {"-batch=1000", "-workers=5"}} {
		status, out, e := ran(t.Context(), append(args, "-generate=20000", "-rounds=1")...)
		if status != cli.OK || !strings.Contains(out, "20000 lines, 0 not understood") {
			t.Fatalf("%v: status %d, printed %s%s", args, status, out, e)
		}
		for _, w := range ways {
			if !strings.Contains(out, w.name) {
				t.Errorf("%v: nothing about %s:\n%s", args, w.name, out)
			}
		}
	}
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.log")
	log := `h - - [02/Jan/2026:03:04:05 +0000] "GET /a?x=1 HTTP/1.1" 200 10
h - - [02/Jan/2026:03:04:05 +0000] "GET /a HTTP/1.1" 200 20 "-" "agent"
h - - [02/Jan/2026:03:04:05 +0000] "POST /b HTTP/1.1" 404 -
not a line of a log
`
	if err := os.WriteFile(name, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, e := ran(t.Context(), name)
	out, _, _ = strings.Cut(out, "\nSo: ")
	want := "\n4 lines, 1 not understood, 30 bytes\n        2  status 200\n        1  status 404\n        2  /a\n        1  /b\n"
	if status != cli.OK || !strings.HasSuffix(out, want) {
		t.Fatalf("status %d, printed\n%s%s\nwant the end\n%s", status, out, e, want)
	}
}

func TestBadInput(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"a", "b"}, {"no such file"}, {empty}, {"-generate=1", "x"}, {"-workers=0", "-generate=1"}, {"-nonsense"}} {
		if status, _, e := ran(t.Context(), args...); status != cli.Misused || e == "" {
			t.Errorf("%v: status %d, printed %q", args, status, e)
		}
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status, _, e := ran(ctx, "-generate=5000"); status != cli.Interrupted || !strings.Contains(e, "interrupted") {
		t.Errorf("status %d, printed %q", status, e)
	}
}
