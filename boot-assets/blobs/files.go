package blobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/pace"
)

// entry is one file that is there, with the proof of its content.
type entry struct {
	info  fs.FileInfo
	store *cache.Store
}

// Open opens a file and proves its content; the proof is done again when the file was changed on disk. The error is cache.ErrUnknown for a file that is
// not there, and cache.ErrMismatch for one that was damaged: it is removed, and fetched again when an Environment names it.
func (c *Cache) Open(digest string) (*cache.Asset, error) {
	e, err := c.entryOf(digest)
	if err != nil {
		if IsDigest(digest) {
			c.missing(digest)
		}
		return nil, err
	}
	a, err := e.store.Open(digest)
	if err != nil {
		c.damaged(digest, e, err)
		return nil, err
	}
	return a, nil
}

// entryOf finds a file by its name. One that another process put there, or put in place of another, is found too.
func (c *Cache) entryOf(digest string) (*entry, error) {
	if !IsDigest(digest) {
		return nil, fmt.Errorf("opening boot file: %w", cache.ErrUnknown)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := c.root.Lstat(digest)
	if errors.Is(err, fs.ErrNotExist) {
		delete(c.entries, digest)
		return nil, fmt.Errorf("opening boot file %s: %w", digest, cache.ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("opening boot file: %w", err)
	}
	if e := c.entries[digest]; e != nil && os.SameFile(e.info, info) {
		return e, nil
	}
	e := &entry{info: info, store: cache.New(c.root.FS(), map[string]cache.Digest{digest: {SHA256: digest, Size: info.Size()}})}
	c.entries[digest] = e
	return e, nil
}

// damaged removes a file that is not what its name says, unless another one took its place meanwhile.
func (c *Cache) damaged(digest string, e *entry, why error) {
	if !errors.Is(why, cache.ErrMismatch) && !errors.Is(why, syscall.EIO) {
		return
	}
	c.mu.Lock()
	info, err := c.root.Lstat(digest)
	mine := err == nil && os.SameFile(e.info, info)
	if mine {
		err = c.root.RemoveAll(digest)
		delete(c.entries, digest)
	}
	c.mu.Unlock()
	if mine {
		c.cfg.Log.Error("a boot file in the cache is damaged; it was removed and is fetched again", "sha256", digest, "why", why, "removed", err == nil)
		c.missing(digest)
	}
}

// proven says whether a file is there and good; it may take as long as reading it.
func (c *Cache) proven(ctx context.Context, digest string) (size int64, ok bool) {
	if !c.there(digest) || !pace.Take(ctx, c.proving) {
		return 0, false
	}
	defer func() { <-c.proving }()
	a, err := c.Open(digest)
	if err != nil {
		return 0, false
	}
	size = a.Size
	return size, a.Close() == nil
}

func (c *Cache) there(digest string) bool {
	_, err := c.root.Lstat(digest)
	return err == nil
}

// File is one file in the folder.
type File struct {
	cache.Digest
	// At is when it was put there.
	At time.Time
}

// List lists the files, by digest. It proves none of them.
func (c *Cache) List() ([]File, error) {
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("reading the folder for boot files: %w", err)
	}
	var out []File
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && IsDigest(e.Name()) {
			out = append(out, File{cache.Digest{SHA256: e.Name(), Size: info.Size()}, info.ModTime()})
		}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.SHA256, b.SHA256) })
	return out, nil
}

// place gives a synced file its name for good.
func (c *Cache) place(temp, digest string) error {
	if err := c.root.Rename(temp, digest); err != nil {
		return fmt.Errorf("putting a boot file in place: %w", err)
	}
	d, err := os.Open(filepath.Clean(c.cfg.Dir))
	if err != nil {
		return fmt.Errorf("putting a boot file in place: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove removes files that may not be there.
func (c *Cache) remove(names ...string) error {
	var all []error
	for _, n := range names {
		if err := c.root.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
