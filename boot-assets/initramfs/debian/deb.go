package debian

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxTar bounds what a package may grow to; the kernel's is 110 MB.
const maxTar = 1 << 30

// maxDictionary bounds zstd's memory; dpkg's own limit is below it. The library for xz has no such bound (its DictCap is a minimum),
// which is why a package's digest is compared with the lock before anything is decompressed.
const maxDictionary = 64 << 20

// CopyData writes the uncompressed data.tar of a .deb.
func CopyData(w io.Writer, deb io.Reader) error {
	name, member, err := dataMember(deb)
	if err != nil {
		return err
	}
	// xz reads byte by byte.
	r, err := decompress(name, bufio.NewReaderSize(member, 1<<16))
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	defer r.Close()
	n, err := io.Copy(w, io.LimitReader(r, maxTar+1))
	if err != nil {
		return fmt.Errorf("decompressing %s: %w", name, err)
	}
	if n > maxTar {
		return fmt.Errorf("%s is larger than %d bytes", name, maxTar)
	}
	return nil
}

func decompress(name string, r io.Reader) (io.ReadCloser, error) {
	switch name {
	case "data.tar":
		return io.NopCloser(r), nil
	case "data.tar.xz":
		x, err := xz.NewReader(r)
		return io.NopCloser(x), err
	case "data.tar.zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case "data.tar.gz":
		return gzip.NewReader(r)
	}
	return nil, errors.New("package has its data in a form that is not known: " + name)
}
