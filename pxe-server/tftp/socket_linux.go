package tftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/pxe-server/packets"
)

// listener is the request socket. It knows which of the host's addresses was asked, since the answer must come from it.
type listener struct {
	conn  *net.UDPConn
	bound netip.AddrPort
	v4    *ipv4.PacketConn
	v6    *ipv6.PacketConn
}

func listen(addr netip.AddrPort, link string) (*listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if link == "" {
			return nil
		}
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, link) }); e != nil {
			return e
		}
		return err
	}}
	network := "udp6"
	if addr.Addr().Unmap().Is4() {
		network = "udp4"
	}
	c, err := lc.ListenPacket(context.Background(), network, addr.String())
	if err != nil {
		return nil, packets.Port{Server: "TFTP", Number: addr.Port(), Where: addr.Addr().String(), Rights: "CAP_NET_BIND_SERVICE"}.Explain(err)
	}
	l := &listener{conn: c.(*net.UDPConn)}
	l.bound = l.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	if network == "udp4" {
		l.v4 = ipv4.NewPacketConn(c)
		err = l.v4.SetControlMessage(ipv4.FlagDst, true)
	} else {
		l.v6 = ipv6.NewPacketConn(c)
		err = l.v6.SetControlMessage(ipv6.FlagDst, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("asking for destination addresses: %w", err), c.Close())
	}
	return l, nil
}

// receive returns the address that was asked, invalid when that is a broadcast or multicast address: those get no answer.
func (l *listener) receive(b []byte) (n int, client netip.AddrPort, local netip.Addr, err error) {
	var from net.Addr
	var dst net.IP
	if l.v4 != nil {
		var cm *ipv4.ControlMessage
		if n, cm, from, err = l.v4.ReadFrom(b); cm != nil {
			dst = cm.Dst
		}
	} else {
		var cm *ipv6.ControlMessage
		if n, cm, from, err = l.v6.ReadFrom(b); cm != nil {
			dst = cm.Dst
		}
	}
	if err != nil {
		return 0, client, local, err
	}
	udp, _ := from.(*net.UDPAddr)
	if udp == nil {
		return 0, client, local, nil
	}
	return n, udp.AddrPort(), unicast(dst, udp.Zone), nil
}

func unicast(dst net.IP, zone string) netip.Addr {
	a, ok := netip.AddrFromSlice(dst)
	a = a.Unmap()
	if !ok || a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}
	}
	if a.IsLinkLocalUnicast() && a.Is6() {
		a = a.WithZone(zone)
	}
	return a
}

// send answers from the address that was asked; errors are the client's loss.
func (l *listener) send(b []byte, to netip.AddrPort, local netip.Addr) {
	dst := net.UDPAddrFromAddrPort(to)
	if l.v4 != nil {
		_, _ = l.v4.WriteTo(b, &ipv4.ControlMessage{Src: local.AsSlice()}, dst)
	} else {
		_, _ = l.v6.WriteTo(b, &ipv6.ControlMessage{Src: local.AsSlice()}, dst)
	}
}

func (l *listener) addr() netip.AddrPort { return l.bound }
func (l *listener) close() error         { return l.conn.Close() }
