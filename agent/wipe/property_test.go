package wipe_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
	"ingot.dev/ingot/agent/wipe/wipetest"
)

// small is a disk of which every block is read back, so that nothing is left to chance.
const small = 4 << 20

func anyOf(t *rapid.T, name string) map[plan.Method]bool {
	out := map[plan.Method]bool{}
	for _, m := range []plan.Method{
		plan.NVMeFormat, plan.NVMeSanitize, plan.ATASanitize, plan.ATASecurityErase, plan.Discard, plan.ZeroOut, plan.Overwrite,
	} {
		out[m] = rapid.IntRange(0, 3).Draw(t, name+" "+string(m)) == 0
	}
	return out
}

func anyDisk(t *rapid.T) *wipetest.Disk {
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	d := wipetest.New("sda", small)
	d.Facts = plan.Disk{Size: small, Sector: 512, Rotational: flag("rotational"), DiscardMax: rapid.Int64Range(0, 1).Draw(t, "discard")}
	if flag("nvme") {
		d.Facts.NVMe = plan.NVMe{
			Format: flag("format"), FormatsAll: flag("all"), CryptoFormat: flag("crypto"), Namespaces: rapid.IntRange(0, 2).Draw(t, "namespaces"),
			Sanitize: plan.Sanitize{Block: flag("block"), Crypto: flag("scramble"), Overwrite: flag("overwrite")},
		}
	} else {
		d.Facts.ATA = plan.ATA{Security: flag("security"), Enhanced: flag("enhanced"), Frozen: flag("frozen"), Sanitize: plan.Sanitize{Block: flag("block")}}
	}
	d.Leaves = rapid.SampledFrom([]wipetest.Fill{wipetest.Zeros, wipetest.Ones, wipetest.Noise}).Draw(t, "leaves")
	d.Faults = wipetest.Faults{
		Lies: anyOf(t, "lies"), Refuses: anyOf(t, "refuses"), FailsAt: rapid.SampledFrom([]int64{0, 0, small / 3}).Draw(t, "fails at"),
		PowerAfter: rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3}).Draw(t, "power"),
	}
	if flag("keeps") {
		d.Faults.Keeps = plan.Range{Offset: rapid.Int64Range(0, small/512-1).Draw(t, "kept") * 512, Length: 512}
	}
	return d
}

// TestNoReceiptWithoutProof: whatever a disk can do and whatever is wrong with it, a row without an error means that nothing of
// the tenant's data is on it. A second wipe after the faults are gone succeeds.
func TestNoReceiptWithoutProof(t *testing.T) {
	cleaned, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d, level := anyDisk(t), rapid.SampledFrom([]plan.Level{plan.Clear, plan.Purge}).Draw(t, "level")
		r := wipetest.Rack{d}
		row := wipe.New(r.Config(), r.Grant(level)).Run(t.Context()).Disks[0]
		left := bytes.Contains(d.Bytes(plan.Range{Length: small}), []byte("tenant"))
		switch {
		case row.Error != "":
			refused++
			if row.Reached != "" {
				t.Fatalf("an error, and yet %s", row.Reached)
			}
		case left || !row.Reached.AtLeast(level) || row.BlocksRead < 1000 || len(row.Methods) == 0:
			t.Fatalf("data is left: %t, %+v", left, row)
		default:
			cleaned++
		}
		d.Faults = wipetest.Faults{}
		row = wipe.New(r.Config(), r.Grant(plan.Clear)).Run(t.Context()).Disks[0]
		if row.Error != "" || bytes.Contains(d.Bytes(plan.Range{Length: small}), []byte("tenant")) {
			t.Fatalf("a second time, without faults: %+v", row)
		}
	})
	if cleaned == 0 || refused == 0 {
		t.Errorf("%d disks were cleaned and %d refused: the property saw one side only", cleaned, refused)
	}
}

// TestPowerLossAtEachStep: wherever the disk vanishes, its row has an error; without the cut it is clean.
func TestPowerLossAtEachStep(t *testing.T) {
	ways := map[string]func(*wipetest.Disk){
		"zeros": func(d *wipetest.Disk) {
			d.Facts.Rotational, d.Faults.Refuses = true, map[plan.Method]bool{plan.ZeroOut: true}
		},
		"format": func(d *wipetest.Disk) {
			d.Facts.NVMe, d.Leaves = plan.NVMe{Format: true, Namespaces: 1}, wipetest.Noise
		},
	}
	for name, prepare := range ways {
		for after := range 8 {
			t.Run(fmt.Sprintf("%s/%d", name, after), func(t *testing.T) {
				d := wipetest.New("sda", 32<<20)
				prepare(d)
				d.Faults.PowerAfter = after
				r := wipetest.Rack{d}
				row := wipe.New(r.Config(), r.Grant(plan.Clear)).Run(t.Context()).Disks[0]
				cut := after > 0 && after <= len(calls(name))
				if cut != strings.Contains(row.Error, "no such device") || cut == (row.Reached != "") {
					t.Errorf("%+v", row)
				}
			})
		}
	}
}

// calls are the erasing calls that a disk of 32 MiB gets: zeroing, which it refuses, and four chunks of zeros; or a format, and
// zeros for both edges.
func calls(way string) []string {
	return map[string][]string{"zeros": {"refused", "0", "8", "16", "24"}, "format": {"format", "head", "tail"}}[way]
}
