package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes a file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// leftNothing makes temporary files go to a directory of the test, and fails if any is left at its end.
func leftNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind %v, %v", left, err)
		}
	})
}

func TestBothWaysAgree(t *testing.T) {
	leftNothing(t)
	for _, args := range []string{
		"-generate=3000 -users=20 -workers=8 -hashes=2",
		"-generate=1000 -users=1 -workers=3",
		"-generate=1000 -hot=1 -hashes=0",
		"-generate=1000 -hot=0 -rounds=1",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(args), &out); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		for _, want := range []string{"000 events of ", "\nbest ", "\nBoth ways give ", "\nSo: "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: nothing about %q:\n%s", args, want, &out)
			}
		}
	}
}

func TestFile(t *testing.T) {
	name := write(t, "ann,100\nbob,-250\r\nann,1\nann,5")
	var out bytes.Buffer
	if err := run(t.Context(), []string{name}, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "\n4 events of 2 users; ann has 75.0 % of them\n") || !strings.Contains(got, "give -1.44 for all users and 1.06 for ann.\n") {
		t.Errorf("printed\n%s", got)
	}
}

// The chain tells the order of a user's events, and nothing of other users'.
func TestChain(t *testing.T) {
	s := settings{hashes: 1, workers: 2}
	chains := func(text string) accounts {
		t.Helper()
		a, err := pooled(t.Context(), write(t, text), s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := chains("x,1\nx,2\ny,3\n")
	if err := equal(chains("y,3\nx,1\nx,2\n"), a); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"x,2\nx,1\ny,3\n", "x,1\nx,2\n", "x,1\nx,2\nz,3\n"} {
		if equal(chains(other), a) == nil {
			t.Errorf("%q is the same", other)
		}
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"-generate=-1", "-generate"}, {"-hashes=-1", "-hashes"}, {"-users=0", "-users"}, {"-rounds=0", "-rounds"},
		{"-hot=1.5", "got 1.5"}, {"-hot=NaN", "got NaN"}, {"-workers=0", "-workers"},
		{filepath.Join(t.TempDir(), "none"), "none"},
		{write(t, ""), "no events"},
		{write(t, "a,1\nb\n"), `events:2: want user,cents, got "b"`},
		{write(t, ",1\n"), "events:1: "},
		{write(t, "a,1.5"), "events:1: "},
	} {
		leftNothing(t)
		if err := run(t.Context(), []string{c.arg}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.arg, err, c.want)
		}
	}
	if err := run(t.Context(), []string{"a", "b"}, &bytes.Buffer{}); err == nil {
		t.Error("took two files")
	}
}

func TestInterrupt(t *testing.T) {
	leftNothing(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	name := write(t, strings.Repeat("a,1\n", 2*checkEvery))
	for _, w := range ways {
		if _, err := w.aggregate(ctx, name, settings{workers: 1}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", w.name, err)
		}
	}
}
