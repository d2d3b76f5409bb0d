package ipxe_test

import (
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"encoding/hex"
	"io/fs"
	"os"
	"strings"
	"testing"

	"ingot.dev/ingot/boot-assets/ipxe"
)

// TestDigests proves that the embedded files are the ones that README.md names, all of them and no others.
func TestDigests(t *testing.T) {
	want := ipxe.Digests()
	entries, err := fs.ReadDir(ipxe.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("%d files are embedded, %d have a digest", len(entries), len(want))
	}
	for name, digest := range want {
		data, err := fs.ReadFile(ipxe.FS(), name)
		if err != nil {
			t.Error(err)
			continue
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != digest {
			t.Errorf("%s has SHA-256 %s, want %s", name, got, digest)
		}
	}
}

// TestFormats tells apart UEFI programs by their processor, and a BIOS boot sector program, so that nobody swaps them.
func TestFormats(t *testing.T) {
	for name, want := range map[string]uint16{
		"snponly.efi": pe.IMAGE_FILE_MACHINE_AMD64, "ipxe.efi": pe.IMAGE_FILE_MACHINE_AMD64, "ipxe-arm64.efi": pe.IMAGE_FILE_MACHINE_ARM64, "undionly.kpxe": 0,
	} {
		data, err := fs.ReadFile(ipxe.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		var got uint16
		if program, err := pe.NewFile(bytes.NewReader(data)); err == nil {
			got = program.Machine
		}
		if efi := strings.HasPrefix(string(data), "MZ"); efi != (want != 0) || got != want {
			t.Errorf("%s: PE header %v for machine %#x, want %#x", name, efi, got, want)
		}
	}
}

// TestReadme keeps the words for people and the code on the same version.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "ipxe_"+ipxe.Version+"_all.deb") {
		t.Errorf("README.md does not name version %s", ipxe.Version)
	}
}
