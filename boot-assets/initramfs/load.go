package initramfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Load fetches the locked packages through the cache and collects the parts of the image.
func Load(ctx context.Context, cache *debian.Cache, lists Lists) (parts Parts, err error) {
	packages, err := debian.ParseLock(packagesLock)
	if err != nil {
		return Parts{}, err
	}
	if err := cache.Fetch(ctx, packages); err != nil {
		return Parts{}, err
	}
	var kernel Files
	var firmware []Files
	for _, p := range packages {
		files, closeFiles, err := cache.Open(p)
		if err != nil {
			return Parts{}, err
		}
		defer func() { err = errors.Join(err, closeFiles()) }()
		if strings.HasPrefix(p.Name, "linux-image-") {
			kernel = files
		} else {
			firmware = append(firmware, files)
		}
	}
	if kernel == nil {
		return Parts{}, errors.New("packages.lock names no linux-image")
	}
	return Collect(lists, kernel, firmware)
}
