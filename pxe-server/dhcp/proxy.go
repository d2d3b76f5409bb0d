package dhcp

import (
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// proxyPort is where PXE clients that have their address ask a proxy or a boot server (PXE 2.1).
const proxyPort = 4011

// bootClasses begin option 60 of clients that boot from the network (PXE 2.1; UEFI specification 24.7.3.1).
var bootClasses = []string{"PXEClient", "HTTPClient"}

// bootClass is the one that option 60 begins with; empty for everybody else.
func (r *request) bootClass() string {
	for _, class := range bootClasses {
		if strings.HasPrefix(string(r.Options[60]), class) {
			return class
		}
	}
	return ""
}

// proxy decides about one packet beside another DHCP server, which gives the addresses: only clients that boot from the network are answered, and only
// with their boot file (PXE 2.1: DHCP service and ProxyDHCP service on different machines). It came from that address, to that port of ours.
func (c *core) proxy(now time.Time, b []byte, from netip.AddrPort, port uint16) step {
	r, reason := parse(b, from.Addr())
	if r == nil {
		return silent(reason)
	}
	s := c.proxied(now, r, from, port)
	s.boots = r.discoversToBoot()
	s.other = r.chosen()
	if s.mac = r.mac; s.reply != nil && s.reply.bytes == nil {
		return step{silence: TooBig, mac: r.mac}
	}
	return s
}

func (c *core) proxied(now time.Time, r *request, from netip.AddrPort, port uint16) step {
	if r.bootClass() == "" {
		return silent(NotNetboot)
	}
	if port == proxyPort {
		return c.bootServer(now, r, from)
	}
	if r.subnet = c.subnetOf(r); r.subnet == nil {
		return silent(UnknownNet)
	}
	switch r.typ {
	case dhcpv4.MessageTypeDiscover:
		return c.proxyOffer(now, r)
	case dhcpv4.MessageTypeRequest:
		return c.overheard(now, r)
	}
	return silent(OtherServer)
}

// proxyOffer has no address: the client joins it with the offer that has one. It is broadcast, since the client cannot be reached otherwise.
func (c *core) proxyOffer(now time.Time, r *request) step {
	d := reply{to: netip.AddrPortFrom(broadcast, clientPort)}
	if r.giaddr.IsValid() {
		d.to = netip.AddrPortFrom(r.giaddr, serverPort)
	}
	return c.named(r, dhcpv4.MessageTypeOffer, d, seen(r, netip.Addr{}, now))
}

// overheard is a REQUEST on the DHCP port. It is for the server that gave the address; we learn which one the machine asked for.
func (c *core) overheard(now time.Time, r *request) step {
	at := r.wants
	if !at.IsValid() || !r.subnet.host(at) || at == c.cfg.ServerIP {
		return silent(OtherServer)
	}
	return step{silence: OtherServer, event: seen(r, at, now)}
}

// bootServer answers who asks us alone, on the proxy port, having an address by now. It answers to that address, so it must be one of our networks.
func (c *core) bootServer(now time.Time, r *request, from netip.AddrPort) step {
	at := from.Addr()
	r.subnet = c.subnetAt(at)
	switch {
	case r.giaddr.IsValid() || r.subnet == nil || !r.subnet.host(at) || at == c.cfg.ServerIP:
		return silent(UnknownNet)
	case r.typ != dhcpv4.MessageTypeRequest && r.typ != dhcpv4.MessageTypeInform:
		return silent(NotARequest)
	}
	return c.named(r, dhcpv4.MessageTypeAck, reply{to: from, port: proxyPort}, seen(r, at, now))
}

// named is an answer that names the boot file, or silence when there is none for such a machine.
func (c *core) named(r *request, typ dhcpv4.MessageType, d reply, e *Event) step {
	o := newAnswer(r, typ, c.cfg.ServerIP)
	if typ == dhcpv4.MessageTypeAck {
		o.head.ClientIPAddr = r.ClientIPAddr
	}
	c.addBoot(o, r)
	if o.options[60] == nil {
		o.set(60, []byte(r.bootClass())) // by which iPXE, too, knows a proxy's offer
	}
	delete(o.options, 175) // "no proxy is there" is not for a proxy to say
	if o.options[67] == nil {
		return silent(NoBootFile)
	}
	if item := bootItem(r.Options[43]); item != nil {
		o.set(43, append(append([]byte{6, 1, 8}, item...), 255))
	}
	return step{reply: finish(o, typ, d), event: e}
}

// bootItem is PXE_BOOT_ITEM of a request's option 43 with its code and length, which a boot server's answer repeats (PXE 2.1, option 43, tag 71); nil when
// there is none.
func bootItem(v []byte) []byte {
	const pad, boot, end, size = 0, 71, 255, 4
	for len(v) > 0 && v[0] != end {
		if v[0] == pad {
			v = v[1:]
			continue
		}
		if len(v) < 2 || len(v) < 2+int(v[1]) {
			return nil
		}
		if v[0] == boot && v[1] == size {
			return v[:2+size]
		}
		v = v[2+int(v[1]):]
	}
	return nil
}
