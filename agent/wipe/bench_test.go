//go:build bench

package wipe_test

import (
	"testing"
	"time"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
	"ingot.dev/ingot/agent/wipe/wipetest"
)

// TestBenchWipe: eight disks at once against the slowest of them alone. The disks are models that take as long as their rate says, so what is measured is
// whether one waits for another. Goal: at most 1.1.
func TestBenchWipe(t *testing.T) {
	const size, slow, fast = 256 << 20, 64 << 20, 128 << 20
	alone := timed(t, wipetest.Throttled(1, size, slow))
	together := timed(t, append(wipetest.Throttled(1, size, slow), rename(wipetest.Throttled(7, size, fast))...))
	t.Logf("wipe of 8 disks at once: %.2f s; the slowest of them alone: %.2f s; ratio %.2f (goal <= 1.1)", together.Seconds(), alone.Seconds(), together.Seconds()/alone.Seconds())
}

// rename keeps the names of two racks apart.
func rename(r wipetest.Rack) wipetest.Rack {
	for _, d := range r {
		d.Info.Name, d.Info.WWID, d.Info.Serial = "x"+d.Info.Name, "x"+d.Info.WWID, "x"+d.Info.Serial
	}
	return r
}

// timed wipes them all and says how long it took.
func timed(t *testing.T, r wipetest.Rack) time.Duration {
	t.Helper()
	begun := time.Now()
	receipt := wipe.New(r.Config(), r.Grant(plan.Clear)).Run(t.Context())
	took := time.Since(begun)
	for _, row := range receipt.Disks {
		if row.Error != "" {
			t.Fatalf("%s: %s", row.Serial, row.Error)
		}
	}
	for _, d := range r {
		if !d.Blank() {
			t.Fatalf("%s is not blank", d.Info.Name)
		}
	}
	return took
}
