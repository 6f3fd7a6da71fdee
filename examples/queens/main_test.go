package main

import (
	"bytes"
	"strings"
	"testing"
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
	for _, args := range []string{"-n 0", "-n 17", "-rows -1", "-rounds 0"} {
		if err := run(t.Context(), strings.Fields(args), new(bytes.Buffer)); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
