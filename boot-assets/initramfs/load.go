package initramfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingot.dev/ingot/boot-assets/initramfs/debian"
)

// DefaultCache is the folder that packages are kept in when none is named.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache folder (name one): %w", err)
	}
	return filepath.Join(dir, "ingot", "debs"), nil
}

// Load fetches the locked packages for the cache's architecture and collects the parts of the image.
func Load(ctx context.Context, cache *debian.Cache, lists Lists) (Parts, error) {
	packages, err := locked(cache.Arch)
	if err != nil {
		return Parts{}, err
	}
	return LoadLocked(ctx, cache, packages, lists)
}

// locked are the packages of the lock that an image for that architecture takes.
func locked(arch string) ([]debian.Package, error) {
	packages, err := debian.ParseLock(packagesLock)
	return slices.DeleteFunc(packages, func(p debian.Package) bool { return p.Arch != arch && p.Arch != debian.ArchAll }), err
}

// LoadLocked does that with packages of another lock, for images that are not the agent's: a kernel, and firmware if any.
func LoadLocked(ctx context.Context, cache *debian.Cache, packages []debian.Package, lists Lists) (Parts, error) {
	if err := cache.Fetch(ctx, packages); err != nil {
		return Parts{}, err
	}
	return collectLocked(cache, packages, lists)
}

func collectLocked(cache *debian.Cache, packages []debian.Package, lists Lists) (parts Parts, err error) {
	var opened sources
	defer func() { err = errors.Join(err, opened.close()) }()
	for _, p := range packages {
		if err := opened.add(cache, p); err != nil {
			return Parts{}, err
		}
	}
	if opened.kernel == nil {
		return Parts{}, errors.New("packages.lock names no linux-image")
	}
	return Collect(lists, opened.kernel, opened.firmware)
}

// sources are the opened packages.
type sources struct {
	kernel   Files
	firmware []Files
	closers  []func() error
}

func (s *sources) add(cache *debian.Cache, p debian.Package) error {
	files, closeFiles, err := cache.Open(p)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closeFiles)
	if strings.HasPrefix(p.Name, "linux-image-") {
		s.kernel = files
	} else {
		s.firmware = append(s.firmware, files)
	}
	return nil
}

func (s *sources) close() error {
	var problems []error
	for _, closeFiles := range s.closers {
		problems = append(problems, closeFiles())
	}
	return errors.Join(problems...)
}
