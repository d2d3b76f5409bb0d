package blobs

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/boot-assets/web"
)

// Waits between tries. A source with the wrong file costs a whole transfer each time, so it is asked again slowly.
const (
	firstWait    = time.Second
	longestWait  = 5 * time.Minute
	mismatchWait = time.Minute
	// lookEvery is how often somebody may have put the file there meanwhile: `assets import`.
	lookEvery = 5 * time.Second
	// headway is what a try has to bring for the waits to begin anew.
	headway = 1 << 20
)

// follow keeps one file there until ctx ends.
func (c *Cache) follow(ctx context.Context, j *job) {
	pause := firstWait
	for ctx.Err() == nil {
		got, err := c.ensure(ctx, j)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = firstWait
			c.idle(ctx, j)
			continue
		case got >= headway:
			pause = firstWait
		case errors.Is(err, ErrDigest):
			pause = max(pause, mismatchWait)
		}
		c.failed(j, err, pause)
		if !c.nap(ctx, j, pause) {
			return
		}
		pause = min(2*pause, longestWait)
	}
}

// failed says why, unless another process is at it.
func (c *Cache) failed(j *job, err error, pause time.Duration) {
	if errors.Is(err, errBusy) {
		return
	}
	message := web.Tell(j.want.URL, err)
	c.cfg.Log.Warn("a boot file could not be fetched", "sha256", j.want.SHA256, "error", message, "retry-in", pause)
	c.set(j, func(s *State) { s.Phase, s.Message, s.OtherBytes = Failed, message, errors.Is(err, ErrDigest) })
}

// ensure proves the file that is there, or fetches it. got is how many bytes came.
func (c *Cache) ensure(ctx context.Context, j *job) (got int64, err error) {
	if size, ok := c.proven(ctx, j.want.SHA256); ok {
		c.cached(j, size)
		return 0, nil
	}
	if !pace.Take(ctx, c.fetching) {
		return 0, ctx.Err()
	}
	defer func() { <-c.fetching }()
	got, err = c.fetch(ctx, j)
	if err != nil {
		return got, err
	}
	size, ok := c.proven(ctx, j.want.SHA256) // what the disk says, not what we wrote
	if !ok {
		return got, errUnproven
	}
	c.cfg.Log.Info("a boot file was fetched", "sha256", j.want.SHA256, "bytes", size, "from", web.Where(j.want.URL))
	c.cached(j, size)
	return got, nil
}

func (c *Cache) cached(j *job, size int64) {
	c.set(j, func(s *State) { *s = State{SHA256: j.want.SHA256, Phase: Cached, Received: size, Total: size} })
}

// idle waits until the file is missed.
func (c *Cache) idle(ctx context.Context, j *job) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.again:
			if !c.there(j.want.SHA256) || c.phase(j) != Cached {
				return
			}
		}
	}
}

func (c *Cache) phase(j *job) Phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	return j.state.Phase
}

// nap waits between half of d and d, and less when the file is there meanwhile. It is false when ctx ended.
func (c *Cache) nap(ctx context.Context, j *job, d time.Duration) bool {
	for left := d/2 + rand.N(d/2); left > 0; left -= lookEvery {
		if !c.cfg.Wait(ctx, min(left, lookEvery)) {
			return false
		}
		if c.there(j.want.SHA256) {
			return true
		}
	}
	return true
}
