// Package smbios reads the SMBIOS tables that firmware leaves in memory (DSP0134).
//
// Layer 1, pure: bytes in, plain data out. The bytes come from firmware and are not trusted: every length is checked,
// the number of structures is bounded, and a table that ends early yields what was read until then.
package smbios

import "bytes"

// Limits of one table. DSP0134 bounds a 2.x table to 64 KiB; 3.x tables of large servers reach some 100 KiB.
const (
	maxTable      = 1 << 20
	maxStructures = 4096
	maxStrings    = 255
)

// Types of structures that are read (DSP0134 section 7).
const (
	typeFirmware     = 0
	typeSystem       = 1
	typeBaseboard    = 2
	typeChassis      = 3
	typeProcessor    = 4
	typeMemoryArray  = 16
	typeMemoryDevice = 17
	typeMemoryMap    = 19
	typeEnd          = 127
)

// structure is one entry: the formatted area with its header, and the strings behind it.
type structure struct {
	kind    byte
	data    []byte
	strings []string
}

// split cuts a table into structures (DSP0134 section 6.1). It stops at the first one that does not fit.
func split(table []byte) []structure {
	table = table[:min(len(table), maxTable)]
	var out []structure
	for len(table) >= 4 && len(out) < maxStructures {
		length := int(table[1])
		if length < 4 || length > len(table) {
			break
		}
		s := structure{kind: table[0], data: table[:length]}
		s.strings, table = splitStrings(table[length:])
		out = append(out, s)
		if s.kind == typeEnd {
			break
		}
	}
	return out
}

// splitStrings reads the zero-terminated strings behind a structure, up to the double zero, and returns what follows.
// A set that never ends takes the rest of the table.
func splitStrings(b []byte) (texts []string, rest []byte) {
	end := bytes.Index(b, []byte{0, 0})
	if end < 0 {
		return nil, nil
	}
	for part := range bytes.SplitSeq(b[:end], []byte{0}) {
		if len(part) > 0 && len(texts) < maxStrings {
			texts = append(texts, string(part))
		}
	}
	return texts, b[end+2:]
}

// text returns the string whose number stands at offset; empty when there is none.
func (s structure) text(offset int) string {
	n := int(s.byte(offset))
	if n < 1 || n > len(s.strings) {
		return ""
	}
	return s.strings[n-1]
}

// byte, word, dword and qword read little-endian values; 0 where an older, shorter structure ends before the offset.
func (s structure) byte(offset int) byte {
	if offset >= len(s.data) {
		return 0
	}
	return s.data[offset]
}

func (s structure) word(offset int) uint16 {
	if !s.has(offset, 2) {
		return 0
	}
	return uint16(s.byte(offset)) | uint16(s.byte(offset+1))<<8
}

func (s structure) dword(offset int) uint32 {
	if !s.has(offset, 4) {
		return 0
	}
	return uint32(s.word(offset)) | uint32(s.word(offset+2))<<16
}

func (s structure) qword(offset int) uint64 {
	if !s.has(offset, 8) {
		return 0
	}
	return uint64(s.dword(offset)) | uint64(s.dword(offset+4))<<32
}

func (s structure) has(offset, size int) bool { return offset+size <= len(s.data) }
