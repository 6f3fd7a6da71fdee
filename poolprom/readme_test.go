package poolprom

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of README.md has what a scrape has: each metric, its type, its labels and their values.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	must(t, err)
	var documented []string
	code := regexp.MustCompile("`([^`]+)`")
	for _, row := range regexp.MustCompile("(?m)^\\| `(workerpool_\\w+)` \\| (\\w+) (.*)$").FindAllStringSubmatch(string(text), -1) {
		var words []string
		for _, m := range code.FindAllStringSubmatch(row[3], -1) {
			words = append(words, m[1])
		}
		documented = append(documented, describe(row[1], row[2], words))
	}
	var shown []string
	for _, f := range gather(t, register(t, each())) {
		var words []string
		for i, m := range f.Metric {
			for _, l := range m.Label {
				if i == 0 {
					words = append(words, l.GetName())
				}
				if l.GetName() != poolLabel && l.GetName() != classLabel {
					words = append(words, l.GetValue())
				}
			}
		}
		shown = append(shown, describe(f.GetName(), strings.ToLower(f.GetType().String()), words))
	}
	slices.Sort(documented)
	slices.Sort(shown)
	if !slices.Equal(shown, documented) {
		t.Errorf("a scrape has\n%s\nREADME.md has\n%s", strings.Join(shown, "\n"), strings.Join(documented, "\n"))
	}
}

// describe returns a metric on one line. The labels and values may be in any order.
func describe(name, kind string, words []string) string {
	slices.Sort(words)
	return fmt.Sprintf("%s, a %s: %s", name, kind, strings.Join(words, " "))
}
