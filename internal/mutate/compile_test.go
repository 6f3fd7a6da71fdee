package main

import (
	"go/ast"
	gobuild "go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every bug compiles: one that does not is no bug that a test could find.
func TestBugsCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	root := filepath.Join("..", "..")
	exports := exportData(t, root)
	fset := token.NewFileSet()
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	parsed := map[string]*ast.File{} // without a bug
	for _, b := range allBugs() {
		var files []*ast.File
		names, err := filepath.Glob(filepath.Join(root, filepath.Dir(b.file), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			here, err := gobuild.Default.MatchFile(filepath.Split(name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "_test.go") || !here {
				continue
			}
			bad := filepath.Base(name) == filepath.Base(b.file)
			if f := parsed[name]; f != nil && !bad {
				files = append(files, f)
				continue
			}
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text := string(src)
			if bad {
				text = strings.Replace(text, b.old, b.new, 1)
			}
			f, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
			if err != nil {
				t.Fatalf("%s: %v", b.name, err)
			}
			if files = append(files, f); !bad {
				parsed[name] = f
			}
		}
		if _, err := conf.Check("bad", fset, files, nil); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}

// exportData returns where the compiled packages are that the module's packages need.
func exportData(t *testing.T, root string) map[string]string {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".", "./internal/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	return exports
}
