package network

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/server6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv6"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestRealIPv6 has a cable between srv0, with a router that is none and a DHCPv6 server of another code base, and cli0, which the agent finds as its hardware. The
// cable has no IPv4.
func TestRealIPv6(t *testing.T) {
	if !island.Inside(t, "-test.timeout=100s") {
		return
	}
	sys := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(sys, "class/net/cli0/device"), 0o755))
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "srv0"}, PeerName: "cli0"}))
	kernel := Netlink{Sys: sys, Resolver: filepath.Join(sys, "etc/resolv.conf")}
	must(t, kernel.Up("cli0"))
	must(t, kernel.Up("srv0"))
	far := &link6{says: &ndp.RouterAdvertisement{}}
	far.serve(t)
	cli0, err := net.InterfaceByName("cli0")
	must(t, err)
	n := &Network{
		Kernel: kernel, Client: For("https://[fd09::1]:7443", nil, IPv6{}), BootMAC: cli0.HardwareAddr.String(), After: time.After, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	t.Run("nobody says how", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if l, err := n.Client.Request(ctx, "cli0"); !errors.Is(err, ErrNoRouter) {
			t.Errorf("got %+v, %v", l, err)
		}
	})
	t.Run("DHCPv6", func(t *testing.T) { leaseAndRenew6(t, n, kernel, far) })
	t.Run("another host has the address", func(t *testing.T) { declined6(t, n, far) })
	t.Run("made of a prefix", func(t *testing.T) { made6(t, n, far) })
}

var onLink = ndp.PrefixInformation{PrefixLength: 64, OnLink: true, ValidLifetime: time.Hour, PreferredLifetime: time.Hour, Prefix: netip.MustParseAddr("fd09::")}

func leaseAndRenew6(t *testing.T, n *Network, kernel Netlink, far *link6) {
	far.says.ManagedConfiguration, far.says.Options = true, []ndp.Option{&onLink}
	l, err := n.Connect(t.Context())
	must(t, err)
	if l.Address.String() != "fd09::7/128" || l.ByKernel || l.Renew != 30*time.Minute || l.Duration != time.Hour || len(l.DNS) != 1 {
		t.Errorf("got %+v", l)
	}
	if !has(t, "cli0", "fd09::7/128") || !routed(t, "cli0", "fd09::/64") {
		t.Error("the address is not there, or nothing says what is on the link")
	}
	if b, err := os.ReadFile(kernel.Resolver); err != nil || string(b) != "nameserver fd09::53\n" {
		t.Errorf("resolver: %q, %v", b, err)
	}
	if again, err := (IPv6{}).Renew(t.Context(), l); err != nil || again.Address != l.Address {
		t.Errorf("renewing: %+v, %v", again, err)
	}
	far.refuse.Store(true)
	if _, err := (IPv6{}).Renew(t.Context(), l); !errors.Is(err, ErrRefused) {
		t.Errorf("renewing what the server took back: %v", err)
	}
	far.refuse.Store(false)
	must(t, kernel.Remove(l))
	must(t, kernel.Remove(l)) // again changes nothing
	if has(t, "cli0", "fd09::7/128") {
		t.Error("the address is still there")
	}
}

// declined6: the kernel finds the address in use, it is taken away, and the server hears of it.
func declined6(t *testing.T, n *Network, far *link6) {
	srv0, err := netlink.LinkByName("srv0")
	must(t, err)
	a, err := netlink.ParseAddr("fd09::7/64")
	must(t, err)
	a.Flags = 0x02 // IFA_F_NODAD
	must(t, netlink.AddrAdd(srv0, a))
	l, err := n.request(t.Context(), "cli0")
	if !errors.Is(err, ErrInUse) || far.declined.Load() != 1 || has(t, "cli0", "fd09::7/128") {
		t.Errorf("got %+v, %v; declined %d times", l, err, far.declined.Load())
	}
	must(t, netlink.AddrDel(srv0, a))
}

func made6(t *testing.T, n *Network, far *link6) {
	own := onLink
	own.AutonomousAddressConfiguration = true
	far.says.ManagedConfiguration, far.says.Options = false, []ndp.Option{&own, &ndp.RecursiveDNSServer{Lifetime: time.Hour, Servers: []netip.Addr{netip.MustParseAddr("fd09::54")}}}
	l, err := n.Connect(t.Context())
	must(t, err)
	if !strings.HasPrefix(l.Address.String(), "fd09::") || l.Address.Bits() != 64 || !l.ByKernel || l.Duration < 50*time.Minute || l.Renew != l.Duration/2 || len(l.DNS) != 1 {
		t.Errorf("got %+v", l)
	}
	if again, err := n.Client.Renew(t.Context(), l); err != nil || again.Address != l.Address {
		t.Errorf("renewing: %+v, %v", again, err)
	}
	must(t, n.Kernel.Remove(l))
	if !has(t, "cli0", l.Address.String()) {
		t.Error("the kernel's own address was taken away")
	}
	far.says.ManagedConfiguration = true
	far.silent.Store(true)
	if l, err = n.Client.Request(t.Context(), "cli0"); err != nil || !l.ByKernel {
		t.Errorf("DHCPv6 is silent, and a prefix is there: %+v, %v", l, err)
	}
}

func has(t *testing.T, ifname, cidr string) bool {
	t.Helper()
	link, err := netlink.LinkByName(ifname)
	must(t, err)
	all, err := netlink.AddrList(link, netlink.FAMILY_V6)
	must(t, err)
	for _, a := range all {
		if a.IPNet.String() == cidr {
			return true
		}
	}
	return false
}

func routed(t *testing.T, ifname, cidr string) bool {
	t.Helper()
	link, err := netlink.LinkByName(ifname)
	must(t, err)
	all, err := netlink.RouteList(link, netlink.FAMILY_V6)
	must(t, err)
	for _, r := range all {
		if r.Dst != nil && r.Dst.String() == cidr {
			return true
		}
	}
	return false
}

// link6 is what is at srv0: it says one thing to whoever asks for a router, and gives everybody the same address.
type link6 struct {
	says           *ndp.RouterAdvertisement
	refuse, silent atomic.Bool
	declined       atomic.Int32
}

func (f *link6) serve(t *testing.T) {
	t.Helper()
	srv0, err := net.InterfaceByName("srv0")
	must(t, err)
	conn, err := listenNDP(t.Context(), srv0)
	must(t, err)
	must(t, conn.SetICMPFilter(&ipv6.ICMPFilter{}))
	must(t, conn.JoinGroup(allRouters))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, _, from, err := conn.ReadFrom()
			if err != nil {
				return
			}
			if _, asks := m.(*ndp.RouterSolicitation); asks && from.IsLinkLocalUnicast() {
				_ = conn.WriteTo(f.says, nil, allHosts)
			}
		}
	}()
	server, err := server6.NewServer("srv0", nil, f.answer)
	must(t, err)
	go func() { _ = server.Serve() }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = conn.Close()
		<-done
	})
}

func (f *link6) answer(conn net.PacketConn, peer net.Addr, d dhcpv6.DHCPv6) {
	m, ok := d.(*dhcpv6.Message)
	if !ok || f.silent.Load() {
		return
	}
	status := func(code iana.StatusCode) dhcpv6.Modifier {
		return dhcpv6.WithOption(&dhcpv6.OptStatusCode{StatusCode: code})
	}
	mods := []dhcpv6.Modifier{
		dhcpv6.WithServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}),
	}
	lease := func() {
		na := *m.Options.OneIANA()
		na.T1, na.T2 = 30*time.Minute, 48*time.Minute
		na.Options.Options = dhcpv6.Options{&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP("fd09::7"), PreferredLifetime: time.Hour, ValidLifetime: time.Hour}}
		mods = append(mods, dhcpv6.WithOption(&na), dhcpv6.WithDNS(net.ParseIP("fd09::53")))
	}
	var reply *dhcpv6.Message
	var err error
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit:
		lease()
		reply, err = dhcpv6.NewAdvertiseFromSolicit(m, mods...)
	case dhcpv6.MessageTypeDecline:
		f.declined.Add(1)
		m.MessageType = dhcpv6.MessageTypeRelease // the library writes no answer to a Decline, which looks the same
		reply, err = dhcpv6.NewReplyFromMessage(m, append(mods, status(iana.StatusSuccess))...)
	default:
		if f.refuse.Load() {
			na := &dhcpv6.OptIANA{IaId: m.Options.OneIANA().IaId}
			na.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding})
			mods = append(mods, dhcpv6.WithOption(na))
		} else {
			lease()
		}
		reply, err = dhcpv6.NewReplyFromMessage(m, mods...)
	}
	if err == nil {
		_, _ = conn.WriteTo(reply.ToBytes(), peer)
	}
}
