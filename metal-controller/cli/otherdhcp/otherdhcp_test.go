package otherdhcp

import (
	"net"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/sfyra-tests/island"
)

// TestJudgeOffers: alone nobody may answer; beside a server, that one alone, and it names no boot files.
func TestJudgeOffers(t *testing.T) {
	lends, also, names := offerer{"192.0.2.2", "192.0.2.100", ""}, offerer{"192.0.2.3", "192.0.2.50", ""}, offerer{"192.0.2.4", "", "pxelinux.0"}
	both := offerer{"192.0.2.2", "192.0.2.100", "grub.efi"}
	for name, c := range map[string]struct {
		heard       []offerer
		full, proxy string // what is said; "+" begins what is good
	}{
		"nobody":                    {nil, "+no other DHCP server", "no server offered an address"},
		"one":                       {[]offerer{lends, lends}, "192.0.2.2 offers an address here", "+192.0.2.2 gives addresses"},
		"two":                       {[]offerer{lends, also}, "192.0.2.2, 192.0.2.3 offers", "192.0.2.2, 192.0.2.3 all offer"},
		"a boot server alone":       {[]offerer{names}, "192.0.2.4 names boot files", "no server offered an address"},
		"one and a boot server":     {[]offerer{lends, names}, "192.0.2.2 offers an address", "192.0.2.4 names boot files"},
		"one that names boot files": {[]offerer{both}, "192.0.2.2 offers an address", "192.0.2.2 names boot files"},
	} {
		for proxy, want := range map[bool]string{false: c.full, true: c.proxy} {
			text, ok := strings.CutPrefix(want, "+")
			if good, got := judgeOffers(c.heard, proxy); good != ok || !strings.HasPrefix(got, text) {
				t.Errorf("%s, proxy %v: %v, %q, want %q", name, proxy, good, got, want)
			}
		}
	}
}

// TestOtherDHCPOnTheWire asks a server of another code base; before it is there, the same question finds nobody.
func TestOtherDHCPOnTheWire(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "far"}))
	h := island.NewHost(t)
	far, err := netlink.LinkByName("far")
	ok(err)
	ok(netlink.LinkSetNsFd(far, h.FD()))
	near, err := netlink.LinkByName("eth0")
	ok(err)
	ok(netlink.LinkSetUp(near))
	var server *server4.Server
	h.Do(t, func() {
		link, err := netlink.LinkByName("far")
		ok(err)
		a, err := netlink.ParseAddr("192.0.2.2/24")
		ok(err)
		ok(netlink.AddrAdd(link, a))
		ok(netlink.LinkSetUp(link))
		server, err = server4.NewServer("far", &net.UDPAddr{Port: 67}, func(c net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
			mods := []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 100)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 2)))}
			if strings.HasPrefix(m.ClassIdentifier(), "PXEClient") {
				mods = append(mods, dhcpv4.WithOption(dhcpv4.OptBootFileName("pxelinux.0")))
			}
			if o, err := dhcpv4.NewReplyFromRequest(m, mods...); err == nil {
				_, _ = c.WriteTo(o.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
			}
		})
		ok(err)
	})
	if good, text := Check(t.Context(), "eth0", false); !good { // it does not serve yet
		t.Errorf("before there is a server: %s", text)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve() }()
	t.Cleanup(func() { server.Close(); <-done })
	if good, text := Check(t.Context(), "eth0", true); good || !strings.HasPrefix(text, "192.0.2.2 names boot files here") {
		t.Errorf("beside one that names boot files to firmware: %s", text)
	}
	if good, text := Check(t.Context(), "none0", true); good || !strings.Contains(text, "none0") {
		t.Errorf("an interface that is not there: %s", text)
	}
}
