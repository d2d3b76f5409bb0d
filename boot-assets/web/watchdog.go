package web

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// leastBytes is what a source has to send in each period: less is a drip that would hold a place for ever.
const leastBytes = 16 << 10

// ErrStalled is returned for a source that sends nothing, or next to nothing.
var ErrStalled = errors.New("the source stalled")

// Watchdog ends a transfer that brings less than leastBytes in each period. It is used by one transfer only.
type Watchdog struct {
	// Context is that of the transfer.
	Context context.Context
	end     context.CancelCauseFunc
	timer   *time.Timer
	// waits is how long it waits now.
	waits, period time.Duration
	bytes         int
}

// Watch begins. The answer may take as long as patience; after Answered each period has to bring its bytes.
func Watch(ctx context.Context, patience, period time.Duration) *Watchdog {
	w := &Watchdog{waits: patience, period: period}
	w.Context, w.end = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(patience, func() { w.end(ErrStalled) })
	return w
}

// Answered says that the head of the answer came.
func (w *Watchdog) Answered() {
	w.waits = w.period
	w.timer.Reset(w.period)
}

// Received counts, and grants another period for enough bytes.
func (w *Watchdog) Received(n int) {
	if w.bytes += n; w.bytes >= leastBytes {
		w.bytes = 0
		w.timer.Reset(w.period)
	}
}

// Cause names the stall instead of what it looked like.
func (w *Watchdog) Cause(err error) error {
	if errors.Is(context.Cause(w.Context), ErrStalled) {
		return fmt.Errorf("%w: less than %d bytes came in %v", ErrStalled, leastBytes, w.waits)
	}
	return err
}

// Stop ends the watch and the context.
func (w *Watchdog) Stop() {
	w.timer.Stop()
	w.end(nil)
}
