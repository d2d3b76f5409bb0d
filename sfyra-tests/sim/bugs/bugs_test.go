package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPatchesApply: every patch says what it is, and replaces text of today's code exactly once, so that a change of the code that makes one
// meaningless is noticed where it is made.
func TestPatchesApply(t *testing.T) {
	bugs, err := all()
	if err != nil {
		t.Fatal(err)
	}
	if len(bugs) < 12 {
		t.Errorf("only %d bugs", len(bugs))
	}
	t.Chdir(filepath.Join("..", "..", ".."))
	for _, b := range bugs {
		if _, err := b.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		for _, c := range b.catchers {
			if pkg, ok := strings.CutPrefix(c, "test:"); ok {
				if _, err := os.Stat(pkg); err != nil {
					t.Errorf("%s: %v", b.name, err)
				}
			} else if c != "sim" {
				t.Errorf("%s: the catcher %q", b.name, c)
			}
		}
	}
}

func TestParse(t *testing.T) {
	const good = "title: t\nsource: s\ncaught by: sim\n\n=== a.go\nold\n--- becomes\nnew\nlines\n--- end\n\n=== b.go\ngone\n--- becomes\n--- end\n"
	b, err := parse("x", good)
	if err != nil || len(b.edits) != 2 || b.edits[0] != (edit{"a.go", "old", "new\nlines"}) || b.edits[1] != (edit{"b.go", "gone", ""}) {
		t.Errorf("%+v, %v", b, err)
	}
	for _, bad := range []string{"", "title: t\nsource: s\n\n=== a.go\nold\n--- becomes\nnew\n--- end\n", strings.ReplaceAll(good, "--- becomes", "---"), strings.ReplaceAll(good, "--- end", ""), "nonsense\n" + good} {
		if b, err := parse("x", bad); err == nil {
			t.Errorf("%q: %+v", bad, b)
		}
	}
}

// TestStale: an edit of text that is not there, or there twice, is an error.
func TestStale(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.go", []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, good := range map[string]bool{"one": true, "two": false, "three": false, "": false} {
		_, err := bug{edits: []edit{{"a.go", from, "x"}}}.overlay(t.TempDir())
		if (err == nil) != good {
			t.Errorf("%q: %v", from, err)
		}
	}
}

func TestCulprit(t *testing.T) {
	for said, want := range map[string]string{
		"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/one (0.00s)\n--- FAIL: TestB (0.00s)\n": "TestA/one",
		"seed 42 breaks I1 at 5s: wiped\nkinds: x\n":                                          "seed 42 (I1 at 5s: wiped)",
		"panic: x": "it ended with an error",
	} {
		if got := culprit(said); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}
