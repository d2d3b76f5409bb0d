// Package nvram reads, trims and adds boot entries in OVMF's variable store.
//
// Layer 1, pure. Sources: MdeModulePkg's VariableFormat.h (the store),
// UEFI 2.10 sections 3.1.3 (load options) and 10.3 (device paths).
//
// Invariant: nothing changes but the state byte of a removed variable, which is
// how the firmware itself deletes, and the unused rest of a store that gets
// another one; bytes that are no variable store come back as an error, untouched.
package nvram

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Layout of the volume, of the store and of an authenticated variable.
const (
	volumeHeaderLength = 0x30 // where the header's length stands
	storeHeaderSize    = 28
	variableHeaderSize = 60
	startID            = 0x55aa
	stateAdded         = 0x3f
	deletedMask        = 0xfd
)

// ErrNoStore says that the bytes are not OVMF's variables.
var ErrNoStore = errors.New("no variable store")

type variable struct {
	at   int
	name string
	data []byte
}

// ForgetHTTPBoot removes the HTTP boot entries of a store that has no PXE
// entry, and says whether there were any. OVMF keeps the order in which it
// found its entries: after a start with PXE switched off, HTTP would else stay
// in front of PXE for ever.
func ForgetHTTPBoot(store []byte) (bool, error) {
	variables, err := parse(store)
	if err != nil {
		return false, fmt.Errorf("reading the boot entries: %w", err)
	}
	var http []variable
	for _, v := range variables {
		switch kindOf(v) {
		case pxe:
			return false, nil
		case httpBoot:
			http = append(http, v)
		case other:
		}
	}
	for _, v := range http {
		store[v.at+2] &= deletedMask
	}
	return len(http) > 0, nil
}

// Unwritten says that no firmware has laid out a store yet: the template of AAVMF is all zeros, that of OVMF is a store.
func Unwritten(store []byte) bool {
	return len(store) > 0 && !slices.ContainsFunc(store, func(b byte) bool { return b != 0 })
}

func parse(store []byte) ([]variable, error) {
	if len(store) < volumeHeaderLength+2 || string(store[0x28:0x2c]) != "_FVH" {
		return nil, ErrNoStore
	}
	start := int(binary.LittleEndian.Uint16(store[volumeHeaderLength:]))
	if start+storeHeaderSize > len(store) {
		return nil, ErrNoStore
	}
	size := int(binary.LittleEndian.Uint32(store[start+16:]))
	end := min(start+size, len(store))
	var variables []variable
	for at := start + storeHeaderSize; at+variableHeaderSize <= end; {
		if binary.LittleEndian.Uint16(store[at:]) != startID {
			break // the rest is free
		}
		v, next := read(store[:end], at)
		if next == 0 {
			return nil, fmt.Errorf("%w: a variable reaches beyond its end", ErrNoStore)
		}
		if store[at+2] == stateAdded {
			variables = append(variables, v)
		}
		at = next
	}
	return variables, nil
}

// read returns the variable and where the next one starts, 0 when it is cut off.
func read(store []byte, at int) (variable, int) {
	nameSize := uint64(binary.LittleEndian.Uint32(store[at+36:]))
	dataSize := uint64(binary.LittleEndian.Uint32(store[at+40:]))
	body := uint64(at + variableHeaderSize)
	if body+nameSize+dataSize > uint64(len(store)) {
		return variable{}, 0
	}
	end := int(body + nameSize + dataSize)
	name := text(store[body : body+nameSize])
	return variable{at: at, name: name, data: store[body+nameSize : end]}, (end + 3) &^ 3
}

func text(encoded []byte) string {
	var units []uint16
	for i := 0; i+1 < len(encoded); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(encoded[i:]))
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00")
}
