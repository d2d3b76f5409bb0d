package plan

import (
	"slices"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// Samples is how many random blocks are read back at least, if the disk has so many.
const Samples = 1024

// Window is how much of each end is read back whole. The GPT header, its backup and most superblocks are in it.
const Window = mib

// Edge is how much of each end a quick wipe zeroes.
const Edge = 4 * mib

// Range is a part of a disk in bytes.
type Range struct{ Offset, Length int64 }

// signatures are places away from the ends where something lies that would be found again. The ends hold the rest: MBR and GPT
// with its backup (UEFI 2.10, section 5.3), md 0.90, 1.0, 1.1 and 1.2, LVM2 labels and metadata, LUKS headers, ext4, XFS, F2FS and
// swap, the four ZFS labels (256 KiB each, two at each end), bcache, DRBD, and the anchors of DDF and Intel RAID.
var signatures = []int64{
	64 * mib,   // btrfs, second superblock
	1 * gib,    // Ceph BlueStore, copies of its label since Squid
	10 * gib,   //
	100 * gib,  //
	256 * gib,  // btrfs, third superblock
	1000 * gib, // Ceph BlueStore
}

// signatureLength is more than any of those is long, and a multiple of every sector.
const signatureLength = 64 * kib

// SignaturePlaces are the parts that a quick wipe zeroes, in order and apart from each other.
func SignaturePlaces(size int64) []Range {
	if size <= 2*Edge {
		return []Range{{0, size}}
	}
	out := []Range{{0, Edge}}
	for _, at := range signatures {
		if at+signatureLength <= size-Edge {
			out = append(out, Range{at, signatureLength})
		}
	}
	return append(out, Range{size - Edge, Edge})
}

// Unit is how many bytes are read back and judged at once: 4096, or a sector when that is more, or a sector when the disk is tiny.
func Unit(size int64, sector int) int64 {
	if unit := int64(max(sector, 4*kib)); unit <= size {
		return unit
	}
	return int64(sector)
}

// Places are the offsets of the units that are read back: both ends, the places of signatures, and one unit at a random place in
// each of Samples equal parts of the disk. So whatever is left in one piece of more than 1/512 of the disk is always hit, and of
// scattered rests that make up 1 % some are missed all with a chance of about 1 in 30,000. random holds Samples numbers that
// nobody can foresee. The answer is sorted and without doubles.
func Places(size int64, sector int, random []uint64) []int64 {
	unit := Unit(size, sector)
	out := ends(size, unit)
	for _, r := range SignaturePlaces(size) {
		out = append(out, r.Offset)
	}
	out = append(out, strata(size/unit, unit, random)...)
	slices.Sort(out)
	return slices.Compact(out)
}

// RangePlaces are the offsets of all units of some ranges.
func RangePlaces(ranges []Range, unit int64) []int64 {
	var out []int64
	for _, r := range ranges {
		for at := r.Offset; at < r.Offset+r.Length; at += unit {
			out = append(out, min(at, r.Offset+r.Length-unit))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func ends(size, unit int64) []int64 {
	window := max(min(Window, size), unit)
	return RangePlaces([]Range{{0, window}, {size - window, window}}, unit)
}

// strata picks one unit out of each of len(random) parts; of a small disk it takes all.
func strata(units, unit int64, random []uint64) []int64 {
	n := int64(len(random))
	var out []int64
	if units <= n {
		for i := range units {
			out = append(out, i*unit)
		}
		return out
	}
	for i, r := range random {
		from, to := part(int64(i), units, n), part(int64(i)+1, units, n)
		out = append(out, (from+int64(r%uint64(to-from)))*unit)
	}
	return out
}

// part is i*units/n without leaving 64 bits.
func part(i, units, n int64) int64 { return units/n*i + units%n*i/n }
