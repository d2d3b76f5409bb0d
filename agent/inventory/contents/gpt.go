package contents

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Types of partitions that firmware starts from, in the mixed-endian form of the disk (UEFI 2.10 section 5.3.3).
var (
	// espType is C12A7328-F81F-11D2-BA4B-00A0C93EC93B, the EFI system partition.
	espType = []byte{0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B}
	// biosBootType is 21686148-6449-6E6F-744E-656564454649, where GRUB keeps its core image for BIOS machines.
	biosBootType = []byte{0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6F, 0x6E, 0x74, 0x4E, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49}
)

// gptBootable says whether the primary table, or the backup at the end, has a partition to boot from.
func gptBootable(head, tail []byte, sector int) bool {
	if sector < 512 || sector > 1<<16 {
		return false
	}
	if h, ok := readHeader(head, sector, sector); ok {
		// Sector numbers of the primary table count from the beginning of head.
		return bootEntry(head, h.entriesLBA*uint64(sector), h)
	}
	h, ok := readHeader(tail, len(tail)-sector, sector)
	if !ok || h.myLBA < h.entriesLBA {
		return false
	}
	before := (h.myLBA - h.entriesLBA) * uint64(sector)
	end := uint64(len(tail) - sector)
	return before <= end && bootEntry(tail, end-before, h)
}

// header is what is needed of a GPT header (UEFI 2.10 table 5-5).
type header struct {
	myLBA, entriesLBA uint64
	entries, size     uint32
}

// readHeader reads and checks the header at offset: firmware ignores one whose checksum is wrong.
func readHeader(b []byte, offset, sector int) (header, bool) {
	if offset < 0 || offset+sector > len(b) {
		return header{}, false
	}
	h := bytes.Clone(b[offset : offset+sector])
	length := binary.LittleEndian.Uint32(h[12:])
	if !bytes.HasPrefix(h, []byte("EFI PART")) || length < 92 || length > uint32(sector) {
		return header{}, false
	}
	sum := binary.LittleEndian.Uint32(h[16:])
	clear(h[16:20])
	if crc32.ChecksumIEEE(h[:length]) != sum {
		return header{}, false
	}
	out := header{
		myLBA: binary.LittleEndian.Uint64(h[24:]), entriesLBA: binary.LittleEndian.Uint64(h[72:]),
		entries: binary.LittleEndian.Uint32(h[80:]), size: binary.LittleEndian.Uint32(h[84:]),
	}
	// LBAs beyond 2^47 would overflow the products below; no disk is that large.
	sane := out.size >= 128 && out.size <= 4096 && out.entries <= 4096 && out.entriesLBA < 1<<47 && out.myLBA < 1<<47
	return out, sane
}

// bootEntry looks through the entries that lie within b.
func bootEntry(b []byte, offset uint64, h header) bool {
	for range h.entries {
		if offset+uint64(h.size) > uint64(len(b)) {
			return false
		}
		kind := b[offset : offset+16]
		if bytes.Equal(kind, espType) || bytes.Equal(kind, biosBootType) {
			return true
		}
		offset += uint64(h.size)
	}
	return false
}
