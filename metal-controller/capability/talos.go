package capability

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Kernel arguments of Talos v1.13 (pkg/machinery/constants).
const (
	// TalosConfig is where Talos gets its config; an argument that begins so makes a kernel line a Talos'.
	TalosConfig = "talos.config="
	talosEarly  = "talos.config.early="
	// talosEvents and talosKernelLog are where it sends its events (gRPC without TLS), and the kernel's log (lines of JSON).
	talosEvents    = "talos.events.sink="
	talosKernelLog = "talos.logging.kernel="
)

// BootArg names, on the kernel line of a Talos, the boot that this kernel came over the network in. Talos' installer copies it into no bootloader, so a
// Talos without it does not run what a pxe-server gave it.
const BootArg = "ingot.boot"

// hasArg says that an argument begins so.
func hasArg(args []string, prefix string) bool {
	for _, a := range args {
		if strings.HasPrefix(a, prefix) {
			return true
		}
	}
	return false
}

// EarlyTrust is the kernel argument that lets a Talos trust an authority (one certificate, DER) before it fetches its config over HTTPS: a
// TrustedRootsConfig document, as zstd in base64 (Talos v1.13, config.AcquireController). The document alone makes no config, so Talos goes on to
// talos.config=, whose config replaces it. The same certificate always gives the same argument, so that views of a pxe-server stay equal.
func EarlyTrust(der []byte) (string, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return "", fmt.Errorf("making a zstd encoder: %w", err)
	}
	defer func() { _ = e.Close() }() // it writes nowhere
	return talosEarly + base64.StdEncoding.EncodeToString(e.EncodeAll(trustedRoots(der), nil)), nil
}

// trustedRoots is the document; it is as short as Talos takes it, since the kernel line is.
func trustedRoots(der []byte) []byte {
	cert := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return []byte("apiVersion: v1alpha1\nkind: TrustedRootsConfig\nname: ingot\ncertificates: |\n  " + strings.ReplaceAll(cert, "\n", "\n  ") + "\n")
}
