// Package pace is how goroutines of this project wait for time, for a place and for news, always within a context.
//
// It is layer 2, standard library only, and knows nobody.
package pace

import (
	"context"
	"math/rand/v2"
	"time"
)

// Wait waits for d. It is false when ctx ended.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Pause waits between half of d and d, so that many servers do not come back at once. It is false when ctx ended. d is two nanoseconds or more.
func Pause(ctx context.Context, d time.Duration) bool { return Wait(ctx, Jitter(d)) }

// Jitter is between half of d and d, which is two nanoseconds or more.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

// Take waits for a place. It is false when ctx ended.
func Take(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// Signal wakes a listener that may be busy: what is in the channel already says enough.
func Signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
