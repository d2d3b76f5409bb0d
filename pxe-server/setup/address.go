package setup

import (
	"fmt"
	"net"
	"net/netip"
)

// addressOf finds the address to serve on and its network: want, or the interface's first IPv4 address, or, when it has none, its first IPv6 address that is
// good beyond the link.
func addressOf(name string, want netip.Addr) (netip.Prefix, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("finding interface %s: %w; `ip link` lists the interfaces", name, err)
	}
	list, err := link.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("reading the addresses of %s: %w", name, err)
	}
	if p, ok := choose(list, want); ok {
		return p, nil
	}
	if want.IsValid() {
		return netip.Prefix{}, fmt.Errorf("interface %s does not have the address %s; add it, or name one that it has", name, want)
	}
	return netip.Prefix{}, fmt.Errorf("interface %s has neither an IPv4 address nor an IPv6 address beyond the link; give it one, since machines are told to boot from it", name)
}

func choose(list []net.Addr, want netip.Addr) (best netip.Prefix, ok bool) {
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		switch {
		case err != nil || want.IsValid() && p.Addr() != want:
		case p.Addr().Is4():
			return p, true
		case !ok && p.Addr().IsGlobalUnicast():
			best, ok = p, true
		}
	}
	return best, ok
}
