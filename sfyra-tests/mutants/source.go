package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
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
)

// target is a package whose files are changed.
type target struct {
	// folder as the user wrote it, and the full one.
	folder, dir string
	path        string
	fset        *token.FileSet
	files       []*source
	info        *types.Info
	pkg         *types.Package
}

// source is one file of a target.
type source struct {
	name   string // within the folder
	text   []byte
	syntax *ast.File
	chosen bool // whether its patterns fit: the others are only type-checked
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath, Name, Dir, Export string
	GoFiles                       []string
	Standard                      bool
	Module                        *struct{ Dir string }
}

// load reads and type-checks the packages of the flag.
func load(ctx context.Context, flag string) ([]*target, error) {
	var targets []*target
	for _, word := range strings.Split(flag, ",") {
		folder, patterns, _ := strings.Cut(strings.TrimSpace(word), ":")
		t, err := loadOne(ctx, filepath.ToSlash(filepath.Clean(folder)), strings.FieldsFunc(patterns, func(r rune) bool { return r == '+' }))
		if err != nil {
			return nil, fmt.Errorf("loading %s: %w", folder, err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func loadOne(ctx context.Context, folder string, patterns []string) (*target, error) {
	all, err := list1(ctx, "./"+folder)
	if err != nil {
		return nil, err
	}
	self := all[len(all)-1] // go list -deps lists a package after what it imports
	t := &target{folder: folder, dir: self.Dir, path: self.ImportPath, fset: token.NewFileSet()}
	for _, name := range self.GoFiles {
		s, err := t.read(name, patterns)
		if err != nil {
			return nil, err
		}
		t.files = append(t.files, s)
	}
	if !slices.ContainsFunc(t.files, func(s *source) bool { return s.chosen }) {
		return nil, fmt.Errorf("finding files that fit %q: there is none", patterns)
	}
	return t, t.check(all)
}

func (t *target) read(name string, patterns []string) (*source, error) {
	text, err := os.ReadFile(filepath.Join(t.dir, name))
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	syntax, err := parser.ParseFile(t.fset, name, text, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parsing the source: %w", err)
	}
	chosen := len(patterns) == 0 && !ast.IsGenerated(syntax)
	for _, p := range patterns {
		fits, err := filepath.Match(p, name)
		if err != nil {
			return nil, fmt.Errorf("reading the pattern %q: %w", p, err)
		}
		chosen = chosen || fits
	}
	return &source{name: name, text: text, syntax: syntax, chosen: chosen}, nil
}

// check finds the types, with the compiler's own export data of what is imported.
func (t *target) check(all []listed) error {
	exports := map[string]string{}
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	find := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("finding the export data of %s: go list names none", path)
		}
		return os.Open(exports[path])
	}
	var files []*ast.File
	for _, s := range t.files {
		files = append(files, s.syntax)
	}
	t.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	var err error
	t.pkg, err = (&types.Config{Importer: importer.ForCompiler(t.fset, "gc", find)}).Check(t.path, t.fset, files, t.info)
	if err != nil {
		return fmt.Errorf("checking types: %w", err)
	}
	return nil
}

// list1 asks the go command for a package and all that it imports, compiled.
func list1(ctx context.Context, pattern string) ([]listed, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=ImportPath,Name,Dir,Export,GoFiles,Standard,Module", pattern)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("asking go list: %w\n%s", err, said.String())
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading what go list says: %w", err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errors.New("asking go list: there is no such package")
	}
	return all, nil
}
