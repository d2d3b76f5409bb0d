// Package leases keeps which address was lent to whom in a file that survives crashes (layer 2, adapter: it writes one file and its lock).
//
// Invariants: what Put acknowledged is on disk; a crash tears the last line only; two servers never write one file.
package leases

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Store writes records. Its methods are safe for concurrent use; writers share an fsync.
type Store struct {
	kind Kind
	path string
	lock *os.File

	mu    sync.Mutex // guards what is below
	live  map[netip.Addr]Record
	file  *os.File
	lines int
	err   error
	wrote uint64 // number of records written to the file

	syncing sync.Mutex // held during an fsync
	synced  uint64
}

// Open reads the file of that kind, locks it against a second server, and rewrites it without what is old. bad counts lines that are damaged and left out.
func Open(path string, kind Kind, now time.Time) (s *Store, bad int, err error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, 0, err
	}
	s = &Store{kind: kind, path: path, lock: lock, live: map[netip.Addr]Record{}}
	bad, err = s.load()
	if err == nil {
		s.forget(now)
		err = s.rewrite()
	}
	if err != nil {
		lock.Close()
		return nil, 0, fmt.Errorf("opening lease file %s: %w", path, err)
	}
	return s, bad, nil
}

// Records are the last ones of each address, the one that ends first before the others.
func (s *Store) Records() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.live), func(a, b Record) int { return a.Until.Compare(b.Until) })
}

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lease lock: %w; its folder must exist and be writable", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: another DHCP server uses this lease file: %w", path, err)
	}
	return f, nil
}

func (s *Store) load() (bad int, err error) {
	f, err := os.Open(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer f.Close()
	s.live, bad, err = s.kind.read(f)
	return bad, err
}

func (s *Store) forget(now time.Time) {
	for ip, r := range s.live {
		if now.Sub(r.Until) > keepExpired {
			delete(s.live, ip)
		}
	}
}

// rewrite replaces the file by one line per address. The caller holds mu, or is alone.
func (s *Store) rewrite() error {
	tmp, err := os.OpenFile(s.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(tmp)
	fmt.Fprintf(w, "%s %d\n", s.kind.Header, format)
	for _, r := range s.live {
		fmt.Fprint(w, r.line()) // Flush tells what went wrong
	}
	if err := errors.Join(w.Flush(), tmp.Sync()); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(os.Rename(tmp.Name(), s.path), syncFolder(filepath.Dir(s.path))); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.lines = tmp, len(s.live)
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Put returns once r is on disk. After a failed write the file's end is unknown, so the next Put rewrites the file.
func (s *Store) Put(r Record, now time.Time) error {
	n, err := s.append(r, now)
	if err == nil {
		err = s.sync(n)
	}
	if err != nil {
		return fmt.Errorf("saving lease of %v: %w", r.IP, err)
	}
	return nil
}

func (s *Store) append(r Record, now time.Time) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[r.IP] = r
	s.wrote++
	if s.err != nil || s.lines > 2*len(s.live)+1000 {
		s.forget(now)
		s.err = s.rewrite()
		return s.wrote, s.err
	}
	s.lines++
	_, s.err = s.file.WriteString(r.line())
	return s.wrote, s.err
}

// sync makes sure that the first n records are on disk. Who waits for an fsync finds its record covered by the next one.
func (s *Store) sync(n uint64) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if s.synced >= n {
		return nil
	}
	s.mu.Lock()
	upTo, f, err := s.wrote, s.file, s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil && !s.replaced(f) {
		return s.fail(err)
	}
	s.synced = upTo
	return nil
}

// replaced says that f was rewritten meanwhile, which is as good as an fsync.
func (s *Store) replaced(f *os.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file != f && s.err == nil
}

func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	return err
}

// Close closes the file and gives its lock back. A Put after it fails.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.file.Close()
	if e := s.lock.Close(); !errors.Is(e, os.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}
