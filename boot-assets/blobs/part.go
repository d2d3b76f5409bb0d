package blobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
)

// Names beside the files: a part of one, and where it comes from. An import that has not ended has a name of its own.
const (
	partSuffix   = ".part"
	fromSuffix   = ".from"
	importPrefix = "import-"
	maxFrom      = 8 << 10
)

var errBusy = errors.New("another process fetches this file into the same folder")

// origin says of which file of which source a part is, so that it goes on with the same one.
type origin struct {
	URL string `json:"url"`
	// Validator is a strong ETag or a Last-Modified (RFC 9110 section 13.1.5); empty when the source gave none.
	Validator string `json:"validator"`
}

// part is a file on its way. Its lock keeps other processes away, and ends with this one however that ends.
type part struct {
	cache  *Cache
	want   Wanted
	file   *os.File
	sum    hash.Hash
	size   int64
	origin origin
}

// openPart opens what an earlier try left, and hashes it. Bytes of another URL, or of unknown origin, are dropped.
func (c *Cache) openPart(ctx context.Context, w Wanted) (*part, error) {
	f, err := c.root.OpenFile(w.SHA256+partSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a part of a boot file: %w", err)
	}
	p := &part{cache: c, want: w, file: f, sum: sha256.New()}
	if err := c.hold(f, w.SHA256+partSuffix); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := p.resume(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// hold locks an open file. Whoever held it before may have given it its last name since it was opened, and then it is not ours to write.
func (c *Cache) hold(f *os.File, name string) error {
	if err := lock(f); err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if now, err := c.root.Lstat(name); err != nil || !os.SameFile(mine, now) {
		return errBusy
	}
	return nil
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	return err
}

func (p *part) resume(ctx context.Context) error {
	p.origin = p.cache.originOf(p.want.SHA256)
	if p.origin.URL != p.want.URL || p.origin.Validator == "" {
		return p.reset()
	}
	n, err := io.Copy(p.sum, io.LimitReader(&untilDone{ctx, p.file}, p.cache.cfg.MaxFile+1))
	if err != nil {
		return fmt.Errorf("reading a part of a boot file: %w", err)
	}
	if p.size = n; n > p.cache.cfg.MaxFile {
		return p.reset()
	}
	return nil
}

// originOf is what was written about a part; the zero value when that cannot be understood.
func (c *Cache) originOf(digest string) origin {
	f, err := c.root.Open(digest + fromSuffix)
	if err != nil {
		return origin{}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFrom))
	var o origin
	if err != nil || json.Unmarshal(data, &o) != nil || validator(o.Validator) != o.Validator {
		return origin{}
	}
	return o
}

// begin makes the part ready for an answer: it goes on, or starts over.
func (p *part) begin(a answer) error {
	if a.offset == p.size && a.offset > 0 {
		return nil
	}
	if err := p.reset(); err != nil {
		return err
	}
	data, err := json.Marshal(origin{URL: p.want.URL, Validator: a.validator})
	if err != nil {
		return err
	}
	if err := p.cache.root.WriteFile(p.want.SHA256+fromSuffix, data, 0o600); err != nil {
		return fmt.Errorf("writing where a boot file comes from: %w", err)
	}
	return nil
}

// reset drops what is there. What says where it came from goes first: bytes without it are not gone on with.
func (p *part) reset() error {
	p.size = 0
	p.sum.Reset()
	err := errors.Join(p.cache.remove(p.want.SHA256+fromSuffix), p.file.Truncate(0))
	_, seek := p.file.Seek(0, io.SeekStart)
	return errors.Join(err, seek)
}

// Write appends.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	return n, err
}

// forget drops the part when err says that nothing good can come of it, and gives err back.
func (p *part) forget(err error) error {
	if errors.Is(err, errStartOver) || errors.Is(err, ErrTooBig) || errors.Is(err, ErrNoRoom) {
		return errors.Join(err, p.reset())
	}
	return err
}

func (p *part) digest() string { return hex.EncodeToString(p.sum.Sum(nil)) }

// whole says that nothing is missing: the process died just before the last step.
func (p *part) whole() bool { return p.size > 0 && p.digest() == p.want.SHA256 }

// finish gives a whole part its name. Other bytes are not kept: after a transfer that went on they may be of two files, so it starts over once.
func (p *part) finish(resumed bool) error {
	if sum := p.digest(); sum != p.want.SHA256 {
		if resumed {
			return p.forget(errStartOver)
		}
		return errors.Join(fmt.Errorf("%w: its SHA-256 is %s, want %s", ErrDigest, sum, p.want.SHA256), p.reset())
	}
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("writing a boot file: %w", err)
	}
	if err := p.cache.place(p.want.SHA256+partSuffix, p.want.SHA256); err != nil {
		return err
	}
	return p.cache.remove(p.want.SHA256 + fromSuffix)
}

// close leaves no empty part behind.
func (p *part) close() error {
	var err error
	if p.size == 0 {
		err = p.cache.remove(p.want.SHA256 + partSuffix)
	}
	return errors.Join(err, p.file.Close())
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

// Read reads.
func (r *untilDone) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
