package migration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock  = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	funcHead = regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?\w+\(.*\{$`)
)

// TestPages checks that each Go block of a page is a part of the file about the same package, and
// that the page shows all functions of that file.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../docs/from-*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, page := range pages {
		file := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(page), "from-"), ".md") + ".go"
		t.Run(file, func(t *testing.T) {
			code, shown := read(t, file), ""
			for _, block := range goBlock.FindAllStringSubmatch(read(t, page), -1) {
				if !strings.Contains(code, block[1]) {
					t.Errorf("%s has a block that is not in %s:\n%s", page, file, block[1])
				}
				shown += block[1]
			}
			heads := funcHead.FindAllString(code, -1)
			if len(heads) == 0 {
				t.Errorf("%s has no functions", file)
			}
			for _, head := range heads {
				if !strings.Contains(shown, head+"\n") {
					t.Errorf("%s does not show %s", page, head)
				}
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
