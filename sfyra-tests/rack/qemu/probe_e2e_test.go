//go:build e2e

package qemu

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSpeaks: emulated firmware says something, whatever KVM is worth here; one that only halts does not.
func TestSpeaks(t *testing.T) {
	if err := speaks(t.Context(), TCG, "/usr/share/OVMF/OVMF_CODE_4M.fd"); err != nil {
		t.Error(err)
	}
	mute := filepath.Join(t.TempDir(), "mute,rom") // a comma is QEMU's own
	if err := os.WriteFile(mute, bytes.Repeat([]byte{0xf4}, romSize), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := speaks(ctx, TCG, mute); err == nil {
		t.Error("a firmware that halts was heard")
	}
	if _, err := os.Stat(mute); err != nil {
		t.Error(err)
	}
}
