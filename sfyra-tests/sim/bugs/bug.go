package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed patches/*.txt
var patches embed.FS

// bug is one file of patches.
type bug struct {
	name, title, source string
	catchers            []string
	edits               []edit
}

// edit replaces a text that a file holds exactly once.
type edit struct{ file, from, to string }

// all reads the patches, by name.
func all() ([]bug, error) {
	entries, err := patches.ReadDir("patches")
	if err != nil {
		return nil, fmt.Errorf("reading the patches: %w", err)
	}
	var bugs []bug
	for _, e := range entries {
		data, err := patches.ReadFile(path.Join("patches", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the patches: %w", err)
		}
		b, err := parse(strings.TrimSuffix(e.Name(), ".txt"), string(data))
		if err != nil {
			return nil, fmt.Errorf("reading the patch %s: %w", e.Name(), err)
		}
		bugs = append(bugs, b)
	}
	return bugs, nil
}

// parse reads the lines `title:`, `source:` and `caught by:`, and then blocks of `=== FILE`, the old text, `--- becomes`, the new text, `--- end`.
func parse(name, text string) (bug, error) {
	b := bug{name: name}
	head, rest, _ := strings.Cut(text, "\n=== ")
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "title":
			b.title = value
		case "source":
			b.source = value
		case "caught by":
			b.catchers = append(b.catchers, value)
		case "":
		default:
			return b, fmt.Errorf("the line %q says nothing", line)
		}
	}
	for block := range strings.SplitSeq(rest, "\n=== ") {
		file, body, _ := strings.Cut(block, "\n")
		from, to, ok := strings.Cut(body, "\n--- becomes\n")
		to, _, ended := strings.Cut("\n"+to, "\n--- end")
		if !ok || !ended {
			return b, fmt.Errorf("the edit of %s is not whole", file)
		}
		b.edits = append(b.edits, edit{file, from, strings.TrimPrefix(to, "\n")})
	}
	if b.title == "" || b.source == "" || len(b.catchers) == 0 {
		return b, errors.New("title, source and a catcher are needed")
	}
	return b, nil
}

// choose leaves the simulator out where a test catches the bug as well.
func (b *bug) choose(quick bool) {
	if quick && len(b.catchers) > 1 {
		b.catchers = slices.DeleteFunc(b.catchers, func(c string) bool { return c == "sim" })
	}
}

// overlay writes the changed files and returns the name of the overlay for the go command.
func (b bug) overlay(dir string) (string, error) {
	texts := map[string]string{}
	for _, e := range b.edits {
		text, ok := texts[e.file]
		if !ok {
			data, err := os.ReadFile(filepath.FromSlash(e.file))
			if err != nil {
				return "", fmt.Errorf("reading what the bug changes: %w", err)
			}
			text = string(data)
		}
		if n := strings.Count(text, e.from); n != 1 || e.from == "" {
			return "", fmt.Errorf("laying the bug over %s: the text to replace is there %d times; write the patch again for today's code:\n%s", e.file, n, e.from)
		}
		texts[e.file] = strings.Replace(text, e.from, e.to, 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		original, err := filepath.Abs(filepath.FromSlash(file))
		if err != nil {
			return "", fmt.Errorf("finding %s: %w", file, err)
		}
		replace[original] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[original], []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("writing the overlay: %w", err)
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, data, 0o600)
}
