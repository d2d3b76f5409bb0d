package source

import (
	"io"
	"os"
)

// flipped is a file with one bit changed.
type flipped struct {
	file *os.File
	at   int64
	now  int64
}

// Read implements io.Reader.
func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	if i := f.at - f.now; i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	f.now += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (f *flipped) Seek(offset int64, whence int) (int64, error) {
	now, err := f.file.Seek(offset, whence)
	f.now = now
	return now, err
}

var _ io.ReadSeeker = (*flipped)(nil)
