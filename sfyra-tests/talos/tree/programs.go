package tree

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Source reads files of packages by name, through links, and lists those below a folder, as debian.Files does. A missing file is fs.ErrNotExist.
type Source interface {
	Read(name string) ([]byte, error)
	Names(folder string) []string
}

// Sources are asked one after the other.
type Sources []Source

// Read implements Source.
func (s Sources) Read(name string) ([]byte, error) {
	for _, source := range s {
		data, err := source.Read(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("no package has %s: %w", name, fs.ErrNotExist)
}

// Names implements Source.
func (s Sources) Names(folder string) []string {
	var out []string
	for _, source := range s {
		out = append(out, source.Names(folder)...)
	}
	return out
}

// libraries are the folders of Debian's libraries on amd64; the second is systemd's own.
var libraries = []string{"usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd"}

// Copy fills the tree by a list: lines of "program PATH", "file PATH", "files FOLDER" and "link PATH TARGET", empty ones and comments after #.
// A program brings the libraries that it names, and those that these name, and its loader.
func (t *Tree) Copy(list string, from Source) error {
	number := 0
	for line := range strings.Lines(list) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if err := t.copyLine(strings.Fields(line), from); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}

func (t *Tree) copyLine(words []string, from Source) error {
	switch {
	case len(words) == 0:
		return nil
	case len(words) == 3 && words[0] == "link":
		t.Link(words[1], words[2])
		return nil
	case len(words) == 2 && words[0] == "file":
		return t.copyFiles(words[1:], from)
	case len(words) == 2 && words[0] == "files":
		names := from.Names(words[1])
		if len(names) == 0 {
			return fmt.Errorf("no package has %s: %w", words[1], fs.ErrNotExist)
		}
		return t.copyFiles(names, from)
	case len(words) == 2 && words[0] == "program":
		return t.copyProgram(words[1], from)
	}
	return fmt.Errorf("%q, want program PATH, file PATH, files FOLDER or link PATH TARGET", words)
}

func (t *Tree) copyFiles(names []string, from Source) error {
	for _, name := range names {
		data, err := from.Read(name)
		if err != nil {
			return err
		}
		t.File(name, data)
	}
	return nil
}

func (t *Tree) copyProgram(name string, from Source) error {
	if t.Has(name) {
		return nil
	}
	data, err := from.Read(name)
	if err != nil {
		return err
	}
	t.Program(name, data)
	needs, err := needed(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, library := range needs {
		if err := t.copyLibrary(library, from); err != nil {
			return fmt.Errorf("%s needs %s: %w", name, library, err)
		}
	}
	return nil
}

// copyLibrary takes a library by its soname, or a loader by its path.
func (t *Tree) copyLibrary(name string, from Source) error {
	if strings.Contains(name, "/") {
		return t.copyLoader(strings.TrimPrefix(name, "/"), from)
	}
	for _, dir := range libraries {
		err := t.copyProgram(path.Join(dir, name), from)
		if !errors.Is(err, fs.ErrNotExist) || t.Has(path.Join(dir, name)) {
			return err
		}
	}
	return fmt.Errorf("looking in %v: %w", libraries, fs.ErrNotExist)
}

// copyLoader puts the loader where programs name it; the package has it among the libraries.
func (t *Tree) copyLoader(name string, from Source) error {
	if t.Has(name) {
		return nil
	}
	data, err := from.Read(path.Join(libraries[0], path.Base(name)))
	if err == nil {
		t.Program(name, data)
	}
	return err
}

// needed are the libraries of a program, and its loader. A script or a static program needs none.
func needed(program []byte) ([]string, error) {
	if !bytes.HasPrefix(program, []byte(elf.ELFMAG)) {
		return nil, nil
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("reading program as ELF: %w", err)
	}
	needs, err := file.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("reading what it needs: %w", err)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			loader := make([]byte, segment.Filesz)
			if _, err := segment.ReadAt(loader, 0); err != nil {
				return nil, fmt.Errorf("reading its loader's name: %w", err)
			}
			needs = append(needs, strings.TrimRight(string(loader), "\x00"))
		}
	}
	return needs, nil
}
