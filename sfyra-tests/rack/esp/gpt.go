package esp

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	firstLBA     = 2048 // 1 MiB, where partitions usually start
	entrySectors = 32   // 128 entries of 128 bytes
	entrySize    = 128
	entryCount   = 128
	headerLength = 92
)

// GUIDs in their order on disk. The first two mark EFI system partitions
// (UEFI 2.10 table 5-7) and Linux' data (Discoverable Partitions
// Specification); the others are ours.
var (
	linuxType = [16]byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}
	espType   = [16]byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	diskID    = [16]byte{'i', 'n', 'g', 'o', 't', ' ', 't', 0x41, 0x81, 's', 't', ' ', 'd', 'i', 's', 'k'}
	partition = [16]byte{'i', 'n', 'g', 'o', 't', ' ', 't', 0x41, 0x81, 's', 't', ' ', 'b', 'o', 'o', 't'}
)

// label is what a table says of its partition.
type label struct {
	kind [16]byte
	name string
}

// tables are the partition table at both ends of a disk.
func tables(sectors, length uint64, l label) []piece {
	entries := partitionEntries(length, l)
	at := func(lba uint64, data []byte) piece { return piece{int64(lba * sector), data} }
	return []piece{
		at(0, protectiveMBR(sectors)),
		at(1, gptHeader(1, sectors-1, 2, sectors, entries)),
		at(2, entries),
		at(sectors-1-entrySectors, entries),
		at(sectors-1, gptHeader(sectors-1, 1, sectors-1-entrySectors, sectors, entries)),
	}
}

// protectiveMBR covers the disk with one partition of type 0xee.
func protectiveMBR(sectors uint64) []byte {
	mbr := make([]byte, sector)
	entry := mbr[446:]
	copy(entry, []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(entry[8:], 1)
	binary.LittleEndian.PutUint32(entry[12:], uint32(min(sectors-1, 1<<32-1)))
	mbr[510], mbr[511] = 0x55, 0xaa
	return mbr
}

func partitionEntries(length uint64, l label) []byte {
	entries := make([]byte, entryCount*entrySize)
	copy(entries, l.kind[:])
	copy(entries[16:], partition[:])
	binary.LittleEndian.PutUint64(entries[32:], firstLBA)
	binary.LittleEndian.PutUint64(entries[40:], firstLBA+length-1)
	for i, r := range l.name {
		binary.LittleEndian.PutUint16(entries[56+2*i:], uint16(r))
	}
	return entries
}

// gptHeader at lba own, whose twin is at other and whose entries start at table.
func gptHeader(own, other, table, sectors uint64, entries []byte) []byte {
	h := make([]byte, sector)
	copy(h, "EFI PART")
	binary.LittleEndian.PutUint32(h[8:], 0x00010000)
	binary.LittleEndian.PutUint32(h[12:], headerLength)
	binary.LittleEndian.PutUint64(h[24:], own)
	binary.LittleEndian.PutUint64(h[32:], other)
	binary.LittleEndian.PutUint64(h[40:], 2+entrySectors)
	binary.LittleEndian.PutUint64(h[48:], sectors-2-entrySectors)
	copy(h[56:], diskID[:])
	binary.LittleEndian.PutUint64(h[72:], table)
	binary.LittleEndian.PutUint32(h[80:], entryCount)
	binary.LittleEndian.PutUint32(h[84:], entrySize)
	binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerLength]))
	return h
}
