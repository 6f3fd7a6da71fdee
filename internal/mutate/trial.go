package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// trial compiles and runs tests.
type trial struct {
	root, tmp string
	full      bool
	timeout   time.Duration
}

// result says which test found a bug, and after how long, with the compilation.
type result struct {
	by   string // "" if none did
	took time.Duration
	err  error // the bug could not be tried
}

// build says how tests are compiled.
type build struct {
	pkg         string
	race, seams bool
}

func (b bug) build() build {
	if b.pkg == "" {
		return build{".", b.race, b.seams}
	}
	return build{b.pkg, b.race, b.seams}
}

// try runs the tests with the bug b.
func (t *trial) try(b bug) (r result) {
	begun := time.Now()
	defer func() { r.took = time.Since(begun) }()
	src, err := os.ReadFile(filepath.Join(t.root, b.file))
	if err != nil {
		return result{err: err}
	}
	bad := filepath.Join(t.tmp, "bad.go")
	if err := os.WriteFile(bad, []byte(strings.Replace(string(src), b.old, b.new, 1)), 0o600); err != nil {
		return result{err: err}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(t.root, b.file): bad}})
	if err != nil {
		return result{err: err}
	}
	list := filepath.Join(t.tmp, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return result{err: err}
	}
	bin, err := t.compile(b.build(), "-overlay", list)
	if err != nil {
		return result{err: err}
	}
	by, _, err := t.test(b.build().pkg, bin, b.tests, max(1, b.count))
	return result{by: by, err: err}
}

// baseline runs the tests for all the bugs without any: they have to pass.
func (t *trial) baseline(bugs []bug) error {
	var order []build
	tests := map[build][]string{}
	for _, b := range bugs {
		k := b.build()
		if tests[k] == nil {
			order = append(order, k)
		}
		tests[k] = append(tests[k], b.tests)
	}
	for _, k := range order {
		bin, err := t.compile(k)
		if err != nil {
			return err
		}
		by, out, err := t.test(k.pkg, bin, strings.Join(tests[k], "|"), 1)
		if err != nil {
			return err
		}
		if by != "" {
			return fmt.Errorf("%s fails without any bug:\n%s", by, out)
		}
	}
	return nil
}

// compile makes a test binary.
func (t *trial) compile(k build, flags ...string) (bin string, err error) {
	bin = filepath.Join(t.tmp, "tests")
	args := append([]string{"test", "-c", "-o", bin}, flags...)
	if k.race {
		args = append(args, "-race")
	}
	if k.seams {
		args = append(args, "-tags", "seams")
	}
	cmd := exec.Command("go", append(args, k.pkg)...)
	cmd.Dir = t.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not compile: %s", strings.Join(strings.Fields(string(out)), " "))
	}
	return bin, nil
}

var (
	failLine = regexp.MustCompile(`^\s*--- FAIL: (\w+)`)
	runLine  = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\w+)`)
)

// test runs the tests that match the pattern, up to the first failure. It returns the test that
// failed, and the last lines of the output.
func (t *trial) test(pkg, bin, pattern string, count int) (by, tail string, err error) {
	args := []string{"-test.v", "-test.short", "-test.failfast", "-test.timeout", t.timeout.String()}
	if !t.full {
		args = append(args, "-test.run", pattern, "-test.count", strconv.Itoa(count))
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = filepath.Join(t.root, pkg)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return "", "", err
	}
	killer := time.AfterFunc(t.timeout+10*time.Second, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = w.Close()
		ended <- err
	}()
	last, ran, deadlock := "?", false, false
	var lines []string
	for in := bufio.NewReader(r); ; {
		line, readErr := in.ReadString('\n')
		if lines = append(lines, line); len(lines) > 60 {
			lines = lines[1:]
		}
		if m := failLine.FindStringSubmatch(line); m != nil && by == "" {
			by = m[1]
			// The rest of its output tells the reader more than the tests after it.
			time.AfterFunc(100*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		if m := runLine.FindStringSubmatch(line); m != nil {
			last, ran = m[1], true
		}
		if strings.HasPrefix(line, "panic: test timed out") {
			by = last + ", which hangs"
		}
		// Not where a bubble ends with others blocked: its test has failed before.
		deadlock = deadlock || strings.Contains(line, "deadlock: all goroutines in bubble are blocked")
		if readErr != nil {
			break
		}
	}
	err = <-ended
	tail = strings.Join(lines, "")
	switch {
	case by != "" && deadlock:
		return by + ", a deadlock", tail, nil
	case by != "":
		return by, tail, nil
	case err == nil && !ran:
		return "", tail, fmt.Errorf("no test matches %q", pattern)
	case err == nil:
		return "", tail, nil
	}
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		return "", tail, err
	case !exit.Exited(): // killed, for it did not even notice that it took too long
		return last + ", which hangs", tail, nil
	}
	if deadlock {
		return last + ", a deadlock", tail, nil
	}
	return last + ", which crashes", tail, nil
}
