package services

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"ingot.dev/ingot/pxe-server/dhcp"
)

// subnet6 is what machines get in a network that is served over IPv6.
func (n *Network) subnet6(s dhcp.Subnet, own netip.Prefix) (dhcp.Subnet, error) {
	switch {
	case n.NoDHCP:
		return s, n.checkNoDHCP()
	case n.Proxy:
		return s, errors.New("--proxy-dhcp: iPXE knows nothing of that kind over IPv6; leave it out, and switch the other DHCPv6 server off, or have it name the boot files and serve with --no-dhcp")
	case n.Router != "":
		return s, errors.New("--dhcp-router: over IPv6 routers announce themselves; leave it out")
	}
	pool, err := pool6(n.Pool, own)
	if err != nil {
		return s, err
	}
	s.Pools = []dhcp.Range{pool}
	for _, d := range n.DNS {
		a, err := netip.ParseAddr(d)
		if err != nil || !a.Is6() || a.Is4In6() {
			return s, fmt.Errorf("--dhcp-dns %q is no IPv6 address, such as %s; the network is served over IPv6", d, own.Addr())
		}
		s.DNS = append(s.DNS, a)
	}
	return s, nil
}

// pool6 reads START-END, or takes 65,536 addresses in the middle of the network's first /64, far from those that people and hosts give themselves.
func pool6(text string, own netip.Prefix) (dhcp.Range, error) {
	network := own.Masked()
	if text == "" {
		if network.Bits() > 64 {
			return dhcp.Range{}, fmt.Errorf("no pool can be guessed in the network %s: name one with --dhcp-pool START-END", network)
		}
		b := network.Addr().As16()
		b[12], b[13] = 0xd6, 0x00 // ::d600:0 to ::d600:ffff
		first := netip.AddrFrom16(b)
		b[14], b[15] = 0xff, 0xff
		return dhcp.Range{From: first, To: netip.AddrFrom16(b)}, nil
	}
	from, to, _ := strings.Cut(text, "-")
	first, err1 := netip.ParseAddr(strings.TrimSpace(from))
	last, err2 := netip.ParseAddr(strings.TrimSpace(to))
	switch {
	case errors.Join(err1, err2) != nil || !first.Is6() || !last.Is6():
		return dhcp.Range{}, fmt.Errorf("--dhcp-pool %q: write START-END with two IPv6 addresses of %s", text, network)
	case last.Less(first):
		return dhcp.Range{}, fmt.Errorf("--dhcp-pool %s ends before it begins; write %s-%s", text, last, first)
	case !network.Contains(first) || !network.Contains(last):
		return dhcp.Range{}, fmt.Errorf("--dhcp-pool %s is outside the network %s that is served; take addresses of it, or another --interface", text, network)
	}
	return dhcp.Range{From: first, To: last}, nil
}

// reachable reads an address that machines could reach.
func reachable(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4In6() || a.Zone() != "" || a.Is6() && !a.IsGlobalUnicast() && !a.IsLoopback() {
		return a, fmt.Errorf("%s %q is no address that machines could reach, such as 192.168.77.1 or fd77::1", flag, text)
	}
	return a, nil
}
