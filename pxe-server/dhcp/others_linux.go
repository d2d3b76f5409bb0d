package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// airwave is what a server of the network says to clients, heard beside the own ports: port 68 belongs to a client on this machine, if there is one.
type airwave struct {
	link *net.Interface
	conn *packet.Conn
	mac  macAddr
}

// ours drops what counts as PACKET_OTHERHOST (packet(7)): what is for others, and what has the tag of a VLAN for which there is no interface here, a tag that the
// kernel has taken off by then (Linux, net/core/dev.c).
var ours = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
}

// fromServers keeps UDP from port 67 to port 68, in packets that are no later fragments. Offsets are those of IPv4: the socket cuts the Ethernet header off.
var fromServers = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 17, SkipTrue: 8},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 6},
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 0, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: serverPort, SkipTrue: 3},
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
	bpf.RetConstant{Val: 2048},
	bpf.RetConstant{Val: 0},
}

func newAirwave(link *net.Interface) (*airwave, error) {
	filter, err := bpf.Assemble(slices.Concat(ours, fromServers))
	if err != nil {
		return nil, fmt.Errorf("writing a packet filter: %w", err)
	}
	conn, err := packet.Listen(link, packet.Datagram, etherIPv4, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s: %w; run as root or with CAP_NET_RAW", link.Name, err)
	}
	a := &airwave{link: link, conn: conn}
	copy(a.mac[:], link.HardwareAddr)
	return a, nil
}

// hear blocks; the answer of a server to a client, nil for what is none. An error after close means the end.
func (a *airwave) hear(b []byte) ([]byte, error) {
	n, _, err := a.conn.ReadFrom(b)
	if err != nil {
		return nil, err
	}
	return payload(b[:n]), nil
}

// ask broadcasts a DISCOVER, from no address, as a client does. A packet socket sends it: it does not come back to our own server.
func (a *airwave) ask(id [4]byte) error {
	q, err := question(a.mac, id)
	if err != nil {
		return fmt.Errorf("writing a DISCOVER: %w", err)
	}
	frame := datagram(netip.AddrPortFrom(netip.IPv4Unspecified(), clientPort), netip.AddrPortFrom(broadcast, serverPort), q)
	everybody := &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	if _, err := a.conn.WriteTo(frame, everybody); err != nil {
		return fmt.Errorf("sending a DISCOVER on %s: %w", a.link.Name, err)
	}
	return nil
}

func (a *airwave) close() error { return a.conn.Close() }
