package blobs

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// sweep removes what nobody names for longer than Keep, parts that nobody goes on with, and imports that died.
func (c *Cache) sweep() {
	if err := c.sweepTemps(); err != nil {
		c.cfg.Log.Warn("the folder for boot files could not be swept", "error", err)
	}
	for _, f := range c.unnamed() {
		if c.cfg.Now().Sub(f.At) > c.cfg.Keep {
			c.evict(f, "no Environment names it")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.named, func(_ string, at time.Time) bool { return c.cfg.Now().Sub(at) > c.cfg.Keep })
}

// unnamed are the files that no Environment names, with the time since when, the oldest first; none before it is known what is named.
func (c *Cache) unnamed() []File {
	files, err := c.List()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || !c.told {
		return nil
	}
	files = slices.DeleteFunc(files, func(f File) bool { return c.jobs[f.SHA256] != nil })
	for i, f := range files {
		files[i].At = latest(f.At, c.since, c.named[f.SHA256])
	}
	slices.SortStableFunc(files, func(a, b File) int { return a.At.Compare(b.At) })
	return files
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// evict removes a file unless it was named meanwhile.
func (c *Cache) evict(f File, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobs[f.SHA256] != nil {
		return
	}
	err := c.root.Remove(f.SHA256)
	delete(c.entries, f.SHA256)
	delete(c.named, f.SHA256)
	c.cfg.Log.Info("a boot file was removed from the cache", "sha256", f.SHA256, "bytes", f.Size, "why", why, "removed", err == nil)
}

// makeRoom removes unnamed files, the oldest first, until a file of total bytes fits, and says how large the file may become.
func (c *Cache) makeRoom(digest string, total int64) (limit int64, err error) {
	c.reserve(digest, total)
	used, err := c.used(digest)
	if err != nil {
		return 0, err
	}
	for _, f := range c.unnamed() {
		if used+max(total, 1) <= c.cfg.Budget {
			break
		}
		c.evict(f, "room is needed")
		used -= f.Size
	}
	if limit = min(c.cfg.MaxFile, c.cfg.Budget-used); limit < max(total, 1) {
		return 0, fmt.Errorf("%w: %d bytes are used of %d, and the file has %d", ErrNoRoom, used, c.cfg.Budget, total)
	}
	return limit, nil
}

func (c *Cache) reserve(digest string, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved[digest] = total
}

func (c *Cache) unreserve(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reserved, digest)
}

// used is the size of all files and parts but those of one digest. A part counts as what it becomes.
func (c *Cache) used(but string) (int64, error) {
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return 0, fmt.Errorf("reading the folder for boot files: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && !strings.HasPrefix(e.Name(), but) {
			sum += max(info.Size(), c.reserved[strings.TrimSuffix(e.Name(), partSuffix)])
		}
	}
	return sum, nil
}

// sweepTemps removes temporary files that no process holds and no job goes on with.
func (c *Cache) sweepTemps() error {
	entries, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		digest, isPart := strings.CutSuffix(e.Name(), partSuffix)
		c.mu.Lock()
		stale := isPart && c.told && c.jobs[digest] == nil
		c.mu.Unlock()
		if stale || strings.HasPrefix(e.Name(), importPrefix) {
			c.removeUnheld(e.Name())
		}
		if d, ok := strings.CutSuffix(e.Name(), fromSuffix); ok && !c.there(d+partSuffix) {
			_ = c.remove(e.Name()) // it describes nothing; a part that is just being opened writes it anew
		}
	}
	return nil
}

func (c *Cache) removeUnheld(name string) {
	f, err := c.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if lock(f) == nil {
		_ = c.remove(name, strings.TrimSuffix(name, partSuffix)+fromSuffix) // the next sweep tries again
	}
}
