package network

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestRealDHCP has a cable between srv0, with a DHCP server, and cli0, which the agent finds as its hardware.
func TestRealDHCP(t *testing.T) {
	if !island.Inside(t, "-test.timeout=40s") {
		return
	}
	sys := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(sys, "class/net/cli0/device"), 0o755))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "srv0"}, PeerName: "cli0"}))
	kernel := Netlink{Sys: sys, Resolver: filepath.Join(sys, "etc/resolv.conf")}
	interfaces, err := kernel.Interfaces()
	if err != nil || len(interfaces) != 1 || interfaces[0].Name != "cli0" {
		t.Fatalf("got %v, %v: only cli0 has a device", interfaces, err)
	}
	must(t, kernel.Up("cli0"))
	if kernel.Carrier("cli0") {
		t.Error("cli0 has a link while the other end is down")
	}
	s := serve(t)
	if !kernel.Carrier("cli0") {
		t.Error("cli0 has no link while both ends are up")
	}
	t.Run("lease", func(t *testing.T) { leaseAndRenew(t, kernel, interfaces[0].MAC, s) })
}

func leaseAndRenew(t *testing.T, kernel Netlink, mac string, s *dhcpServer) {
	n := &Network{Kernel: kernel, Client: DHCP{}, BootMAC: mac, After: time.After, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	l, err := n.Connect(t.Context())
	must(t, err)
	if l.Address.String() != "10.9.0.7/24" || l.Router.String() != "10.9.0.254" || l.Renew != 30*time.Minute {
		t.Errorf("got %+v", l)
	}
	check(t, kernel, "10.9.0.7/24", "10.9.0.254")
	must(t, kernel.Configure(l)) // again changes nothing
	check(t, kernel, "10.9.0.7/24", "10.9.0.254")
	again, err := DHCP{}.Renew(t.Context(), l)
	if err != nil || again.Address != l.Address {
		t.Errorf("renewing: got %+v, %v", again, err)
	}
	s.refuse.Store(true)
	if _, err := (DHCP{}).Renew(t.Context(), l); !errors.Is(err, ErrRefused) {
		t.Errorf("a refused renewal: got %v", err)
	}
	must(t, kernel.Remove(l))
	check(t, kernel, "", "")
	s.silent.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (DHCP{}).Request(ctx, "cli0"); !errors.Is(err, ErrNoServer) {
		t.Errorf("a silent server: got %v", err)
	}
}

// check reads back what the kernel has on cli0.
func check(t *testing.T, kernel Netlink, address, router string) {
	t.Helper()
	link, err := netlink.LinkByName("cli0")
	must(t, err)
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
	must(t, err)
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: link.Attrs().Index, Dst: nil}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
	must(t, err)
	if address == "" {
		if len(addresses)+len(routes) > 0 {
			t.Errorf("left over: %v, %v", addresses, routes)
		}
		return
	}
	if len(addresses) != 1 || addresses[0].IPNet.String() != address || len(routes) != 1 || routes[0].Gw.String() != router {
		t.Errorf("got %v, %v", addresses, routes)
	}
	if b, err := os.ReadFile(kernel.Resolver); err != nil || string(b) != "nameserver 10.9.0.2\n" {
		t.Errorf("resolver: %q, %v", b, err)
	}
}

// dhcpServer gives the same lease to everybody.
type dhcpServer struct{ refuse, silent atomic.Bool }

func serve(t *testing.T) *dhcpServer {
	t.Helper()
	link, err := netlink.LinkByName("srv0")
	must(t, err)
	must(t, netlink.AddrAdd(link, address(Lease{Address: netip.MustParsePrefix("10.9.0.1/24")})))
	must(t, netlink.LinkSetUp(link))
	s := &dhcpServer{}
	server, err := server4.NewServer("srv0", &net.UDPAddr{Port: 67}, s.answer)
	must(t, err)
	go func() { _ = server.Serve() }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *dhcpServer) answer(conn net.PacketConn, _ net.Addr, p *dhcpv4.DHCPv4) {
	if s.silent.Load() {
		return
	}
	kind := dhcpv4.MessageTypeOffer
	switch {
	case p.MessageType() != dhcpv4.MessageTypeRequest:
	case s.refuse.Load():
		kind = dhcpv4.MessageTypeNak
	default:
		kind = dhcpv4.MessageTypeAck
	}
	reply, err := dhcpv4.NewReplyFromRequest(p, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(10, 9, 0, 7)),
		dhcpv4.WithServerIP(net.IPv4(10, 9, 0, 1)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(net.IPv4(10, 9, 0, 254)),
		dhcpv4.WithDNS(net.IPv4(10, 9, 0, 2)), dhcpv4.WithLeaseTime(3600), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 9, 0, 1))))
	if err == nil {
		_, _ = conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
