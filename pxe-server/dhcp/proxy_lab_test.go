package dhcp

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/sfyra-tests/island"
)

// labProxy is labConfig beside another DHCP server.
func labProxy(t testing.TB) Config {
	c := labConfig(t)
	c.Mode, c.LeaseFile, c.Subnets[0].Pools = Proxy, "", nil
	return c
}

// witness sees every UDP packet that leaves the server, on the wire and by no code of the server.
type witness struct {
	answers chan *dhcpv4.DHCPv4
}

func watch(t *testing.T, h host) *witness {
	w := &witness{answers: make(chan *dhcpv4.DHCPv4, 64)}
	var conn *packet.Conn
	h.do(func() {
		eth := must[*net.Interface](t)(net.InterfaceByName("eth0"))
		conn = must[*packet.Conn](t)(packet.Listen(eth, packet.Raw, unix.ETH_P_IP, nil))
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2000)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if m := fromServer(b[:n]); m != nil {
				w.answers <- m
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return w
}

// fromServer decodes what the server's address sent by UDP; nil for everything else.
func fromServer(frame []byte) *dhcpv4.DHCPv4 {
	const ethernet, ipLen, udpLen, udpProtocol = 14, 20, 8, 17
	if len(frame) < ethernet+ipLen+udpLen || frame[ethernet+9] != udpProtocol || netip.AddrFrom4([4]byte(frame[ethernet+12:])) != ip("10.77.0.1") {
		return nil
	}
	m, err := dhcpv4.FromBytes(frame[ethernet+ipLen+udpLen:])
	if err != nil {
		m = &dhcpv4.DHCPv4{} // still an answer, and one that nobody asked for
	}
	return m
}

// stranger sends what a proxy must not answer.
type stranger struct {
	rng  *rand.Rand
	sent map[string]int
}

// packet is one of many kinds.
func (s *stranger) packet() (kind string, b []byte) {
	kinds := []func() (string, *dhcpv4.DHCPv4){s.ordinary, s.nearly, s.relayed, s.reply, s.elsewhere}
	n := s.rng.IntN(len(kinds) + 1)
	if n == len(kinds) {
		return "garbage", s.garbage()
	}
	kind, p := kinds[n]()
	binary.BigEndian.PutUint32(p.TransactionID[:], s.rng.Uint32()|1)
	for i := range p.ClientHWAddr {
		p.ClientHWAddr[i] = byte(s.rng.Uint32())
	}
	p.ClientHWAddr[0] &^= 1
	return kind, p.ToBytes()
}

func pick[T any](s *stranger, list ...T) T { return list[s.rng.IntN(len(list))] }

func (s *stranger) class() string {
	return pick(s, "PXEClient:Arch:00000:UNDI:002001", pxeClass, httpClass)
}

func (s *stranger) ordinary() (string, *dhcpv4.DHCPv4) {
	p := msg(pick(s, discover, request_, inform, release, decline), 1, opt(55, 1, 3, 6, 15, 66, 67, 93))
	if class := pick(s, "", "MSFT 5.0", "udhcp 1.36.1", "dhcpcd-10:Linux", "android-dhcp-14", "Cisco Systems, Inc."); class != "" {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(60), []byte(class)))
	}
	return "ordinary client", p
}

// nearly has all that a client that netboots has, but the class.
func (s *stranger) nearly() (string, *dhcpv4.DHCPv4) {
	class := pick(s, "PXEClien", "pxeclient", "XPXEClient", "HTTPClien", " HTTPClient", "AAPLBSDPC", "anaconda-Linux")
	return "nearly a netboot client", msg(discover, 1, pxe(class, pick[uint16](s, 0, 7, 9, 16), opt(77, []byte(pick(s, "iPXE", "x"))...))...)
}

func (s *stranger) relayed() (string, *dhcpv4.DHCPv4) {
	p := msg(discover, 1, pxe(s.class(), 7, giaddr(fromUint(0x0b000000|s.rng.Uint32()&0xffffff).String()))...)
	p.HopCount = 1
	return "relayed from another network", p
}

func (s *stranger) reply() (string, *dhcpv4.DHCPv4) {
	p := msg(pick(s, dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak), 1, pxe(s.class(), 7)...)
	p.OpCode = pick(s, dhcpv4.OpcodeBootReply, dhcpv4.OpcodeBootRequest)
	return "reply of a server", p
}

// elsewhere netboots, and talks to the server that it got its address from.
func (s *stranger) elsewhere() (string, *dhcpv4.DHCPv4) {
	return "netboot client of the other server", msg(pick(s, release, decline), 1, pxe(s.class(), 7, optIP(54, "10.77.0.2"), optIP(50, "10.77.0.200"))...)
}

// garbage is noise, or a netboot client's packet that is cut before its options end.
func (s *stranger) garbage() []byte {
	if s.rng.IntN(2) == 0 {
		return msg(discover, 1, pxe(pxeClass, 7)...).ToBytes()[:s.rng.IntN(minPacket+3)]
	}
	b := make([]byte, s.rng.IntN(1400))
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

// TestProxyAnswersOnlyPXE: proof case T21. 100,000 packets of others, on both ports, get no answer; machines that netboot, in between, each get theirs.
func TestProxyAnswersOnlyPXE(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	const others, between = 100_000, 50
	l := newLab(t, "10.77.0.1/24")
	h := l.host(9, "10.77.0.9/24")
	// An answer to a made-up relay would leave this way, and be seen.
	check0(t, netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(10, 77, 0, 9)}))
	cfg := labProxy(t)
	cfg.Limits = Limits{PerMACRate: 1e9, PerMACBurst: 1e9, InterfaceRate: 1e9, InterfaceBurst: 1e9, Workers: 1}
	s := start(t, cfg)
	w := watch(t, h)
	var conn *net.UDPConn
	h.do(func() {
		conn = must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 77, 0, 9), Port: clientPort}))
	})
	defer conn.Close()
	send := func(b []byte, to string) {
		_, err := conn.WriteToUDPAddrPort(b, netip.MustParseAddrPort(to))
		check0(t, err)
	}
	controls := uint64(0)
	// control asks on both ports as machines do, and waits for both answers: they come after everything sent so far was decided.
	control := func() {
		for to, p := range map[string]*dhcpv4.DHCPv4{
			"255.255.255.255:67": msg(discover, 1, pxe(pxeClass, 7)...), "10.77.0.1:4011": msg(request_, 1, pxe(pxeClass, 0)...),
		} {
			controls++
			binary.BigEndian.PutUint32(p.TransactionID[:], uint32(controls)<<1) // strangers have odd ones
			send(p.ToBytes(), to)
			select {
			case m := <-w.answers:
				if m.TransactionID != p.TransactionID || m.BootFileNameOption() == "" {
					t.Fatalf("after %d packets of others: %v", controls/2*between, m)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("a machine that netboots got no answer; %+v", s.Stats())
			}
		}
	}
	odd := &stranger{rng: rand.New(rand.NewPCG(21, 4011)), sent: map[string]int{}}
	for n := range others {
		kind, b := odd.packet()
		odd.sent[kind]++
		send(b, pick(odd, "255.255.255.255:67", "10.77.0.1:67", "10.77.0.1:4011"))
		if n%between == between-1 {
			control()
		}
	}
	st := s.Stats()
	t.Logf("sent %v, and %d of machines that netboot; %+v", odd.sent, controls, st)
	if st.Received != others+controls || st.Offers+st.Acks != controls || st.Silent[Overload]+st.Silent[Limited]+st.Silent[Failed] != 0 {
		t.Errorf("not every packet was decided, or one too many answered: %+v", st)
	}
	for _, kind := range []string{"garbage", "ordinary client", "nearly a netboot client", "relayed from another network", "reply of a server", "netboot client of the other server"} {
		if odd.sent[kind] < others/10 {
			t.Errorf("only %d of %s", odd.sent[kind], kind)
		}
	}
}

// TestProxyNeedsOnlyItsPorts: without the right to open packet sockets a proxy serves machines; the full server says what it lacks.
func TestProxyNeedsOnlyItsPorts(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	l := newLab(t, "10.77.0.1/24")
	h := l.host(9, "10.77.0.9/24")
	w := watch(t, h)
	type made struct {
		s   *Server
		err error
	}
	proxy, full := make(chan made), make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends without its rights
		if err := dropRaw(); err != nil {
			t.Error(err)
		}
		s, err := New(labConfig(t))
		full <- made{s, err}
		s, err = New(labProxy(t))
		proxy <- made{s, err}
	}()
	if f := <-full; f.err == nil || !strings.Contains(f.err.Error(), "CAP_NET_RAW") {
		t.Errorf("the full server: %v", f.err)
	}
	p := <-proxy
	check0(t, p.err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.s.Serve(ctx) }()
	h.do(func() {
		conn := must[*net.UDPConn](t)(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 77, 0, 9), Port: clientPort}))
		defer conn.Close()
		_, err := conn.WriteToUDPAddrPort(msg(discover, 1, pxe(pxeClass, 7)...).ToBytes(), netip.MustParseAddrPort("255.255.255.255:67"))
		check0(t, err)
	})
	select {
	case m := <-w.answers:
		if m.BootFileNameOption() != "snponly.efi" {
			t.Errorf("answered %v", m)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no answer; %+v", p.s.Stats())
	}
	cancel()
	check0(t, <-ended)
}

// dropRaw takes CAP_NET_RAW from this thread (capabilities(7)).
func dropRaw() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_RAW
	return unix.Capset(&header, &data[0])
}
