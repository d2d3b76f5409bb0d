package factory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"ingot.dev/ingot/boot-assets/web"
)

// headSize is enough for the marks of every kind of file.
const headSize = 1 << 10

// File is a file that is coming. It has to be closed.
type File struct {
	// Size in bytes; 0 when the factory does not tell.
	Size int64

	address string
	body    io.ReadCloser
	head    *bufio.Reader
	dog     *web.Watchdog
	got     int64
}

// Open asks for a file of a release.
func (c *Client) Open(ctx context.Context, r Release, k Kind) (*File, error) {
	address := c.URL(r, k)
	dog := web.Watch(ctx, buildTime, stall)
	res, err := c.do(dog.Context, http.MethodGet, address, nil) //nolint:bodyclose // File.Close does
	if err != nil {
		err = dog.Cause(err)
		dog.Stop()
		if errors.Is(err, web.ErrStalled) {
			err = unreachable(address, err)
		}
		return nil, err
	}
	dog.Answered()
	f := &File{Size: max(res.ContentLength, 0), address: address, body: res.Body, dog: dog}
	f.head = bufio.NewReaderSize(&counted{f}, headSize)
	if err := f.check(res, k); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check reads the head of the answer and of the file.
func (f *File) check(res *http.Response, k Kind) error {
	switch {
	case res.StatusCode != http.StatusOK:
		return refused(f.address, res.StatusCode)
	case f.Size > MaxFile:
		return fmt.Errorf("%w: %s has %d bytes, at most %d are taken", ErrAnswer, web.Where(f.address), f.Size, int64(MaxFile))
	case res.ContentLength < 0 && len(res.TransferEncoding) == 0 && res.ProtoMajor < 2:
		return fmt.Errorf("%w: %s does not say where the file ends, so half of one would pass for it", ErrAnswer, web.Where(f.address))
	}
	head, err := f.head.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return f.explain(err)
	}
	if !plausible(k, head) {
		return fmt.Errorf("%w: %s is no %s; perhaps a proxy answers in the factory's place", ErrAnswer, web.Where(f.address), k)
	}
	return nil
}

// Read reads the file. A file that ends early, or has too many bytes, is an error.
func (f *File) Read(b []byte) (int, error) {
	n, err := f.head.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.explain(err)
	}
	return n, err
}

func (f *File) explain(err error) error {
	if errors.Is(err, ErrAnswer) {
		return err
	}
	return unreachable(f.address, f.dog.Cause(err))
}

// Close ends the transfer.
func (f *File) Close() error {
	f.dog.Stop()
	return f.body.Close()
}

// counted is the body with its limits.
type counted struct{ f *File }

// Read reads.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.f.body.Read(b)
	c.f.dog.Received(n)
	if c.f.got += int64(n); c.f.got > MaxFile {
		return 0, fmt.Errorf("%w: %s has more than %d bytes", ErrAnswer, web.Where(c.f.address), int64(MaxFile))
	}
	return n, err
}

// archives are what an initramfs begins with: cpio, gzip, zstd, xz, lz4 (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
var archives = [][]byte{[]byte("070701"), {0x1f, 0x8b}, {0x28, 0xb5, 0x2f, 0xfd}, {0xfd, '7', 'z', 'X', 'Z'}, {0x02, 0x21, 0x4c, 0x18}}

// plausible keeps error pages from being pinned as files. Every kernel that UEFI can start is a PE program, and so is a UKI; one for BIOS only has HdrS
// (Linux, Documentation/arch/x86/boot.rst).
func plausible(k Kind, head []byte) bool {
	const mark = 0x202
	switch k {
	case Kernel:
		return bytes.HasPrefix(head, []byte("MZ")) || len(head) > mark+4 && string(head[mark:mark+4]) == "HdrS"
	case UKI:
		return bytes.HasPrefix(head, []byte("MZ"))
	case Initramfs:
		for _, a := range archives {
			if bytes.HasPrefix(head, a) {
				return true
			}
		}
	}
	return false
}
