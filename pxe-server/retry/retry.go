// Package retry is how the parts of a boot server wait before they try again what failed.
//
// Layer 2, standard library only.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause waits between half of d and d, so that many servers do not come back at once. It is false when ctx ended. It takes two nanoseconds or more.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
