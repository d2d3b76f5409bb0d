package statedir

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// snapshot is every file's name, mode and content below dir.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %v\n", path, info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			fmt.Fprintf(&b, "%q\n", data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path, "v1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // a test may have closed it
	return d
}

func TestOpenCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, path)
	info, err := os.Stat(d.Path())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v; want mode 0700", info.Mode(), err)
	}
	data, err := os.ReadFile(filepath.Join(path, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil || s != (State{Layout, "v1"}) {
		t.Errorf("state file %s: %+v, %v", data, s, err)
	}
}

func TestOneAtATime(t *testing.T) {
	path := t.TempDir()
	first := open(t, path)
	_, err := Open(path, "v1")
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("PID %d", os.Getpid())) || !strings.Contains(err.Error(), path) {
		t.Errorf("second: %v; want an error with the PID and the folder", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path) // the control: free again
}

func TestHolderUnknown(t *testing.T) {
	path := t.TempDir()
	first := open(t, path)
	if err := first.lock.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, "v1"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second: %v; want an error that says in use", err)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string // parts of the error; none: accepted
	}{
		"empty":                      {nil, nil},
		"crash before the first":     {map[string]string{"lock": "1\n", ".new-123": `{"lay`, "lost+found": ""}, nil},
		"this layout":                {map[string]string{stateFile: `{"layoutVersion":1,"version":"v0"}`, "other": "x"}, nil},
		"newer layout":               {map[string]string{stateFile: `{"layoutVersion":2,"version":"v9.9.9","new":"field"}`, "other": "x"}, []string{"layout version 2", "v9.9.9", "older", "--state-dir"}},
		"damaged":                    {map[string]string{stateFile: `{"layoutVer`}, []string{stateFile, "backup"}},
		"without a version":          {map[string]string{stateFile: `{}`}, []string{stateFile, "backup"}},
		"empty state file":           {map[string]string{stateFile: ``}, []string{stateFile, "backup"}},
		"somebody else's":            {map[string]string{"thesis.txt": "words"}, []string{"thesis.txt", "not empty", "--state-dir"}},
		"somebody else's, with lock": {map[string]string{"lock": "", "zebra": ""}, []string{"zebra", "not empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			for file, data := range c.files {
				if err := os.WriteFile(filepath.Join(path, file), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := snapshot(t, path)
			d, err := Open(path, "v1")
			if len(c.want) == 0 {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				_ = d.Close()
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range append(c.want, path) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
			if after := snapshot(t, path); after != before {
				t.Errorf("the folder was changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestPathIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, "v1"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v; want an error with the path", err)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, data := range []string{"first, longer", "second"} {
		if err := WriteFile(path, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != data {
			t.Errorf("content %q, %v; want %q", got, err, data)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

// A write that fails leaves the old file and nothing else.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "d")
	if err := os.MkdirAll(filepath.Join(target, "x"), 0o700); err != nil { // a folder cannot be replaced by a file
		t.Fatal(err)
	}
	before := snapshot(t, target)
	if err := WriteFile(target, []byte("data"), 0o600); err == nil {
		t.Error("replaced a folder")
	}
	if after := snapshot(t, target); after != before {
		t.Errorf("changed: %s", after)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}
