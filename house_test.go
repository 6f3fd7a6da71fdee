package pool_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// house are the limits of the code without tests. Each figure is at most its limit, or at least.
// They keep the package as small as one person can read, and its files as apart as one can read
// them.
var house = []struct {
	what    string
	least   bool
	limit   float64
	measure func(*houseCode) (figure float64, where string)
}{
	{"lines of the root package", false, 12070, rootLines},
	{"lines of internal", false, 3670, internalLines},
	{"lines of the longest file", false, 450, longestFile},
	{"fields of the largest struct", false, 30, largestStruct},
	{"percent of the root package's lines with a comment", true, wantComments, commentShare},
	{"files of the root package in a circle", false, 23, largestCircle},
}

const wantComments = 22 // percent

// outside are the folders of internal that the limits and the map leave out: programs that only
// test the package.
var outside = []string{"internal/advice", "internal/mutate", "internal/soak"}

// wideStructs may have any number of fields: one for each option, one for each figure.
var wideStructs = []string{"config", "Stats"}

func TestHouse(t *testing.T) {
	onlyOnce(t)
	c := readHouse(t)
	for _, h := range house {
		figure, where := h.measure(c)
		bound, over := "at most", figure > h.limit
		if h.least {
			bound, over = "at least", figure < h.limit
		}
		line := fmt.Sprintf("%s: %v, %s %v: %s", h.what, math.Round(figure*100)/100, bound, h.limit, where)
		if over {
			t.Error(line)
		} else {
			t.Log(line)
		}
	}
}

// houseCode is the code that the limits are for.
type houseCode struct {
	*sourceCode
	all []houseFile // sorted by name
}

type houseFile struct {
	name  string // relative to the root, with slashes
	text  []byte
	lines int
	fset  *token.FileSet
	tree  *ast.File
}

func (f houseFile) root() bool { return !strings.Contains(f.name, "/") }

func readHouse(t *testing.T) *houseCode {
	t.Helper()
	c := &houseCode{sourceCode: source(t)}
	fset := token.NewFileSet()
	for _, name := range houseFiles(t) {
		text, err := os.ReadFile(name)
		check(t, err)
		tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		check(t, err)
		c.all = append(c.all, houseFile{name, text, bytes.Count(text, []byte("\n")), fset, tree})
	}
	return c
}

// houseFiles returns the names of the files of the root package and of internal, without tests.
func houseFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	check(t, err)
	check(t, filepath.WalkDir("internal", func(name string, d fs.DirEntry, err error) error {
		name = filepath.ToSlash(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || slices.Contains(outside, name)):
			return fs.SkipDir
		case !d.IsDir() && path.Ext(name) == ".go":
			names = append(names, name)
		}
		return nil
	}))
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	slices.Sort(names)
	return names
}

func rootLines(c *houseCode) (float64, string) { return lines(c.all, houseFile.root) }

func internalLines(c *houseCode) (float64, string) {
	return lines(c.all, func(f houseFile) bool { return !f.root() })
}

// lines returns the number of lines of some files, and names the longest of them.
func lines(all []houseFile, of func(houseFile) bool) (float64, string) {
	total := 0
	var longest []sized
	for _, f := range all {
		if of(f) {
			total += f.lines
			longest = append(longest, sized{f.name, f.lines})
		}
	}
	return float64(total), fmt.Sprintf("%d files, most in %s", len(longest), largest(longest, 5))
}

func longestFile(c *houseCode) (float64, string) {
	var longest []sized
	for _, f := range c.all {
		longest = append(longest, sized{f.name, f.lines})
	}
	where := largest(longest, 10)
	return float64(longest[0].size), where
}

// largestStruct counts the fields by their names. An embedded field has one, padding has none.
func largestStruct(c *houseCode) (float64, string) {
	var structs []sized
	for _, f := range c.all {
		structs = append(structs, structsOf(f)...)
	}
	where := largest(structs, 5)
	return float64(structs[0].size), where
}

// structsOf returns the structs of a file, also those without a name and those inside functions
// and other structs. It leaves out wideStructs.
func structsOf(f houseFile) []sized {
	var all []sized
	names := make(map[*ast.StructType]string)
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if st, ok := n.Type.(*ast.StructType); ok {
				names[st] = n.Name.Name
			}
		case *ast.StructType:
			name, named := names[n]
			if slices.Contains(wideStructs, name) {
				break
			}
			if !named {
				name = "struct"
			}
			size := 0
			for _, field := range n.Fields.List {
				if field.Names == nil {
					size++
				}
				for _, name := range field.Names {
					if name.Name != "_" {
						size++
					}
				}
			}
			all = append(all, sized{fmt.Sprintf("%s at %s:%d", name, f.name, f.fset.Position(n.Pos()).Line), size})
		}
		return true
	})
	return all
}

func commentShare(c *houseCode) (float64, string) {
	comments, written := 0, 0
	var missing []sized
	for _, f := range c.all {
		if f.root() {
			c, w := commentLines(f)
			comments += c
			written += w
			missing = append(missing, sized{f.name, w*wantComments/100 - c})
		}
	}
	where := fmt.Sprintf("%d of %d lines; most missing in %s", comments, written, largest(missing, 5))
	return 100 * float64(comments) / float64(written), where
}

// commentLines returns how many lines of a file contain a comment, and how many are not blank.
// A blank line inside a comment is neither.
func commentLines(f houseFile) (comments, written int) {
	commented := make(map[int]bool)
	for _, group := range f.tree.Comments {
		for _, comment := range group.List {
			last := f.fset.Position(comment.End()).Line
			for line := f.fset.Position(comment.Pos()).Line; line <= last; line++ {
				commented[line] = true
			}
		}
	}
	number := 0
	for line := range bytes.Lines(f.text) {
		number++
		if len(bytes.TrimSpace(line)) > 0 {
			written++
			if commented[number] {
				comments++
			}
		}
	}
	return comments, written
}

// sized is something with a name and a size.
type sized struct {
	name string
	size int
}

// largest sorts all, the largest first, and names the first n.
func largest(all []sized, n int) string {
	slices.SortStableFunc(all, func(a, b sized) int { return cmp.Compare(b.size, a.size) })
	var names []string
	for _, s := range all[:min(n, len(all))] {
		names = append(names, fmt.Sprintf("%s (%d)", s.name, s.size))
	}
	return strings.Join(names, ", ")
}

// largestCircle looks for files each of which leads to each other one: a function in it calls
// or otherwise names a function declared in the other, or leads there by way of more files.
func largestCircle(c *houseCode) (float64, string) {
	circle := circleOf(c.sourceCode)
	return float64(len(circle)), fmt.Sprintf("of %d files: %s", len(c.files), strings.Join(circle, " "))
}

func circleOf(s *sourceCode) []string {
	// A method of an interface is declared where its code is not, so it leads nowhere.
	home := make(map[types.Object]string)
	for _, file := range s.files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				home[s.info.Defs[f.Name]] = s.fset.Position(f.Pos()).Filename
			}
		}
	}
	leads := make(map[string]map[string]bool)
	for _, file := range s.files {
		from := s.fset.Position(file.Pos()).Filename
		leads[from] = make(map[string]bool)
		follow := func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if f, ok := s.info.Uses[id].(*types.Func); ok && home[f.Origin()] != "" {
					leads[from][home[f.Origin()]] = true
				}
			}
			return true
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					ast.Inspect(n.Body, follow)
				}
				return false
			case *ast.FuncLit: // of a variable
				ast.Inspect(n.Body, follow)
				return false
			}
			return true
		})
	}
	for via := range leads {
		for from := range leads {
			if leads[from][via] {
				maps.Copy(leads[from], leads[via])
			}
		}
	}
	var circle []string
	for _, a := range slices.Sorted(maps.Keys(leads)) {
		var with []string
		for _, b := range slices.Sorted(maps.Keys(leads)) {
			if a == b || leads[a][b] && leads[b][a] {
				with = append(with, b)
			}
		}
		if len(with) > len(circle) {
			circle = with
		}
	}
	return circle
}

// The measures themselves.
func TestHouseMeasures(t *testing.T) {
	onlyOnce(t)
	texts := map[string]string{
		"a.go": `package p

type wide[T any] struct {
	sync, a, b T // two, and more
	wider
	_     [64]byte
	in    struct{ c int }
}

/* A comment

with a blank line. */
func (w *wide[T]) reach() { toB() }
`,
		"b.go": `package p

func toB() { var w wider; w.Promoted() }
`,
		"c.go": `package p

type wider struct{ wide2 }
type wide2 struct{}
type config struct{ a, b, c, d, e, f, g, h int }

func (wide2) Promoted() { f := (*wide[int]).reach; f(nil) }
`,
		"d.go": `package p

var fromD = func() { toB() }

type reacher interface{ reach() }
`,
		"e.go": `package p

func toE(r reacher) { r.reach(); fromD() }
`,
	}
	c := &houseCode{sourceCode: &sourceCode{
		fset: token.NewFileSet(),
		info: &types.Info{Uses: make(map[*ast.Ident]types.Object), Defs: make(map[*ast.Ident]types.Object)},
	}}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		tree, err := parser.ParseFile(c.fset, name, texts[name], parser.ParseComments|parser.SkipObjectResolution)
		check(t, err)
		c.files = append(c.files, tree)
		text := []byte(texts[name])
		c.all = append(c.all, houseFile{name, text, bytes.Count(text, []byte("\n")), c.fset, tree})
	}
	_, err := new(types.Config).Check("p", c.fset, c.files, c.info)
	check(t, err)

	if got := strings.Join(circleOf(c.sourceCode), " "); got != "a.go b.go c.go" {
		t.Errorf("circle of %s, want a.go b.go c.go", got)
	}
	if n, where := largestStruct(c); n != 5 || !strings.HasPrefix(where, "wide at a.go:3 (5), struct at a.go:7 (1)") {
		t.Errorf("largest struct with %v fields: %s", n, where)
	}
	if comments, written := commentLines(c.all[0]); comments != 3 || written != 10 {
		t.Errorf("%d comments in %d lines, want 3 in 10", comments, written)
	}
	if n, where := longestFile(c); n != 13 || !strings.HasPrefix(where, "a.go (13), c.go (7)") {
		t.Errorf("longest file with %v lines: %s", n, where)
	}
	if n, _ := rootLines(c); n != 31 {
		t.Errorf("%v lines, want 31", n)
	}
}

// mapItem is a line of the map of CONTRIBUTING.md: a list item that begins with a Go file.
var mapItem = regexp.MustCompile("(?m)^- `([^`\n]+\\.go)`(.*)$")

// CONTRIBUTING.md says for every file what is in it, and names no file that is not there.
func TestMap(t *testing.T) {
	onlyOnce(t)
	text, err := os.ReadFile("CONTRIBUTING.md")
	check(t, err)
	for _, fault := range mapFaults(string(text), houseFiles(t)) {
		t.Error("CONTRIBUTING.md: " + fault)
	}
}

// mapFaults returns what is wrong with the map in a text. All files have to be in it; others may
// be, where they exist.
func mapFaults(text string, files []string) []string {
	var faults []string
	mapped := make(map[string]bool)
	for _, m := range mapItem.FindAllStringSubmatch(text, -1) {
		name, about := m[1], m[2]
		if !strings.ContainsFunc(about, unicode.IsLetter) {
			faults = append(faults, "the map does not say what is in "+name)
		}
		if mapped[name] {
			faults = append(faults, "the map has twice "+name)
		}
		mapped[name] = true
		if info, err := os.Stat(filepath.FromSlash(name)); err != nil || !info.Mode().IsRegular() {
			faults = append(faults, "the map has, and there is no, "+name)
		}
	}
	for _, name := range files {
		if !mapped[name] {
			faults = append(faults, "the map lacks "+name)
		}
	}
	return faults
}

// The check itself.
func TestMapFaults(t *testing.T) {
	onlyOnce(t)
	text := "# Files\n\n" +
		"- `doc.go`: the package comment\n" +
		"- `api_test.go` is there\n" +
		"- `internal/soak/`: a folder\n" +
		"- `house_test.go`:\n" +
		"- `none.go`: nothing\n" +
		"- `doc.go` again\n" +
		"Only text names `internal/queue/gone.go`.\n"
	got := mapFaults(text, []string{"doc.go", "house_test.go", "internal/queue/gone.go"})
	want := []string{
		"the map does not say what is in house_test.go",
		"the map has, and there is no, none.go",
		"the map has twice doc.go",
		"the map lacks internal/queue/gone.go",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults\n%q, want\n%q", got, want)
	}
}
