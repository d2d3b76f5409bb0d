package contents

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

const sectors = 8192

// disk is a small image with a primary and a backup table.
type disk struct {
	b      []byte
	sector int
}

func newDisk(sector int) disk { return disk{make([]byte, sectors*sector), sector} }

// gpt writes both tables with one partition of the given type.
func (d disk) gpt(kind []byte) disk {
	entries := make([]byte, 128*128)
	copy(entries[128:], kind)
	last := sectors - 1
	n := len(entries) / d.sector
	d.header(1, 2, entries)
	d.header(last, last-n, entries)
	return d
}

func (d disk) header(at, entriesAt int, entries []byte) {
	h := d.b[at*d.sector:]
	copy(h, "EFI PART\x00\x00\x01\x00")
	binary.LittleEndian.PutUint32(h[12:], 92)
	binary.LittleEndian.PutUint64(h[24:], uint64(at))
	binary.LittleEndian.PutUint64(h[72:], uint64(entriesAt))
	binary.LittleEndian.PutUint32(h[80:], 128)
	binary.LittleEndian.PutUint32(h[84:], 128)
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	copy(d.b[entriesAt*d.sector:], entries)
}

// mbr writes boot code, one partition and the signature.
func (d disk) mbr(code, active, kind byte) disk {
	d.b[0] = code
	d.b[446], d.b[450] = active, kind
	d.b[510], d.b[511] = 0x55, 0xAA
	return d
}

func (d disk) with(change func(b []byte)) disk { change(d.b); return d }

func (d disk) classify() string {
	n := min(Window, len(d.b))
	return Classify(d.b[:n], d.b[len(d.b)-n:], d.sector)
}

func TestClassify(t *testing.T) {
	linux := bytes.Repeat([]byte{7}, 16)
	ruin := func(b []byte) { b[512+20] ^= 1 }
	ruinBoth := func(b []byte) { b[512+20] ^= 1; b[len(b)-512+20] ^= 1 }
	for _, c := range []struct {
		name string
		disk disk
		want string
	}{
		{"zeros", newDisk(512), Blank},
		{"ESP", newDisk(512).gpt(espType), Bootable},
		{"ESP, 4K sectors", newDisk(4096).gpt(espType), Bootable},
		{"BIOS boot partition", newDisk(512).gpt(biosBootType), Bootable},
		{"GPT with data only", newDisk(512).gpt(linux), Data},
		{"ESP, primary table broken: the backup counts", newDisk(512).gpt(espType).with(ruin), Bootable},
		{"ESP, both tables broken", newDisk(512).gpt(espType).with(ruinBoth), Data},
		{"MBR, code and active partition", newDisk(512).mbr(0xEB, 0x80, 0x83), Bootable},
		{"MBR without code", newDisk(512).mbr(0, 0x80, 0x83), Data},
		{"MBR without active partition", newDisk(512).mbr(0xEB, 0, 0x83), Data},
		{"MBR with EFI system partition", newDisk(512).mbr(0, 0, 0xEF), Bootable},
		{"active, but no signature", newDisk(512).mbr(0xEB, 0x80, 0x83).with(func(b []byte) { b[510] = 0 }), Data},
		{"one byte at the very end", newDisk(512).with(func(b []byte) { b[len(b)-1] = 1 }), Data},
		{"one byte in the last place of the first window", newDisk(512).with(func(b []byte) { b[Window-1] = 1 }), Data},
	} {
		if got := c.disk.classify(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got := Classify(nil, nil, 512); got != Unreadable {
		t.Errorf("nothing read: got %s", got)
	}
}

func FuzzClassify(f *testing.F) {
	esp := newDisk(512).gpt(espType)
	f.Add(esp.b[:1536], []byte{0}, 512)
	f.Add([]byte{1}, esp.b[len(esp.b)-33*512:], 512)
	f.Add(newDisk(512).mbr(1, 0x80, 1).b[:512], []byte{}, 4096)
	f.Add([]byte("EFI PART"), []byte("EFI PART"), 8)
	f.Fuzz(func(t *testing.T, head, tail []byte, sector int) {
		got := Classify(head, tail, sector)
		if blank := len(head) > 0 && len(bytes.Trim(head, "\x00"))+len(bytes.Trim(tail, "\x00")) == 0; blank != (got == Blank) {
			t.Errorf("blank is %v, but it is called %s", blank, got)
		}
	})
}
