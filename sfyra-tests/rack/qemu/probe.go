package qemu

import (
	"bytes"
	"encoding/binary"
)

// Layout of the probe's firmware: the last 64 KiB below 4 GiB, where the
// processor starts 16 bytes before the end.
const (
	romSize     = 64 << 10
	romBase     = 1<<32 - romSize
	resetVector = romSize - 16
	realCode    = 0xff00
	flatCode    = 0xff40
	tablePlace  = 0xff80
	tablePtr    = 0xffa0
)

// probeROM is a firmware that enters protected mode, asks for the CPU's
// features and tells isa-debug-exit to end the guest. Real mode alone would
// not do: broken nested KVM runs that, and fails at the change of mode.
func probeROM() []byte {
	rom := bytes.Repeat([]byte{0xf4}, romSize)                         // hlt
	jump := uint16((romSize + realCode - (resetVector + 3)) % romSize) // relative, in 16 bits
	copy(rom[resetVector:], append([]byte{0xe9}, le16(jump)...))       // jmp realCode
	copy(rom[realCode:], enterProtectedMode())
	copy(rom[flatCode:], []byte{
		0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1
		0x0f, 0xa2, // cpuid
		0xb0, 0x10, // mov al, 0x10
		0xe6, 0xf4, // out 0xf4, al
		0xf4, // hlt
	})
	// Descriptors: null, then 32-bit code over all 4 GiB, accessed already,
	// since the processor could not set that bit in a ROM.
	copy(rom[tablePlace+8:], []byte{0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0})
	copy(rom[tablePtr:], append(le16(15), le32(romBase+tablePlace)...))
	return rom
}

func enterProtectedMode() []byte {
	code := []byte{0xfa}                              // cli
	code = append(code, 0x2e, 0x66, 0x0f, 0x01, 0x16) // lgdt cs:[tablePtr]
	code = append(code, le16(tablePtr)...)            //
	code = append(code, 0x0f, 0x20, 0xc0)             // mov eax, cr0
	code = append(code, 0x0c, 0x01)                   // or al, 1
	code = append(code, 0x0f, 0x22, 0xc0)             // mov cr0, eax
	code = append(code, 0x66, 0xea)                   // jmp 8:flatCode
	code = append(code, le32(romBase+flatCode)...)    //
	return append(code, le16(8)...)                   //
}

func le16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
