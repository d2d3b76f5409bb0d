package nvram

import (
	"encoding/binary"
	"regexp"
)

type kind int

const (
	other kind = iota
	pxe
	httpBoot
)

var entryName = regexp.MustCompile(`^Boot[0-9A-F]{4}$`)

// Device path nodes (UEFI 2.10 section 10.3.4).
const (
	typeMessaging = 3
	subMAC        = 11
	subURI        = 24
	typeEnd       = 0x7f
)

// kindOf tells network entries apart: both name a MAC address, only HTTP boot
// has a URI behind it.
func kindOf(v variable) kind {
	if !entryName.MatchString(v.name) {
		return other
	}
	mac := false
	for node := path(v.data); len(node) >= 4; {
		size := int(binary.LittleEndian.Uint16(node[2:]))
		if node[0] == typeEnd || size < 4 || size > len(node) {
			break
		}
		mac = mac || node[0] == typeMessaging && node[1] == subMAC
		if mac && node[0] == typeMessaging && node[1] == subURI {
			return httpBoot
		}
		node = node[size:]
	}
	if mac {
		return pxe
	}
	return other
}

// path skips the attributes, the length of the path and the description.
func path(option []byte) []byte {
	const fixed = 6
	if len(option) < fixed {
		return nil
	}
	length := int(binary.LittleEndian.Uint16(option[4:]))
	for at := fixed; at+1 < len(option); at += 2 {
		if option[at] == 0 && option[at+1] == 0 {
			rest := option[at+2:]
			return rest[:min(length, len(rest))]
		}
	}
	return nil
}
