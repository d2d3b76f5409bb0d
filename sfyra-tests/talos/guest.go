// Package talos is the test guest of the real, unmodified Talos: what `make talos` builds, for tests that boot it.
//
// Layer 5, proof. The nested modules below this folder pin what is built; mkguest builds it. See README.md.
package talos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"ingot.dev/ingot/sfyra-tests/rack/esp"
)

// Version of Talos that the guest is, and KubernetesVersion of the cluster whose images it has.
const (
	Version           = "v1.13.0"
	KubernetesVersion = "1.36.0"
)

// Files of a guest's folder. Programs lie in bin; ImagesName is the folder of images, which the program registry serves.
const (
	KernelName    = "kernel"
	InitramfsName = "initramfs"
	ManifestName  = "manifest.json"
	ImagesName    = "images"
)

// Manifest says what a guest's folder holds and of what it was made.
type Manifest struct {
	// Talos is the version of Talos.
	Talos string `json:"talos"`
	// Kernel release.
	Kernel string `json:"kernel"`
	// Arch as Go calls it.
	Arch string `json:"arch"`
	// Slice is how much was built: apid, install or kubernetes.
	Slice string `json:"slice"`
	// Files by their path in the folder.
	Files map[string]File `json:"files"`
	// Inputs are what it was made of: modules and Debian packages with their versions, lists with their digests.
	Inputs map[string]string `json:"inputs"`
}

// File is one file's digest, hexadecimal, and its size in bytes.
type File struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Guest is a built guest.
type Guest struct {
	Dir string
	Manifest
}

// Open reads the manifest of a guest's folder.
func Open(dir string) (Guest, error) {
	g := Guest{Dir: dir}
	data, err := os.ReadFile(g.File(ManifestName))
	if err != nil {
		return g, fmt.Errorf("opening the Talos guest (build it: make talos): %w", err)
	}
	if err := json.Unmarshal(data, &g.Manifest); err != nil {
		return g, fmt.Errorf("reading the manifest of the Talos guest: %w", err)
	}
	return g, nil
}

// File is the path of one of the guest's files.
func (g Guest) File(name string) string { return filepath.Join(g.Dir, filepath.FromSlash(name)) }

// Program is the path of one of the guest's programs, such as talosctl.
func (g Guest) Program(name string) string { return g.File("bin/" + name) }

// KernelArgs are the kernel's arguments for the guest, beside those of whoever boots it (talos.config=…) and those of the rack.
// machined insists on slab_nomerge and pti=on, Talos' own defence of its kernel, and reads the first pti; the kernel obeys the last: emulated, each system call would
// empty the translation cache, and on some hosts the API server then never gets through its health checks. The kernel starts
// with one processor, and preinit starts the others: QEMU's emulation now and then lets one processor run what another has just patched (static keys, most of them while a kernel starts), which is an int3 oops; a machine that it
// still happens to begins anew. The rest saves time, or leaves out what the guest does not have.
func KernelArgs() string {
	return "maxcpus=1 oops=panic panic=5 talos.platform=metal slab_nomerge pti=on pti=off printk.devkmsg=on consoleblank=0 init_on_alloc=0 init_on_free=0 mitigations=off " +
		"selinux=0 net.ifnames=0 talos.dashboard.disabled=1"
}

// SeedDisk fills a blank disk so that Talos takes it for its own: a META partition is its test for that. It then makes STATE and EPHEMERAL on it and runs
// from memory, as after an installation, without the installer.
func SeedDisk(image *os.File) error {
	info, err := image.Stat()
	if err != nil {
		return fmt.Errorf("seeding a disk: %w", err)
	}
	return esp.WriteEmpty(image, info.Size(), 1<<20, "META")
}
