package inventory

import (
	"context"
	"encoding/binary"
	"path"
	"regexp"
	"strings"

	"ingot.dev/ingot/agent/protocol"
)

// notDisks are block devices that stand for something else: memory, other disks, network disks without hardware, drives
// for media, and the boot and replay areas of eMMC, which belong to their disk.
var notDisks = regexp.MustCompile(`^(loop|ram|zram|dm-|md|sr|fd|nbd|rbd|drbd|zd|mtdblock|mmcblk[0-9]+(boot[0-9]+|rpmb))`)

// disks lists the disks and looks at the ends of each.
func (c *Collector) disks(ctx context.Context) []*protocol.Disk {
	out := c.Disks()
	c.readContents(ctx, out)
	return out
}

// Disks lists the disks as they are now, without looking at what is on them: Contents stays empty. For somebody who is about to write.
func (c *Collector) Disks() []*protocol.Disk {
	var out []*protocol.Disk
	for _, name := range limit(c.Log, "disks", c.diskNames(), maxDisks) {
		out = append(out, c.disk(name))
	}
	return out
}

// diskNames are the names below sys/block that are disks.
func (c *Collector) diskNames() []string {
	var out []string
	for _, name := range c.names("sys/block") {
		if !notDisks.MatchString(name) && c.isHardware(name) {
			out = append(out, name)
		}
	}
	return out
}

func (c *Collector) isHardware(name string) bool {
	p := path.Join("sys/block", name)
	// The paths of an NVMe disk with several controllers are hidden; the disk itself stands below virtual devices.
	if c.text(p+"/hidden") == "1" {
		return false
	}
	device := c.target(p)
	if strings.Contains(device, "devices/virtual/") && !strings.Contains(device, "/nvme-subsystem/") {
		return false
	}
	// A card reader without a card is no disk.
	return c.number(p+"/size") > 0 || c.text(p+"/removable") != "1"
}

func (c *Collector) disk(name string) *protocol.Disk {
	p := path.Join("sys/block", name)
	device := c.devicePath(name)
	transport, serial := c.transport(name, device), first(c.serial(p), c.usbSerial(device))
	return &protocol.Disk{
		Name: Clean(name, 64),
		// The kernel counts in units of 512 bytes whatever the sector size is.
		SizeBytes:   min(max(c.number(p+"/size"), 0), 1<<53) * 512,
		Model:       Clean(c.text(p+"/device/model"), 128),
		Serial:      Clean(serial, 128),
		Wwid:        Clean(first(c.text(p+"/wwid"), c.text(p+"/device/wwid"), virtioWWID(transport, serial)), 256),
		Transport:   transport,
		Rotational:  c.text(p+"/queue/rotational") == "1",
		Removable:   c.text(p+"/removable") == "1",
		ReadOnly:    c.text(p+"/ro") == "1",
		SectorBytes: int32Of(c.number(p + "/queue/logical_block_size")),
		PciAddress:  Clean(pciOf(device), 16),
	}
}

// devicePath is the path of the device that a disk hangs on. With native NVMe multipath it is the first controller's.
func (c *Collector) devicePath(name string) string {
	device := c.target(path.Join("sys/block", name))
	if controllers := c.controllers(device); len(controllers) > 0 {
		return path.Join(controllers[0], name)
	}
	return device
}

// controllers are the paths of those through which a disk of an NVMe subsystem is reached; nil for all other disks.
func (c *Collector) controllers(device string) []string {
	if !strings.Contains(device, "/nvme-subsystem/") {
		return nil
	}
	var out []string
	subsystem := path.Dir(device)
	for _, child := range c.names(subsystem) {
		if to := c.target(path.Join(subsystem, child)); nvmeController.MatchString(child) && to != "" {
			out = append(out, to)
		}
	}
	return out
}

var nvmeController = regexp.MustCompile(`^nvme[0-9]+$`)

// serial asks where each kind of disk tells it: virtio, NVMe and eMMC in a file, SCSI and SATA in a VPD page.
func (c *Collector) serial(p string) string {
	return first(c.text(p+"/serial"), c.text(p+"/device/serial"), vpdSerial(c.bytes(p+"/device/vpd_pg80", maxText)))
}

// usbSerial is the serial number of the USB device that a disk hangs on: a person knows a stick by it. The device is the folder of the
// path that is named like a port, 2-1.4 (Linux, drivers/usb/core/usb.c, usb_alloc_dev); what is below it is an interface.
func (c *Collector) usbSerial(device string) string {
	if !strings.Contains(device, "/usb") {
		return ""
	}
	for dir := device; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if usbPort.MatchString(path.Base(dir)) {
			return c.text(dir + "/serial")
		}
	}
	return ""
}

var usbPort = regexp.MustCompile(`^[0-9]+-[0-9]+(\.[0-9]+)*$`)

// virtioWWID stands in for the identifier that virtio disks do not have: their serial number is what the host gave the disk. Two disks that were given the
// same one look shared, which keeps both from being wiped.
func virtioWWID(transport, serial string) string {
	if transport != transportVirtio || serial == "" {
		return ""
	}
	return "virtio." + serial
}

// vpdSerial reads the unit serial number page (SPC-4 section 7.8.14): page 80h, a 16-bit length, text.
func vpdSerial(b []byte) string {
	if len(b) < 4 || b[1] != 0x80 {
		return ""
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	return string(b[4:min(4+length, len(b))])
}

func first(texts ...string) string {
	for _, s := range texts {
		if strings.TrimSpace(s) != "" {
			return s
		}
	}
	return ""
}
