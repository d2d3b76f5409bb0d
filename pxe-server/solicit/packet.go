package solicit

import (
	"encoding/binary"
	"net/netip"
)

// kind is an ICMPv6 type (RFC 4861 4.1 and 4.2).
type kind byte

const (
	solicitation  kind = 133
	advertisement kind = 134
)

const (
	headerLen   = 40 // of IPv6 (RFC 8200)
	icmpv6      = 58
	onLink      = 255 // hop limit that no router passes on, so the sender is on the link (RFC 4861 6.1)
	solicitLen  = 8
	longestWord = 1500
)

// read says what a packet is and who sent it; zero for everything else than a valid solicitation from a link-local address or from none (RFC 4861 4.1), or a valid advertisement.
func read(b []byte) (kind, netip.Addr) {
	if len(b) < headerLen+solicitLen || len(b) > longestWord || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != onLink {
		return 0, netip.Addr{}
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < solicitLen || len(b) < headerLen+n {
		return 0, netip.Addr{}
	}
	message := b[headerLen : headerLen+n] // a short frame is padded behind it
	source := netip.AddrFrom16([16]byte(b[8:]))
	k := kind(message[0])
	local := source.IsLinkLocalUnicast() || k == solicitation && source.IsUnspecified()
	if k != solicitation && k != advertisement || message[1] != 0 || !local || sum(b[8:headerLen], message) != 0 {
		return 0, netip.Addr{}
	}
	return k, source
}

// allHosts is every host of the link (RFC 4291 section 2.7.1).
var allHosts = netip.MustParseAddr("ff02::1")

// Lifetimes of an announced prefix, in seconds. Hosts keep it for so long after the last announcement.
const (
	prefixValid     = 2 * 60 * 60
	prefixPreferred = 60 * 60
)

// advertise is an advertisement to one host or to all (RFC 4861 4.2). Without an announcement it is all zeros: no hop limit, neither DHCPv6 nor other
// configuration, no default router, no times.
func advertise(own mac, to netip.Addr, what *Announcement) []byte {
	from, dst := linkLocal(own).As16(), to.As16()
	message := make([]byte, 16+8)
	message[0] = byte(advertisement)
	message[16], message[17] = 1, 1 // source link-layer address, in units of eight bytes (RFC 4861 4.6.1)
	copy(message[18:], own[:])
	if what != nil {
		message[4], message[5] = 64, 0xc0 // hop limit; addresses (M) and everything else (O) come from DHCPv6
		message = append(message, prefixInformation(what.Prefix)...)
	}
	b := make([]byte, headerLen, headerLen+len(message))
	b[0], b[6], b[7] = 0x60, icmpv6, onLink
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	copy(b[8:], from[:])
	copy(b[24:], dst[:])
	binary.BigEndian.PutUint16(message[2:], sum(b[8:headerLen], message))
	return append(b, message...)
}

// prefixInformation says that a prefix is on the link (L) and not for addresses that hosts make themselves (RFC 4861 4.6.2): each machine has those of DHCPv6 alone.
func prefixInformation(p netip.Prefix) []byte {
	o := make([]byte, 32)
	o[0], o[1], o[2], o[3] = 3, 4, byte(p.Bits()), 0x80
	binary.BigEndian.PutUint32(o[4:], prefixValid)
	binary.BigEndian.PutUint32(o[8:], prefixPreferred)
	prefix := p.Masked().Addr().As16()
	copy(o[16:], prefix[:])
	return o
}

// sum is the checksum of RFC 4443 2.3 over the pseudo header with both addresses (RFC 8200 8.1) and the message; zero when the one in the message is right.
func sum(addresses, message []byte) uint16 {
	total := uint32(len(message)) + icmpv6
	for _, b := range [][]byte{addresses, message} {
		for ; len(b) > 1; b = b[2:] {
			total += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			total += uint32(b[0]) << 8
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}
