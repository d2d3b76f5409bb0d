package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"
)

type macAddr [6]byte

// toMAC takes unicast Ethernet addresses only; others cannot boot.
func toMAC(hw net.HardwareAddr) (m macAddr, ok bool) {
	if len(hw) != len(m) || hw[0]&1 != 0 {
		return m, false
	}
	copy(m[:], hw)
	return m, m != macAddr{}
}

func (m macAddr) hardware() net.HardwareAddr { return net.HardwareAddr(m[:]) }
func (m macAddr) String() string             { return m.hardware().String() }

func toUint(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func fromUint(u uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], u)
	return netip.AddrFrom4(b)
}

// toAddr is the zero Addr for anything but four bytes, and for 0.0.0.0, by which DHCP means "none".
func toAddr(ip []byte) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if a = a.Unmap(); !ok || !a.Is4() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func addrBytes(list ...netip.Addr) []byte {
	var b []byte
	for _, a := range list {
		b = append(b, a.AsSlice()...)
	}
	return b
}
