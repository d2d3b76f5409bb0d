package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ingot.dev/ingot/boot-assets/web"
)

var (
	// errStartOver asks for the file from its first byte: what was there does not fit what the source has now.
	errStartOver = errors.New("the source has another file than the one that was begun")
	errUnproven  = errors.New("the file was fetched and cannot be read back from the disk")
)

// fetch gets one file into its place, going on with what an earlier try left. got is how many bytes came over the network.
func (c *Cache) fetch(ctx context.Context, j *job) (got int64, err error) {
	for range 2 {
		n, err := c.transfer(ctx, j)
		got += n
		if !errors.Is(err, errStartOver) {
			return got, err
		}
	}
	return got, errStartOver
}

// transfer is one request and its answer.
func (c *Cache) transfer(ctx context.Context, j *job) (got int64, err error) {
	p, err := c.openPart(ctx, j.want)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.whole() {
		return 0, p.finish(true)
	}
	w := web.Watch(ctx, c.cfg.Stall, c.cfg.Stall)
	defer w.Stop()
	a, err := c.ask(w.Context, j.want.URL, p)
	if err != nil {
		return 0, w.Cause(p.forget(err))
	}
	defer a.body.Close()
	if err := p.begin(a); err != nil {
		return 0, err
	}
	limit, err := c.makeRoom(j.want.SHA256, a.total)
	defer c.unreserve(j.want.SHA256)
	if err != nil {
		return 0, p.forget(err)
	}
	got, err = c.receive(w, j, p, a, limit)
	if err != nil {
		return got, w.Cause(p.forget(err))
	}
	return got, p.finish(a.offset > 0)
}

// receive copies the body into the part. At most one byte more than limit is read.
func (c *Cache) receive(w *web.Watchdog, j *job, p *part, a answer, limit int64) (int64, error) {
	sink := writer(func(b []byte) (int, error) {
		n, err := p.Write(b)
		w.Received(n)
		c.set(j, func(s *State) { *s = State{SHA256: s.SHA256, Phase: Fetching, Received: p.size, Total: a.total} })
		return n, err
	})
	n, err := io.Copy(sink, io.LimitReader(a.body, limit-a.offset+1))
	switch {
	case err != nil:
		return n, err
	case p.size > limit:
		return n, fmt.Errorf("%w: more than %d bytes came", ErrTooBig, limit)
	case a.total > 0 && p.size != a.total:
		return n, fmt.Errorf("%w: %d of %d bytes", io.ErrUnexpectedEOF, p.size, a.total)
	}
	return n, nil
}

type writer func([]byte) (int, error)

// Write calls the function.
func (w writer) Write(b []byte) (int, error) { return w(b) }
