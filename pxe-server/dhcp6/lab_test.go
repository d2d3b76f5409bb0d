package dhcp6

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/island"
)

// cable6 makes a cable between eth0, the server's, and far.
func cable6(t *testing.T) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "far"}))
	for name, address := range map[string]string{"eth0": "fe80::1/64", "far": "fe80::2/64"} {
		link, err := netlink.LinkByName(name)
		ok(err)
		ok(netlink.LinkSetUp(link))
		a, err := netlink.ParseAddr(address)
		ok(err)
		a.Flags = unix.IFA_F_NODAD
		ok(netlink.AddrAdd(link, a))
	}
}

// client6 is one of another code base at the far end.
func client6(t *testing.T) *nclient6.Client {
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fe80::2"), Port: clientPort, Zone: "far"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := nclient6.NewWithConn(conn, hostMAC(7), nclient6.WithTimeout(time.Second), nclient6.WithRetry(5),
		nclient6.WithBroadcastAddr(&net.UDPAddr{IP: servers.AsSlice(), Port: serverPort, Zone: "far"}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestServeRealClient: a client of another code base, on real sockets, through its whole life: it solicits, requests, renews, and gets its boot file; a
// second server on the interface is refused; after a restart the lease is known.
func TestServeRealClient(t *testing.T) {
	if !island.Inside(t, "-test.timeout=60s") {
		return
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cable6(t)
	cfg := testConfig()
	cfg.LeaseFile = filepath.Join(t.TempDir(), "leases6")
	seen := make(chan Event, 4)
	cfg.Seen = func(e Event) { seen <- e }
	serve := func() (*Server, func()) {
		s, err := New(cfg)
		ok(err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx) }()
		return s, func() { cancel(); ok(<-done) }
	}
	_, stop := serve()
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "another DHCPv6 server runs here") {
		t.Errorf("a second server: %v", err)
	}
	c := client6(t)
	defer c.Close()
	options := booting("HTTPClient:Arch:00016:UNDI:003001", 16, clientID(7))
	mods := make([]dhcpv6.Modifier, 0, len(options))
	for _, o := range options {
		mods = append(mods, func(d dhcpv6.DHCPv6) { d.UpdateOption(o) })
	}
	adv, err := c.Solicit(t.Context(), mods...)
	ok(err)
	rep, err := c.Request(t.Context(), adv, mods...)
	ok(err)
	got, _ := netip.AddrFromSlice(rep.Options.OneIANA().Options.OneAddress().IPv6Addr)
	if !cfg.Pool.contains(got) || rep.Options.BootFileURL() != "http://[2001:db8::1]:7480/snponly.efi" {
		t.Errorf("got %v", rep)
	}
	if e := <-seen; e.IP != got || e.Firmware != "uefi-http" || e.MAC != "02:00:00:00:00:07" {
		t.Errorf("told of %+v", e)
	}
	stop()
	s, stop := serve()
	defer stop()
	if l := s.Leases(); len(l) != 1 || l[0].IP != got {
		t.Errorf("after a restart: %v", l)
	}
	renew := msg(dhcpv6.MessageTypeRenew, clientID(7), rep.GetOneOption(dhcpv6.OptionServerID), rep.Options.OneIANA())
	again, err := c.SendAndRead(t.Context(), c.RemoteAddr(), renew, nil)
	ok(err)
	if outcome(again, step{}) != "reply "+got.String() {
		t.Errorf("renewing: %v", again)
	}
	renew.TransactionID = dhcpv6.TransactionID{9}
	other := *renew
	other.MessageType = dhcpv6.MessageTypeRelease
	if again, err = c.SendAndRead(t.Context(), c.RemoteAddr(), &other, nil); err != nil || outcome(again, step{}) != "reply Success" || len(s.Leases()) != 0 {
		t.Errorf("releasing: %v, %v; leases %v", again, err, s.Leases())
	}
}
