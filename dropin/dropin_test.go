// Package dropin runs the test suite of golang.org/x/sync/errgroup against an adapter over the pool.
package dropin

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	xerrgroup "golang.org/x/sync/errgroup"

	"github.com/headrace-go/pool/dropin/errgroup"
)

// suites are the packages whose tests run, by their path inside golang.org/x/sync and of the adapters
// inside this module.
var suites = []string{"errgroup"}

// skipped are the tests that do not run, with the reason. README.md says the same.
var skipped = map[string]string{}

func TestSuites(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	source := strings.TrimSpace(run(t, here, "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sync"))
	module := t.TempDir()
	write(t, filepath.Join(module, "go.mod"), fmt.Sprintf(`module suites

go 1.26.0

require (
	github.com/headrace-go/pool v0.0.0
	github.com/headrace-go/pool/dropin v0.0.0
)

replace (
	github.com/headrace-go/pool => %q
	github.com/headrace-go/pool/dropin => %q
)
`, filepath.Dir(here), here))
	write(t, filepath.Join(module, "go.sum"), read(t, "go.sum"))
	tests := make(map[string]bool)
	for _, suite := range suites {
		copySuite(t, filepath.Join(source, suite), filepath.Join(module, suite), tests)
	}
	for name, reason := range skipped {
		if !tests[name] {
			t.Errorf("the suites have no %s, which is to be skipped: %s", name, reason)
		}
	}
	args := []string{"test", "-mod=mod", "-race", "-count=1", "-run", "^(Test|Example)"}
	if len(skipped) > 0 {
		names := slices.Sorted(maps.Keys(skipped))
		args = append(args, "-skip", "^("+strings.Join(names, "|")+")$")
	}
	t.Log(run(t, module, append(args, "./...")...))
}

// copySuite copies the test files of a package, with the adapters' import paths, and notes the names of
// the tests.
func copySuite(t *testing.T, from, to string, tests map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(from, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files in %s: %v", from, err)
	}
	if err := os.Mkdir(to, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text := read(t, file)
		for _, suite := range suites {
			text = strings.ReplaceAll(text, `"golang.org/x/sync/`+suite+`"`, `"github.com/headrace-go/pool/dropin/`+suite+`"`)
		}
		write(t, filepath.Join(to, filepath.Base(file)), text)
		tree, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				tests[f.Name.Name] = true
			}
		}
	}
}

// run runs the go command in dir and returns what it prints on its standard output.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// The adapter has the methods of the original, with the same types.
func TestSameMethods(t *testing.T) {
	if got, want := methods(new(errgroup.Group)), methods(new(xerrgroup.Group)); !maps.Equal(got, want) {
		t.Errorf("the adapter has %v, want %v", got, want)
	}
}

func methods(v any) map[string]reflect.Type {
	m := make(map[string]reflect.Type)
	for i := range reflect.TypeOf(v).NumMethod() {
		m[reflect.TypeOf(v).Method(i).Name] = reflect.ValueOf(v).Method(i).Type()
	}
	return m
}
