package dhcp6

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"ingot.dev/ingot/pxe-server/leases"
)

// answer is a message to a client, and what has to be on disk before it leaves.
type answer struct {
	*dhcpv6.Message
	save []leases.Record
	// lent is the address that was given last; invalid when none was.
	lent netip.Addr
}

// answer begins one: both names, and nothing else (RFC 8415 section 18.3).
func (c *core) answer(r *request, typ dhcpv6.MessageType) *answer {
	m := &dhcpv6.Message{MessageType: typ, TransactionID: r.xid}
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: []byte(c.duid)})
	if r.client != "" {
		m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: []byte(r.client)})
	}
	return &answer{Message: m}
}

// step is silence when the answer does not fit.
func (a *answer) step() step {
	b := a.ToBytes()
	if len(b) > maxAnswer {
		return silent(TooBig)
	}
	return step{save: a.save, reply: b, typ: a.MessageType}
}

func (a *answer) status(code iana.StatusCode) { a.AddOption(&dhcpv6.OptStatusCode{StatusCode: code}) }

// refuse says that an IA gets nothing.
func (a *answer) refuse(i ia, code iana.StatusCode) {
	n := &dhcpv6.OptIANA{IaId: i.id}
	n.Options.Add(&dhcpv6.OptStatusCode{StatusCode: code})
	a.AddOption(n)
}

// address names the address of an IA. Others that the client named end at once. T1 and T2 are those that RFC 8415 section 21.4 recommends.
func (a *answer) address(i ia, life time.Duration, ip netip.Addr) {
	n := &dhcpv6.OptIANA{IaId: i.id, T1: life / 2, T2: life * 4 / 5}
	if ip.IsValid() {
		n.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: ip.AsSlice(), PreferredLifetime: life, ValidLifetime: life})
	}
	for _, other := range i.addrs {
		if other != ip {
			n.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: other.AsSlice()})
		}
	}
	a.AddOption(n)
}

// refuseOthers says that there are neither temporary addresses nor prefixes here (RFC 8415 sections 21.5, 21.21 and 21.13).
func (a *answer) refuseOthers(r *request) {
	for _, o := range []struct {
		code   dhcpv6.OptionCode
		times  int // bytes between the IAID and the options
		status iana.StatusCode
	}{{dhcpv6.OptionIATA, 0, iana.StatusNoAddrsAvail}, {dhcpv6.OptionIAPD, 8, iana.StatusNoPrefixAvail}} {
		for n, other := range r.opts.Get(o.code) {
			b := other.ToBytes()
			if n == maxIAs || len(b) < 4+o.times {
				break
			}
			data := append(append([]byte{}, b[:4]...), make([]byte, o.times)...)
			data = binary.BigEndian.AppendUint16(data, uint16(dhcpv6.OptionStatusCode))
			data = binary.BigEndian.AppendUint16(data, 2)
			data = binary.BigEndian.AppendUint16(data, uint16(o.status))
			a.AddOption(&dhcpv6.OptionGeneric{OptionCode: o.code, OptionData: data})
		}
	}
}

func slicesOf(list []netip.Addr) (out []net.IP) {
	for _, a := range list {
		out = append(out, a.AsSlice())
	}
	return out
}

func domain(name string) *rfc1035label.Labels {
	return &rfc1035label.Labels{Labels: []string{name}}
}
