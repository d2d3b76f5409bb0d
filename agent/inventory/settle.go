package inventory

import (
	"context"
	"slices"
	"time"
)

// Settle bounds the wait for disks: drivers find them some time after they are loaded.
type Settle struct {
	// Poll is the time between looks.
	Poll time.Duration
	// Quiet is how long nothing new may appear.
	Quiet time.Duration
	// Most is the longest wait.
	Most time.Duration
}

// DefaultSettle waits until no new disk appeared for a second, at most 15 s.
var DefaultSettle = Settle{Poll: 250 * time.Millisecond, Quiet: time.Second, Most: 15 * time.Second}

// WaitForDisks returns when no new disk appears any more, or the bound is reached, which is no error: the machine may have
// none. It returns the names.
func (c *Collector) WaitForDisks(ctx context.Context, s Settle) []string {
	names := c.diskNames()
	quiet := time.Duration(0)
	for waited := time.Duration(0); waited < s.Most; waited += s.Poll {
		// Without any disk the bound is what counts: RAID controllers take many seconds to show the first one.
		if quiet >= s.Quiet && len(names) > 0 {
			return names
		}
		select {
		case <-c.After(s.Poll):
		case <-ctx.Done():
			return names
		}
		now := c.diskNames()
		if quiet += s.Poll; !slices.Equal(now, names) {
			names, quiet = now, 0
		}
	}
	c.Log.Info("waited as long as the limit for disks", "seconds", s.Most.Seconds(), "found", len(names))
	return names
}
