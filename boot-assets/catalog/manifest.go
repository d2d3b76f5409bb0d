package catalog

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a manifest: far above what an image needs.
const (
	maxManifest = 64 << 10
	maxFile     = 1 << 30
	maxArgs     = 32
	maxArg      = 256
)

// ErrManifest is returned for a manifest.json that does not describe a bootable agent image.
var ErrManifest = errors.New("manifest.json does not describe an agent image")

// Manifest describes a folder with an agent image, as the image builder writes it.
type Manifest struct {
	Version string `json:"version"`
	// Arch is the architecture of the kernel.
	Arch  string          `json:"arch"`
	Files map[string]File `json:"files"`
	// KernelArgs are the arguments that the image itself asks for.
	KernelArgs []string `json:"kernelArgs"`
}

// File is one file of an image.
type File struct {
	// SHA256 in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Size in bytes.
	Size int64 `json:"size"`
}

// ParseManifest reads and checks a manifest. Only the kernel and the initramfs are kept: what else a folder holds is not served.
func ParseManifest(data []byte) (Manifest, error) {
	var m Manifest
	if len(data) > maxManifest {
		return m, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrManifest, len(data), maxManifest)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if !slices.Contains(Archs(), m.Arch) {
		return Manifest{}, fmt.Errorf("%w: architecture %q, want one of %v", ErrManifest, m.Arch, Archs())
	}
	if err := m.checkArgs(); err != nil {
		return Manifest{}, err
	}
	files := map[string]File{}
	for _, name := range []string{Kernel, Initramfs} {
		f, ok := m.Files[name]
		if !ok || !isSHA256(f.SHA256) || f.Size <= 0 || f.Size > maxFile {
			return Manifest{}, fmt.Errorf("%w: %s lacks a SHA-256 or a size between 1 byte and 1 GiB", ErrManifest, name)
		}
		files[name] = f
	}
	m.Files = files
	return m, nil
}

func (m Manifest) checkArgs() error {
	if len(m.KernelArgs) > maxArgs {
		return fmt.Errorf("%w: %d kernel arguments, at most %d", ErrManifest, len(m.KernelArgs), maxArgs)
	}
	for _, a := range m.KernelArgs {
		if a == "" || len(a) > maxArg || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%w: kernel argument %.64q is empty, too long or not plain ASCII", ErrManifest, a)
		}
	}
	return nil
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}
