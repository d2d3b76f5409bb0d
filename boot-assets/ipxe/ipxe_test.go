package ipxe_test

import (
	"crypto/sha256"
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

// TestFormats tells apart a UEFI program and a BIOS boot sector program, so that nobody swaps them.
func TestFormats(t *testing.T) {
	for name, efi := range map[string]bool{"snponly.efi": true, "ipxe.efi": true, "undionly.kpxe": false} {
		data, err := fs.ReadFile(ipxe.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(string(data), "MZ"); got != efi {
			t.Errorf("%s: PE header %v, want %v", name, got, efi)
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
