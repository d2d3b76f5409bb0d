package initramfs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// The files of an image folder.
const (
	VmlinuzName   = "vmlinuz"
	InitramfsName = "initramfs.zst"
	ManifestName  = "manifest.json"
)

// Manifest says what an image folder holds; servers of the image check the digests before the first byte.
type Manifest struct {
	// Version is the beginning of a digest over the files: the same image has the same version.
	Version string `json:"version"`
	Arch    string `json:"arch"`
	// Kernel release.
	Kernel string          `json:"kernel"`
	Files  map[string]File `json:"files"`
	// KernelArgs are the image's own; whoever boots it appends those of the boot.
	KernelArgs []string `json:"kernelArgs"`
}

// File is one file's digest, hexadecimal, and its size in bytes.
type File struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// kernelArgs: the last console is the agent's own, and serial is what a BMC records; servers of arm64 have a PL011 or what looks like one (Arm, Server Base
// System Architecture, generic UART), and where ACPI's table SPCR names another the kernel takes that, too. A kernel that panics starts over, since nobody
// stands before the server.
func kernelArgs(arch string) []string {
	serial := "console=ttyS0,115200n8"
	if arch == "arm64" {
		serial = "console=ttyAMA0,115200n8"
	}
	return []string{"console=tty0", serial, "panic=30"}
}

// NewManifest describes an image.
func NewManifest(arch, kernel string, vmlinuz, initramfs []byte) Manifest {
	files := map[string]File{VmlinuzName: describe(vmlinuz), InitramfsName: describe(initramfs)}
	both := sha256.Sum256([]byte(files[VmlinuzName].SHA256 + files[InitramfsName].SHA256))
	return Manifest{
		Version: hex.EncodeToString(both[:6]), Arch: arch, Kernel: kernel, Files: files, KernelArgs: kernelArgs(arch),
	}
}

func describe(data []byte) File {
	sum := sha256.Sum256(data)
	return File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
}

// Encode writes the manifest as JSON.
func (m Manifest) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing manifest: %w", err)
	}
	return append(data, '\n'), nil
}
