package testos

import (
	"bytes"
	"encoding/binary"
)

// Banner is what the program prints on the serial port once it runs.
const Banner = "INGOT TEST OS BOOTED FROM DISK"

// Farewell is what it prints when the power button made it switch off.
const Farewell = "INGOT TEST OS SWITCHES OFF"

// RebootKey typed on the serial port makes it reboot the machine.
const RebootKey = 'r'

// Facts of the PE32+ format (Microsoft PE/COFF specification) and of EFI
// images (UEFI 2.10 section 2.1.1).
const (
	peOffset       = 0x40
	optionalSize   = 112 + 16*8
	fileAlignment  = 0x200
	pageSize       = 0x1000
	machineAMD64   = 0x8664
	executable     = 0x0002 | 0x0020 // image is complete, addresses above 2 GiB
	magicPE32Plus  = 0x20b
	efiApplication = 10
	codeSection    = 0x60000020 // code, executable, readable
)

// program is an EFI application without relocations: all its references are
// relative to the instruction.
func program() []byte {
	code := code()
	size := (len(code) + fileAlignment - 1) / fileAlignment * fileAlignment
	image := make([]byte, fileAlignment+size)
	copy(image, dosHeader())
	copy(image[peOffset:], peHeader(uint32(len(code)), uint32(size)))
	copy(image[fileAlignment:], code)
	return image
}

func dosHeader() []byte {
	header := make([]byte, peOffset)
	copy(header, "MZ")
	binary.LittleEndian.PutUint32(header[0x3c:], peOffset)
	return header
}

// header is written field by field, as the specification lists them.
type header struct{ bytes.Buffer }

func (h *header) u16(values ...uint16) {
	for _, v := range values {
		h.Write(binary.LittleEndian.AppendUint16(nil, v))
	}
}

func (h *header) u32(values ...uint32) {
	for _, v := range values {
		h.Write(binary.LittleEndian.AppendUint32(nil, v))
	}
}

func (h *header) u64(values ...uint64) {
	for _, v := range values {
		h.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
}

func peHeader(codeSize, rawSize uint32) []byte {
	h := &header{}
	h.WriteString("PE\x00\x00")
	h.u16(machineAMD64, 1) // one section
	h.u32(0, 0, 0)         // no time, no symbols
	h.u16(optionalSize, executable)

	h.u16(magicPE32Plus, 0)
	h.u32(rawSize, 0, 0)      // code, data, zeroed data
	h.u32(pageSize, pageSize) // entry point, start of the code
	h.u64(0)                  // image base: anywhere
	h.u32(pageSize, fileAlignment)
	h.u16(0, 0, 0, 0, 0, 0) // versions
	h.u32(0, 2*pageSize, fileAlignment, 0)
	h.u16(efiApplication, 0)
	h.u64(0, 0, 0, 0) // stack and heap
	h.u32(0, 16)
	h.Write(make([]byte, 16*8)) // no directories

	h.WriteString(".text\x00\x00\x00")
	h.u32(codeSize, pageSize, rawSize, fileAlignment)
	h.u32(0, 0, 0, codeSection)
	return h.Bytes()
}

// code gets the system table in rdx (Microsoft calling convention, UEFI 2.10
// section 2.3.4.1). It switches the firmware's watchdog off, prints, and waits
// for the power button or the key with the processor halted between timer
// ticks. Keys come through the firmware, whose own timer empties the serial
// port. The button's port is where OVMF puts it on the q35, the reset is the
// chipset's register 0xcf9 (ICH9 datasheet).
func code() []byte {
	a := &assembler{}
	a.emit(0x48, 0x83, 0xec, 0x28)             // sub rsp, 0x28
	a.emit(0x48, 0x89, 0xd3)                   // mov rbx, rdx
	a.emit(0x48, 0x8b, 0x42, 0x60)             // mov rax, [rdx+0x60]  boot services
	a.emit(0x31, 0xc9, 0x31, 0xd2)             // xor ecx, ecx; xor edx, edx
	a.emit(0x45, 0x31, 0xc0, 0x45, 0x31, 0xc9) // xor r8d, r8d; xor r9d, r9d
	a.emit(0xff, 0x90, 0x00, 0x01, 0x00, 0x00) // call [rax+0x100]     SetWatchdogTimer
	a.print("banner")
	a.emit(0x66, 0xba, 0x02, 0x06, 0x66, 0xb8, 0x00, 0x01) // mov dx, 0x602; mov ax, 0x100
	a.emit(0x66, 0xef)                                     // out dx, ax           enable the button
	a.label("idle")
	a.emit(0xf4)                                     // hlt
	a.emit(0x66, 0xba, 0x00, 0x06, 0x66, 0xed)       // mov dx, 0x600; in ax, dx
	a.emit(0xf6, 0xc4, 0x01)                         // test ah, 1           pressed?
	a.jump(0x75, "off")                              // jnz off
	a.emit(0x48, 0x8b, 0x4b, 0x30)                   // mov rcx, [rbx+0x30]  console input
	a.emit(0x48, 0x8d, 0x54, 0x24, 0x20)             // lea rdx, [rsp+0x20]
	a.emit(0xff, 0x51, 0x08)                         // call [rcx+8]         ReadKeyStroke
	a.emit(0x48, 0x85, 0xc0)                         // test rax, rax        a key?
	a.jump(0x75, "idle")                             // jnz idle
	a.emit(0x66, 0x83, 0x7c, 0x24, 0x22, RebootKey)  // cmp word [rsp+0x22], 'r'
	a.jump(0x75, "idle")                             // jne idle
	a.emit(0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee) // mov dx, 0xcf9; mov al, 6; out dx, al
	a.label("off")
	a.print("farewell")
	a.emit(0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20) // mov dx, 0x604; mov ax, 0x2000
	a.emit(0x66, 0xef)                                     // out dx, ax           S5
	a.label("end")
	a.emit(0xfa, 0xf4)  // cli; hlt
	a.jump(0xeb, "end") // jmp end
	a.printer()
	a.label("banner")
	a.text(Banner)
	a.label("farewell")
	a.text(Farewell)
	return a.finish()
}
