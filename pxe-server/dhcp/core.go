package dhcp

import (
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"ingot.dev/ingot/pxe-server/leases"
)

const (
	offerTime = 15 * time.Second // how long an address waits for its REQUEST; EDK2 and iPXE need up to 10 s
	asideTime = 10 * time.Minute
	freshTime = 5 * time.Minute // how long a probe's answer holds, unless somebody is heard to use the address
)

// core decides. It is not safe for concurrent use.
type core struct {
	cfg     Config
	subnets []*subnet
}

// step is what the shell shall do about one packet: exactly one of silence, probe and reply.
type step struct {
	silence Reason
	// probe asks for this address to be probed; then probed() is called and the packet handled again.
	probe netip.Addr
	// save must be on disk before reply leaves.
	save  *leases.Record
	reply *reply
	event *Event
	// boots: a machine asks for an address to boot from the network with.
	boots bool
	// other is a server that the client took an address from instead of us.
	other netip.Addr
	// mac of the client, for logs.
	mac macAddr
}

func newCore(cfg Config) *core {
	c := &core{cfg: cfg}
	for _, s := range cfg.Subnets {
		c.subnets = append(c.subnets, newSubnet(s, cfg))
	}
	return c
}

func silent(why Reason) step { return step{silence: why} }

// handle decides about one packet that came from source.
func (c *core) handle(now time.Time, b []byte, source netip.Addr) step {
	r, reason := parse(b, source)
	if r == nil {
		return silent(reason)
	}
	if r.subnet = c.subnetOf(r); r.subnet == nil {
		return silent(UnknownNet)
	}
	s := c.dispatch(now, r)
	s.mac = r.mac
	s.boots = r.discoversToBoot()
	if s.silence == OtherServer {
		s.other = r.chosen()
	}
	if s.reply != nil && s.reply.bytes == nil {
		return step{silence: TooBig, mac: r.mac}
	}
	return s
}

func (c *core) dispatch(now time.Time, r *request) step {
	switch r.typ {
	case dhcpv4.MessageTypeDiscover:
		return c.discover(now, r)
	case dhcpv4.MessageTypeRequest:
		return c.request(now, r)
	case dhcpv4.MessageTypeInform:
		return c.inform(r)
	case dhcpv4.MessageTypeRelease:
		return c.release(now, r)
	default:
		return c.decline(now, r)
	}
}

// subnetOf picks the subnet by the relay, or the one the server itself is in (RFC 2131 4.3.1). A client that renews is
// reached without its relay; then its own address tells.
func (c *core) subnetOf(r *request) *subnet {
	at := r.giaddr
	if !at.IsValid() {
		at = c.cfg.ServerIP
		if r.ciaddr.IsValid() && r.source == r.ciaddr {
			at = r.ciaddr
		}
	}
	return c.subnetAt(at)
}

func (c *core) subnetAt(ip netip.Addr) *subnet {
	for _, s := range c.subnets {
		if s.Prefix.Contains(ip) {
			return s
		}
	}
	return nil
}

func (c *core) ours(id netip.Addr) bool { return !id.IsValid() || id == c.cfg.ServerIP }

func (c *core) discover(now time.Time, r *request) step {
	n := r.subnet
	a := n.choose(r, now)
	if a == nil {
		return silent(PoolEmpty)
	}
	if c.needsProbe(now, n, a, r) {
		n.offer(a, r, now.Add(offerTime))
		return step{probe: a.ip}
	}
	if a.state != leased || a.client != r.client {
		n.offer(a, r, now.Add(offerTime))
	}
	return step{reply: c.offer(r, a)}
}

// needsProbe: an address was not probed lately and is not in this client's own use. Behind a relay ARP does not reach.
func (c *core) needsProbe(now time.Time, n *subnet, a *address, r *request) bool {
	if !n.local || (a.state == leased && a.client == r.client) {
		return false
	}
	return !a.isClear(now)
}

// probed tells what the probe of ip found. The client of b itself may answer: it may still hold the address from before.
func (c *core) probed(now time.Time, b []byte, ip netip.Addr, holder macAddr) (conflict bool) {
	a := c.addressAt(ip)
	if a == nil {
		return false
	}
	r, _ := parse(b, netip.Addr{})
	if holder == (macAddr{}) || (r != nil && holder == r.mac) {
		a.clear = now
		return false
	}
	if a.state != leased {
		c.subnetAt(ip).setAside(a, now.Add(asideTime))
	}
	return true
}

// withoutProbe answers a DISCOVER when no probe may run: with an address that was probed a short while ago. In a flood of
// made-up clients every probe is taken by them; a true client then gets what their probes found out.
func (c *core) withoutProbe(now time.Time, b []byte, source netip.Addr) step {
	r, reason := parse(b, source)
	if r == nil {
		return silent(reason)
	}
	n := c.subnetOf(r)
	if n == nil || r.typ != dhcpv4.MessageTypeDiscover || n.reserved[r.mac] != nil {
		return step{silence: Overload, mac: r.mac}
	}
	r.subnet = n
	if a := n.byClient[r.client]; a != nil && a.state == offered {
		n.setFree(a) // by the attempt before
	}
	a := n.findClear(now)
	if a == nil {
		return step{silence: Overload, mac: r.mac}
	}
	n.offer(a, r, now.Add(offerTime))
	return step{reply: c.offer(r, a), mac: r.mac}
}

func (c *core) inform(r *request) step {
	at := r.ciaddr
	if !at.IsValid() {
		at = r.source
	}
	// The answer goes to that address: it must be one of ours, and on the subnet the packet came through.
	if !r.subnet.host(at) || at == c.cfg.ServerIP {
		return silent(UnknownNet)
	}
	return step{reply: c.informed(r, at)}
}

func (c *core) release(now time.Time, r *request) step {
	a := r.subnet.byIP[r.ciaddr]
	if !c.ours(r.serverID) {
		return silent(OtherServer)
	}
	if a == nil || a.state != leased || a.client != r.client {
		return silent(UnknownLease)
	}
	r.subnet.setFree(a)
	return step{silence: Done, save: &leases.Record{IP: a.ip, Client: a.client, MAC: a.mac, Until: now}}
}

func (c *core) decline(now time.Time, r *request) step {
	a := r.subnet.byIP[r.wants]
	if !c.ours(r.serverID) {
		return silent(OtherServer)
	}
	if a == nil || a.client != r.client || (a.state != leased && a.state != offered) {
		return silent(UnknownLease)
	}
	s := step{silence: Done, save: &leases.Record{IP: a.ip, Client: a.client, MAC: a.mac, Until: now}}
	r.subnet.setAside(a, now.Add(asideTime))
	return s
}

// restore takes a lease from the file; of a client's several leases the newest must come last. Addresses that the configuration no longer has are dropped.
func (c *core) restore(rec leases.Record) {
	n := c.subnetAt(rec.IP)
	if n == nil || n.byIP[rec.IP] == nil {
		return
	}
	if a := n.byIP[rec.IP]; a.reserved == nil || n.reserved[rec.MAC] == a {
		n.lease(a, rec.Client, rec.MAC, rec.Until)
	}
}

// leases lists what is in use.
func (c *core) leases(now time.Time) (all []Lease) {
	for _, n := range c.subnets {
		for _, a := range n.byIP {
			if a.state == leased && now.Before(a.until) {
				all = append(all, Lease{IP: a.ip, MAC: a.mac.hardware(), Expires: a.until})
			}
		}
	}
	return all
}
