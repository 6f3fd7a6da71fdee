package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/headrace-go/pool/examples/internal/cli"
)

// plant makes a tree of files, each holding its own path, and returns its root.
func plant(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, path := range paths {
		name := root + "/" + path
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(path), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func line(path string, content []byte) string {
	return fmt.Sprintf("%x  %s\n", sha256.Sum256(content), path)
}

// sums is what hashtree must print for a tree of plain names.
func sums(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		b.WriteString(line(filepath.ToSlash(path), content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func osOpen(name string) (io.ReadCloser, error) { return os.Open(name) }

func TestGolden(t *testing.T) {
	root := plant(t, "a/z", "a/b/c", "a.go", "a b", "B", "empty/x", "z", "a-/b")
	var big []byte // several reads long, and not a whole number of them
	for i := range 700_001 {
		big = append(big, byte(i*i>>8))
	}
	for name, content := range map[string][]byte{"big": big, "empty/none": nil} {
		if err := os.WriteFile(root+"/"+name, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		if err := os.WriteFile(fmt.Sprintf("%s/a/%d", root, i), fmt.Append(nil, i), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want := sums(t, root)
	for _, flags := range []string{"", "-workers=1", "-workers=7 -queue=0", "-workers=3 -queue=1 -v"} {
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(flags), root)
		if status := run(t.Context(), args, &stdout, &stderr); status != cli.OK {
			t.Errorf("%q: status %d: %s", flags, status, &stderr)
		}
		if got := stdout.String(); got != want {
			t.Errorf("%q: got\n%s\nwant\n%s", flags, got, want)
		}
		if !strings.Contains(stderr.String(), "310 files, ") {
			t.Errorf("%q: no summary of 310 files: %s", flags, &stderr)
		}
	}
}

// The order is that of the arguments, and within one that of filepath.WalkDir.
func TestOrder(t *testing.T) {
	root := plant(t, "d/a/z", "d/a.go", "d/a-", "c", "e/f")
	t.Chdir(root)
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"./e/", "d", "c", "e"}, &stdout, &stderr); status != cli.OK {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	want := line("./e/f", []byte("e/f")) +
		line("d/a/z", []byte("d/a/z")) + line("d/a-", []byte("d/a-")) + line("d/a.go", []byte("d/a.go")) +
		line("c", []byte("c")) + line("e/f", []byte("e/f"))
	if got := stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSkipsWhatIsNotRegular(t *testing.T) {
	root := plant(t, "d/file", "elsewhere/file")
	if err := os.Symlink(root+"/elsewhere", root+"/d/dirlink"); err != nil {
		t.Skip("the file system has no symbolic links: ", err)
	}
	if err := os.Symlink(root+"/elsewhere/file", root+"/d/filelink"); err != nil {
		t.Skip("the file system has no symbolic links: ", err)
	}
	if err := os.Symlink("nowhere", root+"/d/dangling"); err != nil {
		t.Skip("the file system has no symbolic links: ", err)
	}
	var stdout, stderr bytes.Buffer
	// A link that is named is followed.
	if status := run(t.Context(), []string{root + "/d", root + "/d/dirlink"}, &stdout, &stderr); status != cli.OK {
		t.Errorf("status %d: %s", status, &stderr)
	}
	want := line(root+"/d/file", []byte("d/file")) + line(root+"/d/dirlink/file", []byte("elsewhere/file"))
	if got := stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEscaping(t *testing.T) {
	for path, want := range map[string]string{
		"plain é \t": "  plain é \t\n",
		`a\b`:        `  a\\b` + "\n",
		"a\nb":       `  a\nb` + "\n",
		"a\rb":       `  a\rb` + "\n",
		"\\n\n":      `  \\n\n` + "\n",
	} {
		prefix := ""
		if strings.ContainsAny(path, "\\\n\r") {
			prefix = `\`
		}
		want = prefix + fmt.Sprintf("%x", sha256.Sum256(nil)) + want
		if got := string(appendLine(nil, &file{path: path, sum: sha256.Sum256(nil)})); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// What sha256sum itself makes of awkward names.
func TestAgainstSha256sum(t *testing.T) {
	tool, err := exec.LookPath("sha256sum")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("no sha256sum from coreutils here")
	}
	t.Chdir(plant(t, "-", "-x", "a\\n", "b\nc", "e\tf", "\xff", "*", " "))
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{".", "-"}, &stdout, &stderr); status != cli.OK {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	if n := strings.Count(stdout.String(), "\n"); n != 9 {
		t.Errorf("%d lines, want 9:\n%s", n, &stdout)
	}
	cmd := exec.CommandContext(t.Context(), tool, "--check", "--strict")
	cmd.Stdin = &stdout
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum --check: %v\n%s", err, out)
	}
}

func TestUnreadable(t *testing.T) {
	root := plant(t, "a", "b", "c", "d")
	cfg := config{workers: 2, queue: 4, open: func(name string) (io.ReadCloser, error) {
		switch filepath.Base(name) {
		case "b":
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		case "c":
			return io.NopCloser(io.MultiReader(strings.NewReader("some"), broken{})), nil
		}
		return os.Open(name)
	}}
	var stdout, stderr bytes.Buffer
	if status := hashTree(t.Context(), cfg, []string{root, root + "/no\nne"}, &stdout, &stderr); status != cli.Failed {
		t.Errorf("status %d, want %d", status, cli.Failed)
	}
	if got, want := stdout.String(), line(root+"/a", []byte("a"))+line(root+"/d", []byte("d")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, want := range []string{
		"hashtree: " + root + "/b: " + fs.ErrPermission.Error() + "\n",
		"hashtree: " + root + "/c: broken\n",
		`/no\nne": `,
		"hashtree: 2 files, ",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("standard error lacks %q:\n%s", want, &stderr)
		}
	}
}

// broken fails, as a reader and as a writer.
type broken struct{}

var errBroken = errors.New("broken")

func (broken) Read([]byte) (int, error)  { return 0, errBroken }
func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestUnreadableDirectory(t *testing.T) {
	root := plant(t, "a/x", "b/y")
	if err := os.Chmod(root+"/a", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(root+"/a", 0o777) })
	if _, err := os.ReadDir(root + "/a"); err == nil {
		t.Skip("this user may read everything")
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{root}, &stdout, &stderr); status != cli.Failed {
		t.Errorf("status %d, want %d", status, cli.Failed)
	}
	if got, want := stdout.String(), line(root+"/b/y", []byte("b/y")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if want := "hashtree: " + root + "/a: "; !strings.Contains(stderr.String(), want) {
		t.Errorf("standard error lacks %q:\n%s", want, &stderr)
	}
}

// endless is a file without end. It calls stop in its third Read.
type endless struct {
	reads int
	stop  context.CancelFunc
}

func (e *endless) Read(b []byte) (int, error) {
	if e.reads++; e.reads == 3 {
		e.stop()
	}
	return len(b), nil
}

func (*endless) Close() error { return nil }

// closing is a file that tells when it is closed.
type closing struct {
	io.ReadCloser
	closed chan struct{}
}

func (c closing) Close() error {
	defer close(c.closed)
	return c.ReadCloser.Close()
}

// A file being read does not hold up an interrupt. What was finished behind it
// is printed, and what was not is counted.
func TestInterrupt(t *testing.T) {
	root := plant(t, "a", "b", "c", "d", "e", "f")
	ctx, cancel := context.WithCancel(t.Context())
	hashed := make(chan struct{})
	big := &endless{stop: func() {
		<-hashed // c, by the other worker
		cancel()
	}}
	cfg := config{workers: 2, queue: 8, open: func(name string) (io.ReadCloser, error) {
		switch filepath.Base(name) {
		case "b":
			return big, nil
		case "c":
			f, err := os.Open(name)
			return closing{f, hashed}, err
		}
		return os.Open(name)
	}}
	var stdout, stderr bytes.Buffer
	if status := hashTree(ctx, cfg, []string{root}, &stdout, &stderr); status != cli.Interrupted {
		t.Errorf("status %d, want %d", status, cli.Interrupted)
	}
	got := stdout.String()
	if want := line(root+"/a", []byte("a")) + line(root+"/c", []byte("c")); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant at the front\n%s", got, want)
	}
	// Of d, e and f each is hashed, left, or not even known.
	var files, left int
	_, after, _ := strings.Cut(stderr.String(), "stopped: ")
	if _, err := fmt.Sscanf(after, "%d files hashed, %d files known but not hashed\n", &files, &left); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if files != strings.Count(got, "\n") || left < 1 || files+left > 6 {
		t.Errorf("%d hashed, %d left, printed\n%s", files, left, got)
	}
}

// A run that is interrupted before it begins hashes nothing.
func TestInterruptedAtOnce(t *testing.T) {
	root := plant(t, "a", "b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if status := run(ctx, []string{root}, &stdout, &stderr); status != cli.Interrupted {
		t.Errorf("status %d, want %d: %s", status, cli.Interrupted, &stderr)
	}
}

func TestWriteError(t *testing.T) {
	var names []string
	for i := range 800 { // more than the output buffer holds
		names = append(names, fmt.Sprint(i))
	}
	for _, names := range [][]string{names[:1], names} {
		root := plant(t, names...)
		var opened atomic.Int64
		cfg := config{workers: 2, queue: 8, open: func(name string) (io.ReadCloser, error) {
			opened.Add(1)
			return os.Open(name)
		}}
		var stderr bytes.Buffer
		if status := hashTree(t.Context(), cfg, []string{root}, broken{}, &stderr); status != cli.Failed {
			t.Errorf("status %d, want %d", status, cli.Failed)
		}
		if want := "hashtree: standard output: broken\n"; !strings.Contains(stderr.String(), want) {
			t.Errorf("standard error lacks %q:\n%s", want, &stderr)
		}
		if n := opened.Load(); n == 800 {
			t.Error("the write error did not stop the walk")
		}
	}
}

// The file at the head of the line is held open: the walk must come to rest
// within the window, and all of it comes out once the file is let go.
func TestWindow(t *testing.T) {
	const workers, queue, files = 2, 5, 100
	var names []string
	for i := range files {
		names = append(names, fmt.Sprintf("%03d", i))
	}
	root := plant(t, names...)
	want := sums(t, root)
	synctest.Test(t, func(t *testing.T) {
		var opened atomic.Int64
		gate := make(chan struct{})
		cfg := config{workers: workers, queue: queue, open: func(name string) (io.ReadCloser, error) {
			opened.Add(1)
			if filepath.Base(name) == "000" {
				<-gate
			}
			return os.Open(name)
		}}
		var stdout, stderr bytes.Buffer
		status := make(chan int)
		go func() { status <- hashTree(t.Context(), cfg, []string{root}, &stdout, &stderr) }()
		synctest.Wait()
		if n := opened.Load(); n > 4*workers+queue || n < 4 {
			t.Errorf("%d files opened behind one that is held, the window is %d", n, 4*workers+queue)
		}
		close(gate)
		if s := <-status; s != cli.OK {
			t.Errorf("status %d: %s", s, &stderr)
		}
		if got := stdout.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, cli.Misused, "want at least one DIR\nhashtree: -h lists the flags\n"},
		{[]string{"-nonsense", "."}, cli.Misused, "-nonsense\nhashtree: -h lists the flags\n"},
		{[]string{"-workers", "-1", "."}, cli.Misused, "-1"},
		{[]string{"-queue", "-1", "."}, cli.Misused, "-1"},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), test.args, &stdout, &stderr); status != test.status {
			t.Errorf("%q: status %d, want %d", test.args, status, test.status)
		}
		if stdout.Len() > 0 || !strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: got %q and %q, want the second to say %q", test.args, &stdout, &stderr, test.says)
		}
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &stdout, &stderr); status != cli.OK || stderr.Len() > 0 || !strings.HasPrefix(stdout.String(), "usage: ") {
		t.Errorf("-h: status %d, printed %q and %q", status, &stdout, &stderr)
	}
}

// The bar is drawn on the last line of standard error and taken away again
// before anything else is written.
func TestBar(t *testing.T) {
	var stdout, stderr bytes.Buffer
	p := newPrinter(&stdout, &stderr, nil)
	if p.bar {
		t.Error("a buffer is no terminal")
	}
	p.bar = true
	tr := newTree(osOpen)
	tr.start(nil, 8)
	<-tr.free
	<-tr.free
	p.draw(tr)
	if want := "[#####               ] 0 files, 0.0 MB, "; !strings.HasPrefix(stderr.String(), want) || len(stderr.String()) > 79 {
		t.Errorf("got %q, want %q at the front", &stderr, want)
	}
	stderr.Reset()
	p.report(&file{path: "x", err: errBroken})
	p.flush()
	if got, want := stderr.String(), "\r\x1b[Khashtree: x: broken\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
