package initramfs

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

// A bare kernel for arm64 is packed, the same each time, and unpacks to itself; all else stays.
func TestPackKernel(t *testing.T) {
	bare := append([]byte("MZ"), make([]byte, 100<<10)...)
	copy(bare[0x38:], "ARM\x64")
	first, err := PackKernel(t.Context(), bare)
	if err != nil {
		t.Fatal(err)
	}
	again, err := PackKernel(t.Context(), bare)
	if err != nil || !bytes.Equal(first, again) || len(first) >= len(bare) {
		t.Errorf("%d bytes became %d, then %d, %v", len(bare), len(first), len(again), err)
	}
	r, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, bare) {
		t.Errorf("it unpacks to %d bytes, %v", len(back), err)
	}
	for name, other := range map[string][]byte{"amd64": append([]byte("MZ"), make([]byte, 100<<10)...), "short": []byte("MZ"), "none": nil, "cut": bare[:0x3b]} {
		if got, err := PackKernel(t.Context(), other); err != nil || !bytes.Equal(got, other) {
			t.Errorf("%s: %d bytes became %d, %v", name, len(other), len(got), err)
		}
	}
}
