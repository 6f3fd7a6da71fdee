package pool_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "TestAPI rewrites testdata/api.txt")

// The exported API is that of testdata/api.txt. After a change that is meant,
//
//	go test -run TestAPI -update .
//
// rewrites the file.
func TestAPI(t *testing.T) {
	onlyOnce(t)
	const name = "testdata/api.txt"
	got := api(source(t).pkg)
	if *update {
		check(t, os.MkdirAll(filepath.Dir(name), 0o777))
		check(t, os.WriteFile(name, []byte(strings.Join(got, "\n")+"\n"), 0o666))
		return
	}
	data, err := os.ReadFile(name)
	check(t, err)
	want := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == '\r' })
	if d := diff(want, got); d != "" {
		t.Errorf("the API differs from %s (-update accepts it):\n%s", name, d)
	}
}

// The check itself.
func TestAPIOfSource(t *testing.T) {
	onlyOnce(t)
	const text = `package p
const C kind = 2
const c = 3
var V, v *Box[int]
type kind uint8
type Even interface{ Half() Even }
type Number interface{ ~int | ~string }
type Alias = Box[string]
type Box[T any] struct { inner[T]; *Shown; A, b T "tag" }
type Shown struct { S int }
type inner[E any] struct { In E }
func (i inner[E]) Promoted(e E) (n int) { return 0 }
func (b *Box[X]) Own(x X, f ...func(X) error) {}
func (b *Box[X]) hidden() {}
func (k kind) Hidden() {}
func F[K comparable, V ~int | ~string](m map[K]V) {}
func f() {}
`
	want := []string{
		"const C kind = 2",
		"field Box.A T \"tag\"",
		"field Box.In T",
		"field Box.Shown *Shown",
		"func F[K comparable, V ~int | ~string](m map[K]V)",
		"method (*Box[T]) Own(x T, f ...func(T) error)",
		"method (Box[T]) Promoted(e T) (n int)",
		"type Alias = Box[string]",
		"type Box[T any] struct",
		"type Even interface{Half() Even}",
		"type Number interface{~int | ~string}",
		"type Shown struct",
		"field Shown.S int",
		"var V *Box[int]",
	}
	slices.Sort(want)
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", text, 0)
	check(t, err)
	pkg, err := new(types.Config).Check("p", fset, []*ast.File{file}, nil)
	check(t, err)
	if d := diff(want, api(pkg)); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// api returns the exported declarations of pkg, one a line, sorted. Methods name the type
// parameters as the declaration of their type does, whatever their receiver calls them.
func api(pkg *types.Package) []string {
	inside := types.RelativeTo(pkg)
	var lines []string
	add := func(format string, args ...any) {
		for i, arg := range args {
			if typ, ok := arg.(types.Type); ok {
				args[i] = types.TypeString(typ, inside)
			}
		}
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	for _, name := range pkg.Scope().Names() {
		o := pkg.Scope().Lookup(name)
		if !o.Exported() {
			continue
		}
		switch o := o.(type) {
		case *types.Const:
			add("const %s %s = %s", name, o.Type(), o.Val().ExactString())
			continue
		case *types.Var:
			add("var %s %s", name, o.Type())
			continue
		case *types.Func:
			add("%s", types.ObjectString(o, inside))
			continue
		}
		named, ok := o.Type().(*types.Named)
		if !ok || o.(*types.TypeName).IsAlias() {
			add("%s", types.ObjectString(o, inside))
			continue
		}
		decl := name
		if params := named.TypeParams(); params.Len() > 0 {
			var with []string
			var args []types.Type
			for p := range params.TypeParams() {
				with = append(with, types.TypeString(p, inside)+" "+types.TypeString(p.Constraint(), inside))
				args = append(args, p)
			}
			decl += "[" + strings.Join(with, ", ") + "]"
			inst, err := types.Instantiate(nil, named, args, false)
			if err != nil {
				panic(err) // It validates nothing.
			}
			named = inst.(*types.Named)
		}
		if _, ok := named.Underlying().(*types.Struct); ok {
			add("type %s struct", decl)
			for _, f := range fields(named, nil) {
				add("field %s.%s", name, f.declared(inside))
			}
		} else {
			add("type %s %s", decl, named.Underlying())
		}
		if types.IsInterface(named) {
			continue // Its methods are part of its type.
		}
		values := types.NewMethodSet(named)
		for m := range types.NewMethodSet(types.NewPointer(named)).Methods() {
			if !m.Obj().Exported() {
				continue
			}
			recv := types.TypeString(named, inside)
			if values.Lookup(pkg, m.Obj().Name()) == nil {
				recv = "*" + recv
			}
			signature := strings.TrimPrefix(types.TypeString(m.Type(), inside), "func")
			add("method (%s) %s%s", recv, m.Obj().Name(), signature)
		}
	}
	slices.Sort(lines)
	return lines
}

type field struct {
	v   *types.Var
	tag string
}

func (f field) declared(inside types.Qualifier) string {
	s := f.v.Name() + " " + types.TypeString(f.v.Type(), inside)
	if f.tag != "" {
		s += fmt.Sprintf(" %q", f.tag)
	}
	return s
}

// fields returns the exported fields of a struct, and those that unexported embedded structs lend
// it. It does not enter the structs in seen.
func fields(typ types.Type, seen []types.Type) []field {
	if p, ok := typ.Underlying().(*types.Pointer); ok {
		typ = p.Elem()
	}
	st, ok := typ.Underlying().(*types.Struct)
	if !ok || slices.Contains(seen, typ) {
		return nil
	}
	var all []field
	for i := range st.NumFields() {
		switch f := st.Field(i); {
		case f.Exported():
			all = append(all, field{f, st.Tag(i)})
		case f.Embedded():
			all = append(all, fields(f.Type(), append(seen, typ))...)
		}
	}
	return all
}

// diff returns the lines that only the sorted list want has, with a minus, and those that only
// the sorted list got has, with a plus, in their common order.
func diff(want, got []string) string {
	var b strings.Builder
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			fmt.Fprintln(&b, "-", want[0])
			want = want[1:]
		case len(want) == 0 || got[0] < want[0]:
			fmt.Fprintln(&b, "+", got[0])
			got = got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	return b.String()
}

// sourceCode is the root package without tests, as this platform builds it.
type sourceCode struct {
	fset  *token.FileSet
	files []*ast.File
	pkg   *types.Package
	info  *types.Info
}

func source(t *testing.T) *sourceCode {
	t.Helper()
	s, err := loadSource()
	check(t, err)
	return s
}

var loadSource = sync.OnceValues(func() (*sourceCode, error) {
	dir, err := build.ImportDir(".", 0)
	if err != nil {
		return nil, err
	}
	s := &sourceCode{
		fset: token.NewFileSet(),
		info: &types.Info{Uses: make(map[*ast.Ident]types.Object), Defs: make(map[*ast.Ident]types.Object)},
	}
	for _, name := range dir.GoFiles {
		file, err := parser.ParseFile(s.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, file)
	}
	imports, err := compiled(s.fset, ".")
	if err != nil {
		return nil, err
	}
	conf := types.Config{Importer: imports, Sizes: types.SizesFor("gc", build.Default.GOARCH)}
	s.pkg, err = conf.Check("github.com/headrace-go/pool", s.fset, s.files, s.info)
	return s, err
})

// compiled returns an importer of some packages and those that they depend on, as the compiler
// left them in its cache. To read them from source takes several seconds under the race detector.
func compiled(fset *token.FileSet, packages ...string) (types.Importer, error) {
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, packages...)...)
	list.Stderr = new(strings.Builder)
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, list.Stderr)
	}
	exports := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[name] = file
	}
	return importer.ForCompiler(fset, "gc", func(name string) (io.ReadCloser, error) {
		return os.Open(exports[name])
	}), nil
}

// seenTests are the names of the tests that called onlyOnce.
var seenTests sync.Map

// onlyOnce skips the test when it ran before: all tests run once for each strategy, and the
// source is the same for all.
func onlyOnce(t *testing.T) {
	t.Helper()
	if _, ran := seenTests.LoadOrStore(t.Name(), true); ran {
		t.Skip("ran already")
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
