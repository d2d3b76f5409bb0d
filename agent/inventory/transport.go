package inventory

import (
	"path"
	"regexp"
	"strings"
)

// Transports, the words of crds/metal/v1alpha1.
const (
	transportNVMe    = "nvme"
	transportSATA    = "sata"
	transportSAS     = "sas"
	transportSCSI    = "scsi"
	transportVirtio  = "virtio"
	transportUSB     = "usb"
	transportMMC     = "mmc"
	transportISCSI   = "iscsi"
	transportFC      = "fc"
	transportRAID    = "raid"
	transportUnknown = "unknown"
)

// byPath tells a transport by what stands in a device's path, the most telling first. What matches nothing is unknown,
// and unknown disks are never wiped.
var byPath = []struct {
	pattern   *regexp.Regexp
	transport string
}{
	{regexp.MustCompile(`/usb[0-9]+/`), transportUSB},
	{regexp.MustCompile(`/session[0-9]+/`), transportISCSI},
	{regexp.MustCompile(`/rport-[0-9]`), transportFC},
	{regexp.MustCompile(`/end_device-[0-9]`), transportSAS},
	{regexp.MustCompile(`/ata[0-9]+/`), transportSATA},
	{regexp.MustCompile(`/mmc_host/`), transportMMC},
	{regexp.MustCompile(`/virtio[0-9]+/block/`), transportVirtio},
	{regexp.MustCompile(`/host[0-9]+/target`), transportSCSI},
}

// raidDrivers drive controllers that show volumes of their own; a plain disk behind them is an end device (SAS) instead.
var raidDrivers = map[string]bool{
	"megaraid_sas": true, "mpt3sas": true, "mpi3mr": true, "hpsa": true, "smartpqi": true, "aacraid": true,
	"3w-9xxx": true, "3w-sas": true, "arcmsr": true,
}

func (c *Collector) transport(name, device string) string {
	if strings.HasPrefix(name, "nvme") {
		return c.nvmeTransport(name, device)
	}
	for _, t := range byPath {
		if !t.pattern.MatchString(device) {
			continue
		}
		if t.transport == transportSCSI && raidDrivers[c.base(path.Join("sys/bus/pci/devices", pciOf(device), "driver"))] {
			return transportRAID
		}
		return t.transport
	}
	return transportUnknown
}

// nvmeTransport tells a disk on PCI Express from one on a fabric; the controller is the folder above the disk. A disk that is reached
// through several controllers is multipath and may have other hosts: it is unknown, whatever they hang on.
func (c *Collector) nvmeTransport(name, device string) string {
	if len(c.controllers(c.target(path.Join("sys/block", name)))) > 1 {
		return transportUnknown
	}
	switch c.text(path.Join(path.Dir(device), "transport")) {
	case "pcie":
		return transportNVMe
	case "fc":
		return transportFC
	default:
		return transportUnknown
	}
}
