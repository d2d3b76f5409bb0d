package main

import (
	"testing"

	"ingot.dev/ingot/agent/inventory/contents"
	"ingot.dev/ingot/agent/wipe/plan"
)

// TestAWipedDiskIsBlank: whatever the inventory wants to see as zeros is what the weakest wipe leaves as zeros, on disks of any size. Otherwise a disk
// that Ingot wiped would need a person's yes at the next boot.
func TestAWipedDiskIsBlank(t *testing.T) {
	for _, size := range []int64{512, 1 << 20, 2<<20 + 512, 8 << 20, 8<<20 + 512, 80 << 20, 1<<30 + 5<<20, 2e12 / 512 * 512, 20e12 / 4096 * 4096} {
		n := min(size, contents.Window)
		looked := append([]contents.Place{{Offset: 0, Length: n}, {Offset: size - n, Length: n}}, contents.Places(size)...)
		for _, p := range looked {
			if !covered(p, plan.SignaturePlaces(size)) {
				t.Errorf("a disk of %d bytes: %d bytes at %d are not zeroed by a quick wipe", size, p.Length, p.Offset)
			}
		}
	}
	if covered(contents.Place{Offset: 5 << 20, Length: 1}, plan.SignaturePlaces(2e12)) {
		t.Error("control: a place that a quick wipe leaves alone counts as covered")
	}
}

func covered(p contents.Place, zeroed []plan.Range) bool {
	for _, r := range zeroed {
		if p.Length > 0 && p.Offset >= r.Offset && p.Offset+p.Length <= r.Offset+r.Length {
			return true
		}
	}
	return false
}
