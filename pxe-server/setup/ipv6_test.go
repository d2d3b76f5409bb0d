package setup

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/island"
)

const (
	server6  = "2001:db8::1"
	machine6 = "fe80::5054:ff:fe78:1" // made of machineMAC
	nic6     = "nic6"
)

// run6 serves a wire that has no IPv4 at all.
func run6(t *testing.T) *running {
	t.Helper()
	r := &running{wire: newWire(t, server6+"/64", machine6+"/64")}
	r.do(t, func() { // package net keeps which interface has which name, so the machine's needs one of its own; and it answers at an address of the prefix, as after DHCPv6
		eth, err := netlink.LinkByName("eth0")
		ok(t, err)
		ok(t, netlink.LinkSetDown(eth))
		ok(t, netlink.LinkSetName(eth, nic6))
		address(t, eth, machine6+"/64")
		address(t, eth, "2001:db8::9/64")
	})
	r.controller = &fakeController{events: make(chan *protocol.BootEvent, 64), view: &protocol.View{
		UnknownPolicy: "register-once", Revision: 1, Agent: &protocol.AgentBoot{Url: "https://[2001:db8::1]:7443", Pin: agentPin},
	}}
	r.cfg = Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), Controller: r.controller,
		DHCP: DHCP{Announce: true, Network: dhcp.Subnet{Pools: []dhcp.Range{{From: netip.MustParseAddr("2001:db8::1000"), To: netip.MustParseAddr("2001:db8::1fff")}}}},
	}
	r.start(t)
	return r
}

// url6 asks by DHCPv6 as firmware of that architecture does, and gives the boot file's URL.
func (r *running) url6(t *testing.T, arch uint16, class, userClass string) (url string) {
	t.Helper()
	r.do(t, func() {
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP(machine6), Port: 546, Zone: nic6})
		if err != nil {
			t.Error(err)
			return
		}
		c, err := nclient6.NewWithConn(conn, machineMAC, nclient6.WithTimeout(time.Second), nclient6.WithRetry(5),
			nclient6.WithBroadcastAddr(&net.UDPAddr{IP: net.ParseIP("ff02::1:2"), Port: 547, Zone: nic6}))
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		options := func(d dhcpv6.DHCPv6) {
			d.UpdateOption(dhcpv6.OptClientID(&dhcpv6.DUIDUUID{UUID: [16]byte{7}}))
			d.UpdateOption(dhcpv6.OptClientArchType(iana.Arch(arch)))
			d.UpdateOption(&dhcpv6.OptVendorClass{EnterpriseNumber: 343, Data: [][]byte{[]byte(class)}})
			if userClass != "" {
				d.UpdateOption(&dhcpv6.OptUserClass{UserClasses: [][]byte{[]byte(userClass)}})
			}
		}
		adv, err := c.Solicit(context.Background(), options)
		if err != nil {
			t.Error(err)
			return
		}
		rep, err := c.Request(context.Background(), adv, options)
		if err != nil || rep.Options.OneIANA() == nil || len(rep.Options.OneIANA().Options.Addresses()) != 1 {
			t.Errorf("%v, %v", rep, err)
			return
		}
		url = rep.Options.BootFileURL()
	})
	return url
}

// TestT24ContractIPv6: on a network without IPv4, for every client architecture, both protocols and iPXE, what DHCPv6 names is served with its digest, and so is
// every URL that a script then names.
func TestT24ContractIPv6(t *testing.T) {
	if !island.Inside(t, "-test.timeout=120s") {
		return
	}
	r := run6(t)
	const base = "http://[" + server6 + "]:7480"
	for _, arch := range []uint16{0, 6, 7, 9, 11, 16, 19} {
		for _, class := range []string{"PXEClient", "HTTPClient"} {
			got := r.url6(t, arch, class+":Arch:000:UNDI:003001", "")
			want, some := catalog.For(arch, class == "HTTPClient")
			switch {
			case !some && got != "":
				t.Errorf("architecture %d, %s: advertises %q, which the catalog has not", arch, class, got)
			case some && class == "PXEClient":
				if got != "tftp://["+server6+"]/"+want.File {
					t.Errorf("advertises %q", got)
				}
				proven(t, want.File, r.tftp(t, server6, want.File))
			case some:
				if got != base+catalog.LoaderPath+want.File {
					t.Errorf("advertises %q", got)
				}
				proven(t, want.File, r.http(t, got))
			}
		}
		if got := r.url6(t, arch, "PXEClient", "iPXE"); got != base+catalog.FirstStagePath {
			t.Errorf("iPXE: %q", got)
		}
	}
	auto, first := r.http(t, base+catalog.LoaderPath+catalog.AutoExec), r.http(t, base+catalog.FirstStagePath)
	if !bytes.Equal(auto, first) || !bytes.Contains(first, []byte("ifconf --configurator ipv6")) || bytes.Contains(first, []byte("192.0.2")) {
		t.Errorf("the first stage is\n%s", first)
	}
	script := r.http(t, base+catalog.ScriptPath+"?mac=52-54-00-78-00-01&arch=x86_64&platform=efi")
	for _, u := range urlsOf(script) {
		if strings.HasPrefix(u, base) {
			proven(t, u[strings.LastIndex(u, "/")+1:], r.http(t, u))
		} else {
			t.Errorf("the script leads to %s", u)
		}
	}
	if !bytes.Contains(script, []byte(" ingot.url=https://[2001:db8::1]:7443 ")) || len(urlsOf(script)) < 3 {
		t.Errorf("the script is\n%s", script)
	}
	e := <-r.controller.events
	if len(e.GetStages()) == 0 || e.GetStages()[0].GetStage() != "DHCP" || e.GetMac() != machineMAC.String() {
		t.Errorf("the controller heard %v", e)
	}
	ok(t, r.stop())
}

// TestAnnounced: every host of a network that is announced hears how it gets its address, and hears nothing where that is not wanted.
func TestAnnounced(t *testing.T) {
	if !island.Inside(t, "-test.timeout=60s") {
		return
	}
	r := run6(t)
	hear := func() (m ndp.Message, err error) {
		r.do(t, func() {
			eth, e := net.InterfaceByName(nic6)
			ok(t, e)
			c, _, e := ndp.Listen(eth, ndp.LinkLocal)
			ok(t, e)
			defer c.Close()
			ok(t, c.WriteTo(&ndp.RouterSolicitation{}, nil, netip.MustParseAddr("ff02::2")))
			for until := time.Now().Add(2 * time.Second); ; {
				ok(t, c.SetReadDeadline(until))
				if m, _, _, err = c.ReadFrom(); err != nil {
					return
				}
				if _, is := m.(*ndp.RouterAdvertisement); is {
					return
				}
			}
		})
		return m, err
	}
	m, err := hear()
	ok(t, err)
	if ra := m.(*ndp.RouterAdvertisement); !ra.ManagedConfiguration || ra.RouterLifetime != 0 || len(ra.Options) != 2 {
		t.Errorf("announced %+v", ra)
	}
	ok(t, r.stop())
	r.cfg.DHCP.Announce = false
	r.start(t)
	var late net.Error
	if m, err = hear(); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("nobody wanted an announcement: %+v, %v", m, err)
	}
	ok(t, r.stop())
}

// TestFits: what is not for the family of the network is named.
func TestFits(t *testing.T) {
	four, six := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")
	pool := dhcp.Range{From: netip.MustParseAddr("2001:db8::10"), To: netip.MustParseAddr("2001:db8::20")}
	for name, c := range map[string]struct {
		d    DHCP
		on   netip.Prefix
		want string
	}{
		"IPv4":               {DHCP{Proxy: true}, four, ""},
		"IPv4, announced":    {DHCP{Announce: true}, four, "dhcp.announce"},
		"IPv6":               {DHCP{Announce: true, Network: dhcp.Subnet{Pools: []dhcp.Range{pool}}}, six, ""},
		"IPv6, off":          {DHCP{Disabled: true}, six, ""},
		"IPv6, proxy":        {DHCP{Proxy: true}, six, "dhcp.proxy"},
		"IPv6, relayed":      {DHCP{Relayed: []dhcp.Subnet{{}}}, six, "relayed"},
		"IPv6, reservations": {DHCP{Reservations: []dhcp.Reservation{{}}}, six, "reservations"},
		"IPv6, router":       {DHCP{Network: dhcp.Subnet{Router: six.Addr()}}, six, "dhcp.network.router"},
		"IPv6, NTP":          {DHCP{Network: dhcp.Subnet{NTP: []netip.Addr{six.Addr()}}}, six, "dhcp.network.ntp"},
		"IPv6, two pools":    {DHCP{Network: dhcp.Subnet{Pools: []dhcp.Range{pool, pool}}}, six, "one pool"},
		"IPv6, an address":   {DHCP{}, netip.MustParsePrefix("2001:db8::1/128"), "length of its network"},
	} {
		if err := c.d.fits(c.on); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestChoose: IPv4 comes first, so that a network with both is served as before; IPv6 is taken where there is nothing else, or when it is named.
func TestChoose(t *testing.T) {
	list := func(texts ...string) (all []net.Addr) {
		for _, text := range texts {
			a, n, err := net.ParseCIDR(text)
			ok(t, err)
			all = append(all, &net.IPNet{IP: a, Mask: n.Mask})
		}
		return all
	}
	both := list("fe80::1/64", "2001:db8::1/64", "fd00::1/64", "192.0.2.1/24")
	for name, c := range map[string]struct {
		list []net.Addr
		ask  string
		want string
	}{
		"both":              {both, "", "192.0.2.1/24"},
		"both, IPv6 wanted": {both, "fd00::1", "fd00::1/64"},
		"IPv6 alone":        {both[:3], "", "2001:db8::1/64"},
		"the link alone":    {both[:1], "", ""},
		"another":           {both, "fd00::2", ""},
	} {
		var ask netip.Addr
		if c.ask != "" {
			ask = netip.MustParseAddr(c.ask)
		}
		if got, found := choose(c.list, ask); found != (c.want != "") || found && got.String() != c.want {
			t.Errorf("%s: %v, %v, want %s", name, got, found, c.want)
		}
	}
}
