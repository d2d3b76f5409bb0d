package fat

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// Facts of folder entries.
const (
	entryBytes    = 32
	attrDirectory = 0x10
	attrArchive   = 0x20
	attrLongName  = 0x0f
	lastLongEntry = 0x40
	perLongEntry  = 13     // UTF-16 units of a long name in one entry
	firstDay      = 0x0021 // 1980-01-01, the earliest date that FAT knows
)

var eightDotThree = regexp.MustCompile(`^([A-Z0-9_-]{1,8})(?:\.([A-Z0-9_-]{1,3}))?$`)

// entries describe the children of a folder, in their order.
func entries(children []*node) []byte {
	var out []byte
	for i, c := range children {
		short, long := shortName(c.name, i+1)
		if long {
			out = append(out, longEntries(c.name, short)...)
		}
		if c.folder {
			out = append(out, entry(short, attrDirectory, c.cluster, 0)...)
		} else {
			out = append(out, entry(short, attrArchive, c.cluster, len(c.data))...)
		}
	}
	return out
}

// shortName is the name in 11 bytes, padded with blanks. The second result says that it needs a long name beside it; number makes it unique in its folder.
func shortName(name string, number int) (string, bool) {
	upper := strings.ToUpper(name)
	if m := eightDotThree.FindStringSubmatch(upper); m != nil {
		return fmt.Sprintf("%-8s%-3s", m[1], m[2]), false
	}
	letters := strings.Map(func(r rune) rune {
		if r < '0' || r > 'Z' || r > '9' && r < 'A' {
			return '_'
		}
		return r
	}, upper)
	tail := fmt.Sprintf("~%d", number)
	return fmt.Sprintf("%-11s", letters[:min(len(letters), 8-len(tail))]+tail), true
}

// longEntries stand before their short entry, the last part of the name first.
func longEntries(name, short string) []byte {
	units := utf16.Encode([]rune(name))
	count := (len(units) + perLongEntry - 1) / perLongEntry
	if len(units)%perLongEntry != 0 {
		units = append(units, 0)
	}
	for len(units) < count*perLongEntry {
		units = append(units, 0xffff)
	}
	var out []byte
	for i := count; i > 0; i-- {
		order := byte(i)
		if i == count {
			order |= lastLongEntry
		}
		out = append(out, longEntry(order, checksum(short), units[(i-1)*perLongEntry:])...)
	}
	return out
}

func longEntry(order, sum byte, units []uint16) []byte {
	e := make([]byte, entryBytes)
	e[0], e[11], e[13] = order, attrLongName, sum
	for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		binary.LittleEndian.PutUint16(e[at:], units[i])
	}
	return e
}

// checksum ties a long name to its short one.
func checksum(short string) byte {
	var sum byte
	for i := range len(short) {
		sum = sum<<7 | sum>>1
		sum += short[i]
	}
	return sum
}

func entry(name string, attributes byte, first, size int) []byte {
	e := make([]byte, entryBytes)
	copy(e, name)
	e[11] = attributes
	for _, at := range []int{16, 18, 24} {
		binary.LittleEndian.PutUint16(e[at:], firstDay)
	}
	binary.LittleEndian.PutUint16(e[26:], uint16(first))
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
	return e
}

func dots(own, parent int) []byte {
	return append(entry(".          ", attrDirectory, own, 0), entry("..         ", attrDirectory, parent, 0)...)
}
