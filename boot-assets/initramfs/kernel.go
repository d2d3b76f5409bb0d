package initramfs

import (
	"bytes"
	"compress/gzip"
	"fmt"
)

// arm64Magic is at arm64Offset in a kernel for arm64 that is not compressed (Linux, Documentation/arch/arm64/booting.rst, section 4).
const (
	arm64Magic  = "ARM\x64"
	arm64Offset = 0x38
)

// PackKernel compresses a kernel that machines would else fetch at its full size: Debian's for arm64 has 44 MB, which no loader but a bare one needs. Our iPXE for
// arm64 unpacks gzip, and hands the firmware the very bytes that Debian signed. Kernels for amd64 unpack themselves; they stay as they are.
func PackKernel(vmlinuz []byte) ([]byte, error) {
	if len(vmlinuz) < arm64Offset+len(arm64Magic) || string(vmlinuz[arm64Offset:arm64Offset+len(arm64Magic)]) != arm64Magic {
		return vmlinuz, nil
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("preparing gzip: %w", err)
	}
	if _, err := w.Write(vmlinuz); err != nil {
		return nil, fmt.Errorf("compressing kernel: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing kernel: %w", err)
	}
	return out.Bytes(), nil
}
