package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// bug is a seeded bug: a piece of text of one file, and what stands there instead.
type bug struct {
	name  string
	class string
	file  string // below the root of the module
	old   string // occurs exactly once
	new   string
	tests string // pattern of the tests that are expected to find it
	pkg   string // where these are; "": the root package
	race  bool   // with the race detector
	seams bool   // with the build tag seams, see internal/seam
	count int    // how often to run them; 0: once
}

// how says how the tests for b were compiled.
func (b bug) how() string {
	switch {
	case b.race:
		return " (-race)"
	case b.seams:
		return " (-tags seams)"
	}
	return ""
}

// The classes of bugs.
const (
	wakeUp   = "lost wake-up"
	twice    = "taken twice"
	early    = "early end"
	leak     = "leak"
	limit    = "over the limit"
	retained = "retained"
	keyOrder = "key order"
	starved  = "starved"
	uncancel = "no cancel"
	capacity = "lost capacity"
	leftover = "leftover"
	counters = "counters"
	expiry   = "expiry"
	outcome  = "outcome"
	batching = "batcher"
	measured = "measured wrong"
	fairness = "unfair"
)

// allBugs returns the list.
func allBugs() []bug {
	var all []bug
	for _, some := range [][]bug{waitingBugs, taskBugs, featureBugs, measureBugs, fairBugs, forkBugs} {
		all = append(all, some...)
	}
	return all
}

// checkList reports what is wrong with the list itself.
func checkList(root string, bugs []bug) error {
	names := map[string]bool{}
	tests := map[string]string{} // the names of the tests of a package
	for _, b := range bugs {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("bug %q: %s", b.name, fmt.Sprintf(format, args...))
		}
		if names[b.name] {
			return fail("there are two of that name")
		}
		names[b.name] = true
		src, err := os.ReadFile(filepath.Join(root, b.file))
		if err != nil {
			return fail("%v", err)
		}
		if n := strings.Count(string(src), b.old); n != 1 {
			return fail("its text occurs %d times in %s, not once:\n%s", n, b.file, b.old)
		}
		if b.old == b.new {
			return fail("it changes nothing")
		}
		pkg := b.build().pkg
		if tests[pkg] == "" {
			if tests[pkg], err = testNames(filepath.Join(root, pkg)); err != nil {
				return fail("%v", err)
			}
		}
		for one := range strings.SplitSeq(b.tests, "|") {
			if ok, err := regexp.MatchString("(?m)"+one, tests[pkg]); err != nil || !ok {
				return fail("no test in %s matches %q", pkg, one)
			}
		}
	}
	return nil
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// testNames returns the names of the tests in a directory, one a line.
func testNames(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return "", err
	}
	var names strings.Builder
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(src), -1) {
			names.WriteString(m[1] + "\n")
		}
	}
	return names.String(), nil
}
