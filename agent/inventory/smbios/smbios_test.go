package smbios

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// entry builds a structure: the bytes from offset 4 on, and the strings.
func entry(kind byte, handle uint16, body []byte, texts ...string) []byte {
	b := append([]byte{kind, byte(4 + len(body))}, binary.LittleEndian.AppendUint16(nil, handle)...)
	b = append(b, body...)
	for _, s := range texts {
		b = append(append(b, s...), 0)
	}
	if len(texts) == 0 {
		b = append(b, 0)
	}
	return append(b, 0)
}

// body makes a formatted area of the given whole length and sets bytes by their offset in the structure.
func body(length int, set map[int][]byte) []byte {
	b := make([]byte, length-4)
	for at, v := range set {
		copy(b[at-4:], v)
	}
	return b
}

func w(n uint16) []byte { return binary.LittleEndian.AppendUint16(nil, n) }
func d(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

var rawUUID = []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

func system(uuid []byte) []byte {
	return entry(1, 1, body(0x1B, map[int][]byte{4: {1, 2, 3, 4}, 8: uuid, 0x19: {5, 6}}), "Acme", "Rocket", "v9", "SN-7", "SKU", "Fam")
}

func TestUUIDByteOrderFollowsTheVersion(t *testing.T) {
	for _, c := range []struct {
		name    string
		version Version
		raw     []byte
		want    string
	}{
		{"2.6 is mixed-endian", Version{2, 6}, rawUUID, "00112233-4455-6677-8899-aabbccddeeff"},
		{"3.0 is mixed-endian", Version{3, 0}, rawUUID, "00112233-4455-6677-8899-aabbccddeeff"},
		{"2.5 is as it stands", Version{2, 5}, rawUUID, "33221100-5544-7766-8899-aabbccddeeff"},
		{"all zeros is none", Version{3, 0}, make([]byte, 16), ""},
		{"all ones is none", Version{3, 0}, bytes.Repeat([]byte{0xFF}, 16), ""},
	} {
		if got := Parse(system(c.raw), c.version).System.UUID; got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEntryPointVersion(t *testing.T) {
	three := append([]byte("_SM3_"), 0, 24, 3, 4, 0, 1)
	two := append([]byte("_SM_"), 0, 31, 2, 8, 0)
	for raw, want := range map[string]Version{string(three): {3, 4}, string(two): {2, 8}, "": {}, "_SM_": {}, "junkjunkjunk": {}} {
		if got := ParseEntryPoint([]byte(raw)); got != want {
			t.Errorf("%q: got %v, want %v", raw, got, want)
		}
	}
}

func TestBoards(t *testing.T) {
	table := bytes.Join([][]byte{
		entry(0, 0, body(0x18, map[int][]byte{4: {1, 2}, 8: {3}}), "Vendor", "1.2", "01/02/2026"),
		system(rawUUID),
		entry(2, 2, body(0x0F, map[int][]byte{4: {1, 2, 3, 4, 5}}), "BoardCo", "Board", "B1", "BS", "BA"),
		entry(2, 3, body(0x0F, map[int][]byte{4: {1}}), "Riser"),
		entry(3, 4, body(0x15, map[int][]byte{4: {1, 0, 2, 3, 4}}), "CaseCo", "v", "CS", "TAG"),
	}, nil)
	got := Parse(table, Version{3, 0})
	if want := (Firmware{"Vendor", "1.2", "01/02/2026"}); got.Firmware != want {
		t.Errorf("firmware: got %+v", got.Firmware)
	}
	if want := (System{"Acme", "Rocket", "v9", "SN-7", "SKU", "Fam", "00112233-4455-6677-8899-aabbccddeeff"}); got.System != want {
		t.Errorf("system: got %+v", got.System)
	}
	if want := (Board{"BoardCo", "Board", "BS", "BA"}); got.Baseboard != want {
		t.Errorf("the first baseboard counts: got %+v", got.Baseboard)
	}
	if want := (Board{"CaseCo", "", "CS", "TAG"}); got.Chassis != want {
		t.Errorf("chassis: got %+v", got.Chassis)
	}
}

func cpu(kind, status, cores byte, more map[int][]byte) []byte {
	set := map[int][]byte{4: {1}, 5: {kind}, 7: {2}, 0x10: {3}, 0x14: w(4000), 0x16: w(2500), 0x18: {status}, 0x23: {cores}, 0x25: {cores}}
	for at, v := range more {
		set[at] = v
	}
	return entry(4, 4, body(0x30, set), "CPU0", "Intel", "Xeon")
}

func TestProcessors(t *testing.T) {
	const filled = 0x41
	table := bytes.Join([][]byte{
		cpu(3, filled, 8, nil),
		cpu(3, 0x00, 8, nil),   // empty socket
		cpu(6, filled, 8, nil), // video processor
		cpu(3, filled, 0xFF, map[int][]byte{0x2A: w(288), 0x2E: w(576), 0x16: w(0)}),
	}, nil)
	got := Parse(table, Version{3, 0}).Processors
	want := []Processor{{"CPU0", "Intel", "Xeon", 8, 8, 2500}, {"CPU0", "Intel", "Xeon", 288, 576, 4000}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func dimm(array uint16, size uint16, more map[int][]byte) []byte {
	set := map[int][]byte{4: w(array), 0x0C: w(size), 0x10: {1}, 0x12: {0x22}, 0x15: w(5600), 0x17: {2, 3}, 0x1A: {4}}
	for at, v := range more {
		set[at] = v
	}
	return entry(17, 17, body(0x5C, set), "DIMM_A1", "MemCo", "MS", "MP")
}

func TestMemory(t *testing.T) {
	table := bytes.Join([][]byte{
		entry(16, 0x1000, body(0x0F, map[int][]byte{5: {3}})),
		entry(16, 0x1001, body(0x0F, map[int][]byte{5: {5}})), // flash
		dimm(0x1000, 16384, nil),
		dimm(0x1000, 0x7FFF, map[int][]byte{0x1C: d(65536), 0x20: w(4800)}),
		dimm(0x1000, 0x8000|512, map[int][]byte{0x15: w(0xFFFF), 0x54: d(70000)}),
		dimm(0x1000, 0, nil),
		dimm(0x1000, 0xFFFF, nil),
		dimm(0x1001, 16, nil),
		entry(19, 0x13, body(0x1F, map[int][]byte{4: d(0), 8: d(1<<20 - 1)})),
		entry(19, 0x14, body(0x1F, map[int][]byte{4: d(0xFFFFFFFF), 0x0F: {0}, 0x17: {0xFF, 0xFF, 0xFF, 0xFF}})),
	}, nil)
	got := Parse(table, Version{3, 3})
	want := []DIMM{
		{"DIMM_A1", "DDR5", "MemCo", "MP", "MS", 16 << 30, 5600},
		{"DIMM_A1", "DDR5", "MemCo", "MP", "MS", 64 << 30, 4800},
		{"DIMM_A1", "DDR5", "MemCo", "MP", "MS", 512 << 10, 70000},
	}
	if len(got.DIMMs) != len(want) {
		t.Fatalf("got %d DIMMs, want the three in filled slots of system memory: %+v", len(got.DIMMs), got.DIMMs)
	}
	for i := range want {
		if got.DIMMs[i] != want[i] {
			t.Errorf("DIMM %d: got %+v, want %+v", i, got.DIMMs[i], want[i])
		}
	}
	if got.MappedBytes != 1<<30+4<<30 {
		t.Errorf("mapped: got %d", got.MappedBytes)
	}
}

func TestBrokenTablesKeepWhatCameBefore(t *testing.T) {
	good := system(rawUUID)
	for name, tail := range map[string][]byte{
		"cut header": {2}, "length below four": {2, 3, 0, 0}, "length beyond the end": {2, 200, 0, 0},
		"strings without end": append([]byte{2, 4, 0, 0}, "abc"...), "end marker, then junk": append(entry(127, 9, nil), system(make([]byte, 16))...),
	} {
		if got := Parse(append(bytes.Clone(good), tail...), Version{3, 0}).System.Serial; got != "SN-7" {
			t.Errorf("%s: got serial %q", name, got)
		}
	}
	if got := Parse(entry(1, 1, []byte{9}, "only one"), Version{3, 0}).System.Manufacturer; got != "" {
		t.Errorf("a string number without a string gave %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(system(rawUUID), 3, 0)
	f.Add(append(cpu(3, 0x41, 0xFF, nil), dimm(1, 0x7FFF, nil)...), 2, 5)
	f.Add([]byte{19, 0x1F, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, 3, 0)
	f.Add([]byte(strings.Repeat("\x01\x04\x00\x00\x00\x00", 5000)), 0, 0)
	f.Fuzz(func(t *testing.T, table []byte, major, minor int) {
		got := Parse(table, Version{major, minor})
		if len(got.Processors)+len(got.DIMMs) > maxStructures {
			t.Error("more parts than structures")
		}
		for _, m := range got.DIMMs {
			if m.SizeBytes <= 0 || m.SpeedMTs < 0 {
				t.Errorf("impossible DIMM %+v", m)
			}
		}
		if got.MappedBytes < 0 {
			t.Errorf("mapped %d", got.MappedBytes)
		}
		ParseEntryPoint(table)
	})
}
