// Package machine is the port between a virtual server and the BMC in front of it.
//
// Layer 2, leaf: it imports only the standard library and holds no behaviour.
// sfyra-tests/rack implements Machine, sfyra-tests/fakebmc drives it.
//
// Invariants that every implementation keeps:
//   - Power is the process of the server itself, never a stored flag.
//   - A boot override is latched when a process starts; Once is cleared only
//     when a start consumed it.
//   - A request that makes no sense in the present power state fails with
//     ErrPoweredOff or ErrPoweredOn and changes nothing.
package machine

import (
	"context"
	"errors"
	"io"
)

var (
	// ErrPoweredOff says that the request needs a running server. A BMC
	// answers it with 409 Conflict.
	ErrPoweredOff = errors.New("server is powered off")
	// ErrPoweredOn says that the request needs a server that is off.
	ErrPoweredOn = errors.New("server is powered on")
	// ErrInvalid says that the request itself is wrong. A BMC answers it with 400.
	ErrInvalid = errors.New("invalid request")
	// ErrBusy says that the one console of the server is in use. A BMC
	// answers it with 409 Conflict.
	ErrBusy = errors.New("console is in use")
)

// Boot targets, spelled as Redfish's BootSourceOverrideTarget (DSP0268, ComputerSystem).
const (
	TargetNone     = "None"
	TargetPxe      = "Pxe"
	TargetHdd      = "Hdd"
	TargetCd       = "Cd"
	TargetUefiHTTP = "UefiHttp"
)

// BootOverride is what the next start of the server boots first.
// The zero value means no override, as does Target None.
type BootOverride struct {
	// Target is one of the Target constants.
	Target string
	// Once: the override serves one start and is then None again.
	Once bool
	// URI is the boot file of UefiHttp. Empty: the server asks DHCP for it.
	URI string
}

// Pending says whether the override changes the next start.
func (b BootOverride) Pending() bool { return b.Target != "" && b.Target != TargetNone }

// Identity is what the server's hardware says about itself.
type Identity struct {
	// Name is the rack's name of the server, for logs; no hardware carries it.
	Name string
	// UUID is the SMBIOS UUID in lower case; all zero when the spec has none.
	UUID                                         string
	Manufacturer, Product, Serial, SKU, Family   string
	BoardManufacturer, BoardProduct, BoardSerial string
	AssetTag                                     string
	// CPUs is the number of processors.
	CPUs int
	// MemoryMiB is the size of the memory in MiB.
	MemoryMiB int
	// MACs are the permanent addresses of the NICs in slot order, lower case with colons.
	MACs []string
	// UEFI is false for a server with legacy BIOS firmware.
	UEFI bool
	// Disks in slot order.
	Disks []Disk
	// Drive says that it has an optical drive which its BMC fills: virtual media. It is a Drive then.
	Drive bool
}

// Disk is one drive of a server.
type Disk struct {
	// Kind is nvme, virtio, sata, scsi, usb, usb-media or usb-cd.
	Kind      string
	SizeBytes int64
	Serial    string
	// WWN is the 64-bit world wide name, 0 when the drive has none.
	WWN uint64
}

// Machine is what a BMC controls. All methods are safe for concurrent use.
type Machine interface {
	// PowerState reads the power from the process and from QMP.
	PowerState(ctx context.Context) (on bool, err error)
	// PowerOn starts the server and returns once QMP answers. ErrPoweredOn when it runs.
	PowerOn(ctx context.Context) error
	// ForceOff ends the process and returns once it is gone. ErrPoweredOff when none runs.
	ForceOff(ctx context.Context) error
	// GracefulShutdown presses the ACPI power button. The server stays on until
	// the guest ends by itself, which may be never. ErrPoweredOff when off.
	GracefulShutdown(ctx context.Context) error
	// Reset is a warm reset, or a cold restart when a boot override is pending.
	// ErrPoweredOff when off.
	Reset(ctx context.Context) error
	// SetBootOverride replaces the override of the next start. ErrInvalid for an unknown target.
	SetBootOverride(ctx context.Context, override BootOverride) error
	// BootOverride reads the override that the next start will use.
	BootOverride(ctx context.Context) (BootOverride, error)
	// Identity is constant over the life of the server.
	Identity() Identity
	// Console opens the serial console: bytes from now on, both directions.
	// ErrPoweredOff when off, ErrBusy while somebody else has it open.
	Console(ctx context.Context) (io.ReadWriteCloser, error)
}

// Drive is a Machine with an optical drive that its BMC fills. Its methods are safe for concurrent use.
type Drive interface {
	// InsertMedia puts an image into the drive, in place of what is there. It stays over restarts. ErrInvalid without a drive.
	InsertMedia(ctx context.Context, image []byte) error
	// EjectMedia empties the drive. One that is empty stays so.
	EjectMedia(ctx context.Context) error
}
