package esp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// disk writes to a file, so that the size and the holes are true.
func disk(t *testing.T, size, partition int64, files []File) ([]byte, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, size, partition, files); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data, nil
}

func sample(sizes ...int) []File {
	files := []File{{Path: Loader, Data: bytes.Repeat([]byte("L"), 4000)}, {Path: "autoexec.ipxe", Data: []byte("#!ipxe\n")}}
	for i, size := range sizes {
		data := make([]byte, size)
		for at := range data {
			data[at] = byte(at*7 + i)
		}
		files = append(files, File{Path: fmt.Sprintf("a folder/file%d", i), Data: data})
	}
	return append(files, File{Path: "EFI/a name of more than thirteen letters.txt"})
}

func TestPartitionTable(t *testing.T) {
	const size = 16 << 20
	content, err := disk(t, size, 8<<20, sample())
	if err != nil {
		t.Fatal(err)
	}
	checkTables(t, content, 8<<20)
}

// checkTables proves what all tables have to say of a partition of so many bytes.
func checkTables(t *testing.T, content []byte, partition int64) {
	t.Helper()
	last := uint64(len(content)/sector - 1)
	if content[510] != 0x55 || content[446+4] != 0xee {
		t.Error("no protective MBR")
	}
	for own, other := range map[uint64]uint64{1: last, last: 1} {
		h := bytes.Clone(content[own*sector : own*sector+headerLength])
		sum := binary.LittleEndian.Uint32(h[16:])
		copy(h[16:], make([]byte, 4))
		if string(h[:8]) != "EFI PART" || crc32.ChecksumIEEE(h) != sum {
			t.Errorf("header at %d is damaged", own)
		}
		if binary.LittleEndian.Uint64(h[24:]) != own || binary.LittleEndian.Uint64(h[32:]) != other {
			t.Errorf("header at %d does not name its place and its twin", own)
		}
		table := content[binary.LittleEndian.Uint64(h[72:])*sector:][:entryCount*entrySize]
		if crc32.ChecksumIEEE(table) != binary.LittleEndian.Uint32(h[88:]) {
			t.Errorf("the entries of the header at %d are damaged", own)
		}
		if first, end := binary.LittleEndian.Uint64(table[32:]), binary.LittleEndian.Uint64(table[40:]); int64(first*sector) != End(0) || int64(end+1)*sector != End(partition) {
			t.Errorf("the partition is %d to %d", first, end)
		}
	}
}

func TestWriteEmpty(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const size = 4 << 20
	if err := errors.Join(file.Truncate(size), WriteEmpty(file, size, 1<<20, "META")); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	checkTables(t, content, 1<<20)
	entry := content[2*sector:][:entrySize]
	// The first three fields of a GUID are little-endian (UEFI 2.10 appendix A).
	kind := fmt.Sprintf("%08X-%04X-%04X-%X", binary.LittleEndian.Uint32(entry), binary.LittleEndian.Uint16(entry[4:]), binary.LittleEndian.Uint16(entry[6:]), entry[8:16])
	if kind != "0FC63DAF-8483-4772-8E793D69D8477DE4" || string(entry[56:64]) != "M\x00E\x00T\x00A\x00" {
		t.Errorf("the entry is %s %q", kind, entry[56:])
	}
	if !bytes.Equal(content[End(0):End(1<<20)], make([]byte, 1<<20)) {
		t.Error("the partition has content")
	}
	if WriteEmpty(file, size, size, "META") == nil || WriteEmpty(file, size, 1<<20, strings.Repeat("x", maxLabel+1)) == nil {
		t.Error("a partition without room, or with too long a name, was written")
	}
}

// rootFiles is how many the root folder has room for.
const rootFiles = 512

func TestTooSmall(t *testing.T) {
	if _, err := disk(t, MinDisk(8<<20)-sector, 8<<20, nil); err == nil || !strings.Contains(err.Error(), "smaller") {
		t.Errorf("got %v", err)
	}
	if _, err := disk(t, MinDisk(8<<20), 8<<20, nil); err != nil {
		t.Errorf("control, the smallest disk: %v", err)
	}
	if _, err := disk(t, 16<<20, 8<<20, sample(8<<20)); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("a file of the partition's size: %v", err)
	}
	var many []File
	for i := range rootFiles + 1 {
		many = append(many, File{Path: fmt.Sprintf("F%d", i)})
	}
	if _, err := disk(t, 16<<20, 8<<20, many); err == nil || !strings.Contains(err.Error(), "room") {
		t.Errorf("too many files: %v", err)
	}
}

// TestFilesAreFound walks from the partition entry to the files as firmware does, with a reader that shares no code with the writer, for clusters of one
// sector and of more.
func TestFilesAreFound(t *testing.T) {
	for _, partition := range []int64{8 << 20, 64 << 20, 160 << 20} {
		files := sample(1, 511, 512, 513, 70_000, 3<<20)
		content, err := disk(t, MinDisk(partition), partition, files)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string][]byte{}
		newReader(t, content).walk("", 0, found)
		if len(found) != len(files) {
			t.Errorf("%d files, want %d", len(found), len(files))
		}
		for _, f := range files {
			if got, ok := found[f.Path]; !ok || !bytes.Equal(got, f.Data) {
				t.Errorf("%d: %s: there: %v, %d bytes, want %d", partition, f.Path, ok, len(got), len(f.Data))
			}
		}
	}
}

// reader reads FAT16.
type reader struct {
	t                  *testing.T
	fs                 []byte
	cluster            int
	reserved, fat      int
	rootStart, rootLen int
}

func le(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }

func newReader(t *testing.T, content []byte) *reader {
	t.Helper()
	fs := content[binary.LittleEndian.Uint64(content[2*512+32:])*512:]
	r := &reader{t: t, fs: fs, cluster: int(fs[13]) * 512, reserved: le(fs[14:]) * 512, fat: le(fs[22:]) * 512, rootLen: le(fs[17:]) * 32}
	r.rootStart = r.reserved + int(fs[16])*r.fat
	sectors := le(fs[19:])
	if sectors == 0 {
		sectors = int(binary.LittleEndian.Uint32(fs[32:]))
	}
	if clusters := (sectors*512 - r.rootStart - r.rootLen) / r.cluster; clusters < 4085 || clusters > 65524 || (clusters+2)*2 > r.fat {
		t.Fatalf("%d clusters with a table of %d bytes make no FAT16", clusters, r.fat)
	}
	if !bytes.Equal(fs[r.reserved:][:r.fat], fs[r.reserved+r.fat:][:r.fat]) {
		t.Fatal("the two tables differ")
	}
	return r
}

// chain is the content of a file or a folder.
func (r *reader) chain(first int) []byte {
	var out []byte
	for at := first; at < 0xfff8; at = le(r.fs[r.reserved+2*at:]) {
		if at < 2 || len(out) > 1<<30 {
			r.t.Fatalf("a chain leads to cluster %d", at)
		}
		out = append(out, r.fs[r.rootStart+r.rootLen+(at-2)*r.cluster:][:r.cluster]...)
	}
	return out
}

func (r *reader) walk(path string, first int, found map[string][]byte) {
	folder := r.fs[r.rootStart:][:r.rootLen]
	if first != 0 {
		folder = r.chain(first)
	}
	long := ""
	for ; len(folder) >= 32 && folder[0] != 0; folder = folder[32:] {
		if folder[11] == 0x0f {
			long = units(folder) + long
			continue
		}
		name := strings.TrimRight(string(folder[:8]), " ")
		if ext := strings.TrimRight(string(folder[8:11]), " "); ext != "" {
			name += "." + ext
		}
		if long != "" {
			name, long = strings.TrimRight(long, "\x00\uffff"), ""
		} else if path == "a folder/" {
			name = strings.ToLower(name) // short names have one case
		}
		switch at := le(folder[26:]); {
		case strings.HasPrefix(name, "."):
		case folder[11]&0x10 != 0:
			r.walk(path+name+"/", at, found)
		default:
			found[path+name] = r.chain(at)[:binary.LittleEndian.Uint32(folder[28:])]
		}
	}
}

func units(entry []byte) string {
	var out []uint16
	for _, part := range [][]byte{entry[1:11], entry[14:26], entry[28:32]} {
		for ; len(part) > 0; part = part[2:] {
			out = append(out, binary.LittleEndian.Uint16(part))
		}
	}
	return string(utf16.Decode(out))
}
