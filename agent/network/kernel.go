package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// Configure is part of Kernel. An IPv6 address works, and nobody else of the link uses it, when this returns (RFC 4862 section 5.4).
func (k Netlink) Configure(l Lease) error {
	link, err := netlink.LinkByName(l.Interface)
	if err != nil {
		return fmt.Errorf("finding %s: %w", l.Interface, err)
	}
	if l.ByKernel {
		return k.resolver(l.DNS)
	}
	if err := netlink.AddrReplace(link, address(l)); err != nil {
		return fmt.Errorf("setting address %s: %w", l.Address, err)
	}
	if l.Address.Addr().Is6() {
		if err := k.settle(link, l); err != nil {
			return err
		}
	}
	if l.Router.IsValid() {
		if err := netlink.RouteReplace(route(link, l)); err != nil {
			return fmt.Errorf("setting the route over %s: %w", l.Router, err)
		}
	}
	return k.resolver(l.DNS)
}

// Detecting a duplicate takes the kernel one second after a random delay of up to one (RFC 4862 section 5.4.2).
const (
	settlePoll = 100 * time.Millisecond
	settleMost = 5 * time.Second
)

// settle waits until the kernel found out whether somebody else uses the address.
func (k Netlink) settle(link netlink.Link, l Lease) error {
	for waited := time.Duration(0); ; waited += settlePoll {
		switch flags, err := flagsOf(link, l.Address.Addr()); {
		case err != nil:
			return err
		case flags&unix.IFA_F_DADFAILED != 0:
			return errors.Join(fmt.Errorf("%w: %s", ErrInUse, l.Address.Addr()), k.Remove(l))
		case flags&unix.IFA_F_TENTATIVE == 0:
			return nil
		case waited >= settleMost:
			return fmt.Errorf("setting address %s: the kernel did not say within %s that nobody uses it", l.Address, settleMost)
		}
		<-time.After(settlePoll)
	}
}

// flagsOf are the kernel's flags (IFA_F_…) of an address that the interface has.
func flagsOf(link netlink.Link, ip netip.Addr) (int, error) {
	all, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return 0, fmt.Errorf("listing addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range all {
		if got, ok := netip.AddrFromSlice(a.IP); ok && got == ip {
			return a.Flags, nil
		}
	}
	return 0, fmt.Errorf("address %s is gone from %s", ip, link.Attrs().Name)
}

// Remove is part of Kernel. The route goes with the address.
func (Netlink) Remove(l Lease) error {
	if l.ByKernel {
		return nil
	}
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
	ip := l.Address.Addr()
	return &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(l.Address.Bits(), ip.BitLen())}}
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
