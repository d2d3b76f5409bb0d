package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// TestAssets: files are imported before the first `ingot up` and beside one that runs; a folder of other people is refused.
func TestAssets(t *testing.T) {
	dir := stateDir(t)
	kernel := filepath.Join(t.TempDir(), "vmlinuz")
	data := []byte("MZ a kernel, more or less")
	if err := os.WriteFile(kernel, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	want(t, must(t, "assets", "import", kernel, "--state-dir", dir), digest, "spec.boot[]")
	start(t, dir) // it is a state folder
	want(t, must(t, "assets", "import", kernel, "--state-dir", dir), digest)
	want(t, must(t, "assets", "list", "--state-dir", dir), digest)
	got, err := os.ReadFile(filepath.Join(dir, "pxe-server", "assets", digest))
	if err != nil || string(got) != string(data) {
		t.Errorf("%q, %v", got, err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, []string{"assets", "import", kernel, "--state-dir", foreign}, "letter.txt", "--state-dir")
	fails(t, []string{"assets", "import"}, "needs FILE", "--help")
	fails(t, []string{"assets", "improt"}, "did you mean")
}
