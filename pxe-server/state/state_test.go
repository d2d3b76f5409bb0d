package state_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/pxe-server/state"
)

var record = state.Record{Origin: "ingot://x/site/a \n\"b", At: time.UnixMicro(1_795_000_000_123_456), Data: []byte("the\nbytes\x00")}

func same(a, b state.Record) bool {
	return a.Origin == b.Origin && a.At.Equal(b.At) && bytes.Equal(a.Data, b.Data)
}

func file(t *testing.T) state.File {
	t.Helper()
	return state.File{Path: filepath.Join(t.TempDir(), "view"), Kind: "view", Max: 64}
}

// TestRoundTrip: what was saved last is read back, and only its owner may.
func TestRoundTrip(t *testing.T) {
	f := file(t)
	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	for _, r := range []state.Record{{}, record} {
		if err := f.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.Load(); err != nil || !same(got, record) {
		t.Errorf("got %+v, %v", got, err)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(f.Path + ".*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for range 2 {
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestDamage: each byte that changes, and each end that is missing, is noticed. The control: the same file whole.
func TestDamage(t *testing.T) {
	whole := state.Encode("view", record)
	if got, err := state.Decode("view", whole); err != nil || !same(got, record) {
		t.Fatalf("control: %+v, %v", got, err)
	}
	for i := range whole {
		bent := bytes.Clone(whole)
		bent[i] ^= 1
		if got, err := state.Decode("view", bent); err == nil && !same(got, record) {
			t.Errorf("byte %d: %+v", i, got)
		}
		if _, err := state.Decode("view", whole[:i]); !errors.Is(err, state.ErrDamaged) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
	}
	if _, err := state.Decode("events", whole); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("another kind: %v", err)
	}
}

// TestCrash: a write that a crash cut off leaves the file before it.
func TestCrash(t *testing.T) {
	f := file(t)
	if err := f.Save(record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path+".new", []byte("ingot-pxe-ser"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Load(); err != nil || !same(got, record) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := f.Save(state.Record{Origin: "next"}); err != nil {
		t.Error(err)
	}
	if got, err := f.Load(); err != nil || got.Origin != "next" {
		t.Errorf("the next: %+v, %v", got, err)
	}
}

// TestBounds: what is too large is neither written nor read, and what a newer program wrote is named so.
func TestBounds(t *testing.T) {
	f := file(t)
	if err := f.Save(state.Record{Data: make([]byte, 64)}); err != nil {
		t.Errorf("control: %v", err)
	}
	if err := f.Save(state.Record{Data: make([]byte, 65)}); err == nil || !strings.Contains(err.Error(), "at most 64") {
		t.Errorf("65 bytes: %v", err)
	}
	large := f
	large.Max = 1 << 20
	if err := large.Save(state.Record{Data: make([]byte, 1<<19)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("a large file: %v", err)
	}
	newer := bytes.Replace(state.Encode("view", record), []byte(" 1 "), []byte(" 2 "), 1)
	if _, err := state.Decode("view", newer); !errors.Is(err, state.ErrNewer) {
		t.Errorf("newer: %v", err)
	}
	if err := (state.File{Path: filepath.Join(f.Path, "x"), Max: 1}).Save(state.Record{}); err == nil {
		t.Error("a folder that is none")
	}
}

// FuzzDecode: whatever is read is what would be written, and nothing panics.
func FuzzDecode(f *testing.F) {
	f.Add(state.Encode("view", record))
	f.Add([]byte("ingot-pxe-server view 1 00\n1 \"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := state.Decode("view", text)
		if err != nil {
			return
		}
		if again, err := state.Decode("view", state.Encode("view", r)); err != nil || !same(again, r) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
