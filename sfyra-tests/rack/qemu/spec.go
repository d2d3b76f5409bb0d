package qemu

import (
	"net"
	"os"

	"ingot.dev/ingot/sfyra-tests/rack/lldp"
)

// DiskKind is how a drive is attached.
type DiskKind string

// The kinds of drives, as the guest sees them.
const (
	NVMe   DiskKind = "nvme"
	Virtio DiskKind = "virtio"
	SATA   DiskKind = "sata"
	SCSI   DiskKind = "scsi"
	// USB is a memory stick: it says of itself that it is removable.
	USB DiskKind = "usb"
	// USBMedia is what a BMC shows of virtual media as a disk: it hangs on USB, is removable and read-only.
	USBMedia DiskKind = "usb-media"
	// USBCD is what a BMC shows of virtual media as an optical drive. No kernel calls it a disk.
	USBCD DiskKind = "usb-cd"
)

// onUSB says whether a drive of this kind hangs on the USB controller.
func (k DiskKind) onUSB() bool { return k == USB || k.readOnly() }

// readOnly says whether a drive of this kind takes no writes, whoever asks.
func (k DiskKind) readOnly() bool { return k == USBMedia || k == USBCD }

// NICModel is a network card, in QEMU's words.
type NICModel string

// The network cards. OVMF drives virtio itself; e1000e boots through the iPXE
// option ROM that QEMU ships, since OVMF has no driver for it.
const (
	VirtioNet NICModel = "virtio-net-pci"
	E1000e    NICModel = "e1000e"
)

// Arch is the architecture of a server's processors, as Go names it. The empty one is AMD64.
type Arch string

// The architectures of servers.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

// Firmware of a server.
type Firmware string

// The kinds of firmware. The empty one is UEFI.
const (
	UEFI Firmware = "uefi"
	BIOS Firmware = "bios"
)

// Disk is one drive.
type Disk struct {
	Kind      DiskKind
	SizeBytes int64
	// Serial is cut by the hardware at 20 bytes, so it may not be longer.
	Serial string
	// WWN is the 64-bit name of a SATA or SCSI drive, 0 for none.
	WWN uint64
	// Rotational makes a SATA or SCSI drive say 7200 rpm; else it says solid state.
	Rotational bool
	// Image is an existing raw image; empty makes a blank one of SizeBytes in
	// the server's folder, which stays from then on.
	Image string
	// Shared lets drives of several servers of a rack be the same Image, as in a shelf that two servers see: give each a SCSI
	// drive with the same Image, Serial and WWN. Without it QEMU locks the image.
	Shared bool
	// Fill writes the first content of a blank image, as an installed OS.
	Fill func(image *os.File) error
}

// NIC is one network card.
type NIC struct {
	MAC   net.HardwareAddr
	Model NICModel
	// Neighbor is the switch port it is plugged into; nil sends no LLDP.
	Neighbor *lldp.Neighbor
}

// Board is the base board and the chassis (SMBIOS types 2 and 3).
type Board struct {
	Manufacturer, Product, Serial string
	AssetTag                      string
}

// Direct is a kernel that QEMU hands to the firmware, instead of a boot from the network or a disk.
type Direct struct {
	// Kernel and Initramfs are files.
	Kernel, Initramfs string
	// Line is the kernel's command line.
	Line string
}

// Spec is the hardware of one server.
type Spec struct {
	// Name of the server within the rack: letters, digits, hyphens.
	Name string
	// UUID of SMBIOS; empty gives the all-zero one, as cheap boards have.
	UUID string
	// SMBIOS type 1. An empty field is absent.
	Manufacturer, Product, Serial, SKU, Family string
	Board                                      Board
	// Arch of the processors. An arm64 server has UEFI, and is always emulated.
	Arch      Arch
	CPUs      int
	MemoryMiB int
	// Modern is a CPU for systems that refuse the first x86-64, as Talos does.
	Modern   bool
	Disks    []Disk
	NICs     []NIC
	Firmware Firmware
	// DiskFirst is firmware that is set up to boot the disks first: it boots
	// from the network when an override says so, or no disk boots.
	DiskFirst bool
	// HTTPBoot is a set-up with PXE switched off: network boot, also a Pxe
	// override, then goes through HTTP.
	HTTPBoot bool
	// BMCLine is host:port of who plays the BMC towards the machine itself, in the words of QEMU's ipmi-bmc-extern; empty gives it no way to a BMC.
	BMCLine string
	// Drive is an optical drive that the BMC fills: virtual media. It is empty until then. amd64 only, beside at most five SATA disks.
	Drive bool
	// IPv6 leaves the firmware's IPv6 boot on; off saves a minute of attempts.
	IPv6 bool
	// Direct, if any, is booted by every start that has no Hdd override. A UEFI firmware starts it as an EFI program.
	Direct *Direct
}
