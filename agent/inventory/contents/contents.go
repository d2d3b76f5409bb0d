// Package contents says what a disk shows at its ends: nothing, something that firmware would boot, or other data.
//
// Layer 1, pure: it gets the first and the last bytes of a disk, and says where else to look before a disk counts as blank. What it says decides
// whether an unknown machine is left to its own operating system, and which disks are erased without asking a person, so whatever is not understood
// counts as Data, never as Blank.
package contents

import "bytes"

// Window is how much of each end of a disk is looked at. All partition tables, backup tables, RAID superblocks and boot
// loaders that matter leave something there.
const Window = 1 << 20

// Kinds of contents, the same words as DiskContents in crds/metal/v1alpha1.
const (
	Blank      = "Blank"
	Bootable   = "Bootable"
	Data       = "Data"
	Unreadable = "Unreadable"
)

// Classify looks at the first and the last bytes of a disk with logical sectors of the given size. A Blank is one only if the Places are zeros too.
func Classify(head, tail []byte, sector int) string {
	switch {
	case len(head) == 0:
		return Unreadable
	case zero(head) && zero(tail):
		return Blank
	case gptBootable(head, tail, sector) || mbrBootable(head):
		return Bootable
	default:
		return Data
	}
}

func zero(b []byte) bool {
	var block [4096]byte
	for len(b) > 0 {
		n := min(len(b), len(block))
		if !bytes.Equal(b[:n], block[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// mbrBootable says whether BIOS finds boot code and an active partition, or UEFI an EFI system partition (type EFh,
// UEFI 2.10 section 5.2).
func mbrBootable(head []byte) bool {
	const code, table, entry, active, esp = 440, 446, 16, 0x80, 0xEF
	if len(head) < 512 || head[510] != 0x55 || head[511] != 0xAA {
		return false
	}
	for i := range 4 {
		p := head[table+i*entry:][:entry]
		kind := p[4]
		if kind == esp || p[0] == active && kind != 0 && !zero(head[:code]) {
			return true
		}
	}
	return false
}
