package pool_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippetFrame has what the Go blocks of the pages may use without declaring it.
const snippetFrame = `package snippet

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace-go/pool"
	"github.com/headrace-go/pool/pooldebug"
	"github.com/headrace-go/pool/poolexpvar"
)

type Mail struct{ To string }

func (m Mail) Send(ctx context.Context) error { return nil }

var (
	ctx              context.Context
	p                *pool.Pool
	mails            *pool.Typed[Mail]
	mail             Mail
	task             pool.Task
	tasks            []pool.Task
	user, host       string
	customer         string
	urls             []string
	bytes            int64
	mux              *http.ServeMux
	send             func(context.Context, Mail) error
	fetch            func(ctx context.Context, url string) error
	size             func(ctx context.Context, url string) (int, error)
	download         func(context.Context) (string, error)
	take             func(ctx context.Context, most int) ([]pool.Task, error)
	giveBack, store  func(...pool.Task)
	pause            func(context.Context)
)
`

var (
	goBlock     = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	declaration = regexp.MustCompile(`(?m)^(func|type) `)
)

// The Go blocks of the pages compile. Those of docs/from-*.md are compiled in the module migration,
// whose tests compare them with its code.
func TestDocsSnippets(t *testing.T) {
	onlyOnce(t)
	compile, err := snippetCompiler()
	check(t, err)
	if compile("page.md", 1, "_ = p.Stats().None\n") == nil {
		t.Error("compiles p.Stats().None")
	}
	pages, err := filepath.Glob("docs/*.md")
	check(t, err)
	blocks := 0
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md") {
		if strings.HasPrefix(filepath.Base(page), "from-") {
			continue
		}
		text, err := os.ReadFile(page)
		check(t, err)
		for _, at := range goBlock.FindAllSubmatchIndex(text, -1) {
			blocks++
			line := 1 + bytes.Count(text[:at[2]], []byte("\n"))
			if err := compile(page, line, string(text[at[2]:at[3]])); err != nil {
				t.Error(err)
			}
		}
	}
	if blocks == 0 {
		t.Error("found no Go blocks")
	}
}

// snippetCompiler returns a function that type-checks a block which begins at a line of a page. A
// block is a file, declarations, or the body of a function that returns an error. What it leaves
// unused is no error.
func snippetCompiler() (func(page string, line int, block string) error, error) {
	fset := token.NewFileSet()
	frame, err := parser.ParseFile(fset, "frame.go", snippetFrame, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, i := range frame.Imports {
		packages = append(packages, strings.Trim(i.Path.Value, `"`))
	}
	imports, err := compiled(fset, packages...)
	if err != nil {
		return nil, err
	}
	return func(page string, line int, block string) error {
		at := fmt.Sprintf("//line %s:%d\n", page, line)
		switch {
		case strings.HasPrefix(block, "package "):
			block = at + block
		case declaration.MatchString(block):
			block = snippetFrame + at + block
		default:
			block = snippetFrame + "func _() error {\n" + at + block + "\nreturn nil }\n"
		}
		file, err := parser.ParseFile(fset, "", block, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		var errs []error
		conf := types.Config{Importer: imports, Error: func(err error) {
			if e, ok := err.(types.Error); !ok || !e.Soft {
				errs = append(errs, err)
			}
		}}
		_, _ = conf.Check("snippet", fset, []*ast.File{file}, nil)
		return errors.Join(errs...)
	}, nil
}
