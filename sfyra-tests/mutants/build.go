package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

//go:embed planted.go.txt
var planted string

// bench is everything that is built: the overlay, the mutants in it and the killers.
type bench struct {
	dir     string
	overlay string
	targets []*target
	mutants []*mutant
	// left counts mutants that did not compile.
	left    int
	killers []*killer
}

func (b *bench) remove() { _ = os.RemoveAll(b.dir) }

// build plants the mutants, takes out what does not compile, and compiles the killers.
func build(ctx context.Context, targets []*target, killers []string) (*bench, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	b := &bench{dir: dir, targets: targets, overlay: filepath.Join(dir, "overlay.json")}
	if err := b.plantAll(ctx); err != nil {
		b.remove()
		return nil, err
	}
	if err := b.buildKillers(ctx, killers); err != nil {
		b.remove()
		return nil, err
	}
	return b, nil
}

// plantAll writes the overlay until it compiles.
func (b *bench) plantAll(ctx context.Context) error {
	without := map[int]bool{}
	for range 20 {
		texts, err := b.write(without)
		if err != nil {
			return err
		}
		said, err := b.compile(ctx)
		if err == nil {
			b.left = len(without)
			return nil
		}
		if found := blame(texts, said, without); found == 0 {
			return fmt.Errorf("compiling the mutants: %w\n%s", err, said)
		}
	}
	return errors.New("compiling the mutants: faults remain after 20 rounds")
}

// write makes the overlay. It returns the text of each written file by its name, which the compiler complains under.
func (b *bench) write(without map[int]bool) (map[string]string, error) {
	replace, texts := map[string]string{}, map[string]string{}
	next := 0
	b.mutants = nil
	put := func(original, text string) error {
		name := filepath.Join(b.dir, strconv.Itoa(len(replace))+"_"+filepath.Base(original))
		replace[original], texts[filepath.Base(name)] = name, text
		return os.WriteFile(name, []byte(text), 0o600)
	}
	for _, t := range b.targets {
		for _, s := range t.files {
			if !s.chosen {
				continue
			}
			c := &schema{t: t, s: s, next: &next, without: without, sites: map[ast.Node][]wrap{}, imports: imports(t, s)}
			if err := put(filepath.Join(t.dir, s.name), c.render()); err != nil {
				return nil, fmt.Errorf("writing the overlay: %w", err)
			}
			b.mutants = append(b.mutants, c.mutants...)
		}
	}
	for _, t := range b.targets {
		text := strings.NewReplacer("PACKAGE", t.pkg.Name(), "TOTAL", strconv.Itoa(next+1)).Replace(planted)
		if err := put(filepath.Join(t.dir, "zz_planted.go"), text); err != nil {
			return nil, fmt.Errorf("writing the overlay: %w", err)
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	return texts, os.WriteFile(b.overlay, data, 0o600)
}

// imports maps the packages that a file imports to their names in it.
func imports(t *target, s *source) map[string]string {
	names := map[string]string{}
	for _, p := range t.pkg.Imports() {
		names[p.Path()] = p.Name()
	}
	m := map[string]string{}
	for _, i := range s.syntax.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		m[path] = names[path]
		if i.Name != nil {
			m[path] = i.Name.Name
		}
	}
	return m
}

func (b *bench) compile(ctx context.Context) (string, error) {
	args := []string{"build", "-gcflags=-e", "-overlay", b.overlay}
	for _, t := range b.targets {
		args = append(args, "./"+t.folder)
	}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	return string(out), err
}

var (
	complaint = regexp.MustCompile(`(?m)^(\S+\.go):(\d+):(\d+): `)
	guarded   = regexp.MustCompile(`mut_\w*(?:\[[^\[\]]*(?:\[\][^\[\]]*)*\])?\((\d+)`)
)

// suspects is the mutant whose guard is the last before the column, or all of the line.
func suspects(line string, column int) (ids []int) {
	last := -1
	for _, g := range guarded.FindAllStringSubmatchIndex(line, -1) {
		id, _ := strconv.Atoi(line[g[2]:g[3]])
		ids = append(ids, id)
		if g[0] < column {
			last = len(ids) - 1
		}
	}
	if last >= 0 {
		return ids[last : last+1]
	}
	return ids
}

// blame takes out the mutants that the compiler complains about.
func blame(texts map[string]string, said string, without map[int]bool) int {
	found := 0
	for _, m := range complaint.FindAllStringSubmatch(said, -1) {
		n, _ := strconv.Atoi(m[2])
		lines := strings.Split(texts[filepath.Base(m[1])], "\n")
		if n > len(lines) {
			continue
		}
		column, _ := strconv.Atoi(m[3])
		for _, id := range suspects(lines[n-1], column) {
			if !without[id] {
				without[id] = true
				found++
			}
		}
	}
	return found
}
