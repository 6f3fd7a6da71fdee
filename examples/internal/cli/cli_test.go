package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
)

func TestCode(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx   context.Context
		err   error
		code  int
		print string
	}{
		{t.Context(), nil, OK, ""},
		{interrupted, nil, OK, ""},
		{t.Context(), flag.ErrHelp, OK, ""},
		{t.Context(), errors.New("broken"), Failed, "x: broken\n"},
		{interrupted, context.Canceled, Interrupted, "x: interrupted\n"},
		{interrupted, errors.New("broken"), Interrupted, "x: interrupted: broken\n"},
		{t.Context(), Misusef("-n is %d", 0), Misused, "x: -n is 0\nx: -h lists the flags\n"},
		{t.Context(), Misuse(nil), OK, ""},
	} {
		var stderr bytes.Buffer
		if code := Code(c.ctx, "x", c.err, &stderr); code != c.code || stderr.String() != c.print {
			t.Errorf("%v: code %d, printed %q", c.err, code, &stderr)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		most int
		want string
	}{
		{"", 0, ""}, {"-n 3", 0, ""}, {"-n 3 file", 1, ""},
		{"file", 0, `takes no arguments, got "file"`},
		{"a b", 1, `takes at most 1 argument, got ["a" "b"]`},
		{"-n x", 0, `invalid value "x" for flag -n`},
		{"-m", 0, "not defined: -m"},
	} {
		flags := flag.NewFlagSet("x", flag.ExitOnError)
		flags.Int("n", 1, "a `number`")
		var out bytes.Buffer
		err := Parse(flags, strings.Fields(c.args), c.most, "help", &out)
		_, misused := errors.AsType[misuse](err)
		if misused != (c.want != "") || misused && !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%q: error %v, printed %q", c.args, err, &out)
		}
	}
	flags := flag.NewFlagSet("x", flag.ExitOnError)
	flags.Int("n", 1, "a `number`")
	var out bytes.Buffer
	err := Parse(flags, []string{"-h"}, 0, "\nusage: x [flags]\n\nX does it.\n", &out)
	if want := "usage: x [flags]\n\nX does it.\n\nFlags:\n  -n number\n    \ta number (default 1)\n"; !errors.Is(err, flag.ErrHelp) || out.String() != want {
		t.Errorf("error %v, printed\n%s\nwant\n%s", err, &out, want)
	}
}

func TestSay(t *testing.T) {
	word := strings.Repeat("µ", 38)
	for text, want := range map[string]string{
		"short   line":                          "short   line\n",
		word + " " + word:                       word + " " + word + "\n",
		word + " " + word + " next":             word + " " + word + "\n  next\n",
		"  " + word + " " + word + " next\nend": "  " + word + " " + word + "\n    next\nend\n",
		"a\n\nb\n":                              "a\n\nb\n",
	} {
		var out bytes.Buffer
		if Say(&out, "%s", text); out.String() != want {
			t.Errorf("%q: printed\n%s", text, &out)
		}
	}
	var out bytes.Buffer
	if So(&out, "it is %d %%.", 5); out.String() != "\nSo: it is 5 %.\n" {
		t.Errorf("printed %q", &out)
	}
}

// What is no terminal gets no progress.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	Progress(&out, func() string { return "busy" })()
	if out.Len() > 0 {
		t.Errorf("printed %q", &out)
	}
}
