// Package media makes the image that a BMC inserts as virtual media: a CD from which UEFI starts iPXE with a script (layer 1: pure, bytes in and bytes out).
//
// The image is an ISO 9660 file system without files for people, and an El Torito entry for UEFI: a FAT with the programs of both architectures, each where
// firmware looks for it (UEFI 2.10 section 3.5.1.1), and the script where iPXE looks for it: beside the program that was started, and at the top. BIOS finds nothing
// to start: that takes an iPXE that is built for it (ipxe.lkrn behind isolinux), which Ingot does not carry. The same bytes come out every time, and there is nothing
// secret in them.
//
// Sources: ECMA-119 (ISO 9660), third edition; "El Torito" Bootable CD-ROM Format Specification 1.0; UEFI 2.10 section 13.3.2.1.
package media

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ingot.dev/ingot/boot-assets/fat"
)

// Layout, in sectors of a CD. The first 16 are for the system, and empty.
const (
	sector       = 2048
	primaryAt    = 16
	bootRecordAt = 17
	endAt        = 18
	catalogAt    = 19
	littleAt     = 20 // the path table
	bigAt        = 21 // the same for the other kind of processors
	rootAt       = 22
	fatAt        = 23

	// fatSize is that of the FAT: room for two programs, and few enough sectors of 512 bytes for El Torito to count.
	fatSize    = 4 << 20
	fatSectors = fatSize / sector
)

// Name of the script, which iPXE looks for by this name.
const scriptName = "autoexec.ipxe"

// Program is an EFI program for one architecture.
type Program struct {
	// Name is where firmware looks for it on removable media: BOOTX64.EFI or BOOTAA64.EFI.
	Name string
	Data []byte
}

// Image makes the image of the programs and the script that they shall run.
func Image(programs []Program, script []byte) ([]byte, error) {
	if len(programs) == 0 || len(script) == 0 {
		return nil, errors.New("making an image of virtual media: it needs a program and a script")
	}
	files := []fat.File{{Path: scriptName, Data: script}}
	for _, p := range programs {
		files = append(files, fat.File{Path: "EFI/BOOT/" + p.Name, Data: p.Data})
	}
	files = append(files, fat.File{Path: "EFI/BOOT/" + scriptName, Data: script})
	pieces, err := fat.Layout(fatSize, 0, files)
	if err != nil {
		return nil, fmt.Errorf("making an image of virtual media: %w", err)
	}
	image := make([]byte, fatAt*sector+fatSize)
	put := func(at int, data []byte) { copy(image[at*sector:], data) }
	put(primaryAt, primary())
	put(bootRecordAt, bootRecord())
	put(endAt, descriptor(255))
	put(catalogAt, catalog())
	put(littleAt, pathTable(binary.LittleEndian))
	put(bigAt, pathTable(binary.BigEndian))
	put(rootAt, root())
	for _, p := range pieces {
		copy(image[fatAt*sector+p.At:], p.Data)
	}
	return image, nil
}

// descriptor begins a volume descriptor (ECMA-119, 8.1).
func descriptor(kind byte) []byte {
	d := make([]byte, sector)
	d[0], d[6] = kind, 1
	copy(d[1:], "CD001")
	return d
}

// primary is the primary volume descriptor (8.4). Texts are padded with blanks, and dates left out by zeros in digits.
func primary() []byte {
	d := descriptor(1)
	blank(d[8:72])
	copy(d[40:], "INGOT")
	both32(d[80:], fatAt+fatSectors)
	both16(d[120:], 1)
	both16(d[124:], 1)
	both16(d[128:], sector)
	both32(d[132:], pathTableSize)
	binary.LittleEndian.PutUint32(d[140:], littleAt)
	binary.BigEndian.PutUint32(d[148:], bigAt)
	copy(d[156:], record("\x00", rootAt, sector, true))
	blank(d[190:813])
	for at := 813; at < 881; at += 17 {
		copy(d[at:], "0000000000000000")
	}
	d[881] = 1
	return d
}

// bootRecord points to the catalog (El Torito, figure 7).
func bootRecord() []byte {
	d := descriptor(0)
	copy(d[7:], "EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(d[71:], catalogAt)
	return d
}

// catalog names one thing to start, without emulation, for UEFI (El Torito, figures 2 and 3; platform 0xEF: UEFI 2.10 section 13.3.2.1).
func catalog() []byte {
	const platformEFI, bootable = 0xef, 0x88
	c := make([]byte, 64)
	c[0], c[1] = 1, platformEFI
	copy(c[4:], "Ingot")
	c[30], c[31] = 0x55, 0xaa
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(c[i:])
	}
	binary.LittleEndian.PutUint16(c[28:], -sum) // all words of the entry add up to zero
	entry := c[32:]
	entry[0] = bootable
	binary.LittleEndian.PutUint16(entry[6:], fatSize/512)
	binary.LittleEndian.PutUint32(entry[8:], fatAt)
	return c
}

const pathTableSize = 10

// pathTable lists the only folder (ECMA-119, 9.4).
func pathTable(order binary.ByteOrder) []byte {
	t := make([]byte, pathTableSize)
	t[0] = 1
	order.PutUint32(t[2:], rootAt)
	order.PutUint16(t[6:], 1)
	return t
}

// root is the only folder: itself, its parent, which is itself, and the FAT, so that whoever looks at the CD finds what it holds.
func root() []byte {
	out := append(record("\x00", rootAt, sector, true), record("\x01", rootAt, sector, true)...)
	return append(out, record("EFIBOOT.IMG;1", fatAt, fatSize, false)...)
}

// record is a folder's entry (9.1), of 1 January 1980.
func record(name string, at, size uint32, folder bool) []byte {
	r := make([]byte, (33+len(name)+1)/2*2)
	r[0] = byte(len(r))
	both32(r[2:], at)
	both32(r[10:], size)
	copy(r[18:], []byte{80, 1, 1})
	if folder {
		r[25] = 2
	}
	both16(r[28:], 1)
	r[32] = byte(len(name))
	copy(r[33:], name)
	return r
}

func blank(text []byte) {
	for i := range text {
		text[i] = ' '
	}
}

// both32 writes a number for both kinds of processors (7.3.3).
func both32(at []byte, n uint32) {
	binary.LittleEndian.PutUint32(at, n)
	binary.BigEndian.PutUint32(at[4:], n)
}

func both16(at []byte, n uint16) {
	binary.LittleEndian.PutUint16(at, n)
	binary.BigEndian.PutUint16(at[2:], n)
}
