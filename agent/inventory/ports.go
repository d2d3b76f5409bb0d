package inventory

import (
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
)

// Devices is Blocks for the device files of a running kernel.
type Devices struct{}

// Open opens /dev/name read-only.
func (Devices) Open(name string) (Block, error) {
	return os.Open(filepath.Join("/dev", filepath.Base(name)))
}

// Netlink is Links for a running kernel.
type Netlink struct{}

// PermanentMAC reads IFLA_PERM_ADDRESS (Linux 5.6), which every driver with a fixed address fills.
func (Netlink) PermanentMAC(ifname string) string {
	link, err := netlink.LinkByName(ifname)
	if err != nil || len(link.Attrs().PermHWAddr) != 6 {
		return ""
	}
	return link.Attrs().PermHWAddr.String()
}
