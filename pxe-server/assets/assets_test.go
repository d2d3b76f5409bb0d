package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/pxe-server/setup"
)

// TestImportAndList: what was imported is listed and openable under the digest that was told; one bad file does not keep the others out.
func TestImportAndList(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	files := map[string][]byte{"vmlinuz": append(make([]byte, 0x202), "HdrS and more"...), "initramfs.zst": {0x28, 0xb5, 0x2f, 0xfd, 1}}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := Import(t.Context(), &out, state, []string{filepath.Join(dir, "none"), filepath.Join(dir, "vmlinuz"), dir, filepath.Join(dir, "initramfs.zst")})
	if err == nil || !strings.Contains(err.Error(), "none") || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a file that is not there and a folder: %v", err)
	}
	var list bytes.Buffer
	if err := List(&list, state); err != nil {
		t.Fatal(err)
	}
	cache, err := setup.OpenAssets(setup.Config{StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	for name, data := range files {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		field, _, _ := strings.Cut(strings.Replace(name, "vmlinuz", "kernel", 1), ".")
		if want := "spec.boot[]." + field + ".sha256: " + digest; !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
		if !strings.Contains(list.String(), digest) {
			t.Errorf("the list lacks %s:\n%s", name, list.String())
		}
		if a, err := cache.Open(digest); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			a.Close()
		}
	}
	if err := List(&list, filepath.Join(state, "none")); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("no folder: %v", err)
	}
}

func TestKinds(t *testing.T) {
	for want, head := range map[kind]string{
		kernel: "MZ" + strings.Repeat("\x00", 0x200) + "HdrS", uki: "MZ\x00", initramfs: "070701000", other: "#!/bin/sh",
	} {
		if got := kindOf([]byte(head)); got != want {
			t.Errorf("%.10q is %v, want %v", head, got, want)
		}
	}
	if got := kindOf([]byte(strings.Repeat("\x00", 0x38) + "ARM\x64")); got != kernel {
		t.Errorf("an arm64 kernel is %v", got)
	}
}

func FuzzKind(f *testing.F) {
	f.Add([]byte("MZ"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, head []byte) {
		if k := kindOf(head); k.field == "" {
			t.Errorf("%q has no field", head)
		}
	})
}
