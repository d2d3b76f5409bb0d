package media

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

var sample = []Program{{"BOOTX64.EFI", bytes.Repeat([]byte("x86"), 300_000)}, {"BOOTAA64.EFI", bytes.Repeat([]byte("arm"), 300_000)}}

// TestImage follows the image as firmware does: the boot record, the catalog, the entry for UEFI, the FAT that it names, and what is in there.
func TestImage(t *testing.T) {
	script := []byte("#!ipxe\necho test\n")
	image, err := Image(sample, script)
	if err != nil {
		t.Fatal(err)
	}
	record := image[17*2048:]
	if string(record[:7]) != "\x00CD001\x01" || strings.TrimRight(string(record[7:39]), "\x00") != "EL TORITO SPECIFICATION" {
		t.Fatalf("no boot record: %q", record[:39])
	}
	catalog := image[binary.LittleEndian.Uint32(record[71:])*2048:]
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(catalog[i:])
	}
	entry := catalog[32:]
	if catalog[0] != 1 || catalog[1] != 0xef || sum != 0 || catalog[30] != 0x55 || catalog[31] != 0xaa || entry[0] != 0x88 || entry[1] != 0 {
		t.Fatalf("the catalog is % x", catalog[:64])
	}
	from, size := int(binary.LittleEndian.Uint32(entry[8:]))*2048, int(binary.LittleEndian.Uint16(entry[6:]))*512
	if from+size != len(image) || int(binary.LittleEndian.Uint32(image[16*2048+80:]))*2048 != len(image) {
		t.Errorf("the FAT is %d bytes at %d of %d", size, from, len(image))
	}
	fat := image[from:][:size]
	if fat[510] != 0x55 || fat[511] != 0xaa || int(binary.LittleEndian.Uint16(fat[19:]))*512 != size {
		t.Errorf("its boot sector is % x", fat[:64])
	}
	for _, want := range [][]byte{sample[0].Data, sample[1].Data, []byte("BOOTX64 EFI"), []byte("a\x00u\x00t\x00o\x00e\x00")} {
		if !bytes.Contains(fat, want) {
			t.Errorf("the FAT lacks %.20q", want)
		}
	}
	if n := bytes.Count(fat, script); n != 2 {
		t.Errorf("the script is there %d times", n)
	}
	if again, _ := Image(sample, script); !bytes.Equal(image, again) {
		t.Error("it differs from time to time")
	}
}

// TestRefused: what cannot boot, or does not fit, is no image.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		programs []Program
		script   string
	}{
		"no program": {nil, "#!ipxe\n"}, "no script": {sample, ""}, "too much": {[]Program{{"BOOTX64.EFI", make([]byte, 5<<20)}}, "#!ipxe\n"},
	} {
		if _, err := Image(c.programs, []byte(c.script)); err == nil {
			t.Errorf("%s: an image came out", name)
		}
	}
	if _, err := Image(sample[:1], []byte("#!ipxe\n")); err != nil {
		t.Errorf("control: %v", err)
	}
}
