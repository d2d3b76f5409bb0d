package initramfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// arm64Magic is at arm64Offset in a kernel for arm64 that is not compressed (Linux, Documentation/arch/arm64/booting.rst, section 4).
const (
	arm64Magic  = "ARM\x64"
	arm64Offset = 0x38
)

// PackKernel compresses a kernel that machines would else fetch at its full size: Debian's for arm64 has 44 MB. Our iPXE for arm64 unpacks gzip, and hands the
// firmware the very bytes that Debian signed. Kernels for amd64 unpack themselves; they stay as they are.
//
// It is the program gzip that packs, part of every Debian: iPXE refuses Huffman codes with an unused branch (Invalid argument, 1c41e082), as Go's compress/flate
// writes for a block whose matches all have one distance; gzip's deflate never has fewer than two codes. The same bytes come of the same bytes (-n: no name, no time).
func PackKernel(ctx context.Context, vmlinuz []byte) ([]byte, error) {
	if len(vmlinuz) < arm64Offset+len(arm64Magic) || string(vmlinuz[arm64Offset:arm64Offset+len(arm64Magic)]) != arm64Magic {
		return vmlinuz, nil
	}
	cmd := exec.CommandContext(ctx, "gzip", "-9", "-n", "-c")
	cmd.Stdin = bytes.NewReader(vmlinuz)
	packed, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(failed.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("compressing kernel: %w", err)
	}
	return packed, nil
}
