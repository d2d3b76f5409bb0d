// Package tree puts a root file system together in memory, from programs that were built and from files of Debian packages.
//
// Layer 2. It writes a tar archive; the same tree gives the same bytes: names are sorted, owners are root, times are one constant.
package tree

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Permissions of what a tree holds.
const (
	modeDir     = 0o755
	modeFile    = 0o644
	modeProgram = 0o755
)

// epoch is the time of every entry: an XFS or a GPT of the guest never sees it, and a tar header needs one.
var epoch = time.Unix(1_700_000_000, 0).UTC()

// Tree is being filled; its zero value is empty.
type Tree struct {
	entries map[string]entry
	// merged are folders that are links to others, as a merged /usr has them, longest first.
	merged []merge
}

type merge struct{ from, to string }

type entry struct {
	kind   byte // as tar.Header.Typeflag
	mode   int64
	data   []byte
	target string
}

// Merge makes a folder a link to another one. What is added below the first lands in the second. It comes before all files.
func (t *Tree) Merge(from, to string) {
	t.merged = append(t.merged, merge{from, to})
	slices.SortFunc(t.merged, func(a, b merge) int { return len(b.from) - len(a.from) })
	up := strings.Repeat("../", strings.Count(from, "/"))
	t.put(from, entry{kind: tar.TypeSymlink, mode: 0o777, target: up + to})
	t.Dir(to)
}

// Place is where a name lies after the merges.
func (t *Tree) Place(name string) string {
	for again := true; again; {
		again = false
		for _, m := range t.merged {
			if rest, ok := strings.CutPrefix(name, m.from+"/"); ok {
				name, again = m.to+"/"+rest, true
				break
			}
		}
	}
	return name
}

// Dir adds folders and their parents.
func (t *Tree) Dir(names ...string) {
	for _, name := range names {
		t.add(name, entry{kind: tar.TypeDir, mode: modeDir})
	}
}

// Sticky adds a folder that everybody may write to.
func (t *Tree) Sticky(name string) { t.add(name, entry{kind: tar.TypeDir, mode: 0o1777}) }

// File adds a file.
func (t *Tree) File(name string, data []byte) {
	t.add(name, entry{kind: tar.TypeReg, mode: modeFile, data: data})
}

// Empty adds files without content: something is mounted over them later.
func (t *Tree) Empty(names ...string) {
	for _, name := range names {
		t.File(name, nil)
	}
}

// Program adds a file that may be run.
func (t *Tree) Program(name string, data []byte) {
	t.add(name, entry{kind: tar.TypeReg, mode: modeProgram, data: data})
}

// Link adds a symbolic link.
func (t *Tree) Link(name, target string) {
	t.add(name, entry{kind: tar.TypeSymlink, mode: 0o777, target: target})
}

// Has says whether a name is there.
func (t *Tree) Has(name string) bool {
	_, ok := t.entries[t.Place(name)]
	return ok
}

// add puts an entry where its name lies, and its parents. A folder does not replace what is there.
func (t *Tree) add(name string, e entry) {
	name = t.Place(name)
	if _, there := t.entries[name]; there && e.kind == tar.TypeDir && e.mode == modeDir {
		return
	}
	t.put(name, e)
}

func (t *Tree) put(name string, e entry) {
	if t.entries == nil {
		t.entries = map[string]entry{}
	}
	t.entries[name] = e
	if dir := path.Dir(name); dir != "." {
		t.Dir(dir)
	}
}

// WriteTar writes the tree as a tar archive, parents first.
func (t *Tree) WriteTar(w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		if !fs.ValidPath(name) {
			return fmt.Errorf("writing tree: %q is no path below its root", name)
		}
		if err := write(archive, name, t.entries[name]); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("writing tree: %w", err)
	}
	return nil
}

func write(archive *tar.Writer, name string, e entry) error {
	if e.kind == tar.TypeDir {
		name += "/"
	}
	header := &tar.Header{Typeflag: e.kind, Name: name, Linkname: e.target, Mode: e.mode, Size: int64(len(e.data)), ModTime: epoch, Format: tar.FormatGNU}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(e.data)
	return err
}
