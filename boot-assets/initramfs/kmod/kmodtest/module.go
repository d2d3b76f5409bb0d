// Package kmodtest makes kernel modules for tests: as little ELF as package kmod reads. It is used by tests only.
package kmodtest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// Sizes of the structures of ELF64.
const (
	headerSize  = 64
	sectionSize = 64
)

// names is the content of .shstrtab: the empty name, then the two sections.
const names = "\x00.modinfo\x00.shstrtab\x00"

// Module is a relocatable file whose .modinfo holds the fields, such as "name=igb".
func Module(fields ...string) []byte {
	return Section(".modinfo", []byte(strings.Join(fields, "\x00")+"\x00"))
}

// Section is a relocatable file with .modinfo or .shstrtab holding the content.
func Section(name string, content []byte) []byte {
	table := headerSize + len(content) + len(names)
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: uint64(table),
		Ehsize: headerSize, Shentsize: sectionSize, Shnum: 3, Shstrndx: 2,
	}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	sections := []elf.Section64{
		{},
		{Name: uint32(strings.Index(names, name)), Type: uint32(elf.SHT_PROGBITS), Off: headerSize, Size: uint64(len(content))},
		{Name: uint32(strings.Index(names, ".shstrtab")), Type: uint32(elf.SHT_STRTAB), Off: uint64(headerSize + len(content)), Size: uint64(len(names))},
	}
	var out bytes.Buffer
	for _, part := range []any{header, content, []byte(names), sections} {
		// Writing to a buffer cannot fail, and all parts have a fixed size.
		_ = binary.Write(&out, binary.LittleEndian, part)
	}
	return out.Bytes()
}
