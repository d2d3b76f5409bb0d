package session

import (
	"encoding/binary"
	"io"
	"time"
)

// Bounds of the pause between two attempts.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// backoff doubles the pause at each failure, with jitter: a hundred machines must not come back at the same moment.
type backoff struct {
	random io.Reader
	pause  time.Duration
}

// next returns the pause before the next attempt: between half and all of the step.
func (b *backoff) next() time.Duration {
	b.pause = min(max(2*b.pause, firstPause), longestPause)
	half := uint64(b.pause / 2)
	var raw [8]byte
	if _, err := io.ReadFull(b.random, raw[:]); err != nil {
		return b.pause
	}
	return time.Duration(half + binary.LittleEndian.Uint64(raw[:])%(half+1))
}

// reset follows a success.
func (b *backoff) reset() { b.pause = 0 }
