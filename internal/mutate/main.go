// Command mutate shows that the tests find bugs. It compiles the tests with one seeded bug at a
// time and runs those that are expected to find it. It fails if they do not.
//
//	go run ./internal/mutate               each bug with the tests that are named beside it
//	go run ./internal/mutate -run key      only bugs whose name or class matches
//	go run ./internal/mutate -full         each bug with all tests of the package, -short
//	go run ./internal/mutate -markdown     the table of docs/how-tested.md
//
// The bugs are data, in the files bugs*.go. A bug never changes a file of the tree: the compiler
// gets it as an overlay. A test that hangs has found the bug. A bug that does not compile, or whose
// text does not occur exactly once, is a mistake in the list.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	log, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || log {
		os.Exit(1)
	}
}

// run reports whether a bug survived, or could not be tried.
func run() (bad bool, err error) {
	only := flag.String("run", "", "select bugs whose name or class matches this `regexp`")
	full := flag.Bool("full", false, "run all tests of the package with -short, not only the expected ones")
	markdown := flag.Bool("markdown", false, "print the table in Markdown")
	baseline := flag.Bool("baseline", true, "first see the same tests pass without any bug")
	timeout := flag.Duration("timeout", time.Minute, "how long the tests of one bug may take; longer is a hang")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return false, err
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	bugs := allBugs()
	if err := checkList(root, bugs); err != nil {
		return false, err
	}
	tmp, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)
	t := &trial{root: root, tmp: tmp, full: *full, timeout: *timeout}
	var chosen []bug
	for _, b := range bugs {
		if pattern.MatchString(b.name) || pattern.MatchString(b.class) {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) == 0 {
		return false, fmt.Errorf("no bug matches %q", *only)
	}
	if *baseline {
		if err := t.baseline(chosen); err != nil {
			return false, err
		}
	}
	out := newTable(*markdown)
	found := 0
	for _, b := range chosen {
		r := t.try(b)
		out.row(b, r)
		if r.by != "" {
			found++
		}
	}
	fmt.Printf("\n%d of %d bugs found\n", found, len(chosen))
	return found < len(chosen), nil
}

// moduleRoot returns the directory of go.mod, at or above the current one.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod at or above the current directory")
		}
		dir = up
	}
	return "", err
}

// table prints results as they come.
type table struct{ format string }

func newTable(markdown bool) table {
	t := table{"%-36s %-14s %-50s %7s\n"}
	if markdown {
		t.format = "| %s | %s | %s | %s |\n"
	}
	fmt.Printf(t.format, "bug", "class", "found by", "seconds")
	if markdown {
		fmt.Printf(t.format, "---", "---", "---", "---:")
	}
	return t
}

func (t table) row(b bug, r result) {
	by := r.by
	switch {
	case r.err != nil:
		by = "NOT TRIED: " + r.err.Error()
	case by == "":
		by = "SURVIVED"
	}
	fmt.Printf(t.format, b.name, b.class, by+b.how(), fmt.Sprintf("%.1f", r.took.Seconds()))
}
