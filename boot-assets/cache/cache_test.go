package cache_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/cache"
)

func digest(data []byte) cache.Digest {
	sum := sha256.Sum256(data)
	return cache.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func store(t *testing.T) (s *cache.Store, path string, data []byte) {
	t.Helper()
	data = []byte("a kernel, more or less")
	path = filepath.Join(t.TempDir(), "vmlinuz")
	write(t, path, data)
	return cache.New(os.DirFS(filepath.Dir(path)), map[string]cache.Digest{"vmlinuz": digest(data)}), path, data
}

func read(t *testing.T, s *cache.Store) string {
	t.Helper()
	a, err := s.Open("vmlinuz")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	got, err := io.ReadAll(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// TestOneFlippedByte is T30: a changed byte is refused before the first byte is served, and the right file is served again.
func TestOneFlippedByte(t *testing.T) {
	s, path, data := store(t)
	if got := read(t, s); got != string(data) {
		t.Fatalf("served %q", got)
	}
	old, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		bad := append([]byte{}, data...)
		bad[i] ^= 1
		write(t, path, bad)
		if err := os.Chtimes(path, time.Time{}, old.ModTime()); err != nil { // as a careful intruder would
			t.Fatal(err)
		}
		if _, err := s.Open("vmlinuz"); !errors.Is(err, cache.ErrMismatch) {
			t.Fatalf("byte %d flipped: %v, want ErrMismatch", i, err)
		}
	}
	write(t, path, data)
	if got := read(t, s); got != string(data) {
		t.Fatalf("after the repair: served %q", got)
	}
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
}

// TestRefused covers the other ways in which a file is not what it should be.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(t *testing.T, path string, data []byte)
		want   error
	}{
		"longer":    {func(t *testing.T, p string, d []byte) { write(t, p, append(d, 'x')) }, cache.ErrMismatch},
		"shorter":   {func(t *testing.T, p string, d []byte) { write(t, p, d[1:]) }, cache.ErrMismatch},
		"empty":     {func(t *testing.T, p string, _ []byte) { write(t, p, nil) }, cache.ErrMismatch},
		"gone":      {func(t *testing.T, p string, _ []byte) { os.Remove(p) }, os.ErrNotExist},
		"directory": {func(t *testing.T, p string, _ []byte) { os.Remove(p); os.Mkdir(p, 0o755) }, cache.ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s, path, data := store(t)
			if err := s.Verify(); err != nil {
				t.Fatalf("control: %v", err)
			}
			tc.change(t, path, data)
			if err := s.Verify(); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestOnlyNames proves that nothing but the catalog's names opens, even when the file is there.
func TestOnlyNames(t *testing.T) {
	s, path, data := store(t)
	write(t, filepath.Join(filepath.Dir(path), "other"), data)
	for _, name := range []string{"other", "", ".", "..", "../vmlinuz", "/vmlinuz", "./vmlinuz", "vmlinuz/", "VMLINUZ", "vmlinuz\x00"} {
		if _, err := s.Open(name); !errors.Is(err, cache.ErrUnknown) {
			t.Errorf("Open(%q): %v, want ErrUnknown", name, err)
		}
	}
	read(t, s)
}

// TestConcurrentReaders proves that readers do not disturb each other's position.
func TestConcurrentReaders(t *testing.T) {
	s, _, data := store(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got := read(t, s); got != string(data) {
				t.Errorf("served %q", got)
			}
		})
	}
	wg.Wait()
}

// TestWith proves that a file from memory is checked like any other, and that the files below stay.
func TestWith(t *testing.T) {
	_, path, data := store(t)
	fsys := cache.With(os.DirFS(filepath.Dir(path)), "autoexec.ipxe", []byte("#!ipxe\n"))
	s := cache.New(fsys, map[string]cache.Digest{"vmlinuz": digest(data), "autoexec.ipxe": digest([]byte("#!ipxe\n"))})
	if err := s.Verify(); err != nil {
		t.Fatal(err)
	}
	a, err := s.Open("autoexec.ipxe")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got, err := io.ReadAll(a); err != nil || string(got) != "#!ipxe\n" {
		t.Errorf("read %q, %v", got, err)
	}
	bad := cache.New(fsys, map[string]cache.Digest{"autoexec.ipxe": digest([]byte("#!ipxe "))})
	if err := bad.Verify(); !errors.Is(err, cache.ErrMismatch) {
		t.Errorf("another text: %v, want ErrMismatch", err)
	}
}

// TestFS proves that the file system view has the same names and the same proof.
func TestFS(t *testing.T) {
	s, path, data := store(t)
	if got, err := fs.ReadFile(s.FS(), "vmlinuz"); err != nil || string(got) != string(data) {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := s.FS().Open("../vmlinuz"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another name: %v", err)
	}
	write(t, path, append([]byte{'A'}, data[1:]...))
	if _, err := s.FS().Open("vmlinuz"); !errors.Is(err, cache.ErrMismatch) {
		t.Errorf("changed: %v", err)
	}
}
