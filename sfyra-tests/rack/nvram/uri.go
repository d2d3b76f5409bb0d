package nvram

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// ErrFull says that the store has no room for another variable before the firmware tidies it up.
var ErrFull = errors.New("the variable store is full")

const (
	// uriEntry is a number that no firmware gives its own entries, which it counts from 0.
	uriEntry     = 0x7e57
	uriEntryName = "Boot7E57"
	nextName     = "BootNext"
	// lasting are the attributes of boot entries: non-volatile, for boot services and at run time (UEFI 2.10 section 8.2.1).
	lasting = 7
	// active is an entry that the boot manager takes (section 3.1.3).
	active = 1
)

// globalVariable is EFI_GLOBAL_VARIABLE, 8BE4DF61-93CA-11D2-AA0D-00E098032B8C (UEFI 2.10 section 3.3).
var globalVariable = []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}

// BootURI makes the next start boot a file by its URI: an entry whose path is the URI alone, which the firmware tries on each network card that has HTTP boot
// (UEFI 2.10 section 3.1.2, short forms of device paths), and BootNext, which serves one start. ErrFull when there is no room.
func BootURI(store []byte, uri string) error {
	if err := ForgetURI(store); err != nil {
		return err
	}
	node := append(binary.LittleEndian.AppendUint16([]byte{typeMessaging, subURI}, uint16(4+len(uri))), uri...)
	path := append(bytes.Clone(node), typeEnd, 0xff, 4, 0)
	option := binary.LittleEndian.AppendUint32(nil, active)
	option = binary.LittleEndian.AppendUint16(option, uint16(len(path)))
	option = append(append(option, encoded("Boot file of the BMC")...), path...)
	if err := add(store, uriEntryName, option); err != nil {
		return err
	}
	return add(store, nextName, binary.LittleEndian.AppendUint16(nil, uriEntry))
}

// ForgetURI takes the entry of BootURI away, and BootNext if it still names that.
func ForgetURI(store []byte) error {
	variables, err := parse(store)
	if err != nil {
		return fmt.Errorf("reading the boot entries: %w", err)
	}
	ours := binary.LittleEndian.AppendUint16(nil, uriEntry)
	for _, v := range variables {
		if v.name == uriEntryName || v.name == nextName && bytes.Equal(v.data, ours) {
			store[v.at+2] &= deletedMask
		}
	}
	return nil
}

// add writes a variable behind the last one.
func add(store []byte, name string, data []byte) error {
	at, end, err := free(store)
	if err != nil {
		return err
	}
	title := encoded(name)
	v := make([]byte, variableHeaderSize)
	binary.LittleEndian.PutUint16(v, startID)
	v[2] = stateAdded
	binary.LittleEndian.PutUint32(v[4:], lasting)
	binary.LittleEndian.PutUint32(v[36:], uint32(len(title)))
	binary.LittleEndian.PutUint32(v[40:], uint32(len(data)))
	copy(v[44:], globalVariable)
	v = append(append(v, title...), data...)
	if at+len(v) > end {
		return ErrFull
	}
	copy(store[at:], v)
	return nil
}

// free is where the unused rest of a store begins and ends.
func free(store []byte) (at, end int, err error) {
	if _, err := parse(store); err != nil {
		return 0, 0, err
	}
	start := int(binary.LittleEndian.Uint16(store[volumeHeaderLength:]))
	end = min(start+int(binary.LittleEndian.Uint32(store[start+16:])), len(store))
	at = start + storeHeaderSize
	for at+variableHeaderSize <= end && binary.LittleEndian.Uint16(store[at:]) == startID {
		_, at = read(store[:end], at)
	}
	return at, end, nil
}

// encoded is UTF-16 with a zero at its end.
func encoded(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text + "\x00")) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}
