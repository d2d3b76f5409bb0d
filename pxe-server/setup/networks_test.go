package setup

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/island"
)

// TestTwoNetworks: machines on each network get addresses, files and scripts of that network's own address; a boot's script goes to one machine in all.
func TestTwoNetworks(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	second := newWireCalled(t, "eth1", "198.51.100.1/24", "198.51.100.9/24")
	first := &running{wire: newWire(t, serverIP+"/24", "192.0.2.9/24")}
	view := &protocol.View{UnknownPolicy: "ignore", Revision: 1, Agent: &protocol.AgentBoot{Url: "https://192.0.2.1:7443", Pin: agentPin}, Servers: []*protocol.Server{
		{Name: "s1", Macs: []string{machineMAC.String()}, Target: "Agent", BootId: "0123456789abcdef0123456789abcdef"},
	}}
	first.controller = &fakeController{events: make(chan *protocol.BootEvent, 64), view: view}
	pool := func(from, to string) DHCP {
		return DHCP{Network: dhcp.Subnet{Pools: []dhcp.Range{{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)}}}}
	}
	first.cfg = Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), Controller: first.controller, DHCP: pool("192.0.2.100", "192.0.2.199"),
		More: []Network{{Interface: "eth1", DHCP: pool("198.51.100.100", "198.51.100.199")}},
	}
	first.start(t)
	other := &running{wire: second}
	for _, n := range []struct {
		*running
		server string
	}{{first, serverIP}, {other, "198.51.100.1"}} {
		base := "http://" + n.server + ":7480"
		if next, file := n.offer(t, 7, pxeUEFI, ""); next != n.server || file != catalog.SNPOnly {
			t.Errorf("PXE: %s on %s, want it on %s", file, next, n.server)
		}
		if _, file := n.offer(t, 16, "HTTPClient:Arch:00016:UNDI:003000", ""); file != base+catalog.LoaderPath+catalog.SNPOnly {
			t.Errorf("HTTP boot: %s", file)
		}
		if auto := string(n.tftp(t, n.server, catalog.AutoExec)); !strings.Contains(auto, base+catalog.ScriptPath) {
			t.Errorf("the first script of %s leads elsewhere:\n%s", n.server, auto)
		}
	}
	const path = catalog.ScriptPath + "?mac=52-54-00-78-00-01&arch=x86_64&platform=efi"
	if _, text := first.get(t, base+path); !strings.Contains(string(text), base+catalog.AgentPath+catalog.Kernel) {
		t.Errorf("control, the first that asks:\n%s", text)
	}
	if _, text := other.get(t, "http://198.51.100.1:7480"+path); strings.Contains(string(text), "ingot.boot=") || !strings.Contains(string(text), "198.51.100.1") {
		t.Errorf("a second address, on the other network, got the boot, or a script of the wrong address:\n%s", text)
	}
	ok(t, first.stop())
}

const pxeUEFI = "PXEClient:Arch:00007:UNDI:003000"

// TestOverlappingNetworks are refused, and so are those that are not there; nothing stays open.
func TestOverlappingNetworks(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	newWireCalled(t, "eth1", "192.0.2.65/26", "192.0.2.66/26")
	newWire(t, serverIP+"/24", "192.0.2.9/24")
	cfg := Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), Controller: &fakeController{}, DHCP: DHCP{Proxy: true}, More: []Network{{Interface: "eth1", DHCP: DHCP{Proxy: true}}},
	}
	if err := Run(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("overlapping: %v", err)
	}
	cfg.More[0].Interface = "eth7"
	if err := Run(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("not there: %v", err)
	}
	c, err := net.ListenPacket("udp4", ":67")
	ok(t, err)
	c.Close()
}

// TestOtherServerIsReported: the controller hears of a DHCP server of another code base beside ours, in the words of crds/reasons, within a minute.
func TestOtherServerIsReported(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	r := &running{wire: newWire(t, serverIP+"/24", "192.0.2.9/24")}
	r.do(t, func() {
		s, err := server4.NewServer("eth0", &net.UDPAddr{Port: 67}, func(c net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
			o, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 200)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 9))))
			if err == nil {
				_, _ = c.WriteTo(o.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
			}
		})
		ok(t, err)
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve() }()
		t.Cleanup(func() { s.Close(); <-done })
	})
	r.controller = &fakeController{events: make(chan *protocol.BootEvent, 64), networks: make(chan *protocol.Network, 64), view: &protocol.View{Revision: 1}}
	r.cfg = Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), Controller: r.controller,
		DHCP: DHCP{Network: dhcp.Subnet{Pools: []dhcp.Range{{From: netip.MustParseAddr("192.0.2.100"), To: netip.MustParseAddr("192.0.2.199")}}}},
	}
	r.start(t)
	select {
	case n := <-r.controller.networks:
		if n.GetInterface() != "eth0" || n.GetTrouble() != reasons.OtherDHCPServer || strings.Join(n.GetServers(), " ") != "192.0.2.9" {
			t.Errorf("told %v", n)
		}
	case <-time.After(time.Minute):
		t.Error("it was not told within a minute")
	}
	ok(t, r.stop())
}

// TestWordsOfTrouble: the DHCP server has no import of the list of reasons, and says the same.
func TestWordsOfTrouble(t *testing.T) {
	for trouble, want := range map[dhcp.Trouble]string{
		dhcp.OtherDHCPServer: reasons.OtherDHCPServer, dhcp.SeveralDHCPServers: reasons.SeveralDHCPServers, dhcp.NoDHCPServer: reasons.NoDHCPServer, dhcp.OtherBootServer: reasons.OtherBootServer,
	} {
		if string(trouble) != want {
			t.Errorf("%s, the list says %s", trouble, want)
		}
	}
}

// newWireCalled is newWire with another interface than eth0 here.
func newWireCalled(t *testing.T, name, server, machine string) wire {
	t.Helper()
	w := newWire(t, server, machine)
	near, err := netlink.LinkByName("eth0")
	ok(t, err)
	ok(t, netlink.LinkSetDown(near))
	ok(t, netlink.LinkSetName(near, name))
	ok(t, netlink.LinkSetUp(near))
	return w
}
