package wipe_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
	"ingot.dev/ingot/agent/wipe/wipetest"
)

const size = 16 << 20

// good makes n disks without a fault.
func good(n int) wipetest.Rack {
	var r wipetest.Rack
	for i := range n {
		r = append(r, wipetest.New("sd"+string(rune('a'+i)), size))
	}
	return r
}

func methods(m ...plan.Method) []string {
	var out []string
	for _, x := range m {
		out = append(out, string(x))
	}
	return out
}

func clean(t *testing.T, row wipe.DiskReceipt) {
	t.Helper()
	if row.Error != "" {
		t.Errorf("disk %s: %s", row.Serial, row.Error)
	}
	if row.BlocksRead < 1000 {
		t.Errorf("disk %s: only %d blocks were read back", row.Serial, row.BlocksRead)
	}
}

func TestEachLevelOnAGoodDisk(t *testing.T) {
	format := func(f *plan.Disk) { f.NVMe = plan.NVMe{Format: true, Namespaces: 1} }
	tests := []struct {
		name    string
		level   plan.Level
		facts   func(*plan.Disk)
		reached plan.Level
		methods []string
		blank   bool
	}{
		{"quick", plan.Quick, func(*plan.Disk) {}, plan.Quick, methods(plan.Discard, plan.Signatures), true},
		{"quick without discard", plan.Quick, func(f *plan.Disk) { f.DiscardMax = 0 }, plan.Quick, methods(plan.Signatures), false},
		{"clear", plan.Clear, func(*plan.Disk) {}, plan.Clear, methods(plan.Discard), true},
		{"clear of a hard disk", plan.Clear, func(f *plan.Disk) { f.Rotational = true }, plan.Clear, methods(plan.ZeroOut), true},
		{"clear of NVMe gives more", plan.Clear, format, plan.Purge, methods(plan.NVMeFormat), true},
		{"purge of NVMe", plan.Purge, format, plan.Purge, methods(plan.NVMeFormat), true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := good(1)
			tc.facts(&r[0].Facts)
			receipt := wipe.New(r.Config(), r.Grant(tc.level)).Run(t.Context())
			row := receipt.Disks[0]
			clean(t, row)
			if row.Reached != tc.reached || !slices.Equal(row.Methods, tc.methods) {
				t.Errorf("reached %q by %v, want %q by %v", row.Reached, row.Methods, tc.reached, tc.methods)
			}
			if r[0].Blank() != tc.blank || r[0].Rescans() != 1 || row.SizeBytes != size || row.Model == "" {
				t.Errorf("blank: %t, rescans: %d, row: %+v", r[0].Blank(), r[0].Rescans(), row)
			}
			for _, p := range plan.SignaturePlaces(size) {
				if !plan.Blank(r[0].Bytes(p)) {
					t.Errorf("something is left at %v", p)
				}
			}
		})
	}
}

// formats is an NVMe disk that takes Format.
var formats = plan.NVMe{Format: true, Namespaces: 1}

// faults are bad disks, and what becomes of them.
var faults = []struct {
	name    string
	level   plan.Level
	bad     func(*wipetest.Disk)
	want    string // part of the error; empty when the disk is clean in the end
	methods []string
}{
	{"control", plan.Clear, func(*wipetest.Disk) {}, "", methods(plan.Discard)},
	{"discard does nothing, which it may", plan.Clear, func(d *wipetest.Disk) {
		d.Faults.Lies = map[plan.Method]bool{plan.Discard: true}
	}, "", methods(plan.Discard, plan.ZeroOut)},
	{"discard refused", plan.Clear, func(d *wipetest.Disk) {
		d.Faults.Refuses = map[plan.Method]bool{plan.Discard: true}
	}, "", methods(plan.ZeroOut)},
	{"only overwriting works", plan.Clear, func(d *wipetest.Disk) {
		d.Faults.Refuses = map[plan.Method]bool{plan.Discard: true, plan.ZeroOut: true}
	}, "", methods(plan.Overwrite)},
	{"nothing works", plan.Clear, func(d *wipetest.Disk) {
		d.Faults.Refuses = map[plan.Method]bool{plan.Discard: true, plan.ZeroOut: true, plan.Overwrite: true}
	}, "Overwrite: at byte 0: operation not supported", nil},
	{"zeroing is a lie", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.DiscardMax, d.Faults.Lies = 0, map[plan.Method]bool{plan.ZeroOut: true}
	}, "the block at byte 0 is not erased", methods(plan.ZeroOut)},
	{"format is a lie", plan.Purge, func(d *wipetest.Disk) {
		d.Facts.NVMe, d.Faults.Lies = formats, map[plan.Method]bool{plan.NVMeFormat: true}
	}, "NVMeFormat was acknowledged, yet the block at byte 0 is not erased", methods(plan.NVMeFormat)},
	{"format is a lie, and another method would work", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.NVMe, d.Faults.Lies = formats, map[plan.Method]bool{plan.NVMeFormat: true}
	}, "NVMeFormat was acknowledged", methods(plan.NVMeFormat)},
	{"the middle stays", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.DiscardMax, d.Faults.Keeps = 0, plan.Range{Offset: 7 << 20, Length: 64 << 10}
	}, "is not erased", methods(plan.ZeroOut)},
	{"the last sector stays", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.DiscardMax, d.Faults.Keeps = 0, plan.Range{Offset: size - 512, Length: 512}
	}, "the block at byte 16773120 is not erased", methods(plan.ZeroOut)},
	{"the first sector stays through a format", plan.Purge, func(d *wipetest.Disk) {
		d.Facts.NVMe, d.Leaves, d.Faults.Keeps = formats, wipetest.Noise, plan.Range{Length: 4096}
	}, "the block at byte 0 is not erased", methods(plan.NVMeFormat)},
	{"signatures stay", plan.Quick, func(d *wipetest.Disk) {
		d.Faults.Keeps = plan.Range{Offset: size - 1024, Length: 512}
	}, "is not erased", methods(plan.Discard, plan.Signatures)},
	{"fails half way", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.DiscardMax, d.Faults.FailsAt = 0, size/2
	}, "input/output error", nil},
	{"loses power at the first step", plan.Clear, func(d *wipetest.Disk) { d.Faults.PowerAfter = 1 }, "no such device", nil},
	{"loses power before", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.DiscardMax, d.Faults.FailsAt, d.Faults.PowerAfter = 0, size/2, 1
	}, "no such device", nil},
	{"refuses sanitize, and format does it", plan.Purge, func(d *wipetest.Disk) {
		d.Facts.NVMe = plan.NVMe{Format: true, Namespaces: 1, Sanitize: plan.Sanitize{Block: true, Crypto: true}}
		d.Faults.Refuses = map[plan.Method]bool{plan.NVMeSanitize: true}
	}, "", methods(plan.NVMeFormat)},
	{"refuses all that purges", plan.Purge, func(d *wipetest.Disk) {
		d.Facts.NVMe, d.Faults.Refuses = formats, map[plan.Method]bool{plan.NVMeFormat: true}
	}, "NVMeFormat: waiting for the disk: operation not supported", nil},
	{"cannot purge", plan.Purge, func(*wipetest.Disk) {}, "the strongest level it can reach is Clear", nil},
	{"another namespace", plan.Purge, func(d *wipetest.Disk) {
		d.Facts.NVMe = plan.NVMe{Format: true, FormatsAll: true, Namespaces: 2}
	}, "its controller would erase other namespaces as well", nil},
	{"unreadable before, zeros after", plan.Clear, func(d *wipetest.Disk) {
		d.Faults.Unreadable = plan.Range{Length: 1 << 20}
	}, "", methods(plan.Discard)},
	{"unreadable for ever", plan.Clear, func(d *wipetest.Disk) {
		d.Facts.DiscardMax, d.Faults.Lies = 0, map[plan.Method]bool{plan.ZeroOut: true, plan.Overwrite: true}
		d.Faults.Unreadable = plan.Range{Length: size}
	}, "reading back block at byte 0", methods(plan.ZeroOut, plan.Overwrite)},
	{"says at the last moment that it is another", plan.Clear, func(d *wipetest.Disk) {
		d.Faults.Impostor = &wipe.Identity{WWID: d.Info.WWID, Serial: "OTHER"}
	}, `serial "OTHER"; it is not touched`, nil},
	{"read-only by its own word", plan.Clear, func(d *wipetest.Disk) { d.Facts.ReadOnly = true }, "read-only", nil},
}

// TestFaults runs each bad disk beside a good one, which must not notice.
func TestFaults(t *testing.T) {
	for _, tc := range faults {
		t.Run(tc.name, func(t *testing.T) {
			r := good(2)
			tc.bad(r[0])
			if tc.level == plan.Purge {
				r[1].Facts.NVMe = formats
			}
			receipt := wipe.New(r.Config(), r.Grant(tc.level)).Run(t.Context())
			clean(t, receipt.Disks[1])
			row := receipt.Disks[0]
			if tc.want == "" {
				clean(t, row)
			} else if !strings.Contains(row.Error, tc.want) || row.Reached != "" || len([]rune(row.Error)) > 256 {
				t.Errorf("reached %q, error %q; want an error with %q", row.Reached, row.Error, tc.want)
			}
			if !slices.Equal(row.Methods, tc.methods) {
				t.Errorf("methods %v, want %v", row.Methods, tc.methods)
			}
		})
	}
}

// TestNoiseIsTidied: after a change of keys the disk shows noise, and its ends must not look like data.
func TestNoiseIsTidied(t *testing.T) {
	for _, tc := range []struct {
		leaves  wipetest.Fill
		methods []string
	}{
		{wipetest.Noise, methods(plan.NVMeFormat, plan.Signatures)},
		{wipetest.Ones, methods(plan.NVMeFormat, plan.Signatures)},
		{wipetest.Zeros, methods(plan.NVMeFormat)},
	} {
		r := good(1)
		r[0].Facts.NVMe, r[0].Leaves = plan.NVMe{Format: true, CryptoFormat: true, Namespaces: 1}, tc.leaves
		row := wipe.New(r.Config(), r.Grant(plan.Purge)).Run(t.Context()).Disks[0]
		clean(t, row)
		if !slices.Equal(row.Methods, tc.methods) || row.Reached != plan.Purge {
			t.Errorf("fill %d: %v reached %s", tc.leaves, row.Methods, row.Reached)
		}
		if !plan.Blank(r[0].Bytes(plan.Range{Length: 1 << 20})) || !plan.Blank(r[0].Bytes(plan.Range{Offset: size - 1<<20, Length: 1 << 20})) {
			t.Errorf("fill %d: the ends are not blank", tc.leaves)
		}
	}
}

// TestOldNoiseIsKnownAgain: a tenant's encrypted data is noise as well; a disk that lies is caught all the same.
func TestOldNoiseIsKnownAgain(t *testing.T) {
	for _, lies := range []bool{true, false} {
		r := good(1)
		d := r[0]
		d.Facts.NVMe, d.Leaves = plan.NVMe{Format: true, Namespaces: 1}, wipetest.Zeros
		noise := make([]byte, size)
		if _, err := r.Config().Random.Read(noise); err != nil {
			t.Fatal(err)
		}
		d.Write(0, noise)
		d.Faults.Lies = map[plan.Method]bool{plan.NVMeFormat: lies}
		row := wipe.New(r.Config(), r.Grant(plan.Purge)).Run(t.Context()).Disks[0]
		if caught := strings.Contains(row.Error, "does not prove it (byte 0)"); caught != lies || caught == (row.Reached != "") {
			t.Errorf("lies: %t, row: %+v", lies, row)
		}
	}
}

func TestOnlyDisksOfTheGrant(t *testing.T) {
	r := good(3)
	before := r[1].Bytes(plan.Range{Length: size})
	g := wipe.Grant{Level: plan.Clear, Disks: []wipe.DiskID{r[0].ID(), r[2].ID()}}
	for _, row := range wipe.New(r.Config(), g).Run(t.Context()).Disks {
		clean(t, row)
	}
	if r[1].Opened() != 0 || !bytes.Equal(before, r[1].Bytes(plan.Range{Length: size})) {
		t.Error("a disk that the grant does not name was touched")
	}
	if r[0].Opened() != 1 {
		t.Error("control: a disk of the grant was not opened once")
	}
}

func TestFirmwareOnlyWhenAllIsClean(t *testing.T) {
	for _, bad := range []bool{false, true} {
		r := good(2)
		r[1].Facts.ReadOnly = bad
		cfg := r.Config()
		calls := 0
		cfg.Firmware = func(context.Context) string { calls++; return "mended" }
		receipt := wipe.New(cfg, r.Grant(plan.Quick)).Run(t.Context())
		if (calls == 0) != bad || (receipt.Firmware == "mended") == bad || receipt.Firmware == "" {
			t.Errorf("bad: %t, calls: %d, line: %q", bad, calls, receipt.Firmware)
		}
	}
}

func TestListFails(t *testing.T) {
	r := good(1)
	cfg := r.Config()
	cfg.List = func(context.Context) ([]wipe.Disk, error) { return nil, errors.New("no sysfs") }
	receipt := wipe.New(cfg, r.Grant(plan.Clear)).Run(t.Context())
	if len(receipt.Disks) != 1 || !strings.Contains(receipt.Disks[0].Error, "no sysfs") || r[0].Opened() != 0 {
		t.Errorf("%+v", receipt)
	}
}

// TestAllAtOnce: every disk waits in its first step until all of them are in theirs. One after the other would never end.
func TestAllAtOnce(t *testing.T) {
	r := wipetest.Throttled(8, size, size)
	var mu sync.Mutex
	waiting := 0
	all := make(chan time.Time)
	for _, d := range r {
		d.After = func(time.Duration) <-chan time.Time {
			mu.Lock()
			defer mu.Unlock()
			if waiting++; waiting == len(r) {
				close(all)
			}
			return all
		}
	}
	for _, row := range wipe.New(r.Config(), r.Grant(plan.Clear)).Run(t.Context()).Disks {
		clean(t, row)
	}
}
