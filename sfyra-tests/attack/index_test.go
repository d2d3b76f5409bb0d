package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// TestIndex: every case from T12 to T40 is there once, and names tests that exist, or says what is missing.
func TestIndex(t *testing.T) {
	known := functions{}
	for i, c := range index {
		if want := fmt.Sprintf("T%d", 12+i); c.id != want {
			t.Errorf("case %d is %s, want %s", i, c.id, want)
		}
		if (len(c.tests) == 0) != (c.why != "") || c.what == "" {
			t.Errorf("%s: a case has words, and either tests or a reason why it has none", c.id)
		}
		for _, name := range c.tests {
			if folder, test := split(name); !known.has(t, folder, test) {
				t.Errorf("%s names %s, which does not exist", c.id, name)
			}
		}
		for _, s := range c.scenarios {
			if !known.has(t, "sfyra-tests/scenarios", s) {
				t.Errorf("%s names the scenario %s, which does not exist", c.id, s)
			}
		}
	}
	if last := index[len(index)-1].id; last != "T40" {
		t.Errorf("the last case is %s", last)
	}
	for _, gone := range []string{"TestThatNobodyWrote", "fetch", "Test"} {
		if known.has(t, configs, gone) {
			t.Errorf("control: %s is found", gone)
		}
	}
}

// functions are the tests and fuzz targets of folders.
type functions map[string]map[string]bool

func (f functions) has(t *testing.T, folder, name string) bool {
	t.Helper()
	if f[folder] == nil {
		f[folder] = map[string]bool{}
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no tests: %v", folder, err)
		}
		for _, file := range files {
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range tree.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
					f[folder][fn.Name.Name] = true
				}
			}
		}
	}
	return f[folder][name]
}

// TestJudge: a case passes when all of its tests ran and passed, and not when one of them failed, was skipped or did not run.
func TestJudge(t *testing.T) {
	said := `{"Action":"pass","Package":"ingot.dev/ingot/a","Test":"TestA"}
{"Action":"fail","Package":"ingot.dev/ingot/a","Test":"TestB/x"}
{"Action":"fail","Package":"ingot.dev/ingot/a","Test":"TestB"}
{"Action":"skip","Package":"ingot.dev/ingot/a","Test":"TestC"}
{"Action":"pass","Package":"ingot.dev/ingot/b","Test":"TestA/x"}
{"Action":"pass","Package":"ingot.dev/ingot/b"}
no event
`
	results, err := read(strings.NewReader(said), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for tests, want := range map[string]string{"": planned, "a TestA": passed, "a TestA,a TestB": failed, "a TestC": failed, "b TestA": failed, "c TestA": failed} {
		c := attack{tests: strings.FieldsFunc(tests, func(r rune) bool { return r == ',' })}
		if got := judge(c, results); got != want {
			t.Errorf("%q: %s, want %s", tests, got, want)
		}
	}
}
