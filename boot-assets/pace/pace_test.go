package pace_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
)

// TestPause: between half of the time and all of it, and no longer than the context.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			begin := time.Now()
			if took := pace.Pause(t.Context(), time.Minute); !took || time.Since(begin) < 30*time.Second || time.Since(begin) > time.Minute {
				t.Fatalf("%v after %s", took, time.Since(begin))
			}
		}
		begin := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if pace.Pause(ctx, time.Minute) || time.Since(begin) != time.Second {
			t.Errorf("it went on after the context's end, for %s", time.Since(begin))
		}
	})
}
