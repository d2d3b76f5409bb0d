package inventory

import (
	"path"
	"slices"
	"strings"

	"ingot.dev/ingot/agent/protocol"
)

// pci lists the bus. A device without a driver is the usual reason for a missing disk or interface.
func (c *Collector) pci() []*protocol.PCIDevice {
	const dir = "sys/bus/pci/devices"
	var out []*protocol.PCIDevice
	for _, address := range c.names(dir) {
		if !pciAddress.MatchString(address) {
			continue
		}
		p := path.Join(dir, address)
		out = append(out, &protocol.PCIDevice{
			Address: Clean(address, 16),
			Vendor:  Clean(hexOf(c.text(p+"/vendor")), 4),
			Device:  Clean(hexOf(c.text(p+"/device")), 4),
			Class:   Clean(hexOf(c.text(p+"/class")), 6),
			Driver:  Clean(c.base(p+"/driver"), 64),
		})
	}
	if len(out) > maxPCI {
		out = slices.DeleteFunc(out, plumbing)
	}
	return limit(c.Log, "PCI devices", out, maxPCI)
}

func hexOf(s string) string { return strings.TrimPrefix(s, "0x") }

// plumbing are bridges, system peripherals and the counters of big processors: the first to go when there are too many.
func plumbing(d *protocol.PCIDevice) bool {
	for _, class := range []string{"06", "08", "11", "13"} {
		if strings.HasPrefix(d.GetClass(), class) {
			return true
		}
	}
	return false
}
