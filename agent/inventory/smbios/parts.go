package smbios

import "math"

// addProcessor reads a filled socket (section 7.5): status bit 6 says filled, type 3 says central processor.
func (t *Tables) addProcessor(s structure) {
	const central, populated = 3, 1 << 6
	if s.byte(0x05) != central || s.byte(0x18)&populated == 0 {
		return
	}
	t.Processors = append(t.Processors, Processor{
		Socket:       s.text(0x04),
		Manufacturer: s.text(0x07),
		Model:        s.text(0x10),
		Cores:        count(s, 0x23, 0x2A),
		Threads:      count(s, 0x25, 0x2E),
		SpeedMHz:     speed(s),
	})
}

// count reads a one-byte count; FFh says that the word at wide holds it (cores and threads above 255, SMBIOS 3.0).
func count(s structure, narrow, wide int) int {
	if n := s.byte(narrow); n != 0xFF {
		return int(n)
	}
	if n := s.word(wide); n != 0xFFFF {
		return int(n)
	}
	return 0
}

// speed is the current speed, which is the rated one; the maximum is what the socket would take.
func speed(s structure) int {
	if n := s.word(0x16); n != 0 {
		return int(n)
	}
	return int(s.word(0x14))
}

// foreignArrays are the handles of memory arrays that are not system memory: flash, video, cache (section 7.17.2).
func foreignArrays(all []structure) map[uint16]bool {
	const systemMemory = 3
	foreign := map[uint16]bool{}
	for _, s := range all {
		if s.kind == typeMemoryArray && s.has(0x05, 1) && s.byte(0x05) != systemMemory {
			foreign[s.word(0x02)] = true
		}
	}
	return foreign
}

func (t *Tables) addDIMM(s structure) {
	size := dimmBytes(s)
	if size == 0 {
		return
	}
	t.DIMMs = append(t.DIMMs, DIMM{
		Slot: s.text(0x10), Type: memoryTypes[s.byte(0x12)], SizeBytes: size, SpeedMTs: memorySpeed(s),
		Manufacturer: s.text(0x17), Serial: s.text(0x18), Part: s.text(0x1A),
	})
}

// dimmBytes is the size (section 7.18.5): 0 for an empty slot or an unknown size.
func dimmBytes(s structure) int64 {
	const extended, unknown, kib = 0x7FFF, 0xFFFF, 0x8000
	switch size := s.word(0x0C); {
	case size == unknown:
		return 0
	case size == extended:
		return int64(s.dword(0x1C)&0x7FFFFFFF) << 20
	case size&kib != 0:
		return int64(size&^kib) << 10
	default:
		return int64(size) << 20
	}
}

// memorySpeed is the configured speed, or what the module can do; FFFFh points to the wide field (section 7.18.4).
func memorySpeed(s structure) int {
	for _, f := range []struct{ narrow, wide int }{{0x20, 0x58}, {0x15, 0x54}} {
		switch n := s.word(f.narrow); n {
		case 0:
		case 0xFFFF:
			return int(min(s.dword(f.wide)&0x7FFFFFFF, math.MaxInt32))
		default:
			return int(n)
		}
	}
	return 0
}

// mappedBytes is the range of type 19 (section 7.20): KiB from start to end, or bytes when start is FFFFFFFFh.
func mappedBytes(s structure) int64 {
	if s.dword(0x04) == math.MaxUint32 {
		return span(s.qword(0x0F), s.qword(0x17))
	}
	if !s.has(0x04, 8) {
		return 0
	}
	return span(uint64(s.dword(0x04))<<10, uint64(s.dword(0x08))<<10|0x3FF)
}

func span(first, last uint64) int64 {
	if last <= first || last-first >= math.MaxInt64 {
		return 0
	}
	return int64(last - first + 1)
}

func saturate(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// memoryTypes are the names of section 7.18.2.
var memoryTypes = map[byte]string{
	0x01: "Other", 0x03: "DRAM", 0x07: "RAM", 0x0F: "SDRAM", 0x12: "DDR", 0x13: "DDR2", 0x14: "DDR2 FB-DIMM", 0x18: "DDR3",
	0x1A: "DDR4", 0x1B: "LPDDR", 0x1C: "LPDDR2", 0x1D: "LPDDR3", 0x1E: "LPDDR4", 0x1F: "NVDIMM", 0x20: "HBM", 0x21: "HBM2",
	0x22: "DDR5", 0x23: "LPDDR5", 0x24: "HBM3",
}
