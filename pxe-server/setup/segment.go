package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/dhcp6"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/solicit"
	"ingot.dev/ingot/pxe-server/tftp"
)

// tftpPort is fixed: firmware asks nowhere else (RFC 1350).
const tftpPort = 69

// segment is one network with what serves it.
type segment struct {
	Network
	addr    netip.AddrPort // of HTTP
	prefix  netip.Prefix
	leases  string // the file's name
	loaders *cache.Store
	http    *httpboot.Server
	listen  net.Listener
	tftp    *tftp.Server
	dhcp    *dhcp.Server    // nil when it is off, or over IPv6
	dhcp6   *dhcp6.Server   // nil when it is off, or over IPv4
	solicit *solicit.Server // nil when nobody shall answer
}

// segmentsOf finds the addresses of all networks. No two may overlap: a machine is told from another by its address.
func segmentsOf(cfg Config) (all []*segment, err error) {
	for i, n := range cfg.networks() {
		prefix, err := addressOf(n.Interface, n.Address)
		if err != nil {
			return nil, err
		}
		s := &segment{Network: n, prefix: prefix, addr: netip.AddrPortFrom(prefix.Addr(), uint16(cfg.HTTPPort)), leases: "leases"}
		if s.sixth() {
			s.leases = "leases6"
		}
		if i > 0 {
			s.leases += "-" + n.Interface
		}
		if err := n.DHCP.fits(prefix); err != nil {
			return nil, fmt.Errorf("%s: %w", n.Interface, err)
		}
		for _, o := range all {
			if o.prefix.Overlaps(prefix) {
				return nil, fmt.Errorf("the networks %s of %s and %s of %s overlap, so addresses do not tell machines apart; serve one of them with a pxe-server of its own", o.prefix.Masked(), o.Interface, prefix.Masked(), n.Interface)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// openSegments opens all networks, or none.
func (s *server) openSegments() error {
	var first *httpboot.Server
	for i, n := range s.segments {
		err := s.openSegment(n, first)
		if err != nil {
			for _, open := range s.segments[:i] {
				err = errors.Join(err, open.close())
			}
			return err
		}
		first = s.segments[0].http
	}
	return nil
}

// openSegment opens HTTP, TFTP and DHCP of one network, or nothing. HTTP goes with the first network's, if there is one yet.
func (s *server) openSegment(n *segment, first *httpboot.Server) (err error) {
	if n.loaders, err = loaders(n.addr); err != nil {
		return err
	}
	if first == nil {
		n.http, err = httpboot.New(s.httpConfig(n))
	} else {
		n.http, err = first.Under(n.addr, n.loaders)
	}
	if err != nil {
		return err
	}
	if n.listen, err = net.Listen("tcp", n.addr.String()); err != nil {
		return fmt.Errorf("opening HTTP on %s: %w; choose another --http-port if it is taken", n.addr, err)
	}
	if n.tftp, err = tftp.New(s.tftpConfig(n)); err != nil {
		return errors.Join(err, n.close())
	}
	if n.sixth() {
		err = s.openIPv6(n)
	} else if !n.DHCP.Disabled {
		err = s.openIPv4(n)
	}
	if err != nil {
		return errors.Join(err, n.close())
	}
	return nil
}

// openIPv4 opens DHCP and the answers to router solicitations.
func (s *server) openIPv4(n *segment) (err error) {
	if !n.DHCP.NoRouterAnswers {
		n.solicit, err = solicit.New(solicit.Config{Interface: n.Interface, Log: s.cfg.Log, Now: s.cfg.Now})
		if n.DHCP.Proxy && errors.Is(err, os.ErrPermission) {
			s.cfg.Log.Warn("Not answering router solicitations: that takes CAP_NET_RAW", "interface", n.Interface)
		} else if err != nil {
			return err
		}
	}
	n.dhcp, err = dhcp.New(s.dhcpConfig(n))
	return err
}

// close closes what was opened and never served: with an ended context a server serves nothing.
func (n *segment) close() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	err := n.listen.Close()
	if n.tftp != nil {
		err = errors.Join(err, n.tftp.Serve(ended))
	}
	if n.solicit != nil {
		err = errors.Join(err, n.solicit.Serve(ended))
	}
	if n.dhcp != nil {
		err = errors.Join(err, n.dhcp.Serve(ended))
	}
	if n.dhcp6 != nil {
		err = errors.Join(err, n.dhcp6.Serve(ended))
	}
	return err
}

func (n *segment) serve(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return n.http.Serve(ctx, n.listen) })
	g.Go(func() error { return n.tftp.Serve(ctx) })
	if n.dhcp != nil {
		g.Go(func() error { return n.dhcp.Serve(ctx) })
	}
	if n.dhcp6 != nil {
		g.Go(func() error { return n.dhcp6.Serve(ctx) })
	}
	if n.solicit != nil {
		g.Go(func() error { return n.solicit.Serve(ctx) })
	}
}

func (s *server) httpConfig(n *segment) httpboot.Config {
	c := httpboot.Config{
		Addr: n.addr, Loaders: n.loaders, Images: s.images,
		Blobs: s.blobs.Open, View: s.view, Events: s.events, Log: s.cfg.Log, Now: s.cfg.Now, Rand: s.cfg.Rand,
	}
	if n.sixth() {
		c.Limits = wholeLink
	}
	return c
}

func (s *server) tftpConfig(n *segment) tftp.Config {
	c := tftp.Config{
		Addr: netip.AddrPortFrom(n.addr.Addr(), tftpPort), Interface: n.Interface, Files: n.loaders.FS(), Log: s.cfg.Log, Now: s.cfg.Now,
		Seen: func(e tftp.Event) { s.firstStage(e) },
	}
	if n.sixth() {
		c.Limits = wholeLinkTFTP
	}
	return c
}

// firstStage counts a loader, not the script beside it.
func (s *server) firstStage(e tftp.Event) {
	if e.Name != catalog.AutoExec {
		s.events.Fetched(e.Source, e.Stage, e.Time)
	}
}

func (s *server) dhcpConfig(n *segment) dhcp.Config {
	d := n.DHCP
	own := d.Network
	own.Prefix = n.prefix.Masked()
	mode := dhcp.Full
	if d.Proxy {
		mode = dhcp.Proxy
	}
	boots := func(net.HardwareAddr) {}
	if n.solicit != nil {
		boots = n.solicit.Boots
	}
	return dhcp.Config{
		Interface: n.Interface, ServerIP: n.addr.Addr(), Mode: mode,
		Subnets:      append([]dhcp.Subnet{own}, d.Relayed...),
		Reservations: d.Reservations, LeaseFile: filepath.Join(s.cfg.StateDir, n.leases), Boot: bootFiles(n.addr), Peers: d.Peers,
		Log: s.cfg.Log, Now: s.cfg.Now,
		Seen: func(e dhcp.Event) {
			s.events.Seen(e.MAC, e.Firmware, e.Stage, e.Time)
			if e.IP.IsValid() {
				s.events.Leased(e.MAC, e.IP)
			}
		},
		Boots:     boots,
		Neighbors: func(o dhcp.Neighbors) { s.neighbors.set(n.Interface, o) },
	}
}

// bootFiles names what the catalog holds for each architecture.
func bootFiles(addr netip.AddrPort) dhcp.Boot {
	base := "http://" + addr.String()
	return dhcp.Boot{
		TFTPServer: addr.Addr(),
		NBP: func(a dhcp.Arch) (string, bool) {
			l, ok := catalog.For(uint16(a), false)
			return l.File, ok
		},
		HTTPURL: func(a dhcp.Arch) (string, bool) {
			l, ok := catalog.For(uint16(a), true)
			return base + catalog.LoaderPath + l.File, ok
		},
		ScriptURL: base + catalog.FirstStagePath,
	}
}
