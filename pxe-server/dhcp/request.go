package dhcp

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Reason says why a packet got no answer; it is the label of a counter.
type Reason string

// The reasons for silence.
const (
	Malformed    Reason = "malformed"     // not DHCP, or a field that no client of ours sends
	NotARequest  Reason = "not-a-request" // a reply, or a message type only servers send
	UnknownNet   Reason = "unknown-net"   // relay or client address outside the configured subnets
	OtherServer  Reason = "other-server"  // the client chose another server
	UnknownLease Reason = "unknown-lease" // no record of the client: RFC 2131 4.3.2 asks for silence
	PoolEmpty    Reason = "pool-empty"
	NotNetboot   Reason = "not-netboot"  // beside another DHCP server: it does not say that it boots from the network
	NoBootFile   Reason = "no-boot-file" // beside another DHCP server: nothing to boot for that kind of machine
	TooBig       Reason = "too-big"      // the reply cannot fit into what the client takes
	Done         Reason = "done"         // RELEASE and DECLINE have no answer
	Repeated     Reason = "repeated"     // the client's packet before it is still worked on
	Limited      Reason = "limited"
	Overload     Reason = "overload"
	Failed       Reason = "failed" // the lease could not be saved, or sending failed
)

const (
	minPacket   = 240  // header and cookie
	maxPacket   = 1500 // one Ethernet frame
	maxOptions  = 64
	maxClientID = 64
)

// request is a packet that passed the checks of its form.
type request struct {
	*dhcpv4.DHCPv4
	typ      dhcpv4.MessageType
	mac      macAddr
	client   string
	source   netip.Addr // of the IP packet
	giaddr   netip.Addr
	ciaddr   netip.Addr
	wants    netip.Addr // option 50
	serverID netip.Addr // option 54
	subnet   *subnet
}

// parse reads a packet of a client.
func parse(b []byte, source netip.Addr) (r *request, reason Reason) {
	p := decode(b)
	if p == nil {
		return nil, Malformed
	}
	if p.OpCode != dhcpv4.OpcodeBootRequest {
		return nil, NotARequest
	}
	return check(p, source)
}

// decode is nil for what is no DHCP. The codec runs behind a recover, since it had panics on hostile input.
func decode(b []byte) (p *dhcpv4.DHCPv4) {
	if len(b) < minPacket || len(b) > maxPacket {
		return nil
	}
	defer func() {
		if recover() != nil {
			p = nil
		}
	}()
	p, err := dhcpv4.FromBytes(b)
	if err != nil {
		return nil
	}
	return p
}

func check(p *dhcpv4.DHCPv4, source netip.Addr) (*request, Reason) {
	mac, ok := toMAC(p.ClientHWAddr)
	if !ok || p.HWType != iana.HWTypeEthernet || p.HopCount > 16 || len(p.Options) > maxOptions {
		return nil, Malformed
	}
	for _, code := range []uint8{50, 54, 51} {
		if v, ok := p.Options[code]; ok && len(v) != 4 {
			return nil, Malformed
		}
	}
	// RFC 2132 9.14: an identifier has at least two bytes. 255 would be allowed; nobody needs more than a DUID.
	if id, ok := p.Options[61]; ok && (len(id) < 2 || len(id) > maxClientID) {
		return nil, Malformed
	}
	if len(p.Options[82]) > 255 || len(p.Options[53]) != 1 {
		return nil, Malformed
	}
	r := &request{
		DHCPv4: p, typ: p.MessageType(), mac: mac, source: source, client: clientKey(mac, p.Options[61]),
		giaddr: toAddr(p.GatewayIPAddr), ciaddr: toAddr(p.ClientIPAddr),
		wants: toAddr(p.Options[50]), serverID: toAddr(p.Options[54]),
	}
	switch r.typ {
	case dhcpv4.MessageTypeDiscover:
		r.ciaddr = netip.Addr{} // it has none yet (RFC 2131 table 5); believing it would send the OFFER anywhere
		return r, ""
	case dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeInform, dhcpv4.MessageTypeRelease,
		dhcpv4.MessageTypeDecline:
		return r, ""
	}
	return nil, NotARequest
}

// clientKey is the MAC, followed by the identifier unless that only repeats the MAC (hardware type 1, RFC 2132 9.14).
func clientKey(mac macAddr, id []byte) string {
	if len(id) == 0 || string(id) == "\x01"+string(mac[:]) {
		return string(mac[:])
	}
	return string(mac[:]) + string(id)
}

// maxReply is how many bytes of UDP payload the client takes: option 57 counts the IP header, too (RFC 2132 9.10;
// 576 is the smallest legal value and the default).
func (r *request) maxReply() int {
	const headers, least = 28, 576
	size := least
	if v := r.Options[57]; len(v) == 2 {
		size = min(max(int(v[0])<<8|int(v[1]), least), maxPacket)
	}
	return size - headers
}

func (r *request) requested(code uint8) bool {
	for _, c := range r.Options[55] {
		if c == code {
			return true
		}
	}
	return false
}
