package claims

import (
	"fmt"
	"regexp"
	"slices"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Bounds of what is told of a task; those of the API are the same.
const (
	maxMethods = 8
	// maxSeconds bounds durations: the largest disk of today takes days, so a year is a mistake.
	maxSeconds = 366 * 24 * 3600
	// maxBytes bounds the size of a disk: 1 EiB.
	maxBytes = 1 << 60
	// maxBlocks bounds blocks read back: such a disk in blocks of 512 bytes.
	maxBlocks = maxBytes / 512
)

// wordForm is the form of methods and phases. Unknown ones are kept: a newer agent may know more, and lifecycle counts only what it knows.
var wordForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,31}$`)

// Progress turns the progress of a wipe into API types. A report of more disks than a machine has is refused and not cut: what is cut off might be
// the disk that failed.
func Progress(in []*protocol.DiskProgress) ([]metal.DiskProgress, error) {
	if len(in) > maxDisks {
		return nil, fmt.Errorf("progress of %d disks, at most %d", len(in), maxDisks)
	}
	var out []metal.DiskProgress
	for _, p := range in {
		d := metal.DiskProgress{
			Serial: Text(p.GetSerial(), maxText), Phase: word(p.GetPhase()),
			Percent: within(p.GetPercent(), 100), ETASeconds: within(p.GetEtaSeconds(), maxSeconds),
		}
		if d.Serial == "" {
			d.Serial = Text(p.GetWwid(), maxText) // it is for people, who know such a disk by nothing else
		}
		out = append(out, d)
	}
	return out, nil
}

// Receipt turns a receipt into API types; nil stays nil. Disks that say neither WWID nor serial are dropped: they cover nothing.
func Receipt(in *protocol.Receipt) (*metal.WipeReceipt, error) {
	if in == nil {
		return nil, nil
	}
	if n := len(in.GetDisks()); n > maxDisks {
		return nil, fmt.Errorf("a receipt of %d disks, at most %d", n, maxDisks)
	}
	out := &metal.WipeReceipt{Firmware: Text(in.GetFirmware(), 256)}
	for _, p := range in.GetDisks() {
		d := diskReceipt(p)
		twice := slices.IndexFunc(out.Disks, func(o metal.DiskReceipt) bool { return o.DiskID == d.DiskID })
		switch {
		case d.DiskID == (metal.DiskID{}):
		case twice < 0:
			out.Disks = append(out.Disks, d)
		case out.Disks[twice].Error == "":
			out.Disks[twice].Error = "the receipt names it twice" // whichever is true, it proves nothing
		}
	}
	return out, nil
}

func diskReceipt(p *protocol.DiskReceipt) metal.DiskReceipt {
	d := metal.DiskReceipt{
		DiskID: metal.DiskID{WWID: Text(p.GetWwid(), 256), Serial: Text(p.GetSerial(), maxText)},
		Model:  Text(p.GetModel(), maxText), SizeBytes: within(p.GetSizeBytes(), maxBytes),
		BlocksRead: within(p.GetBlocksRead(), maxBlocks), Seconds: within(p.GetSeconds(), maxSeconds),
		Error: Text(p.GetError(), 256),
	}
	for _, m := range p.GetMethods() {
		if m = word(m); m != "" && len(d.Methods) < maxMethods {
			d.Methods = append(d.Methods, m)
		}
	}
	switch l := metal.WipeLevel(p.GetReached()); l {
	case metal.WipeQuick, metal.WipeClear, metal.WipePurge:
		d.Reached = l
	}
	if p.GetError() != "" && d.Error == "" {
		d.Error = "the agent gave an error that does not print" // an error never turns into success by cleaning
	}
	return d
}

// word is one of ours, or empty.
func word(s string) string {
	if wordForm.MatchString(s) {
		return s
	}
	return ""
}

// within cuts a number to 0…limit.
func within[N int32 | int64](n, limit N) N { return min(max(n, 0), limit) }
