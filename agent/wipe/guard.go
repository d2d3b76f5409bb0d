package wipe

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of a single call into a device.
const (
	// callTime is for reads, chunks and questions. The kernel itself retries a dying disk for some minutes.
	callTime = 10 * time.Minute
	// diskTime is for what a disk does by itself: 20 TB at 100 MB/s are 56 hours.
	diskTime = 72 * time.Hour
	// grace is what a call gets to end once the wipe is cancelled.
	grace = 15 * time.Second
)

// errHangs says that a call did not return. Nothing more may be sent to that device.
var errHangs = errors.New("the disk does not answer")

// call runs f, and gives up on it after a bound, or a while after ctx ended. A call that was given up keeps its goroutine until
// the kernel lets it go; it must not touch anything that is still in use.
func (j *job) call(ctx context.Context, bound time.Duration, what string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: the wipe was cancelled: %w", what, err)
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return wrap(what, err)
	case <-j.cfg.After(bound):
	case <-ctx.Done():
		select {
		case err := <-done:
			return wrap(what, err)
		case <-j.cfg.After(grace):
		}
	}
	j.hangs = true
	return fmt.Errorf("%s: %w", what, errHangs)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
