package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// leastBytes is what a source has to send in each Stall: less is a drip that would hold a place for ever.
const leastBytes = 16 << 10

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
	w := watch(ctx, c.cfg.Stall)
	defer w.stop()
	a, err := c.ask(w.ctx, j.want.URL, p)
	if err != nil {
		return 0, w.cause(p.forget(err))
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
		return got, w.cause(p.forget(err))
	}
	return got, p.finish(a.offset > 0)
}

// receive copies the body into the part. At most one byte more than limit is read.
func (c *Cache) receive(w *watchdog, j *job, p *part, a answer, limit int64) (int64, error) {
	sink := writer(func(b []byte) (int, error) {
		n, err := p.Write(b)
		w.received(n)
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

// watchdog ends a transfer that brings less than leastBytes in each period. It is used by one transfer only.
type watchdog struct {
	ctx    context.Context
	end    context.CancelCauseFunc
	timer  *time.Timer
	period time.Duration
	bytes  int
}

func watch(ctx context.Context, period time.Duration) *watchdog {
	w := &watchdog{period: period}
	w.ctx, w.end = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(period, func() { w.end(ErrStalled) })
	return w
}

// received counts, and grants another period for enough bytes.
func (w *watchdog) received(n int) {
	if w.bytes += n; w.bytes >= leastBytes {
		w.bytes = 0
		w.timer.Reset(w.period)
	}
}

// cause names the stall instead of what it looked like.
func (w *watchdog) cause(err error) error {
	if errors.Is(context.Cause(w.ctx), ErrStalled) {
		return fmt.Errorf("%w: less than %d bytes came in %v", ErrStalled, leastBytes, w.period)
	}
	return err
}

func (w *watchdog) stop() {
	w.timer.Stop()
	w.end(nil)
}
