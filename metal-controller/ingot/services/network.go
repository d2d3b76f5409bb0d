package services

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"ingot.dev/ingot/pxe-server/dhcp"
)

// prefix is the address to serve on, with its network.
func (n *Network) prefix() (netip.Prefix, error) {
	link, err := net.InterfaceByName(n.Interface)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("--interface %s: this machine has no such interface; `ip -br address` lists them", n.Interface)
	}
	if link.Flags&net.FlagUp == 0 {
		return netip.Prefix{}, fmt.Errorf("--interface %s is down; switch it on: ip link set %s up", n.Interface, n.Interface)
	}
	addrs, err := link.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("reading the addresses of %s: %w", n.Interface, err)
	}
	return n.choose(addrs)
}

// choose takes the wanted address of the interface, or its first IPv4 address, or, when it has none, its first IPv6 address that is good beyond the link.
func (n *Network) choose(addrs []net.Addr) (netip.Prefix, error) {
	own, best := usable(addrs)
	for _, p := range own {
		if n.Address != "" && p.Addr().String() == n.Address {
			return p, nil
		}
	}
	switch {
	case n.Address == "" && best.IsValid():
		return best, nil
	case len(own) > 0:
		return netip.Prefix{}, fmt.Errorf("--address %s is not an address of %s, which has %s", n.Address, n.Interface, words(own))
	}
	return netip.Prefix{}, fmt.Errorf("--interface %s has no address that machines can be served on; give it one: ip addr add 192.168.77.1/24 dev %s, or for IPv6 alone: ip addr add fd77::1/64 dev %s", n.Interface, n.Interface, n.Interface)
}

// usable are the addresses that machines can be served on, and the one of them that is taken when none is named.
func usable(addrs []net.Addr) (all []netip.Prefix, best netip.Prefix) {
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().Is6() && !p.Addr().IsGlobalUnicast() {
			continue
		}
		if !best.IsValid() || p.Addr().Is4() && best.Addr().Is6() {
			best = p
		}
		all = append(all, p)
	}
	return all, best
}

func words(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Addr().String())
	}
	return strings.Join(out, ", ")
}

// subnet is the interface's network with what machines get in it.
func (n *Network) subnet() (dhcp.Subnet, error) {
	prefix, err := n.prefix()
	if err != nil {
		return dhcp.Subnet{}, err
	}
	return n.subnetOf(prefix)
}

func (n *Network) subnetOf(prefix netip.Prefix) (s dhcp.Subnet, err error) {
	s.Prefix = prefix.Masked()
	if prefix.Addr().Is6() {
		return n.subnet6(s, prefix)
	}
	if n.Announce {
		return s, fmt.Errorf("--announce-prefix: %s is served over IPv4; leave it out, or name an IPv6 address with --address", n.Interface)
	}
	if n.NoDHCP {
		return s, n.checkNoDHCP()
	}
	if n.Proxy {
		return s, n.checkProxy()
	}
	if s.Pools, err = pools(n.Pool, prefix); err != nil {
		return s, err
	}
	if n.Router != "" {
		if s.Router, err = ipv4("--dhcp-router", n.Router); err != nil {
			return s, err
		}
		if !s.Prefix.Contains(s.Router) {
			return s, fmt.Errorf("--dhcp-router %s is outside the network %s of %s, so machines could not reach it", s.Router, s.Prefix, n.Interface)
		}
	}
	for _, d := range n.DNS {
		a, err := ipv4("--dhcp-dns", d)
		if err != nil {
			return s, err
		}
		s.DNS = append(s.DNS, a)
	}
	return s, nil
}

// checkProxy refuses flags that do nothing beside another DHCP server.
func (n *Network) checkProxy() error {
	if n.Pool != "" || n.Router != "" || len(n.DNS) > 0 {
		return errors.New("--proxy-dhcp: another DHCP server gives addresses, routers and name servers; leave out --dhcp-pool, --dhcp-router and --dhcp-dns, or --proxy-dhcp")
	}
	return nil
}

// checkNoDHCP refuses flags that do nothing where Ingot serves no DHCP.
func (n *Network) checkNoDHCP() error {
	if n.Proxy || n.Pool != "" || n.Router != "" || len(n.DNS) > 0 {
		return errors.New("--no-dhcp: Ingot answers no DHCP; leave out --proxy-dhcp, --dhcp-pool, --dhcp-router and --dhcp-dns, or --no-dhcp")
	}
	return nil
}

func ipv4(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, fmt.Errorf("%s %q is no IPv4 address, such as 192.168.77.254", flag, text)
	}
	return a, nil
}

// maxPool is what pxe-server keeps leases for.
const maxPool = 1 << 16

// pools reads START-END, or takes the upper half of the network.
func pools(text string, prefix netip.Prefix) ([]dhcp.Range, error) {
	if text == "" {
		return upperHalf(prefix)
	}
	from, to, _ := strings.Cut(text, "-")
	first, err1 := netip.ParseAddr(strings.TrimSpace(from))
	last, err2 := netip.ParseAddr(strings.TrimSpace(to))
	network := prefix.Masked()
	switch {
	case errors.Join(err1, err2) != nil || !first.Is4() || !last.Is4():
		return nil, fmt.Errorf("--dhcp-pool %q: write START-END with two IPv4 addresses of %s", text, network)
	case last.Less(first):
		return nil, fmt.Errorf("--dhcp-pool %s ends before it begins; write %s-%s", text, last, first)
	case !network.Contains(first) || !network.Contains(last):
		return nil, fmt.Errorf("--dhcp-pool %s is outside the network %s that is served; take addresses of it, or another --interface", text, network)
	case number(last)-number(first) >= maxPool:
		return nil, fmt.Errorf("--dhcp-pool %s holds more than %d addresses; write a smaller one", text, maxPool)
	}
	return []dhcp.Range{{From: first, To: last}}, nil
}

// upperHalf leaves the lower half of a network to fixed addresses. Of small networks nothing is guessed, and of large ones no more than can be leased.
func upperHalf(prefix netip.Prefix) ([]dhcp.Range, error) {
	if prefix.Bits() > 29 || prefix.Bits() < 1 {
		return nil, fmt.Errorf("no pool can be guessed in the network %s: name one with --dhcp-pool START-END", prefix.Masked())
	}
	size := uint32(1) << (32 - prefix.Bits())
	first := number(prefix.Masked().Addr()) + size/2
	last := first + min(size/2-2, maxPool-1)
	return []dhcp.Range{{From: address(first), To: address(last)}}, nil
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func address(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
