package solicit

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allRouters is the Ethernet address of ff02::2, which solicitations go to (RFC 2464 section 7); advertisements go to all nodes, ff02::1.
var (
	allRouters = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 2}
	allNodes   = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// ours drops what counts as PACKET_OTHERHOST (packet(7)): what is for others, and what has the tag of a VLAN for which there is no interface here, a tag that the
// kernel has taken off by then (Linux, net/core/dev.c).
var ours = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
}

// filter keeps router solicitations and advertisements without extension headers. Offsets are those of IPv6: the socket cuts the Ethernet header off.
var filter = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 6, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpv6, SkipTrue: 4},
	bpf.LoadAbsolute{Off: headerLen, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(solicitation), SkipTrue: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(advertisement), SkipTrue: 1},
	bpf.RetConstant{Val: longestWord},
	bpf.RetConstant{Val: 0},
}

type socket struct{ conn *packet.Conn }

func open(link *net.Interface) (wire, error) {
	program, err := bpf.Assemble(slices.Concat(ours, filter))
	if err != nil {
		return nil, fmt.Errorf("writing a packet filter: %w", err)
	}
	c, err := packet.Listen(link, packet.Datagram, unix.ETH_P_IPV6, &packet.Config{Filter: program})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s: %w; run as root or with CAP_NET_RAW", link.Name, err)
	}
	for _, group := range []net.HardwareAddr{allRouters, allNodes} {
		if err := join(c, link, group); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return &socket{conn: c}, nil
}

// join has the card take frames of a group that the kernel itself may not listen to.
func join(c *packet.Conn, link *net.Interface, group net.HardwareAddr) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("joining %s on %s: %w", group, link.Name, err)
	}
	m := &unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(group))}
	copy(m.Address[:], group)
	failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, m)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("joining %s on %s: %w", group, link.Name, err)
	}
	return nil
}

func (s *socket) receive(b []byte) (int, mac, error) {
	n, from, err := s.conn.ReadFrom(b)
	if err != nil {
		return 0, mac{}, err
	}
	var m mac
	if a, ok := from.(*packet.Addr); ok {
		copy(m[:], a.HardwareAddr)
	}
	return n, m, nil
}

func (s *socket) send(b []byte, to mac) error {
	_, err := s.conn.WriteTo(b, &packet.Addr{HardwareAddr: to.hardware()})
	return err
}

func (s *socket) close() error { return s.conn.Close() }
