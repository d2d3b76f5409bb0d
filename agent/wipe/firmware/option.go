// Package firmware mends the boot entries of UEFI after a wipe: entries that start a file on a hard disk go, since the file is gone,
// and the network comes first again, so that the machine can be found at its next boot.
//
// The parser and the decision (Mend) are layer 1, pure. Vars is layer 2: it reads and writes efivarfs.
//
// Invariants: an entry that is not understood is kept; network entries, setup programs and shells of the firmware, and entries for
// removable media are kept; the order is written before an entry is removed, so it never names one that is gone; nothing is
// written when nothing changes.
package firmware

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// Entry is a load option: Boot#### of UEFI 2.10 section 3.1.3.
type Entry struct {
	// Number is the #### of its name.
	Number      uint16
	Active      bool
	Description string
	Nodes       []Node
}

const (
	loadOptionActive = 1 << 0
	// maxOption bounds a variable; firmware allows 32 KiB to 64 KiB.
	maxOption = 64 << 10
)

var errOption = errors.New("the load option is cut off or malformed")

// ParseEntry reads an EFI_LOAD_OPTION: attributes, length of the device paths, description (UCS-2, ends with zero), device
// paths, and optional data that is of no interest here.
func ParseEntry(number uint16, b []byte) (Entry, error) {
	if len(b) < 6 || len(b) > maxOption {
		return Entry{}, errOption
	}
	e := Entry{Number: number, Active: binary.LittleEndian.Uint32(b)&loadOptionActive != 0}
	paths := int(binary.LittleEndian.Uint16(b[4:]))
	text, rest, ok := description(b[6:])
	if !ok || paths > len(rest) {
		return Entry{}, errOption
	}
	e.Description = text
	var err error
	e.Nodes, err = ParsePath(rest[:paths])
	return e, err
}

func description(b []byte) (text string, rest []byte, ok bool) {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			return string(utf16.Decode(units)), b[2:], true
		}
		units = append(units, u)
	}
	return "", nil, false
}

// ParseOrder reads BootOrder: an array of 16-bit numbers.
func ParseOrder(b []byte) ([]uint16, error) {
	if len(b)%2 != 0 || len(b) > maxOption {
		return nil, errors.New("the boot order is malformed")
	}
	var out []uint16
	for ; len(b) > 0; b = b[2:] {
		out = append(out, binary.LittleEndian.Uint16(b))
	}
	return out, nil
}

func formatOrder(order []uint16) []byte {
	var b []byte
	for _, n := range order {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return b
}
