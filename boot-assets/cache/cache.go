// Package cache hands out boot files whose content is proven (layer 2).
//
// A file is hashed before its first byte leaves, once, and again whenever its size or one of its times changes. A file that does not have the
// digest that the catalog names is refused. Only names in the catalog exist; a Store never lists or opens anything else.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"
)

// ErrUnknown is returned for a name that is not in the catalog, ErrMismatch for a file that is not what the catalog says.
var (
	ErrUnknown  = errors.New("no such boot file")
	ErrMismatch = errors.New("boot file does not have its digest")
)

// Digest is what a file must be.
type Digest struct {
	// SHA256 in lower-case hexadecimal.
	SHA256 string
	// Size in bytes.
	Size int64
}

// Store opens files of one file system by name.
type Store struct {
	fsys    fs.FS
	entries map[string]*entry
}

type entry struct {
	want Digest

	mu     sync.Mutex
	proven stamp
}

// stamp says whether a file can have changed since it was hashed.
type stamp struct {
	size     int64
	modified time.Time
	changed  int64
}

// New makes a Store of the files that digests names. Nothing is read yet.
func New(fsys fs.FS, digests map[string]Digest) *Store {
	s := &Store{fsys: fsys, entries: make(map[string]*entry, len(digests))}
	for name, d := range digests {
		s.entries[name] = &entry{want: d}
	}
	return s
}

// Names lists the files, sorted.
func (s *Store) Names() []string { return slices.Sorted(maps.Keys(s.entries)) }

// Asset is an open file with its proven digest. The caller closes it.
type Asset struct {
	io.ReadSeekCloser
	Digest
	file fs.File
}

// Open opens a file and proves its content. The error is ErrUnknown, ErrMismatch, or what the file system said.
func (s *Store) Open(name string) (*Asset, error) {
	e, ok := s.entries[name]
	if !ok {
		return nil, fmt.Errorf("opening %q: %w", name, ErrUnknown)
	}
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening boot file: %w", err)
	}
	seeker, ok := f.(io.ReadSeekCloser)
	if !ok {
		f.Close()
		return nil, fmt.Errorf("opening boot file %s: its file system cannot seek", name)
	}
	if err := e.prove(f, seeker); err != nil {
		f.Close()
		return nil, fmt.Errorf("checking boot file %s: %w", name, err)
	}
	return &Asset{seeker, e.want, f}, nil
}

// FS gives the store as a file system with only its names, for servers that take one. Every Open proves the file.
func (s *Store) FS() fs.FS { return provenFS{s} }

type provenFS struct{ store *Store }

func (p provenFS) Open(name string) (fs.File, error) {
	a, err := p.store.Open(name)
	if errors.Is(err, ErrUnknown) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return a.file, nil
}

// Verify proves every file, so that a server can say at its start that one is wrong.
func (s *Store) Verify() error {
	var all []error
	for _, name := range s.Names() {
		a, err := s.Open(name)
		if err != nil {
			all = append(all, err)
			continue
		}
		a.Close()
	}
	return errors.Join(all...)
}

// prove hashes the open file unless it is the one that was hashed before. Others that open the same file wait.
func (e *entry) prove(f fs.File, r io.ReadSeeker) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now := stampOf(info)
	if !info.Mode().IsRegular() || now.size != e.want.Size {
		return fmt.Errorf("%w: it has %d bytes, want %d", ErrMismatch, now.size, e.want.Size)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.proven == now {
		return nil
	}
	sum, err := hash(r, e.want.Size)
	if err != nil {
		return err
	}
	if sum != e.want.SHA256 {
		return fmt.Errorf("%w: SHA-256 is %s, want %s", ErrMismatch, sum, e.want.SHA256)
	}
	e.proven = now
	return nil
}

// hash reads at most one byte more than it expects, and goes back to the start.
func hash(r io.ReadSeeker, size int64) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, size+1))
	if err != nil {
		return "", err
	}
	if n != size {
		return "", fmt.Errorf("%w: read %d bytes, want %d", ErrMismatch, n, size)
	}
	_, err = r.Seek(0, io.SeekStart)
	return hex.EncodeToString(h.Sum(nil)), err
}
