package firmware

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// node builds a device path node.
func node(kind, sub byte, data ...byte) []byte {
	b := []byte{kind, sub, 0, 0}
	binary.LittleEndian.PutUint16(b[2:], uint16(4+len(data)))
	return append(b, data...)
}

func path(nodes ...[]byte) []byte { return append(slices.Concat(nodes...), node(typeEnd, 0xFF)...) }

// option builds an EFI_LOAD_OPTION.
func option(attributes uint32, text string, paths []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, attributes)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(paths)))
	for _, u := range append(utf16.Encode([]rune(text)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return append(append(b, paths...), "optional data"...)
}

// Paths as firmware writes them.
var (
	acpi  = node(2, 1, make([]byte, 8)...)
	pci   = node(1, 1, 0, 4)
	hd    = node(4, 1, make([]byte, 38)...)
	file  = node(4, 4, []byte("\\\x00E\x00F\x00I\x00\x00\x00")...)
	nic   = node(3, 0x0b, make([]byte, 33)...)
	v4    = node(3, 0x0c, make([]byte, 23)...)
	http  = node(3, 0x18)
	stick = node(3, 5, 1, 0)
	nvme  = node(3, 0x17, make([]byte, 12)...)
	fv    = node(4, 7, make([]byte, 16)...)
	app   = node(4, 6, make([]byte, 16)...)

	paths = map[string][]byte{
		"ubuntu":       path(hd, file),
		"long form":    path(acpi, pci, nvme, hd, file),
		"pxe":          path(acpi, pci, nic, v4),
		"http":         path(acpi, pci, nic, v4, http),
		"shell":        path(fv, app),
		"disk itself":  path(acpi, pci, nvme),
		"partition":    path(hd),
		"stick":        path(acpi, pci, stick, hd, file),
		"dvd":          path(acpi, pci, node(4, 2, make([]byte, 20)...), file),
		"bios disk":    path(node(5, 1, 2, 0, 0, 0, 0)),
		"bios network": path(node(5, 1, 0x80, 0, 0, 0, 0)),
	}
)

func TestParseEntry(t *testing.T) {
	e, err := ParseEntry(7, option(1, "Ubuntu ü", path(hd, file)))
	if err != nil || e.Number != 7 || !e.Active || e.Description != "Ubuntu ü" || !slices.Equal(e.Nodes, []Node{{4, 1}, {4, 4}}) {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = ParseEntry(0, option(0, "", path(nic))); err != nil || e.Active || e.Description != "" {
		t.Errorf("an inactive one without a name: %+v, %v", e, err)
	}
	second := append(path(hd, file), path(nic)...)
	if e, err = ParseEntry(0, option(1, "two paths", second)); err != nil || e.network() || !e.stale() {
		t.Errorf("only the first path counts: %+v, %v", e, err)
	}
}

func TestMalformedEntries(t *testing.T) {
	good := option(1, "x", path(hd, file))
	many := slices.Repeat(node(1, 1, 0, 0), maxNodes+1)
	tests := map[string][]byte{
		"nothing": nil, "attributes alone": good[:4], "no end of the name": good[:8], "paths cut off": good[:20],
		"no end node": option(1, "x", hd), "no paths": option(1, "x", nil), "a node of no length": option(1, "x", []byte{4, 1, 0, 0}),
		"a node longer than the rest": option(1, "x", []byte{4, 1, 255, 0}), "half a node": option(1, "x", []byte{4, 1}),
		"too many nodes": option(1, "x", path(many)), "too long": make([]byte, maxOption+1),
	}
	for name, b := range tests {
		if e, err := ParseEntry(1, b); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if _, err := ParseEntry(1, good); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestKinds(t *testing.T) {
	stale := []string{"ubuntu", "long form"}
	network := []string{"pxe", "http", "bios network"}
	for name, p := range paths {
		nodes, err := ParsePath(p)
		e := Entry{Nodes: nodes}
		if err != nil || e.stale() != slices.Contains(stale, name) || e.network() != slices.Contains(network, name) {
			t.Errorf("%s: stale %t, network %t, %v", name, e.stale(), e.network(), err)
		}
	}
}

func TestParseOrder(t *testing.T) {
	if got, err := ParseOrder([]byte{1, 0, 0, 0x20}); err != nil || !slices.Equal(got, []uint16{1, 0x2000}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseOrder(nil); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseOrder([]byte{1}); err == nil {
		t.Error("half a number")
	}
	if got := formatOrder([]uint16{1, 0x2000}); string(got) != "\x01\x00\x00\x20" {
		t.Errorf("%x", got)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(option(1, "Ubuntu", path(hd, file)))
	f.Add(option(1, "PXE", path(acpi, pci, nic, v4)))
	f.Add(option(1, strings.Repeat("x", 300), path(node(5, 1, 0x80, 0, 0, 0, 0))))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(1, b)
		if err == nil && (len(e.Nodes) > maxNodes || e.stale() && e.network()) {
			t.Errorf("%+v", e)
		}
	})
}

func FuzzParseOrder(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if order, err := ParseOrder(b); err == nil && string(formatOrder(order)) != string(b) {
			t.Errorf("%v", order)
		}
	})
}
