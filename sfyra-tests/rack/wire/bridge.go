// Package wire makes the rack's switch in the present network namespace: a
// bridge, one tap per NIC, raw frames sent to a tap, and capture.
//
// Layer 2, adapter. Invariants: nothing here runs in a namespace that the
// caller did not make for it; every read of a frame is bounded; router
// advertisements are never sent, since IPv6 on the boot network is the
// product's own question.
package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxInterfaceName is IFNAMSIZ without the final zero.
const maxInterfaceName = 15

// Switch is a bridge with its taps.
type Switch struct {
	bridge *netlink.Bridge
	taps   []*netlink.Tuntap
}

// NewSwitch makes a bridge of that name that holds address (address and
// length of the network), and brings it up.
func NewSwitch(name string, mac net.HardwareAddr, address netip.Prefix) (*Switch, error) {
	if name == "" || len(name) > maxInterfaceName {
		return nil, fmt.Errorf("making the bridge: its name %q needs 1 to %d bytes", name, maxInterfaceName)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.HardwareAddr = name, mac
	// A bridge that snoops multicast loses the first packets of a booting NIC.
	snooping := false
	s := &Switch{bridge: &netlink.Bridge{LinkAttrs: attributes, MulticastSnooping: &snooping}}
	if err := netlink.LinkAdd(s.bridge); err != nil {
		return nil, fmt.Errorf("making the bridge %s: %w", name, err)
	}
	if err := s.ready(address); err != nil {
		return nil, errors.Join(fmt.Errorf("readying the bridge %s: %w", name, err), s.Close())
	}
	return s, nil
}

func (s *Switch) ready(address netip.Prefix) error {
	parsed, err := netlink.ParseAddr(address.String())
	if err != nil {
		return err
	}
	if address.Addr().Is6() {
		parsed.Flags = unix.IFA_F_NODAD // it works at once; nobody else can have it yet
	}
	if err := netlink.AddrAdd(s.bridge, parsed); err != nil {
		return err
	}
	return netlink.LinkSetUp(s.bridge)
}

// AddTap makes a tap and plugs it into the bridge. It has a carrier only while
// a server's NIC is attached.
func (s *Switch) AddTap(name string) error {
	if name == "" || len(name) > maxInterfaceName {
		return fmt.Errorf("making the tap: its name %q needs 1 to %d bytes", name, maxInterfaceName)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MasterIndex = name, s.bridge.Index
	tap := &netlink.Tuntap{LinkAttrs: attributes, Mode: netlink.TUNTAP_MODE_TAP}
	if err := netlink.LinkAdd(tap); err != nil {
		return fmt.Errorf("making the tap %s: %w", name, explainTap(err))
	}
	s.taps = append(s.taps, tap)
	if err := netlink.LinkSetUp(tap); err != nil {
		return fmt.Errorf("bringing the tap %s up: %w", name, err)
	}
	return nil
}

func explainTap(err error) error {
	device := "/dev/net/tun"
	file, open := os.OpenFile(device, os.O_RDWR, 0)
	if open == nil {
		_ = file.Close()
		return err
	}
	if errors.Is(open, syscall.EACCES) {
		return fmt.Errorf("%w; this user may not open %s: run as root, or allow it with chmod 0666 %s", err, device, device)
	}
	return fmt.Errorf("%w; %w: load the module with modprobe tun", err, open)
}

// Close removes taps and bridge.
func (s *Switch) Close() error {
	var failed []error
	for _, tap := range s.taps {
		failed = append(failed, netlink.LinkDel(tap))
	}
	s.taps = nil
	failed = append(failed, netlink.LinkDel(s.bridge))
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("removing the switch: %w", err)
	}
	return nil
}
