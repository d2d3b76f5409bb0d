package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/pxe-server/packets"
)

// socket is a UDP port of one interface, and a packet socket for clients that have no address yet.
type socket struct {
	link   *net.Interface
	server netip.Addr
	udp    *ipv4.PacketConn
	frames *packet.Conn // nil for a proxy, which never answers such a client alone
}

const (
	etherIPv4 = 0x0800
	bpfReturn = 0x06 // "return the constant", which is zero bytes
)

// interfaceWith finds the interface and checks that it carries ip.
func interfaceWith(name string, ip netip.Addr) (*net.Interface, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("finding interface %s: %w; see the names with: ip link", name, err)
	}
	addrs, err := link.Addrs()
	if err != nil {
		return nil, fmt.Errorf("reading the addresses of %s: %w", name, err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && toAddr(n.IP.To4()) == ip {
			return link, nil
		}
	}
	return nil, fmt.Errorf("interface %s does not have the address %v; give it one with: ip address add %v/<bits> dev %s", name, ip, ip, name)
}

// listen opens the DHCP port and a packet socket.
func listen(link *net.Interface, server netip.Addr) (transport, error) {
	s, err := listenUDP(link, server, serverPort)
	if err != nil {
		return nil, err
	}
	// The socket only sends: its filter takes nothing, so that IPv4 traffic costs it nothing.
	s.frames, err = packet.Listen(link, packet.Datagram, etherIPv4, &packet.Config{Filter: []bpf.RawInstruction{{Op: bpfReturn}}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a packet socket on %s: %w; run as root or with CAP_NET_RAW", link.Name, err), s.udp.Close())
	}
	return s, nil
}

// listenUDP binds to the interface first and then to the port. Without SO_REUSEADDR a second DHCP server on the interface is
// an error here; servers on other interfaces do not collide, since the kernel compares the interface, too.
func listenUDP(link *net.Interface, server netip.Addr, port uint16) (*socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = setOptions(int(fd), link.Name) }); e != nil {
			return e
		}
		return err
	}}
	c, err := lc.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return nil, packets.Port{Server: "DHCP", Number: port, Where: link.Name, Rights: "CAP_NET_BIND_SERVICE and CAP_NET_RAW"}.Explain(err)
	}
	return &socket{link: link, server: server, udp: ipv4.NewPacketConn(c)}, nil
}

func setOptions(fd int, name string) error {
	return errors.Join(
		setting("SO_BINDTODEVICE", unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)),
		setting("SO_BROADCAST", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)),
		setting("SO_RCVBUF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)),
	)
}

func setting(option string, err error) error {
	if err != nil {
		return fmt.Errorf("setting %s: %w", option, err)
	}
	return nil
}

func (s *socket) receive(b []byte) (int, netip.AddrPort, error) {
	n, _, from, err := s.udp.ReadFrom(b)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return 0, netip.AddrPort{}, nil
	}
	return n, netip.AddrPortFrom(toAddr(udp.IP.To4()), uint16(udp.Port)), nil
}

// send uses a frame for a client without an address, and the broadcast address when that fails.
func (s *socket) send(r *reply) error {
	if r.hardware != (macAddr{}) {
		frame := datagram(netip.AddrPortFrom(s.server, serverPort), r.to, r.bytes)
		if _, err := s.frames.WriteTo(frame, &packet.Addr{HardwareAddr: r.hardware.hardware()}); err == nil {
			return nil
		}
		return s.sendUDP(r.bytes, netip.AddrPortFrom(broadcast, clientPort))
	}
	return s.sendUDP(r.bytes, r.to)
}

func (s *socket) sendUDP(b []byte, to netip.AddrPort) error {
	from := &ipv4.ControlMessage{Src: s.server.AsSlice(), IfIndex: s.link.Index}
	_, err := s.udp.WriteTo(b, from, net.UDPAddrFromAddrPort(to))
	return err
}

func (s *socket) close() error {
	if s.frames == nil {
		return s.udp.Close()
	}
	return errors.Join(s.udp.Close(), s.frames.Close())
}
