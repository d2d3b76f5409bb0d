package nvram

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"unicode/utf16"
)

// store builds a variable store as OVMF lays it out.
func store(variables ...[]byte) []byte {
	s := make([]byte, 0x48)
	copy(s[0x28:], "_FVH")
	binary.LittleEndian.PutUint16(s[0x30:], 0x48)
	head := make([]byte, storeHeaderSize)
	binary.LittleEndian.PutUint32(head[16:], 8192)
	s = append(s, head...)
	for _, v := range variables {
		s = append(s, v...)
		for len(s)%4 != 0 {
			s = append(s, 0xff)
		}
	}
	return append(s, bytes.Repeat([]byte{0xff}, 256)...)
}

func variableOf(name string, state byte, data []byte) []byte {
	v := make([]byte, variableHeaderSize)
	binary.LittleEndian.PutUint16(v, startID)
	v[2] = state
	encoded := wide(name)
	binary.LittleEndian.PutUint32(v[36:], uint32(len(encoded)))
	binary.LittleEndian.PutUint32(v[40:], uint32(len(data)))
	return append(append(v, encoded...), data...)
}

func wide(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text + "\x00")) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

func option(description string, nodes ...[]byte) []byte {
	path := bytes.Join(append(nodes, node(0x7f, 0xff, 0)), nil)
	head := binary.LittleEndian.AppendUint32(nil, 1)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(path)))
	return append(append(head, wide(description)...), path...)
}

func node(kind, sub byte, body int) []byte {
	return append([]byte{kind, sub, byte(4 + body), 0}, make([]byte, body)...)
}

func entries() (disk, pxeEntry, httpEntry []byte) {
	pci, mac, ip, uri := node(1, 1, 2), node(3, 11, 33), node(3, 12, 23), node(3, 24, 0)
	disk = variableOf("Boot0001", stateAdded, option("disk", pci, node(3, 23, 12)))
	pxeEntry = variableOf("Boot0002", stateAdded, option("UEFI PXEv4", pci, mac, ip))
	httpEntry = variableOf("Boot0003", stateAdded, option("UEFI HTTPv4", pci, mac, ip, uri))
	return disk, pxeEntry, httpEntry
}

func TestForgetHTTPBoot(t *testing.T) {
	disk, pxeEntry, httpEntry := entries()
	removed := bytes.Clone(pxeEntry)
	removed[2] = 0x3d // the firmware's own mark of a deleted variable
	for name, c := range map[string]struct {
		store []byte
		want  bool
	}{
		"new store":        {store(), false},
		"PXE beside HTTP":  {store(disk, pxeEntry, httpEntry), false},
		"HTTP alone":       {store(disk, httpEntry), true},
		"PXE was deleted":  {store(removed, httpEntry), true},
		"only PXE":         {store(disk, pxeEntry), false},
		"another variable": {store(variableOf("Boot0003x", stateAdded, httpEntry[variableHeaderSize+18:])), false},
	} {
		before := bytes.Clone(c.store)
		got, err := ForgetHTTPBoot(c.store)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if changed := differences(before, c.store); changed != count(c.want) {
			t.Errorf("%s: %d bytes changed", name, changed)
		}
	}
}

func count(one bool) int {
	if one {
		return 1
	}
	return 0
}

func differences(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestForgetOnlyOnce(t *testing.T) {
	_, _, httpEntry := entries()
	s := store(httpEntry)
	first, _ := ForgetHTTPBoot(s)
	again, _ := ForgetHTTPBoot(s)
	if !first || again {
		t.Errorf("first %v, again %v", first, again)
	}
}

func TestNoStore(t *testing.T) {
	disk, _, _ := entries()
	cut := store(disk)
	binary.LittleEndian.PutUint32(cut[0x48+storeHeaderSize+40:], 1<<31)
	for name, data := range map[string][]byte{"empty": nil, "zeros": make([]byte, 4096), "a length beyond the end": cut} {
		if _, err := ForgetHTTPBoot(data); !errors.Is(err, ErrNoStore) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnwritten(t *testing.T) {
	disk, _, _ := entries()
	last := make([]byte, 4096)
	last[4095] = 1
	for name, c := range map[string]struct {
		store []byte
		want  bool
	}{"zeros": {make([]byte, 4096), true}, "a store": {store(disk), false}, "nothing": {nil, false}, "one byte at the end": {last, false}} {
		if got := Unwritten(c.store); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzForgetHTTPBoot(f *testing.F) {
	disk, pxeEntry, httpEntry := entries()
	f.Add(store())
	f.Add(store(disk, httpEntry))
	f.Add(store(pxeEntry, httpEntry))
	f.Fuzz(func(t *testing.T, data []byte) {
		length := len(data)
		if _, err := ForgetHTTPBoot(data); err == nil && len(data) != length {
			t.Error("the size changed")
		}
	})
}
