// Package solicit answers the router solicitations of machines that boot from the network, so that iPXE stops waiting for an IPv6 router that is not there.
//
// Layer 2. iPXE asks for an IPv6 router and an IPv4 address at the same time and goes on when both are settled; builds before 2020 or so wait about 15 seconds
// for a router. The answer is a router advertisement that announces nothing: no default router (lifetime 0), no prefix, no DHCPv6, nothing to change.
//
// Told so (Config.Announce), it is the router advertiser of a network with IPv6 alone besides: it tells every host, every few minutes and when asked, the prefix that
// is on the link, and that addresses come from DHCPv6. It is no router then either: lifetime 0. Somebody must say this, or iPXE and operating systems ask no DHCPv6
// server (RFC 4861 section 4.2). Where a router is, that is its business.
//
// Two parts: packet.go and solicit.go decide, without I/O and clock; server.go and socket_linux.go listen and send.
//
// Invariants:
//   - Unless told to announce, only a machine whose MAC was just seen to ask DHCP for a boot is answered, at its own MAC and link-local address, never at a multicast address. So no other
//     host on the network learns of us, whatever it asks.
//   - At most answersEach answers leave for one such boot.
//   - Where a router is heard that advertises itself, we are silent: it is better than we are. So two that announce take turns at worst, and never announce together
//     for longer than a message takes.
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
	// announceTime is between two announcements to all (RFC 4861 6.2.1: MaxRtrAdvInterval is 4 s to 30 min). The first ones come sooner (6.2.4), for hosts that are up already.
	announceTime  = 200 * time.Second
	announceFirst = 16 * time.Second
	announcesSoon = 3
	// tellPause is the least time between two announcements to all (RFC 4861 section 10: MIN_DELAY_BETWEEN_RAS).
	tellPause = 3 * time.Second
	// askedPerSecond bounds answers to hosts that ask while we announce.
	askedPerSecond = 100
)

// Announcement is what hosts are told of an IPv6 network whose addresses come from DHCPv6.
type Announcement struct {
	// Prefix is on the link. Hosts make no addresses of it.
	Prefix netip.Prefix
}

// table knows who boots. It has no clock and is not safe for concurrent use.
type table struct {
	own    mac
	boots  map[mac]*boot
	router time.Time // when one was heard last
	// announce is nil when nothing is announced.
	announce *Announcement
	told     time.Time // when all hosts were told last
	second   time.Time // in which asked hosts were answered
	asked    int
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
func (t *table) frame(now time.Time, from mac, packet []byte) (answer []byte, to mac, ok bool) {
	kind, source := read(packet)
	switch {
	case kind == advertisement && from != t.own:
		t.router = now
	case kind != solicitation:
	case t.announce != nil && source.IsUnspecified():
		answer, ok = t.toAsker(now)
		return answer, mac(allNodes), ok
	case t.announce != nil:
		if t.announces(now) && t.spare(now) {
			return advertise(t.own, source, t.announce), from, true
		}
	case !source.IsUnspecified() && t.answers(now, from):
		return advertise(t.own, source, nil), from, true
	}
	return nil, mac{}, false
}

// toAsker answers a host that has no address yet, as UEFI has none when it asks: by telling all (RFC 4861 6.2.6), unless they were told just now.
func (t *table) toAsker(now time.Time) ([]byte, bool) {
	if d := now.Sub(t.told); d >= 0 && d < tellPause {
		return nil, false
	}
	return t.toAll(now)
}

// toAll is an announcement to every host; false when there is none to make.
func (t *table) toAll(now time.Time) ([]byte, bool) {
	if !t.announces(now) {
		return nil, false
	}
	t.told = now
	return advertise(t.own, allHosts, t.announce), true
}

// announces says whether we tell hosts of the network: only while no router does.
func (t *table) announces(now time.Time) bool { return t.announce != nil && !t.routed(now) }

func (t *table) routed(now time.Time) bool {
	return !t.router.IsZero() && now.Sub(t.router) < routerTime
}

// spare says whether one more host may be answered in this second.
func (t *table) spare(now time.Time) bool {
	if d := now.Sub(t.second); d < 0 || d >= time.Second {
		t.second, t.asked = now, 0
	}
	t.asked++
	return t.asked <= askedPerSecond
}

func (t *table) answers(now time.Time, m mac) bool {
	b := t.boots[m]
	if b == nil || b.left == 0 || now.Sub(b.seen) > bootTime || t.routed(now) {
		return false
	}
	b.left--
	return true
}

// linkLocal is the address that RFC 4291 (appendix A) makes of a MAC.
func linkLocal(m mac) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
