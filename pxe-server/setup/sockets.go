package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/tftp"
)

// tftpPort is fixed: firmware asks nowhere else (RFC 1350).
const tftpPort = 69

// openSockets opens HTTP, TFTP and DHCP, or nothing.
func (s *server) openSockets(addr netip.AddrPort, network netip.Prefix) error {
	var err error
	if s.listen, err = net.Listen("tcp4", addr.String()); err != nil {
		return fmt.Errorf("opening HTTP on %s: %w; choose another --http-port if it is taken", addr, err)
	}
	if s.tftp, err = tftp.New(s.tftpConfig(addr.Addr())); err != nil {
		return errors.Join(err, s.listen.Close())
	}
	if s.cfg.DHCP.Disabled {
		return nil
	}
	if s.dhcp, err = dhcp.New(s.dhcpConfig(addr, network)); err != nil {
		return errors.Join(err, s.listen.Close(), s.closeTFTP())
	}
	return nil
}

// closeTFTP closes a server that never served: with an ended context it serves nothing.
func (s *server) closeTFTP() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return s.tftp.Serve(ended)
}

func (s *server) tftpConfig(addr netip.Addr) tftp.Config {
	return tftp.Config{
		Addr: netip.AddrPortFrom(addr, tftpPort), Interface: s.cfg.Interface, Files: s.assets.loaders.FS(), Log: s.cfg.Log, Now: s.cfg.Now,
		Seen: func(e tftp.Event) { s.firstStage(e) },
	}
}

// firstStage counts a loader, not the script beside it.
func (s *server) firstStage(e tftp.Event) {
	if e.Name != catalog.AutoExec {
		s.events.Fetched(e.Source, e.Stage, e.Time)
	}
}

func (s *server) dhcpConfig(addr netip.AddrPort, network netip.Prefix) dhcp.Config {
	d := s.cfg.DHCP
	own := d.Network
	own.Prefix = network.Masked()
	mode := dhcp.Full
	if d.Proxy {
		mode = dhcp.Proxy
	}
	return dhcp.Config{
		Interface: s.cfg.Interface, ServerIP: addr.Addr(), Mode: mode,
		Subnets:      append([]dhcp.Subnet{own}, d.Relayed...),
		Reservations: d.Reservations, LeaseFile: s.leaseFile(), Boot: bootFiles(addr),
		Log: s.cfg.Log, Now: s.cfg.Now,
		Seen: func(e dhcp.Event) {
			s.events.Seen(e.MAC, e.Firmware, e.Stage, e.Time)
			if e.IP.IsValid() {
				s.events.Leased(e.MAC, e.IP)
			}
		},
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
