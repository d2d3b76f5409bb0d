package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// reply is a packet and where it goes.
type reply struct {
	bytes []byte
	typ   dhcpv4.MessageType
	// to is the UDP destination; the broadcast address when the client can only be reached so.
	to netip.AddrPort
	// port is where it leaves from: serverPort when zero.
	port uint16
	// hardware is set when the client has no address yet and takes unicast: a frame to it with to as IP destination.
	hardware macAddr
}

const (
	serverPort = 67
	clientPort = 68
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func (c *core) offer(r *request, a *address) *reply {
	return c.lend(r, a, dhcpv4.MessageTypeOffer)
}

func (c *core) ack(r *request, a *address) *reply {
	return c.lend(r, a, dhcpv4.MessageTypeAck)
}

// lend is an OFFER or ACK.
func (c *core) lend(r *request, a *address, typ dhcpv4.MessageType) *reply {
	o := newAnswer(r, typ, c.cfg.ServerIP)
	o.head.YourIPAddr = net.IP(a.ip.AsSlice())
	if typ == dhcpv4.MessageTypeAck {
		o.head.ClientIPAddr = r.ClientIPAddr
	}
	t := leaseTime(r)
	o.set(51, seconds(t))
	if r.requested(58) {
		o.set(58, seconds(t/2))
	}
	if r.requested(59) {
		o.set(59, seconds(t*7/8))
	}
	if a.reserved != nil && a.reserved.Hostname != "" && r.requested(12) {
		o.set(12, []byte(a.reserved.Hostname))
	}
	c.addNetwork(o, r)
	c.addBoot(o, r)
	return finish(o, typ, c.destination(r, a.ip))
}

// informed answers an INFORM: no lease, no yiaddr (RFC 2131 4.3.5).
func (c *core) informed(r *request, to netip.Addr) *reply {
	o := newAnswer(r, dhcpv4.MessageTypeAck, c.cfg.ServerIP)
	o.head.ClientIPAddr = r.ClientIPAddr
	c.addNetwork(o, r)
	c.addBoot(o, r)
	d := reply{to: netip.AddrPortFrom(to, clientPort)}
	if r.giaddr.IsValid() {
		d.to = netip.AddrPortFrom(r.giaddr, serverPort)
	}
	return finish(o, dhcpv4.MessageTypeAck, d)
}

// nak is broadcast, since a client with a wrong address cannot be reached by it; through a relay the broadcast flag asks
// the relay to do so (RFC 2131 4.3.2).
func (c *core) nak(r *request, why string) *reply {
	o := newAnswer(r, dhcpv4.MessageTypeNak, c.cfg.ServerIP)
	o.set(56, []byte(why))
	d := reply{to: netip.AddrPortFrom(broadcast, clientPort)}
	if r.giaddr.IsValid() {
		o.head.Flags |= 0x8000
		d.to = netip.AddrPortFrom(r.giaddr, serverPort)
	}
	return finish(o, dhcpv4.MessageTypeNak, d)
}

func finish(o *answer, typ dhcpv4.MessageType, d reply) *reply {
	d.bytes, d.typ = o.bytes(), typ
	return &d
}

// destination is that of OFFER and ACK (RFC 2131 4.1).
func (c *core) destination(r *request, yiaddr netip.Addr) reply {
	switch {
	case r.giaddr.IsValid():
		return reply{to: netip.AddrPortFrom(r.giaddr, serverPort)}
	case r.ciaddr.IsValid():
		return reply{to: netip.AddrPortFrom(r.ciaddr, clientPort)}
	case r.IsBroadcast():
		return reply{to: netip.AddrPortFrom(broadcast, clientPort)}
	}
	return reply{to: netip.AddrPortFrom(yiaddr, clientPort), hardware: r.mac}
}

// addNetwork adds mask and router always, the rest on request; a client that lists nothing gets all.
func (c *core) addNetwork(o *answer, r *request) {
	n := r.subnet
	o.set(1, net.CIDRMask(n.Prefix.Bits(), 32))
	o.setAddrs(3, n.Router)
	wants := func(code uint8) bool { return len(r.Options[55]) == 0 || r.requested(code) }
	if wants(6) {
		o.setAddrs(6, n.DNS...)
	}
	if wants(42) {
		o.setAddrs(42, n.NTP...)
	}
	if wants(15) && n.Domain != "" {
		o.set(15, []byte(n.Domain))
	}
	if r.requested(28) {
		o.setAddrs(28, n.broadcast())
	}
}

func seconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))
}
