package fat

import "testing"

// TestSizes: a FAT16 has between 4085 and 65524 clusters of at most 32 KiB.
func TestSizes(t *testing.T) {
	for _, size := range []int64{1 << 20, 8 << 30} {
		if _, err := Layout(size, 0, nil); err == nil {
			t.Errorf("%d bytes became a FAT16", size)
		}
	}
	if _, err := Layout(4<<20, 0, nil); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestLongNames: short names where they do, and the checksum that ties a long name to its short one as the specification writes it.
func TestLongNames(t *testing.T) {
	for name, want := range map[string]string{"BOOTX64.EFI": "BOOTX64 EFI", "vmlinuz": "VMLINUZ    ", "EFI": "EFI        "} {
		if got, long := shortName(name, 1); got != want || long {
			t.Errorf("%s: got %q, long: %v", name, got, long)
		}
	}
	short, long := shortName("autoexec.ipxe", 2)
	if short != "AUTOEX~2   " || !long {
		t.Errorf("got %q, long: %v", short, long)
	}
	if got := checksum("FILENAMETXT"); got != referenceChecksum("FILENAMETXT") {
		t.Errorf("checksum %#x", got)
	}
}

// referenceChecksum is ChkSum of the specification, as it is written there.
func referenceChecksum(name string) byte {
	sum := byte(0)
	for i := range 11 {
		high := byte(0)
		if sum&1 != 0 {
			high = 0x80
		}
		sum = high + sum>>1 + name[i]
	}
	return sum
}

func FuzzPaths(f *testing.F) {
	f.Add("a/b/c", "A/B")
	f.Add("x", "x/y")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 200 {
			return
		}
		_, _ = Layout(8<<20, 0, []File{{Path: a, Data: []byte("x")}, {Path: b}})
	})
}
