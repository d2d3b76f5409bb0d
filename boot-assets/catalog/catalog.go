// Package catalog says which files a booting machine may be pointed at (layer 1: pure, no I/O).
//
// It is the one list: DHCP advertises only its names, TFTP and HTTP serve only its names, and a contract test in pxe-server/setup binds the two.
package catalog

import (
	"path"
	"slices"
)

// Architectures of machines, as Go and Debian name them.
const (
	AMD64 = "amd64"
	ARM64 = "arm64"
)

// Names of files.
const (
	// SNPOnly is iPXE over the UEFI firmware's network driver.
	SNPOnly = "snponly.efi"
	// IPXE is iPXE with its own drivers, for firmware whose driver fails after the hand-over.
	IPXE = "ipxe.efi"
	// IPXEArm64 is iPXE for arm64, with its own drivers and over the firmware's.
	IPXEArm64 = "ipxe-arm64.efi"
	// UNDIOnly is iPXE over the UNDI driver, for BIOS.
	UNDIOnly = "undionly.kpxe"
	// AutoExec is the script that the UEFI programs of iPXE 1.21 and later fetch from where they were themselves loaded, before anything else.
	// UNDIOnly of that version does not; it asks DHCP, where its user class leads it to the same script at FirstStagePath.
	AutoExec = "autoexec.ipxe"
	// Kernel and Initramfs are the agent image.
	Kernel    = "vmlinuz"
	Initramfs = "initramfs.zst"
)

// Paths under which the HTTP server answers.
const (
	// LoaderPath holds the iPXE programs and AutoExec.
	LoaderPath = "/boot/v1/ipxe/"
	// AgentPath holds Kernel and Initramfs for amd64, and a folder with those of each other architecture: see AgentFile.
	AgentPath = "/boot/v1/agent/"
	// BlobPath holds the files that Environments name, each under its SHA-256. They are in no list here: the controller's view names them.
	BlobPath = "/boot/v1/blob/"
	// FirstStagePath is the script for an iPXE that is already on the machine.
	FirstStagePath = "/boot/v1/boot.ipxe"
	// MediaPath is the image that BMCs insert as virtual media. Some BMCs go by the suffix of the name.
	MediaPath = "/boot/v1/media/ingot.iso"
	// ScriptPath is the script that is made for one machine.
	ScriptPath = "/boot/v1/script"
)

// Loader is the first program of a machine.
type Loader struct {
	// File is its name, in the TFTP root and under LoaderPath.
	File string
	// Arch is the architecture that it was built for.
	Arch string
}

// clients maps option 93 (RFC 4578 section 2.1 and the IANA registry "Processor Architecture Types") to loaders.
// 7 and 9 both mean x86-64: the RFC called 7 "EFI BC" and vendors used it for x86-64. 11 and 19 are 64-bit Arm, over TFTP and over HTTP. There is no
// loader here for IA-32 UEFI (6, 15), 32-bit Arm (10, 18) and the others: such a machine gets no answer.
var clients = map[uint16]struct {
	file, arch string
	http       bool
}{
	0:  {UNDIOnly, AMD64, false},
	7:  {SNPOnly, AMD64, false},
	9:  {SNPOnly, AMD64, false},
	11: {IPXEArm64, ARM64, false},
	16: {SNPOnly, AMD64, true},
	19: {IPXEArm64, ARM64, true},
}

// For gives the loader for a client architecture (option 93); http says that the client asked for HTTP boot (option 60 HTTPClient).
// It is false when Ingot has no loader for that machine, or when architecture and protocol contradict each other.
func For(arch uint16, http bool) (Loader, bool) {
	c, ok := clients[arch]
	if !ok || c.http != http {
		return Loader{}, false
	}
	return Loader{File: c.file, Arch: c.arch}, true
}

// Loaders lists the files that the TFTP server serves, sorted. The HTTP server has them under LoaderPath.
func Loaders() []string {
	return []string{AutoExec, IPXEArm64, IPXE, SNPOnly, UNDIOnly}
}

// Archs are the architectures that agent images may be for.
func Archs() []string { return []string{AMD64, ARM64} }

// AgentFile is the path of a file of the agent image for an architecture of Archs. That of amd64 is older than the others, and stays where it was.
func AgentFile(arch, name string) string {
	if arch == AMD64 {
		return AgentPath + name
	}
	return AgentPath + arch + "/" + name
}

// Names lists every name that Ingot may advertise, sorted: file names for TFTP, paths for HTTP.
func Names() []string {
	names := []string{FirstStagePath, MediaPath, ScriptPath}
	for _, arch := range Archs() {
		names = append(names, AgentFile(arch, Kernel), AgentFile(arch, Initramfs))
	}
	for _, l := range Loaders() {
		names = append(names, l, path.Join(LoaderPath, l))
	}
	slices.Sort(names)
	return names
}
