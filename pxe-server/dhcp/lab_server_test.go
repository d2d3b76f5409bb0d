package dhcp

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/sfyra-tests/island"
)

// A client of another code base, with and without the broadcast flag, through its whole life.
func TestServeRealClient(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	l.host(1, "10.77.0.100/24") // holds the first address of the pool by hand
	s := start(t, labConfig(t))
	h := l.host(2, "")
	c := h.client(nclient4.WithTimeout(2 * time.Second))
	defer c.Close()
	for _, flag := range []bool{false, true} {
		lease, err := c.Request(t.Context(), dhcpv4.WithBroadcast(flag))
		if err != nil {
			t.Fatalf("broadcast flag %v: %v; %+v", flag, err, s.Stats())
		}
		if got := toAddr(lease.ACK.YourIPAddr); got != ip("10.77.0.101") {
			t.Errorf("got %v, want the second address of the pool", got)
		}
		h.address("10.77.0.101/24") // who renews has its address and answers ARP
		if lease, err = c.Renew(t.Context(), lease); err != nil || toAddr(lease.ACK.YourIPAddr) != ip("10.77.0.101") {
			t.Errorf("renewing: %v, %v", lease, err)
		}
	}
	if st := s.Stats(); st.Conflicts != 1 || st.Offers != 2 || st.Acks != 4 || len(st.Silent) != 0 {
		t.Errorf("stats %+v, want one conflict, two offers, four ACKs", st)
	}
}

func TestServeNetboot(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	seen := make(chan Event, 8)
	cfg := labConfig(t)
	cfg.Seen = func(e Event) { seen <- e }
	start(t, cfg)
	c := l.host(2, "").client()
	defer c.Close()
	for _, boot := range []struct {
		mods           []dhcpv4.Modifier
		file, firmware string
	}{
		{pxe("PXEClient:Arch:00007:UNDI:003000", 7), "snponly.efi", "uefi-pxe"},
		{pxe("HTTPClient:Arch:00016:UNDI:003000", 16), "http://10.77.0.1/snponly.efi", "uefi-http"},
		{pxe("PXEClient:Arch:00007:UNDI:003000", 7, opt(77, []byte("iPXE")...)), "http://10.77.0.1/boot.ipxe", "ipxe"},
	} {
		lease, err := c.Request(t.Context(), boot.mods...)
		if err != nil || lease.ACK.BootFileName != boot.file || toAddr(lease.ACK.YourIPAddr) != ip("10.77.0.100") {
			t.Fatalf("%s: %v, %v", boot.firmware, lease, err)
		}
		if e := <-seen; e.Firmware != boot.firmware || e.IP != ip("10.77.0.100") || e.MAC != "02:00:00:00:00:02" || e.UUID == "" {
			t.Errorf("event %+v", e)
		}
	}
}

// relayed is the next reply that comes to a relay. Its port hears broadcasts too, as a server's own search for others.
func relayed(t *testing.T, conn *net.UDPConn, s *Server) *dhcpv4.DHCPv4 {
	t.Helper()
	b := make([]byte, 1500)
	for {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatalf("no reply: %v, %+v", err, s.Stats())
		}
		m, err := dhcpv4.FromBytes(b[:n])
		if err != nil {
			t.Fatal(err)
		}
		if m.OpCode == dhcpv4.OpcodeBootReply {
			return m
		}
	}
}

// A relay in a network of its own: it passes packets between its side and the server, with option 82.
func TestServeRelayed(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	relay := l.host(3, "10.77.0.9/24")
	cfg := labConfig(t)
	cfg.Subnets = append(cfg.Subnets, Subnet{Prefix: netip.MustParsePrefix("10.88.0.0/24"), Pools: []Range{{ip("10.88.0.50"), ip("10.88.0.60")}}})
	cfg.Limits.Ahead = -1 // so that each probe is for somebody who asked
	s := start(t, cfg)
	relay.do(func() {
		lo := must[netlink.Link](t)(netlink.LinkByName("lo"))
		check0(t, netlink.LinkSetUp(lo))
		check0(t, netlink.AddrAdd(lo, must[*netlink.Addr](t)(netlink.ParseAddr("10.88.0.1/32"))))
	})
	// The server reaches the relay's far side through its near one.
	check0(t, netlink.RouteAdd(&netlink.Route{Dst: must[*net.IPNet](t)(netlink.ParseIPNet("10.88.0.0/24")), Gw: net.IPv4(10, 77, 0, 9)}))
	var conn *net.UDPConn
	relay.do(func() {
		var err error
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 67})
		check0(t, err)
	})
	defer conn.Close()
	ask := func(gi string) *dhcpv4.DHCPv4 {
		p := msg(discover, 5, giaddr(gi), opt(82, 1, 2, 'p', '1'))
		p.HopCount = 1
		if _, err := conn.WriteToUDP(p.ToBytes(), &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: 67}); err != nil {
			t.Fatal(err)
		}
		check0(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		return relayed(t, conn, s)
	}
	if _, err := conn.WriteToUDP(msg(discover, 5, giaddr("10.99.0.1")).ToBytes(), &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: 67}); err != nil {
		t.Fatal(err)
	}
	m := ask("10.88.0.1") // handled after the spoofed one: same client, same worker
	if toAddr(m.YourIPAddr) != ip("10.88.0.50") || !slices.Equal(m.Options[82], []byte{1, 2, 'p', '1'}) {
		t.Errorf("the relayed client got %v", m)
	}
	if st := s.Stats(); st.Silent[UnknownNet] != 1 || st.Offers != 1 || st.Probes != 0 {
		t.Errorf("stats %+v", st)
	}
}

// Clear words for what goes wrong at the start.
func TestNewErrors(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	newLab(t, "10.77.0.1/24")
	start(t, labConfig(t))
	for want, spoil := range map[string]func(*Config){
		"another DHCP server runs here":             func(*Config) {},
		"finding interface eth7":                    func(c *Config) { c.Interface = "eth7" },
		"does not have the address 10.77.0.2; give": func(c *Config) { c.ServerIP = ip("10.77.0.2") },
		"checking DHCP configuration: subnets":      func(c *Config) { c.Subnets = nil },
	} {
		c := labConfig(t)
		spoil(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := Serve(t.Context(), Config{}); err == nil {
		t.Error("an empty configuration was served")
	}
}

func TestNewWithoutRights(t *testing.T) {
	// lo has 127.0.0.1 everywhere; user nobody may neither bind port 67 nor open packet sockets.
	if os.Getenv("INGOT_DHCP_TEST_NOBODY") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestNewWithoutRights$")
		cmd.Env = append(os.Environ(), "INGOT_DHCP_TEST_NOBODY=1")
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Cloneflags: syscall.CLONE_NEWNET}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	c := labConfig(t)
	c.Interface, c.ServerIP = "lo", ip("127.0.0.1")
	link := &net.Interface{Name: "lo", Index: 1}
	if _, err := listen(link, c.ServerIP); err == nil || !strings.Contains(err.Error(), "CAP_NET_BIND_SERVICE") {
		t.Errorf("without rights: %v", err)
	}
}

// The server is killed without a warning between ACKs; its successor knows every lease that a client got an ACK for.
func TestKilledServerForgetsNothing(t *testing.T) {
	const child = "INGOT_DHCP_TEST_LEASES"
	if path := os.Getenv(child); path != "" {
		c := labConfig(t)
		c.LeaseFile = path
		t.Fatal(Serve(context.Background(), c))
	}
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	host := l.host(2, "")
	cfg := labConfig(t)
	var got []netip.Addr
	for n := range 3 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilledServerForgetsNothing$")
		cmd.Env = append(os.Environ(), child+"="+cfg.LeaseFile)
		check0(t, cmd.Start())
		c := host.client(nclient4.WithTimeout(300*time.Millisecond), nclient4.WithRetry(50), nclient4.WithHWAddr(hostMAC(100+n)))
		lease, err := c.Request(t.Context(), dhcpv4.WithBroadcast(true))
		check0(t, cmd.Process.Kill())
		cmd.Wait()
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, toAddr(lease.ACK.YourIPAddr))
	}
	s := start(t, cfg)
	var known []netip.Addr
	for _, l := range s.Leases() {
		known = append(known, l.IP)
	}
	slices.SortFunc(known, netip.Addr.Compare)
	if slices.SortFunc(got, netip.Addr.Compare); !slices.Equal(got, known) || len(slices.Compact(got)) != 3 {
		t.Errorf("clients got %v, the server knows %v", got, known)
	}
}
