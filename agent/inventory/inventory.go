// Package inventory reads what hardware a machine has, from the kernel's files and a few ioctl ports.
//
// Layer 2, adapter. It only reads: disks are opened read-only, and nothing is written anywhere. It reads from an fs.FS, so that
// recorded trees of real machines serve as tests. What hardware says is not trusted: every file is bounded, every string
// cleaned, every list cut to the limits of the API.
//
// Which disks are the server's own is judged by the controller, out of what is reported here: so two paths to one disk are two disks with
// one WWID, whatever hangs on USB says so, and what cannot be told is of unknown transport. A disk that appears after the last look
// (two minutes after the first one, see agent/report.go) is not seen before the next boot.
package inventory

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"ingot.dev/ingot/agent/inventory/smbios"
	"ingot.dev/ingot/agent/protocol"
)

// Limits of lists, from the MaxItems in crds/metal/v1alpha1/inventory_types.go; the agent cannot import that package,
// since it brings the Kubernetes machinery along.
const (
	maxCPUs  = 64
	maxDIMMs = 256
	maxDisks = 256
	maxNICs  = 64
	maxPCI   = 512
)

// Blocks opens block devices.
type Blocks interface {
	// Open opens the disk of that kernel name for reading only.
	Open(name string) (Block, error)
}

// Block is an open disk.
type Block interface {
	io.ReaderAt
	io.Closer
}

// Links asks the kernel what the files of sysfs do not tell.
type Links interface {
	// PermanentMAC is the address that the hardware was made with, lower case with colons; empty when the driver does not tell.
	PermanentMAC(ifname string) string
}

// Collector reads the inventory. Root and the ports are required.
type Collector struct {
	// Root holds sys and proc. It follows symbolic links when it opens files, and implements fs.ReadLinkFS.
	Root   fs.FS
	Blocks Blocks
	Links  Links
	// After is time.After, or a fake of tests.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
	// AgentVersion is reported as is.
	AgentVersion string
}

// Collect reads everything once. It never fails: what cannot be read stays empty. ctx bounds the reading of disks.
func (c *Collector) Collect(ctx context.Context) *protocol.Inventory {
	tables := c.smbios()
	return &protocol.Inventory{
		Arch:         runtime.GOARCH,
		System:       system(tables.System),
		Baseboard:    board(tables.Baseboard),
		Chassis:      board(tables.Chassis),
		Firmware:     c.firmware(tables.Firmware),
		Cpus:         c.cpus(tables.Processors),
		Memory:       c.memory(tables),
		Disks:        c.disks(ctx),
		Nics:         c.nics(),
		Pci:          c.pci(),
		Tpm:          c.tpm(),
		Ipmi:         c.ipmi(),
		AgentVersion: Clean(c.AgentVersion, 64),
		Kernel:       Clean(c.text("proc/sys/kernel/osrelease"), 128),
	}
}

// Evidence is what a machine says of itself when it enrols: identifiers of its board and its on-board interfaces.
func Evidence(inv *protocol.Inventory, bootMAC string) *protocol.Evidence {
	e := &protocol.Evidence{
		Uuid:         inv.GetSystem().GetUuid(),
		Manufacturer: inv.GetSystem().GetManufacturer(),
		Product:      inv.GetSystem().GetProduct(),
		Serial:       inv.GetSystem().GetSerial(),
		BootMac:      bootMAC,
	}
	for _, n := range inv.GetNics() {
		// An interface on USB may be the BMC's, which has the same address on many machines, or a plug that wanders.
		if n.GetPciAddress() != "" && n.GetPermanentMac() != "" {
			e.Macs = append(e.Macs, n.GetPermanentMac())
		}
	}
	return e
}

func (c *Collector) smbios() smbios.Tables {
	const tables = "sys/firmware/dmi/tables/"
	version := smbios.ParseEntryPoint(c.bytes(tables+"smbios_entry_point", 64))
	return smbios.Parse(c.bytes(tables+"DMI", maxDMI), version)
}

func limit[T any](log *slog.Logger, what string, list []T, most int) []T {
	if len(list) <= most {
		return list
	}
	log.Warn("more "+what+" than Ingot keeps; the rest is left out", "found", len(list), "kept", most)
	return list[:most]
}
