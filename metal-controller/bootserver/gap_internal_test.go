package bootserver

import (
	"testing"
	"time"
)

// TestGap: few servers are told of at once, many not so often that nothing else gets done, and nobody waits for long.
func TestGap(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: coalesce, time.Millisecond: coalesce, 100 * time.Millisecond: 400 * time.Millisecond, time.Minute: longestGap, -time.Hour: coalesce, // a clock was set back
	} {
		if got := gap(took); got != want {
			t.Errorf("after %v it waits %v, want %v", took, got, want)
		}
	}
}
