package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var about = Restoring{File: "/safe/b.tar.gz", Since: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUnfinishedRestoreIsOpenedByARestoreOnly at every step of one.
func TestUnfinishedRestoreIsOpenedByARestoreOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	d, err := OpenRestore(path, "v1", about)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRestore(path, "v1", about); !errors.Is(err, ErrInUse) {
		t.Errorf("two restores at once: %v", err)
	}
	put(t, path, "half", "x")
	if err := d.Close(); err != nil { // as a crash does
		t.Fatal(err)
	}
	before := snapshot(t, path)
	for name, open := range map[string]func() (*Dir, error){
		"Open":          func() (*Dir, error) { return Open(path, "v1") },
		"OpenUnchanged": func() (*Dir, error) { return OpenUnchanged(path) },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "ingot restore /safe/b.tar.gz --state-dir "+path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if snapshot(t, path) != before {
		t.Error("a refusal changed the folder")
	}
	if d, err = OpenRestore(path, "v1", about); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "half")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("leavings of the restore before are there: %v", err)
	}
	put(t, path, "whole", "x")
	if err := errors.Join(d.Restored(), d.Close()); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	if _, err := os.Stat(filepath.Join(path, "whole")); err != nil {
		t.Error(err)
	}
}

func TestRestoreIntoWhatIsThere(t *testing.T) {
	state := t.TempDir()
	if err := open(t, state).Close(); err != nil {
		t.Fatal(err)
	}
	foreign, fake, empty := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, foreign, "thesis.txt", "words")
	put(t, fake, restoringFile, "words")
	for path, part := range map[string]string{state: "--force", foreign: "thesis.txt", fake: "none of Ingot"} {
		before := snapshot(t, path)
		if _, err := OpenRestore(path, "v1", about); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", path, err, part)
		}
		if snapshot(t, path) != before {
			t.Errorf("%s was changed", path)
		}
	}
	d, err := OpenRestore(empty, "v1", about) // the control
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
}

func TestAsideMovesOursOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	d := open(t, path)
	if _, err := Aside(path, about.Since); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	put(t, path, "data", "x")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	to, err := Aside(path, about.Since)
	if err != nil || to != path+".before-restore-20261121T120000Z" {
		t.Fatalf("%q, %v", to, err)
	}
	if data, err := os.ReadFile(filepath.Join(to, "data")); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	foreign := t.TempDir()
	put(t, foreign, "thesis.txt", "words")
	if _, err := Aside(foreign, about.Since); err == nil {
		t.Error("somebody else's folder was moved")
	}
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Aside(path, about.Since); err == nil || !strings.Contains(err.Error(), "move it yourself") {
		t.Errorf("the name is taken: %v", err)
	}
}
