package dhcp6

import (
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"ingot.dev/ingot/pxe-server/leases"
)

// asideTime is how long an address is given to nobody after a client found somebody else there.
const asideTime = 10 * time.Minute

// core decides. It is not safe for concurrent use.
type core struct {
	cfg Config
	// duid is how we call ourselves (RFC 8415 section 11).
	duid  string
	table *table
}

// step is what the shell shall do about one packet: either silence, or save and then send.
type step struct {
	silence Reason
	// save must be on disk before reply leaves.
	save  []leases.Record
	reply []byte
	typ   dhcpv6.MessageType
	event *Event
}

func newCore(cfg Config, duid string) *core { return &core{cfg: cfg, duid: duid, table: newTable(cfg)} }

func silent(why Reason) step { return step{silence: why} }

// names says which messages must name their client, and which name the server that they are for (RFC 8415 section 16).
var names = map[dhcpv6.MessageType]struct{ client, server bool }{
	dhcpv6.MessageTypeSolicit: {client: true},
	dhcpv6.MessageTypeConfirm: {client: true},
	dhcpv6.MessageTypeRebind:  {client: true},
	dhcpv6.MessageTypeRequest: {client: true, server: true},
	dhcpv6.MessageTypeRenew:   {client: true, server: true},
	dhcpv6.MessageTypeRelease: {client: true, server: true},
	dhcpv6.MessageTypeDecline: {client: true, server: true},
}

// handle decides about one packet that came from source; unicast says that it was sent to us alone.
func (c *core) handle(now time.Time, b []byte, source netip.Addr, unicast bool) step {
	r, reason := parse(b, source, unicast)
	if r == nil {
		return silent(reason)
	}
	if why := c.ignores(r); why != "" {
		return silent(why)
	}
	if r.unicast { // we never allowed that (RFC 8415 section 18.3)
		a := c.answer(r, dhcpv6.MessageTypeReply)
		a.status(iana.StatusUseMulticast)
		return a.step()
	}
	a := c.dispatch(now, r)
	if a == nil {
		return silent(UnknownLease)
	}
	s := a.step()
	if _, firmware := c.bootURL(r); firmware != "" && a.lent.IsValid() && r.mac != (macAddr{}) {
		s.event = &Event{MAC: r.mac.String(), Time: now, Stage: "DHCP", Firmware: firmware, IP: a.lent}
	}
	return s
}

// ignores says why a well-formed packet gets no answer.
func (c *core) ignores(r *request) Reason {
	need, addressed := names[r.typ], r.server != ""
	switch {
	case !r.source.IsLinkLocalUnicast() && !c.cfg.Prefix.Contains(r.source):
		return UnknownNet
	case need.client && r.client == "":
		return Malformed
	case r.typ == dhcpv6.MessageTypeInformationRequest && r.asksForAddresses():
		return Malformed // RFC 8415 section 16.12
	case r.typ != dhcpv6.MessageTypeInformationRequest && need.server != addressed:
		return Malformed
	case addressed && r.server != c.duid:
		return OtherServer
	case r.unicast && !need.server:
		return Unicast
	}
	return ""
}

func (r *request) asksForAddresses() bool {
	return len(r.ias) > 0 || r.opts.GetOne(dhcpv6.OptionIATA) != nil || r.opts.GetOne(dhcpv6.OptionIAPD) != nil
}

// dispatch is nil where nothing is to be said.
func (c *core) dispatch(now time.Time, r *request) *answer {
	switch t := r.typ; {
	case t == dhcpv6.MessageTypeSolicit:
		return c.solicit(now, r)
	case t == dhcpv6.MessageTypeRequest:
		return c.request(now, r)
	case t == dhcpv6.MessageTypeConfirm:
		return c.confirm(r)
	case t == dhcpv6.MessageTypeRenew || t == dhcpv6.MessageTypeRebind:
		return c.extend(now, r)
	case t == dhcpv6.MessageTypeRelease:
		return c.release(now, r)
	case t == dhcpv6.MessageTypeDecline:
		return c.decline(now, r)
	}
	a := c.answer(r, dhcpv6.MessageTypeReply)
	c.configure(a, r)
	return a
}

// solicit offers addresses, or gives them at once to who asks for that (RFC 8415 section 18.3.1).
func (c *core) solicit(now time.Time, r *request) *answer {
	rapid := r.opts.GetOne(dhcpv6.OptionRapidCommit) != nil
	typ := dhcpv6.MessageTypeAdvertise
	if rapid {
		typ = dhcpv6.MessageTypeReply
	}
	a := c.answer(r, typ)
	if rapid {
		a.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	}
	for _, i := range r.ias {
		c.lend(a, r, i, now, rapid)
	}
	a.refuseOthers(r)
	c.configure(a, r)
	return a
}

// request gives addresses (RFC 8415 section 18.3.2).
func (c *core) request(now time.Time, r *request) *answer {
	a := c.answer(r, dhcpv6.MessageTypeReply)
	for _, i := range r.ias {
		if c.offLink(i) {
			a.refuse(i, iana.StatusNotOnLink)
		} else {
			c.lend(a, r, i, now, true)
		}
	}
	a.refuseOthers(r)
	c.configure(a, r)
	return a
}

// lend names an address for one IA, and gives it when commit says so.
func (c *core) lend(a *answer, r *request, i ia, now time.Time, commit bool) {
	ip := c.table.choose(r.key(i), i.addrs, now)
	if !ip.IsValid() || commit && !c.give(a, r, i, ip, now) {
		a.refuse(i, iana.StatusNoAddrsAvail)
		return
	}
	a.address(i, c.cfg.LeaseTime, ip)
}

// give makes an address the client's, and notes what must be saved.
func (c *core) give(a *answer, r *request, i ia, ip netip.Addr, now time.Time) bool {
	until := now.Add(c.cfg.LeaseTime)
	if !c.table.give(r.key(i), r.mac, ip, until, now) {
		return false
	}
	a.save = append(a.save, leases.Record{IP: ip, MAC: r.mac, Client: r.key(i), Until: until})
	a.lent = ip
	return true
}

func (c *core) offLink(i ia) bool {
	for _, ip := range i.addrs {
		if !c.cfg.Prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// confirm says whether the client is still on the link that its addresses belong to (RFC 8415 section 18.3.3).
func (c *core) confirm(r *request) *answer {
	status, named := iana.StatusSuccess, false
	for _, i := range r.ias {
		named = named || len(i.addrs) > 0
		if c.offLink(i) {
			status = iana.StatusNotOnLink
		}
	}
	if !named {
		return nil
	}
	a := c.answer(r, dhcpv6.MessageTypeReply)
	a.status(status)
	return a
}

// extend answers Renew and Rebind (RFC 8415 sections 18.3.4 and 18.3.5). A lease that we lost is made again when its address is free.
func (c *core) extend(now time.Time, r *request) *answer {
	a := c.answer(r, dhcpv6.MessageTypeReply)
	said := false
	for _, i := range r.ias {
		ip := c.bound(r.key(i), i, now)
		switch {
		case ip.IsValid() && c.give(a, r, i, ip, now):
			a.address(i, c.cfg.LeaseTime, ip)
		case r.typ == dhcpv6.MessageTypeRenew:
			a.refuse(i, iana.StatusNoBinding)
		case c.offLink(i):
			a.address(i, 0, netip.Addr{}) // all that it names end
		default:
			continue // another server may know
		}
		said = true
	}
	if !said {
		return nil
	}
	c.configure(a, r)
	return a
}

// bound is the address of a client's lease, or one that it names and could have.
func (c *core) bound(key string, i ia, now time.Time) netip.Addr {
	if l := c.table.byKey[key]; l != nil {
		return l.ip
	}
	for _, ip := range i.addrs {
		if c.table.free(ip, key, now) {
			return ip
		}
	}
	return netip.Addr{}
}

// release ends leases (RFC 8415 section 18.3.7).
func (c *core) release(now time.Time, r *request) *answer {
	return c.giveBack(now, r, func(key string, _ netip.Addr) { c.table.release(key, now) })
}

// decline sets addresses aside that somebody else uses (RFC 8415 section 18.3.8).
func (c *core) decline(now time.Time, r *request) *answer {
	return c.giveBack(now, r, func(_ string, ip netip.Addr) { c.table.setAside(ip, now.Add(asideTime)) })
}

func (c *core) giveBack(now time.Time, r *request, how func(key string, ip netip.Addr)) *answer {
	a := c.answer(r, dhcpv6.MessageTypeReply)
	a.status(iana.StatusSuccess)
	for _, i := range r.ias {
		known := false
		for _, ip := range i.addrs {
			if key := r.key(i); c.table.holds(key, ip) {
				how(key, ip)
				a.save = append(a.save, leases.Record{IP: ip, MAC: r.mac, Client: key, Until: now})
				known = true
			}
		}
		if !known {
			a.refuse(i, iana.StatusNoBinding)
		}
	}
	return a
}

// configure adds what the client asks for beside addresses, and its boot file.
func (c *core) configure(a *answer, r *request) {
	if len(c.cfg.DNS) > 0 && r.wants(dhcpv6.OptionDNSRecursiveNameServer) {
		a.AddOption(dhcpv6.OptDNS(slicesOf(c.cfg.DNS)...))
	}
	if c.cfg.Domain != "" && r.wants(dhcpv6.OptionDomainSearchList) {
		a.AddOption(dhcpv6.OptDomainSearchList(domain(c.cfg.Domain)))
	}
	c.addBoot(a.Message, r)
}
