package blobs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"ingot.dev/ingot/boot-assets/cache"
)

// Import puts the bytes of r into the cache under their digest. Other processes may use the folder meanwhile: they see the whole file or none.
func (c *Cache) Import(ctx context.Context, r io.Reader) (cache.Digest, error) {
	temp := importPrefix + rand.Text()
	f, err := c.root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cache.Digest{}, fmt.Errorf("importing a boot file: %w", err)
	}
	d, err := c.take(ctx, f, r)
	if err == nil {
		err = c.place(temp, d.SHA256)
	} else {
		err = errors.Join(err, c.remove(temp))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return cache.Digest{}, fmt.Errorf("importing a boot file: %w", err)
	}
	return d, nil
}

// take copies and hashes. Its lock tells others that the file is not left over.
func (c *Cache) take(ctx context.Context, f *os.File, r io.Reader) (cache.Digest, error) {
	if err := lock(f); err != nil {
		return cache.Digest{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(&untilDone{ctx, r}, c.cfg.MaxFile+1))
	switch {
	case err != nil:
		return cache.Digest{}, err
	case n == 0:
		return cache.Digest{}, errors.New("the file is empty")
	case n > c.cfg.MaxFile:
		return cache.Digest{}, fmt.Errorf("%w: more than %d bytes", ErrTooBig, c.cfg.MaxFile)
	}
	return cache.Digest{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n}, f.Sync()
}
