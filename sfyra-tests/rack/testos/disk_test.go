package testos

import (
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const size = 16 << 20

func image(t *testing.T, size int64) (*os.File, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return file, Write(file)
}

func content(t *testing.T) []byte {
	t.Helper()
	file, err := image(t, size)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSameBytesEveryTime(t *testing.T) {
	if sha256.Sum256(content(t)) != sha256.Sum256(content(t)) {
		t.Error("two disks differ")
	}
}

func TestTooSmall(t *testing.T) {
	if _, err := image(t, MinBytes-sector); err == nil || !strings.Contains(err.Error(), "smaller") {
		t.Errorf("got %v", err)
	}
	if _, err := image(t, MinBytes); err != nil {
		t.Errorf("the smallest disk: %v", err)
	}
}

func TestPartitionTable(t *testing.T) {
	disk := content(t)
	last := uint64(size/sector - 1)
	if disk[510] != 0x55 || disk[446+4] != 0xee {
		t.Error("no protective MBR")
	}
	for own, other := range map[uint64]uint64{1: last, last: 1} {
		h := bytes.Clone(disk[own*sector : own*sector+headerLength])
		sum := binary.LittleEndian.Uint32(h[16:])
		copy(h[16:], make([]byte, 4))
		if string(h[:8]) != "EFI PART" || crc32.ChecksumIEEE(h) != sum {
			t.Errorf("header at %d is damaged", own)
		}
		if binary.LittleEndian.Uint64(h[24:]) != own || binary.LittleEndian.Uint64(h[32:]) != other {
			t.Errorf("header at %d does not name its place and its twin", own)
		}
		table := disk[binary.LittleEndian.Uint64(h[72:])*sector:][:entryCount*entrySize]
		if crc32.ChecksumIEEE(table) != binary.LittleEndian.Uint32(h[88:]) {
			t.Errorf("the entries of the header at %d are damaged", own)
		}
	}
}

// TestLoaderIsFound walks from the partition entry to the program as firmware does.
func TestLoaderIsFound(t *testing.T) {
	disk := content(t)
	fs := disk[binary.LittleEndian.Uint64(disk[2*sector+32:])*sector:]
	reserved, fats, root := le(fs[14:]), int(fs[16])*le(fs[22:]), le(fs[17:])*32/sector
	data := reserved + fats + root
	clusters := (le(fs[19:]) - data) / int(fs[13])
	if clusters < 4085 || clusters >= 65525 {
		t.Errorf("%d clusters make no FAT16", clusters)
	}
	folder := fs[(reserved+fats)*sector:][:root*sector]
	var first, length int
	for _, name := range []string{"EFI        ", "BOOT       ", "BOOTX64 EFI"} {
		first, length = find(t, folder, name)
		folder = fs[(data+first-2)*sector:][:sector]
	}
	loader := fs[(data+first-2)*sector:][:length]
	if !bytes.Equal(loader, program()) {
		t.Error("the file is not the program")
	}
	chain := 1
	for next := first; le(fs[reserved*sector+2*next:]) != endOfChain; next++ {
		chain++
	}
	if chain != (length+sector-1)/sector {
		t.Errorf("%d clusters for %d bytes", chain, length)
	}
}

func le(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }

func find(t *testing.T, folder []byte, name string) (first, length int) {
	t.Helper()
	for at := 0; at+32 <= len(folder); at += 32 {
		if string(folder[at:at+11]) == name {
			return le(folder[at+26:]), int(binary.LittleEndian.Uint32(folder[at+28:]))
		}
	}
	t.Fatalf("%q is missing", name)
	return 0, 0
}

// TestProgramIsAnEFIApplication reads it with the standard library's own parser.
func TestProgramIsAnEFIApplication(t *testing.T) {
	file, err := pe.NewFile(bytes.NewReader(program()))
	if err != nil {
		t.Fatal(err)
	}
	head, ok := file.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || file.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || head.Subsystem != pe.IMAGE_SUBSYSTEM_EFI_APPLICATION {
		t.Fatalf("machine %#x, header %T", file.Machine, file.OptionalHeader)
	}
	text := file.Section(".text")
	if text == nil || head.AddressOfEntryPoint != text.VirtualAddress {
		t.Fatal("the entry point is not the start of the code")
	}
	data, err := text.Data()
	if err != nil || !bytes.Contains(data, []byte(Banner)) || !bytes.Contains(data, []byte(Farewell)) {
		t.Errorf("the texts are missing: %v", err)
	}
}
