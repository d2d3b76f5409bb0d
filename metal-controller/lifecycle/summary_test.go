package lifecycle_test

import (
	"strings"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

func TestSummary(t *testing.T) {
	w := newWorld()
	w.o.Inventory = &metal.ServerInventorySpec{
		Arch: "amd64", System: metal.SystemInfo{Manufacturer: "Acme", Product: "S1", Serial: "X"},
		CPUs:   []metal.CPU{{Model: "Fast 9", Cores: 8}, {Model: "Fast 9", Cores: 8}},
		Memory: metal.Memory{TotalBytes: 96 << 30},
		Disks:  []metal.Disk{{SizeBytes: 480e9}, {SizeBytes: 3.84e12}, {SizeBytes: 8e9, Removable: true}},
		NICs:   []metal.NIC{{MAC: "02:00:00:00:00:01"}, {MAC: "02:00:00:00:00:02", Carrier: true, SpeedMbps: 25000}},
	}
	got := *lifecycle.Decide(w.o).Summary
	want := metal.InventorySummary{
		Manufacturer: "Acme", Product: "S1", Serial: "X", Arch: "amd64", CPU: "2 x Fast 9, 16 cores", Cores: 16, Memory: "96 GiB",
		Disks: "2 disks, 4.3 TB", NICs: "2 NICs, 1 up, 25 Gb/s", MAC: "02:00:00:00:00:02",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestSummaryBounds: absurd numbers and long names stay within what the API takes.
func TestSummaryBounds(t *testing.T) {
	w := newWorld()
	i := &metal.ServerInventorySpec{Memory: metal.Memory{TotalBytes: 1<<63 - 1}, NICs: []metal.NIC{{SpeedMbps: 1<<31 - 1}}}
	for range 64 {
		i.CPUs = append(i.CPUs, metal.CPU{Model: strings.Repeat("€", 128), Cores: 1<<31 - 1})
	}
	for range 256 {
		i.Disks = append(i.Disks, metal.Disk{SizeBytes: 1<<63 - 1})
	}
	w.o.Inventory = i
	s := lifecycle.Decide(w.o).Summary
	if len(s.CPU) > 256 || len(s.Memory) > 32 || len(s.Disks) > 256 || len(s.NICs) > 256 || s.Cores < 0 {
		t.Errorf("too long: %+v", s)
	}
	w.o.Inventory = &metal.ServerInventorySpec{Memory: metal.Memory{TotalBytes: 512 << 20}, CPUs: []metal.CPU{{}}}
	if s := lifecycle.Decide(w.o).Summary; s.Memory != "512 MiB" || s.Disks != "no disks" || s.CPU != "1 x unknown model" {
		t.Errorf("small: %+v", s)
	}
}
