package inventory

import (
	"path"
	"strings"

	"ingot.dev/ingot/agent/protocol"
)

// nics lists Ethernet interfaces that have hardware behind them.
func (c *Collector) nics() []*protocol.NIC {
	const dir, ethernet = "sys/class/net", 1
	var out []*protocol.NIC
	for _, name := range c.names(dir) {
		p := path.Join(dir, name)
		if c.target(p+"/device") == "" || c.number(p+"/type") != ethernet {
			continue
		}
		out = append(out, c.nic(name, p))
	}
	return limit(c.Log, "network interfaces", out, maxNICs)
}

func (c *Collector) nic(name, p string) *protocol.NIC {
	n := &protocol.NIC{
		Name:    Clean(name, 32),
		Mac:     Clean(c.text(p+"/address"), 17),
		Driver:  Clean(c.base(p+"/device/driver"), 64),
		Carrier: c.text(p+"/carrier") == "1",
	}
	n.PermanentMac = Clean(c.Links.PermanentMAC(name), 17)
	if n.Carrier {
		n.SpeedMbps = int32Of(c.number(p + "/speed"))
	}
	// The PCI function of an interface on USB is the USB controller's, which says nothing about the interface.
	if device := c.target(p); !strings.Contains(device, "/usb") {
		n.PciAddress = Clean(pciOf(device), 16)
	}
	return n
}
