// Package solicit answers the router solicitations of machines that boot from the network, so that iPXE stops waiting for an IPv6 router that is not there.
//
// Layer 2. iPXE asks for an IPv6 router and an IPv4 address at the same time and goes on when both are settled; builds before 2020 or so wait about 15 seconds
// for a router. The answer is a router advertisement that announces nothing: no default router (lifetime 0), no prefix, no DHCPv6, nothing to change.
//
// Two parts: packet.go and table.go decide, without I/O and clock; server.go and socket_linux.go listen and send.
//
// Invariants:
//   - Only a machine whose MAC was just seen to ask DHCP for a boot is answered, at its own MAC and link-local address, never at a multicast address. So no other
//     host on the network learns of us, whatever it asks.
//   - At most answersEach answers leave for one such boot.
//   - Where a router is heard that advertises itself, we are silent: it is better than we are.
package solicit

import (
	"net"
	"net/netip"
	"time"
)

// mac is an Ethernet address.
type mac [6]byte

func (m mac) hardware() net.HardwareAddr { return net.HardwareAddr(m[:]) }

// Limits.
const (
	// bootTime is how long after its DHCP packet a machine is answered.
	bootTime = time.Minute
	// answersEach is enough for lost packets.
	answersEach = 5
	// routerTime is how long a router that was heard keeps us silent: routers advertise themselves every ten minutes at the most by default (RFC 4861 6.2.1).
	routerTime = 30 * time.Minute
	maxBoots   = 4096
)

// table knows who boots. It has no clock and is not safe for concurrent use.
type table struct {
	own    mac
	boots  map[mac]*boot
	router time.Time // when one was heard last
}

type boot struct {
	seen time.Time
	left int
}

func newTable(own mac) *table { return &table{own: own, boots: map[mac]*boot{}} }

// boot notes that a machine asked DHCP for a boot.
func (t *table) boot(now time.Time, m mac) {
	if b := t.boots[m]; b != nil {
		*b = boot{seen: now, left: answersEach}
		return
	}
	if len(t.boots) >= maxBoots {
		t.forget(now)
	}
	if len(t.boots) < maxBoots {
		t.boots[m] = &boot{seen: now, left: answersEach}
	}
}

func (t *table) forget(now time.Time) {
	for m, b := range t.boots {
		if now.Sub(b.seen) > bootTime {
			delete(t.boots, m)
		}
	}
}

// frame decides about one IPv6 packet that came from a MAC: an answer and its receiver, or none.
func (t *table) frame(now time.Time, from mac, packet []byte) (answer []byte, ok bool) {
	kind, source := read(packet)
	switch {
	case kind == advertisement && from != t.own:
		t.router = now
	case kind == solicitation && t.answers(now, from):
		return advertise(t.own, source), true
	}
	return nil, false
}

func (t *table) answers(now time.Time, m mac) bool {
	b := t.boots[m]
	if b == nil || b.left == 0 || now.Sub(b.seen) > bootTime || !t.router.IsZero() && now.Sub(t.router) < routerTime {
		return false
	}
	b.left--
	return true
}

// linkLocal is the address that RFC 4291 (appendix A) makes of a MAC.
func linkLocal(m mac) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
