package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Netlink is Kernel for the running one.
type Netlink struct {
	// Sys is where sysfs is mounted, /sys.
	Sys string
	// Resolver is the file to write name servers to, /etc/resolv.conf; empty writes none.
	Resolver string
}

// Interfaces lists Ethernet interfaces that have a device behind them.
func (k Netlink) Interfaces() ([]Interface, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	var out []Interface
	for _, l := range links {
		a := l.Attrs()
		if a.EncapType == "ether" && k.hardware(a.Name) {
			out = append(out, Interface{Name: a.Name, MAC: a.HardwareAddr.String()})
		}
	}
	return out, nil
}

func (k Netlink) hardware(name string) bool {
	_, err := os.Stat(filepath.Join(k.Sys, "class/net", name, "device"))
	return err == nil
}

// Up brings an interface up; it may already be.
func (Netlink) Up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}

// Carrier says whether an interface has a link. The kernel tells through IFF_LOWER_UP.
func (Netlink) Carrier(name string) bool {
	link, err := netlink.LinkByName(name)
	return err == nil && link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

// Configure is part of Kernel.
func (k Netlink) Configure(l Lease) error {
	link, err := netlink.LinkByName(l.Interface)
	if err != nil {
		return fmt.Errorf("finding %s: %w", l.Interface, err)
	}
	if err := netlink.AddrReplace(link, address(l)); err != nil {
		return fmt.Errorf("setting address %s: %w", l.Address, err)
	}
	if l.Router.IsValid() {
		if err := netlink.RouteReplace(route(link, l)); err != nil {
			return fmt.Errorf("setting the route over %s: %w", l.Router, err)
		}
	}
	return k.resolver(l.DNS)
}

// Remove is part of Kernel. The route goes with the address.
func (Netlink) Remove(l Lease) error {
	link, err := netlink.LinkByName(l.Interface)
	if err != nil {
		return fmt.Errorf("finding %s: %w", l.Interface, err)
	}
	if l.Router.IsValid() {
		// It may be gone already.
		_ = netlink.RouteDel(route(link, l))
	}
	if err := netlink.AddrDel(link, address(l)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("removing address %s: %w", l.Address, err)
	}
	return nil
}

func address(l Lease) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: l.Address.Addr().AsSlice(), Mask: net.CIDRMask(l.Address.Bits(), 32)}}
}

// route is the default route. Onlink, since some networks give a /32 with a router outside of it.
func route(link netlink.Link, l Lease) *netlink.Route {
	return &netlink.Route{
		LinkIndex: link.Attrs().Index, Gw: l.Router.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
		Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
	}
}

func (k Netlink) resolver(servers []netip.Addr) error {
	if k.Resolver == "" {
		return nil
	}
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	_ = os.MkdirAll(filepath.Dir(k.Resolver), 0o755)
	if err := os.WriteFile(k.Resolver, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing name servers: %w", err)
	}
	return nil
}
