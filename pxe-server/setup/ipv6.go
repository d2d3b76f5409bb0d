package setup

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/dhcp6"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/limits"
	"ingot.dev/ingot/pxe-server/solicit"
	"ingot.dev/ingot/pxe-server/tftp"
)

// What one source may ask for over IPv6. A source is a /64 there, since one host can have all its addresses; a network that is served is one /64, too, so these are
// for all its machines together.
var (
	wholeLink     = httpboot.Limits{Scripts: limits.Rate{PerSecond: 200, Burst: 500}, ConnectionsPerSource: 1024}
	wholeLinkTFTP = tftp.Limits{Rate: 200, Burst: 500, PerSource: 128}
)

// sixth says whether a network is served over IPv6.
func (n *segment) sixth() bool { return n.prefix.Addr().Is6() }

// fits says what of the settings is not for the family of the network.
func (d DHCP) fits(network netip.Prefix) error {
	if network.Addr().Is4() {
		if d.Announce {
			return fmt.Errorf("dhcp.announce: the network %s is of IPv4; announcements are for a network that is served over IPv6 (--announce-prefix)", network.Masked())
		}
		return nil
	}
	switch {
	case d.Proxy:
		return errors.New("dhcp.proxy: nothing of that kind is known to iPXE over IPv6; let the other DHCPv6 server name our boot files, and disable ours (--no-dhcp)")
	case len(d.Relayed) > 0 || len(d.Reservations) > 0:
		return errors.New("dhcp: over IPv6 there are no relayed networks and no reservations yet; remove them")
	case d.Network.Router.IsValid():
		return errors.New("dhcp.network.router: over IPv6 routers announce themselves; remove it")
	case len(d.Network.NTP) > 0:
		return errors.New("dhcp.network.ntp: it is not told over IPv6; remove it")
	case len(d.Network.Pools) > 1:
		return errors.New("dhcp.network.pools: over IPv6 there is one pool; remove the others")
	case network.Bits() > 126:
		return fmt.Errorf("the address %s has no network: add it with the length of its network, such as /64", network)
	}
	return nil
}

// openIPv6 opens DHCPv6, and announces the network when that is wanted.
func (s *server) openIPv6(n *segment) (err error) {
	if n.DHCP.Announce {
		what := &solicit.Announcement{Prefix: n.prefix.Masked()}
		if n.solicit, err = solicit.New(solicit.Config{Interface: n.Interface, Announce: what, Log: s.cfg.Log, Now: s.cfg.Now}); err != nil {
			return err
		}
	}
	if n.DHCP.Disabled {
		return nil
	}
	n.dhcp6, err = dhcp6.New(s.dhcp6Config(n))
	return err
}

func (s *server) dhcp6Config(n *segment) dhcp6.Config {
	own := n.DHCP.Network
	c := dhcp6.Config{
		Interface: n.Interface, ServerIP: n.addr.Addr(), Prefix: n.prefix.Masked(), DNS: own.DNS, Domain: own.Domain, LeaseTime: own.LeaseTime,
		LeaseFile: filepath.Join(s.cfg.StateDir, n.leases), Boot: bootURLs(n.addr), Log: s.cfg.Log, Now: s.cfg.Now,
		Seen: func(e dhcp6.Event) {
			s.events.Seen(e.MAC, e.Firmware, e.Stage, e.Time)
			s.events.Leased(e.MAC, e.IP)
		},
	}
	for _, p := range own.Pools {
		c.Pool = dhcp6.Range{From: p.From, To: p.To}
	}
	return c
}

// bootURLs names what the catalog holds for each architecture.
func bootURLs(addr netip.AddrPort) dhcp6.Boot {
	four := bootFiles(addr)
	return dhcp6.Boot{
		TFTPURL: func(a dhcp6.Arch) (string, bool) {
			l, ok := catalog.For(uint16(a), false)
			return "tftp://[" + addr.Addr().String() + "]/" + l.File, ok
		},
		HTTPURL:   func(a dhcp6.Arch) (string, bool) { return four.HTTPURL(dhcp.Arch(a)) },
		ScriptURL: four.ScriptURL,
	}
}
