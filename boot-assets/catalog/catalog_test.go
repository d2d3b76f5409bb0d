package catalog_test

import (
	"cmp"
	"slices"
	"testing"

	"ingot.dev/ingot/boot-assets/catalog"
)

// TestFor walks the registered client architectures, for both protocols.
func TestFor(t *testing.T) {
	want := map[uint16][2]string{ // TFTP, HTTP
		0: {catalog.UNDIOnly, ""}, 7: {catalog.SNPOnly, ""}, 9: {catalog.SNPOnly, ""}, 16: {"", catalog.SNPOnly},
		11: {catalog.IPXEArm64, ""}, 19: {"", catalog.IPXEArm64},
	}
	archs := map[uint16]string{11: catalog.ARM64, 19: catalog.ARM64}
	for arch := uint16(0); arch < 0x60; arch++ {
		for i, http := range []bool{false, true} {
			got, ok := catalog.For(arch, http)
			if got.File != want[arch][i] || ok != (got.File != "") {
				t.Errorf("For(%d, %v) = %q, %v; want %q", arch, http, got.File, ok, want[arch][i])
			}
			if want := cmp.Or(archs[arch], catalog.AMD64); ok && got.Arch != want {
				t.Errorf("For(%d, %v) is for %s, want %s", arch, http, got.Arch, want)
			}
		}
	}
}

// TestAgentFile: no two architectures share a file, and each is in Names.
func TestAgentFile(t *testing.T) {
	seen := map[string]bool{}
	for _, arch := range catalog.Archs() {
		for _, name := range []string{catalog.Kernel, catalog.Initramfs} {
			path := catalog.AgentFile(arch, name)
			if seen[path] || !slices.Contains(catalog.Names(), path) {
				t.Errorf("%s of %s is at %s: seen before %v", name, arch, path, seen[path])
			}
			seen[path] = true
		}
	}
	if got := catalog.AgentFile(catalog.AMD64, catalog.Kernel); got != "/boot/v1/agent/vmlinuz" {
		t.Errorf("the kernel for amd64 is at %s", got)
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
