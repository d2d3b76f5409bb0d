package setup

import (
	"fmt"
	"net"
	"net/netip"
)

// addressOf finds the address to serve on and its network: want, or the interface's first IPv4 address.
func addressOf(name string, want netip.Addr) (netip.Prefix, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("finding interface %s: %w; `ip link` lists the interfaces", name, err)
	}
	list, err := link.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("reading the addresses of %s: %w", name, err)
	}
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && (!want.IsValid() || p.Addr() == want) {
			return p, nil
		}
	}
	if want.IsValid() {
		return netip.Prefix{}, fmt.Errorf("interface %s does not have the address %s; add it, or name one that it has", name, want)
	}
	return netip.Prefix{}, fmt.Errorf("interface %s has no IPv4 address; give it one, since machines are told to boot from it", name)
}
