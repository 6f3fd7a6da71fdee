package pool

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	fence    = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	mdLink   = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	scheme   = regexp.MustCompile(`^[a-z]+:`)
)

// pages returns the Markdown files whose links are checked.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("docs/*.md")
	must(t, err)
	all := append(docs, "README.md", "CONTRIBUTING.md", "benchmarks/README.md", "dropin/README.md", "examples/README.md")
	if len(docs) == 0 {
		t.Fatal("no pages in docs")
	}
	return all
}

// links returns where the links of a page lead. What looks like a link in code is none.
func links(text string) []string {
	text = fence.ReplaceAllString(text, "")
	var targets []string
	for _, m := range mdLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, "code"), -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// anchors returns the names that the headings of a page have in links: lower case, with hyphens for
// spaces, without other punctuation.
func anchors(text string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(m[1])))
	}
	return names
}

// deadLinks returns the relative links of a page, whose text is given, that lead nowhere.
func deadLinks(page, text string) []string {
	var dead []string
	for _, target := range links(text) {
		if scheme.MatchString(target) {
			continue // somewhere else
		}
		file, anchor, hasAnchor := strings.Cut(target, "#")
		where, content := page, text
		if file != "" {
			where = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			if _, err := os.Stat(where); err != nil {
				dead = append(dead, target)
				continue
			}
		}
		if !hasAnchor {
			continue
		}
		if file != "" {
			data, err := os.ReadFile(where)
			if err != nil {
				dead = append(dead, target)
				continue
			}
			content = string(data)
		}
		if !slices.Contains(anchors(content), anchor) {
			dead = append(dead, target)
		}
	}
	return dead
}

func TestDocsLinks(t *testing.T) {
	only(t, Shared)
	n := 0
	for _, page := range pages(t) {
		data, err := os.ReadFile(page)
		must(t, err)
		n += len(links(string(data)))
		for _, target := range deadLinks(page, string(data)) {
			t.Errorf("%s: the link to %s leads nowhere", page, target)
		}
	}
	if n == 0 {
		t.Error("found no links at all")
	}
}

// The checks themselves.
func TestDocsDeadLinks(t *testing.T) {
	only(t, Shared)
	text := "# Ends: `Close`, and more\n" +
		"[ok](#ends-close-and-more) [`x`](README.md) [out](https://example.com/none) `[code](none.md)`\n" +
		"```\n[fenced](none.md)\n# not-a-heading\n```\n" +
		"[a](none.md) [b](#none) [c](README.md#none) [d](#not-a-heading)\n"
	got := deadLinks("CONTRIBUTING.md", text)
	if want := []string{"none.md", "#none", "README.md#none", "#not-a-heading"}; !slices.Equal(got, want) {
		t.Errorf("dead links %q, want %q", got, want)
	}
}

// once skips a test that has nothing to do with concurrency where the tests run many times.
func once(t *testing.T) {
	if raceBuild {
		t.Skip("not about concurrency, and runs without the race detector")
	}
}

// The options and the benchmark suites that the guides name exist.
func TestDocsNames(t *testing.T) {
	only(t, Shared)
	once(t)
	pkg, _ := checkPackage(t)
	main, err := os.ReadFile("benchmarks/main.go")
	must(t, err)
	for _, page := range []string{"README.md", "docs/choosing.md", "docs/migration.md", "benchmarks/README.md"} {
		data, err := os.ReadFile(page)
		must(t, err)
		for _, name := range regexp.MustCompile(`\bWith[A-Z]\w*`).FindAllString(string(data), -1) {
			if pkg.Scope().Lookup(name) == nil {
				t.Errorf("%s: there is no %s", page, name)
			}
		}
		for _, m := range regexp.MustCompile(`-suite (\w+)`).FindAllStringSubmatch(string(data), -1) {
			if m[1] != "all" && !strings.Contains(string(main), `{"`+m[1]+`", "`) {
				t.Errorf("%s: there is no suite %s", page, m[1])
			}
		}
	}
}

// Every option is in the pages where a reader looks for one.
func TestDocsOptions(t *testing.T) {
	only(t, Shared)
	once(t)
	pkg, _ := checkPackage(t)
	for _, page := range []string{"README.md", "doc.go", "docs/choosing.md"} {
		data, err := os.ReadFile(page)
		must(t, err)
		for _, name := range pkg.Scope().Names() {
			if strings.HasPrefix(name, "With") && !regexp.MustCompile(`\b`+name+`\b`).Match(data) {
				t.Errorf("%s does not name the option %s", page, name)
			}
		}
	}
}

// Every exported function, and every exported method of the types that users call, occurs in an example.
func TestDocsExamples(t *testing.T) {
	only(t, Shared)
	once(t)
	pkg, used := checkPackage(t)
	check := func(name string, o types.Object) {
		if o.Exported() && !used[o] {
			t.Errorf("no example uses %s", name)
		}
	}
	for _, name := range pkg.Scope().Names() {
		if f, ok := pkg.Scope().Lookup(name).(*types.Func); ok {
			check(name, f)
		}
	}
	for _, name := range []string{"Pool", "Typed", "Group", "Batcher", "TypedBatcher", "Future", "Scratch"} {
		o := pkg.Scope().Lookup(name)
		if o == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		methods := types.NewMethodSet(types.NewPointer(o.Type()))
		for m := range methods.Methods() {
			check(name+"."+m.Obj().Name(), m.Obj().(*types.Func).Origin())
		}
	}
}

// checkPackage type-checks this package and its examples, from the source. It returns the package as the
// examples see it, and the functions and methods that they use.
func checkPackage(t *testing.T) (pkg *types.Package, used map[types.Object]bool) {
	t.Helper()
	names, err := filepath.Glob("example*_test.go")
	must(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		must(t, err)
		files = append(files, file)
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	examples, err := conf.Check("pool_test", fset, files, info)
	must(t, err)
	used = make(map[types.Object]bool)
	for _, o := range info.Uses {
		if f, ok := o.(*types.Func); ok {
			o = f.Origin() // of methods of generic types
		}
		used[o] = true
	}
	for _, p := range examples.Imports() {
		if p.Name() == "pool" {
			return p, used
		}
	}
	t.Fatal("the examples do not import this package")
	return nil, nil
}

// The program of the README runs in a module of its own, offline, with this package in place of a
// published version.
func TestDocsReadmeProgram(t *testing.T) {
	only(t, Shared)
	if testing.Short() {
		t.Skip("builds a program, which takes too long for -short")
	}
	data, err := os.ReadFile("README.md")
	must(t, err)
	_, program, ok := strings.Cut(string(data), "```go\npackage main\n")
	program, _, closed := strings.Cut(program, "```\n")
	if !ok || !closed {
		t.Fatal("README.md has no program")
	}
	here, err := filepath.Abs(".")
	must(t, err)
	sums, err := os.ReadFile("go.sum")
	must(t, err)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": "package main\n" + program,
		"go.sum":  string(sums),
		"go.mod": "module example.com/try\n\ngo 1.26.0\n\nrequire github.com/headrace-go/pool v0.0.0\n\n" +
			"replace github.com/headrace-go/pool => " + strconv.Quote(here) + "\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}
	run := exec.Command("go", "run", "-mod=mod", ".")
	run.Dir = dir
	run.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=")
	out, err := run.CombinedOutput()
	if err != nil || strings.Count(string(out), "task ") != 10 {
		t.Errorf("%v\n%s", err, out)
	}
}
