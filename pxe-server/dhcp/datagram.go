package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// datagram is an IPv4 packet (RFC 791, no options) with a UDP datagram (RFC 768).
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	const ipLen, udpLen, udpProtocol, timeToLive = 20, 8, 17, 64
	b := make([]byte, ipLen+udpLen, ipLen+udpLen+len(payload))
	src, dst := from.Addr().As4(), to.Addr().As4()
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
	b[8], b[9] = timeToLive, udpProtocol
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:ipLen]))

	u := b[ipLen:]
	binary.BigEndian.PutUint16(u[0:], from.Port())
	binary.BigEndian.PutUint16(u[2:], to.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(udpLen+len(payload)))
	b = append(b, payload...)
	// The pseudo header: both addresses, protocol and length.
	sum := checksum(uint32(udpProtocol)+uint32(udpLen+len(payload)), b[12:])
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[ipLen+6:], sum)
	return b
}

// checksum is that of RFC 1071 over b, on top of start.
func checksum(start uint32, b []byte) uint16 {
	sum := start
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
