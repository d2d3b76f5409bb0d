package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Cache keeps packages and their unpacked archives in a folder, named by digest. Several processes may share it:
// files appear whole, by rename, and are checked against their names when they are opened.
type Cache struct {
	Dir     string
	Archive Archive
	// Arch is Debian's name of the target architecture.
	Arch string
	// Progress is told what takes long; nil is fine.
	Progress func(text string)
}

// Open gives the files of a locked package. Fetch must have succeeded for it.
func (c *Cache) Open(p Package) (*Files, func() error, error) {
	matches, err := filepath.Glob(filepath.Join(c.Dir, p.SHA256+".*.tar"))
	if err != nil || len(matches) == 0 {
		return nil, nil, fmt.Errorf("package %s is not in the cache", p.Name)
	}
	file, err := os.Open(matches[0])
	if err != nil {
		return nil, nil, fmt.Errorf("opening cached package: %w", err)
	}
	size, err := verifyTar(file)
	if err == nil {
		var files *Files
		if files, err = IndexTar(file, size); err == nil {
			return files, file.Close, nil
		}
	}
	return nil, nil, errors.Join(fmt.Errorf("package %s in the cache (remove %s): %w", p.Name, file.Name(), err), file.Close())
}

// verifyTar compares a cached archive with the digest in its name.
func verifyTar(file *os.File) (int64, error) {
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return 0, fmt.Errorf("reading cached archive: %w", err)
	}
	if !strings.HasSuffix(file.Name(), "."+hex.EncodeToString(sum.Sum(nil))+".tar") {
		return 0, errors.New("cached archive has been changed")
	}
	return size, nil
}

// Fetch downloads and unpacks what the cache does not have yet. Nothing is asked of the network when all is there.
func (c *Cache) Fetch(ctx context.Context, packages []Package) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("making the package cache: %w", err)
	}
	var missing []Package
	for _, p := range packages {
		if matches, _ := filepath.Glob(filepath.Join(c.Dir, p.SHA256+".*.tar")); len(matches) == 0 {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return c.inApt(ctx, missing, func(a *apt) error {
		for _, p := range missing {
			if err := c.fetchOne(ctx, a, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// inApt runs a function with a private apt whose folder is removed afterwards.
func (c *Cache) inApt(ctx context.Context, packages []Package, do func(*apt) error) error {
	dir, err := os.MkdirTemp(c.Dir, "apt-")
	if err != nil {
		return fmt.Errorf("making apt's folder: %w", err)
	}
	defer os.RemoveAll(dir)
	c.say("reading Debian's package lists")
	a, err := newApt(ctx, dir, c.Archive, packages, c.Arch)
	if err != nil {
		return err
	}
	return do(a)
}

func (c *Cache) fetchOne(ctx context.Context, a *apt, p Package) error {
	c.say("fetching " + p.Name + " " + p.Version)
	if _, err := a.run(ctx, "apt-get", "download", p.Name+"="+p.Version); err != nil {
		return fmt.Errorf("fetching %s %s from Debian's %s: %w; if the archive no longer has it, run mkimage --update-lock, read the difference and commit it",
			p.Name, p.Version, p.Suite, err)
	}
	debs, err := filepath.Glob(filepath.Join(a.dir, "debs", p.Name+"_*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt fetched %d files for %s, want one", len(debs), p.Name)
	}
	if err := verifyDeb(debs[0], p); err != nil {
		return err
	}
	if err := c.unpack(debs[0], p); err != nil {
		return fmt.Errorf("unpacking %s: %w", p.Name, err)
	}
	return os.Remove(debs[0])
}

// verifyDeb compares a fetched package with the lock.
func verifyDeb(name string, p Package) error {
	got, err := fileSum(name)
	if err != nil {
		return err
	}
	if got != p.SHA256 {
		return fmt.Errorf("package %s %s has SHA-256 %s, but packages.lock says %s; do not use it before you know why", p.Name, p.Version, got, p.SHA256)
	}
	return nil
}

func fileSum(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("opening package: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("reading package: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// unpack writes the package's data.tar, uncompressed, under its own digest: xz takes seconds for the kernel, hashing a tenth.
func (c *Cache) unpack(deb string, p Package) error {
	in, err := os.Open(deb)
	if err != nil {
		return fmt.Errorf("opening package: %w", err)
	}
	defer in.Close()
	out, err := os.CreateTemp(c.Dir, "unpack-")
	if err != nil {
		return fmt.Errorf("making archive: %w", err)
	}
	defer os.Remove(out.Name())
	sum := sha256.New()
	if err := errors.Join(CopyData(io.MultiWriter(out, sum), in), out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), filepath.Join(c.Dir, p.SHA256+"."+hex.EncodeToString(sum.Sum(nil))+".tar"))
}

func (c *Cache) say(text string) {
	if c.Progress != nil {
		c.Progress(text)
	}
}
