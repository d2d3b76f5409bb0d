package catalog_test

import (
	"slices"
	"testing"

	"ingot.dev/ingot/boot-assets/catalog"
)

// TestFor walks the registered client architectures, for both protocols.
func TestFor(t *testing.T) {
	want := map[uint16][2]string{ // TFTP, HTTP
		0: {catalog.UNDIOnly, ""}, 7: {catalog.SNPOnly, ""}, 9: {catalog.SNPOnly, ""}, 16: {"", catalog.SNPOnly},
	}
	for arch := uint16(0); arch < 0x60; arch++ {
		for i, http := range []bool{false, true} {
			got, ok := catalog.For(arch, http)
			if got.File != want[arch][i] || ok != (got.File != "") {
				t.Errorf("For(%d, %v) = %q, %v; want %q", arch, http, got.File, ok, want[arch][i])
			}
			if ok && got.Arch != catalog.AMD64 {
				t.Errorf("For(%d, %v) is for %s", arch, http, got.Arch)
			}
		}
	}
}

// TestNames proves that everything that For can answer is in Names, once.
func TestNames(t *testing.T) {
	names := catalog.Names()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("names are not sorted and unique: %q", names)
	}
	for arch := range uint16(0x60) {
		for _, http := range []bool{false, true} {
			l, ok := catalog.For(arch, http)
			if ok && (!slices.Contains(names, l.File) || !slices.Contains(names, catalog.LoaderPath+l.File)) {
				t.Errorf("For(%d, %v) gives %s, which nobody serves", arch, http, l.File)
			}
		}
	}
}
