package smbios

import (
	"bytes"
	"fmt"
)

// Version is the version of the specification that the table follows, for instance 3.4.
type Version struct{ Major, Minor int }

// before says whether v is older than major.minor.
func (v Version) before(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// ParseEntryPoint reads the version from an entry point (DSP0134 section 5.2); the zero Version when it is none.
func ParseEntryPoint(b []byte) Version {
	switch {
	case len(b) >= 9 && bytes.HasPrefix(b, []byte("_SM3_")):
		return Version{int(b[7]), int(b[8])}
	case len(b) >= 8 && bytes.HasPrefix(b, []byte("_SM_")):
		return Version{int(b[6]), int(b[7])}
	}
	return Version{}
}

// Tables is what Ingot needs of SMBIOS. Strings are as firmware wrote them: not cleaned.
type Tables struct {
	Firmware   Firmware
	System     System
	Baseboard  Board
	Chassis    Board
	Processors []Processor
	DIMMs      []DIMM
	// MappedBytes is the memory that type 19 maps; for machines that describe no DIMMs.
	MappedBytes int64
}

// Firmware is type 0.
type Firmware struct{ Vendor, Version, Date string }

// System is type 1. UUID is in lower case; empty when firmware set it to all zeros or all ones ("not set", section 7.2.1).
type System struct{ Manufacturer, Product, Version, Serial, SKU, Family, UUID string }

// Board is type 2 or 3. A chassis has no product name.
type Board struct{ Manufacturer, Product, Serial, AssetTag string }

// Processor is type 4 of a filled socket.
type Processor struct {
	Socket, Manufacturer, Model string
	Cores, Threads, SpeedMHz    int
}

// DIMM is type 17 of a filled slot that belongs to the system's memory.
type DIMM struct {
	Slot, Type, Manufacturer, Part, Serial string
	SizeBytes                              int64
	SpeedMTs                               int
}

// Parse reads a table. It never fails: what is missing or broken stays empty.
func Parse(table []byte, v Version) Tables {
	var t Tables
	all := split(table)
	foreign := foreignArrays(all)
	seen := map[byte]bool{}
	for _, s := range all {
		first := !seen[s.kind]
		seen[s.kind] = true
		switch {
		case s.kind == typeProcessor:
			t.addProcessor(s)
		case s.kind == typeMemoryDevice && !foreign[s.word(0x04)]:
			t.addDIMM(s)
		case s.kind == typeMemoryMap:
			t.MappedBytes = saturate(t.MappedBytes, mappedBytes(s))
		case first:
			t.setOnce(s, v)
		}
	}
	return t
}

// setOnce reads the structures of which the first counts: firmware lists the main board and the main chassis first.
func (t *Tables) setOnce(s structure, v Version) {
	switch s.kind {
	case typeFirmware:
		t.Firmware = Firmware{Vendor: s.text(0x04), Version: s.text(0x05), Date: s.text(0x08)}
	case typeSystem:
		t.System = System{
			Manufacturer: s.text(0x04), Product: s.text(0x05), Version: s.text(0x06), Serial: s.text(0x07),
			SKU: s.text(0x19), Family: s.text(0x1A), UUID: uuid(s, v),
		}
	case typeBaseboard:
		t.Baseboard = Board{Manufacturer: s.text(0x04), Product: s.text(0x05), Serial: s.text(0x07), AssetTag: s.text(0x08)}
	case typeChassis:
		t.Chassis = Board{Manufacturer: s.text(0x04), Serial: s.text(0x07), AssetTag: s.text(0x08)}
	}
}

// uuid formats the UUID at offset 8. From version 2.6 on, the first three fields are little-endian (section 7.2.1).
func uuid(s structure, v Version) string {
	if !s.has(0x08, 16) {
		return ""
	}
	b := bytes.Clone(s.data[0x08:0x18])
	if bytes.Count(b, []byte{0x00}) == 16 || bytes.Count(b, []byte{0xFF}) == 16 {
		return ""
	}
	if !v.before(2, 6) {
		b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
		b[4], b[5] = b[5], b[4]
		b[6], b[7] = b[7], b[6]
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
