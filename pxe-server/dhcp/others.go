package dhcp

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Trouble is what is wrong with the DHCP servers on a network, in the words of crds/
type Trouble string

// The kinds of trouble.
const (
	// OtherDHCPServer: another server gives addresses, and so do we.
	OtherDHCPServer Trouble = "OtherDHCPServer"
	// SeveralDHCPServers: more than one gives addresses beside us, who only name boot files.
	SeveralDHCPServers Trouble = "SeveralDHCPServers"
	// NoDHCPServer: nobody gives addresses beside us.
	NoDHCPServer Trouble = "NoDHCPServer"
	// OtherBootServer: another server names boot files without giving addresses.
	OtherBootServer Trouble = "OtherBootServer"
)

// Neighbors are the other DHCP servers on the network, as far as they were heard. It is a hint: whoever is on the network can forge it.
type Neighbors struct {
	// Trouble is empty when all is as it should be.
	Trouble Trouble
	// Servers are those that it is about, sorted.
	Servers []netip.Addr
}

func (n Neighbors) equal(o Neighbors) bool {
	return n.Trouble == o.Trouble && slices.Equal(n.Servers, o.Servers)
}

const (
	// otherTime is how long a server counts after it was heard last.
	otherTime = 5 * time.Minute
	// answerTime is how long one may take to answer; some look for a user of the address first, for up to three seconds.
	answerTime = 10 * time.Second
	maxOthers  = 16
)

// others remembers who was heard. It has no clock and is not safe for concurrent use.
type others struct {
	mode  Mode
	ours  []netip.Addr // of this server and its peers
	heard map[netip.Addr]*other
	asked time.Time // our first question; zero before
}

// other is when a server was heard to lend an address, and to name boot files without one.
type other struct{ lent, named time.Time }

func newOthers(mode Mode, ours ...netip.Addr) *others {
	return &others{mode: mode, ours: ours, heard: map[netip.Addr]*other{}}
}

// saw takes note of a server. More than maxOthers at once are not told apart from maxOthers: they are as wrong.
func (o *others) saw(now time.Time, server netip.Addr, lends bool) {
	if !server.IsValid() || slices.Contains(o.ours, server) {
		return
	}
	s := o.heard[server]
	if s == nil {
		if len(o.heard) >= maxOthers {
			return
		}
		s = &other{}
		o.heard[server] = s
	}
	if lends {
		s.lent = now
	} else {
		s.named = now
	}
}

// judge says what is wrong, the worst first.
func (o *others) judge(now time.Time) Neighbors {
	fresh := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < otherTime }
	maps.DeleteFunc(o.heard, func(_ netip.Addr, s *other) bool { return !fresh(s.lent) && !fresh(s.named) })
	var lend, name []netip.Addr
	for server, s := range o.heard {
		if fresh(s.lent) {
			lend = append(lend, server)
		} else {
			name = append(name, server)
		}
	}
	slices.SortFunc(lend, netip.Addr.Compare)
	slices.SortFunc(name, netip.Addr.Compare)
	switch {
	case o.mode == Full && len(lend) > 0:
		return Neighbors{OtherDHCPServer, lend}
	case o.mode == Proxy && len(lend) > 1:
		return Neighbors{SeveralDHCPServers, lend}
	case len(name) > 0:
		return Neighbors{OtherBootServer, name}
	case o.mode == Proxy && len(lend) == 0 && !o.asked.IsZero() && now.Sub(o.asked) >= answerTime:
		return Neighbors{Trouble: NoDHCPServer}
	}
	return Neighbors{}
}

// chosen is the server that a REQUEST takes the offer of (RFC 2131 table 4, SELECTING), which all servers on the network hear; invalid when it names none, or
// came from another network.
func (r *request) chosen() netip.Addr {
	if r.typ != dhcpv4.MessageTypeRequest || r.giaddr.IsValid() {
		return netip.Addr{}
	}
	return r.serverID
}

// answering is the server behind an answer to a client, and whether it lends addresses rather than names boot files only; invalid when it is no answer.
func answering(b []byte) (server netip.Addr, lends bool) {
	p := decode(b)
	if p == nil || p.OpCode != dhcpv4.OpcodeBootReply {
		return netip.Addr{}, false
	}
	switch p.MessageType() {
	case dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck:
		return toAddr(p.Options[54]), toAddr(p.YourIPAddr).IsValid()
	case dhcpv4.MessageTypeNak: // only who lends refuses
		return toAddr(p.Options[54]), true
	}
	return netip.Addr{}, false
}

// payload is what a UDP datagram over IPv4 holds that a DHCP server sent to a client; nil for everything else.
func payload(packet []byte) []byte {
	const least, udpLen, udpProtocol, offset = 20, 8, 17, 0x1fff
	if len(packet) < least || packet[0]>>4 != 4 || packet[9] != udpProtocol || binary.BigEndian.Uint16(packet[6:])&offset != 0 {
		return nil
	}
	head := int(packet[0]&0xf) * 4
	if head < least || len(packet) < head+udpLen {
		return nil
	}
	u := packet[head:]
	if binary.BigEndian.Uint16(u) != serverPort || binary.BigEndian.Uint16(u[2:]) != clientPort {
		return nil
	}
	return u[udpLen:]
}

// question is a DISCOVER that other servers answer to everybody, and that no proxy takes for one of a machine that netboots.
func question(mac macAddr, id [4]byte) ([]byte, error) {
	p, err := dhcpv4.New(
		dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(mac.hardware()), dhcpv4.WithTransactionID(id), dhcpv4.WithBroadcast(true),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier("ingot")),
	)
	if err != nil {
		return nil, err
	}
	return p.ToBytes(), nil
}
