package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The list must not rot: each bug's text is still where it was, and its tests exist.
func TestListIsCurrent(t *testing.T) {
	bugs := allBugs()
	if err := checkList(filepath.Join("..", ".."), bugs); err != nil {
		t.Fatal(err)
	}
}

func TestListMistakes(t *testing.T) {
	good := allBugs()[0]
	for name, change := range map[string]func(*bug){
		"occurs 0 times":   func(b *bug) { b.old = "this is nowhere" },
		"not once":         func(b *bug) { b.old = "\n" },
		"changes nothing":  func(b *bug) { b.new = b.old },
		"no test":          func(b *bug) { b.tests = "TestThatIsNot$" },
		"no such file":     func(b *bug) { b.file = "nowhere.go" },
		"two of that name": func(b *bug) { b.name = "twice" },
	} {
		b := good
		change(&b)
		err := checkList(filepath.Join("..", ".."), []bug{{name: "twice", file: b.file, old: good.old, tests: good.tests}, b})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}
