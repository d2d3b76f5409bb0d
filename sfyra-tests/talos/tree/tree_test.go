package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func lines(t *testing.T, tree *Tree) []string {
	t.Helper()
	var out bytes.Buffer
	if err := tree.WriteTar(&out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %s%s", h.Name, h.Mode, h.Linkname, data))
	}
}

func TestTree(t *testing.T) {
	var tree Tree
	tree.Merge("sbin", "usr/bin")
	tree.Merge("usr/sbin", "usr/bin")
	tree.Merge("lib", "usr/lib")
	tree.Program("sbin/a", []byte("A"))
	tree.Program("usr/sbin/b", []byte("B"))
	tree.File("lib/x/y", []byte("Y"))
	tree.Sticky("tmp")
	tree.Dir("tmp", "dev")
	tree.Empty("etc/hosts")
	tree.Link("etc/localtime", "/usr/share/UTC")
	want := []string{
		"dev/ 755 ", "etc/ 755 ", "etc/hosts 644 ", "etc/localtime 777 /usr/share/UTC", "lib 777 usr/lib", "sbin 777 usr/bin", "tmp/ 1777 ",
		"usr/ 755 ", "usr/bin/ 755 ", "usr/bin/a 755 A", "usr/bin/b 755 B", "usr/lib/ 755 ", "usr/lib/x/ 755 ", "usr/lib/x/y 644 Y", "usr/sbin 777 ../usr/bin",
	}
	if got := lines(t, &tree); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !tree.Has("sbin/b") || tree.Has("sbin/c") {
		t.Error("Has does not follow merges")
	}
}

func TestTreeRefusesToLeaveItsRoot(t *testing.T) {
	var tree Tree
	tree.File("../x", nil)
	if err := tree.WriteTar(io.Discard); err == nil {
		t.Error("a name outside of the root was written")
	}
}

// files is a Source.
type files map[string][]byte

func (f files) Read(name string) ([]byte, error) {
	data, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return data, nil
}

func (f files) Names(folder string) []string {
	var out []string
	for name := range f {
		if strings.HasPrefix(name, folder+"/") {
			out = append(out, name)
		}
	}
	return out
}

// dynamic finds a dynamic program of this machine, with the libraries that it needs by the tools of the system.
func dynamic(t *testing.T) files {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := files{"usr/bin/git": read(t, path)}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			all["usr/lib/x86_64-linux-gnu/"+filepath.Base(word)] = read(t, word)
		}
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestProgramsBringTheirLibraries(t *testing.T) {
	all := dynamic(t)
	if len(all) < 3 {
		t.Fatalf("control: git needs only %d files", len(all))
	}
	all["etc/unneeded"] = []byte("x")
	var tree Tree
	tree.Merge("lib64", "usr/lib")
	if err := tree.Copy("# comment\n\nprogram usr/bin/git # and its libraries\nlink usr/bin/g git\n", Sources{files{}, all}); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if tree.Has(name) != (name != "etc/unneeded") {
			t.Errorf("%s: in the tree is %v", name, tree.Has(name))
		}
	}
	if !tree.Has("lib64/ld-linux-x86-64.so.2") {
		t.Error("the loader is not where programs look for it")
	}
	for name := range all {
		if strings.Contains(name, "libz.so") || strings.Contains(name, "libc.so") {
			delete(all, name)
		}
	}
	if err := new(Tree).Copy("program usr/bin/git\n", all); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "needs lib") {
		t.Errorf("a library that is missing: %v", err)
	}
}

func TestCopyRefuses(t *testing.T) {
	all := files{"etc/a": nil}
	var tree Tree
	if err := tree.Copy("file etc/a\nfiles etc\n", Sources{all}); err != nil || !tree.Has("etc/a") {
		t.Fatalf("control: %v", err)
	}
	for _, line := range []string{"file etc/b", "files usr", "program etc/b", "file", "file etc/a etc/a", "link a", "copy etc/a"} {
		if err := new(Tree).Copy("\n"+line+"\n", all); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
