package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/pxe-server/packets"
)

const (
	serverPort = 547
	clientPort = 546
)

// servers is All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1), where clients send to.
var servers = netip.MustParseAddr("ff02::1:2")

// socket is the DHCPv6 port of one interface.
type socket struct {
	link *net.Interface
	udp  *ipv6.PacketConn
}

// listen binds to the interface first and then to the port. Without SO_REUSEADDR a second DHCPv6 server on the interface is an error here; servers on
// other interfaces do not collide, since the kernel compares the interface, too.
func listen(link *net.Interface) (transport, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, link.Name),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20))
		}); e != nil {
			return e
		}
		return err
	}}
	c, err := lc.ListenPacket(context.Background(), "udp6", fmt.Sprintf("[::]:%d", serverPort))
	if err != nil {
		return nil, packets.Port{Server: "DHCPv6", Number: serverPort, Where: link.Name, Rights: "CAP_NET_BIND_SERVICE and CAP_NET_RAW"}.Explain(err)
	}
	s := &socket{link: link, udp: ipv6.NewPacketConn(c)}
	if err := errors.Join(s.udp.JoinGroup(link, &net.UDPAddr{IP: servers.AsSlice()}), s.udp.SetControlMessage(ipv6.FlagDst, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("joining the DHCPv6 servers on %s: %w", link.Name, err), c.Close())
	}
	return s, nil
}

func (s *socket) receive(b []byte) (n int, from netip.Addr, unicast bool, err error) {
	n, cm, addr, err := s.udp.ReadFrom(b)
	if err != nil {
		return 0, from, false, err
	}
	if udp, ok := addr.(*net.UDPAddr); ok {
		from, _ = netip.AddrFromSlice(udp.IP)
	}
	return n, from, cm == nil || !cm.Dst.IsMulticast(), nil
}

func (s *socket) send(b []byte, to netip.Addr) error {
	_, err := s.udp.WriteTo(b, &ipv6.ControlMessage{IfIndex: s.link.Index}, &net.UDPAddr{IP: to.AsSlice(), Port: clientPort, Zone: s.link.Name})
	return err
}

func (s *socket) close() error { return s.udp.Close() }
