package dhcp

import (
	"net"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// answer is a reply under construction. The codec writes the header; options are written here, since the codec neither
// knows the client's size limit nor its order.
type answer struct {
	head    dhcpv4.DHCPv4
	options map[uint8][]byte
	max     int
	order   []byte
}

func newAnswer(r *request, typ dhcpv4.MessageType, server netip.Addr) *answer {
	a := &answer{max: r.maxReply(), order: r.Options[55], options: map[uint8][]byte{
		53: {byte(typ)},
		54: server.AsSlice(),
	}}
	a.head = dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: iana.HWTypeEthernet, TransactionID: r.TransactionID, Flags: r.Flags & 0x8000,
		ClientHWAddr: r.ClientHWAddr, GatewayIPAddr: r.GatewayIPAddr, Options: dhcpv4.Options{},
	}
	if id := r.Options[61]; id != nil {
		a.set(61, id) // RFC 6842
	}
	if info := r.Options[82]; info != nil && r.giaddr.IsValid() {
		a.set(82, info) // RFC 3046 2.2; only a relay adds it
	}
	return a
}

func (a *answer) set(code uint8, v []byte) {
	if len(v) <= 255 {
		a.options[code] = v
	}
}

func (a *answer) setAddrs(code uint8, list ...netip.Addr) {
	list = slices.DeleteFunc(slices.Clone(list), func(ip netip.Addr) bool { return !ip.IsValid() })
	if len(list) > 0 {
		a.set(code, addrBytes(list...))
	}
}

// next names the TFTP server in all three places that firmware looks at.
func (a *answer) next(server netip.Addr) {
	a.head.ServerIPAddr = net.IP(server.AsSlice())
	a.head.ServerHostName = server.String()
	a.set(66, []byte(server.String()))
}

// file names the boot file; a URL that is too long for the header's field is in option 67 alone.
func (a *answer) file(name string) {
	if len(name) < 128 {
		a.head.BootFileName = name
	}
	a.set(67, []byte(name))
}

// vital are the options that matter most, in case not all fit.
func vital() []byte { return []byte{53, 54, 51, 1, 60, 43, 97, 67, 3, 61, 66, 6, 12} }

// bytes is the packet, or nil when what must be in it does not fit.
func (a *answer) bytes() []byte {
	b := a.head.ToBytes()[:minPacket]
	info := option(82, a.options[82])
	room := a.max - len(b) - len(info) - 1
	keep := map[uint8]bool{}
	for _, code := range slices.Concat(vital(), a.codes()) {
		v, n := a.options[code], len(a.options[code])+2
		switch {
		case v == nil || keep[code]:
		case n <= room:
			room -= n
			keep[code] = true
		case code == 53 || code == 54 || code == 51:
			return nil
		}
	}
	for _, code := range a.byOrder() {
		if keep[code] {
			b = append(b, option(code, a.options[code])...)
			delete(keep, code)
		}
	}
	b = append(append(b, info...), 255) // RFC 3046 2.1: option 82 comes last
	// Some relays drop what is shorter than a BOOTP packet (RFC 951, RFC 1542 2.1).
	return append(b, make([]byte, max(0, 300-len(b)))...)
}

func option(code uint8, v []byte) []byte {
	if v == nil {
		return nil
	}
	return append([]byte{code, byte(len(v))}, v...)
}

// byOrder: the type and the server first, as every server does and old firmware expects; then as the client asked
// (RFC 2132 9.8); then the rest.
func (a *answer) byOrder() []byte {
	return slices.Concat([]byte{53, 54}, a.order, a.codes())
}

func (a *answer) codes() (list []byte) {
	for code := range a.options {
		if code != 82 {
			list = append(list, code)
		}
	}
	slices.Sort(list)
	return list
}
