package dhcp

import (
	"encoding/binary"
	"time"

	"ingot.dev/ingot/pxe-server/leases"
)

// request answers a REQUEST in the four states of a client (RFC 2131 4.3.2, table 4):
//
//	            server id   option 50   ciaddr
//	SELECTING   ours        the offer   none
//	INIT-REBOOT none        last one    none
//	RENEWING    none        none        the address   (unicast)
//	REBINDING   none        none        the address   (broadcast)
func (c *core) request(now time.Time, r *request) step {
	switch {
	case !c.ours(r.serverID):
		return c.passedOver(r)
	case r.ciaddr.IsValid():
		return c.extend(now, r)
	case !r.wants.IsValid():
		return silent(Malformed)
	case r.serverID.IsValid():
		return c.selecting(now, r)
	}
	return c.reboot(now, r)
}

// passedOver: the client took another server's offer; ours is free again.
func (c *core) passedOver(r *request) step {
	if a := r.subnet.byClient[r.client]; a != nil && a.state == offered {
		r.subnet.setFree(a)
	}
	return silent(OtherServer)
}

func (c *core) selecting(now time.Time, r *request) step {
	a := r.subnet.byIP[r.wants]
	if a == nil || !r.subnet.available(a, r, now) {
		return c.refuse(r, "address not available")
	}
	// The offer may be older than the last restart or than a probe's answer holds.
	if c.needsProbe(now, r.subnet, a, r) {
		r.subnet.offer(a, r, now.Add(offerTime))
		return step{probe: a.ip}
	}
	return c.grant(now, r, a)
}

// reboot: a client that knows nothing but its last address. Unknown clients get silence, for another server may know them;
// known ones that ask for a wrong address get a NAK.
func (c *core) reboot(now time.Time, r *request) step {
	if !r.subnet.Prefix.Contains(r.wants) {
		return c.refuse(r, "wrong network")
	}
	own := c.record(r)
	switch {
	case own == nil:
		return silent(UnknownLease)
	case own.ip != r.wants || !r.subnet.available(own, r, now):
		return c.refuse(r, "not your address")
	case c.needsProbe(now, r.subnet, own, r):
		return step{probe: own.ip}
	}
	return c.grant(now, r, own)
}

func (c *core) extend(now time.Time, r *request) step {
	if !r.subnet.Prefix.Contains(r.ciaddr) {
		return c.refuse(r, "wrong network")
	}
	own := c.record(r)
	a := r.subnet.byIP[r.ciaddr]
	switch {
	case own == nil && (a == nil || a.state != leased):
		return silent(UnknownLease)
	case own != a || a == nil || !r.subnet.available(a, r, now):
		return c.refuse(r, "not your address")
	}
	return c.grant(now, r, a)
}

// record is the address that the client has or had, or that is reserved for it.
func (c *core) record(r *request) *address {
	if a := r.subnet.reserved[r.mac]; a != nil {
		return a
	}
	return r.subnet.byClient[r.client]
}

func (c *core) grant(now time.Time, r *request, a *address) step {
	until := now.Add(leaseTime(r))
	r.subnet.lease(a, r.client, r.mac, until)
	a.clear = now
	return step{
		reply: c.ack(r, a),
		save:  &leases.Record{IP: a.ip, Client: r.client, MAC: r.mac, Until: until},
		event: seen(r, a.ip, now),
	}
}

// leaseTime is the subnet's, or shorter when the client asks for less (RFC 2131 4.3.1).
func leaseTime(r *request) time.Duration {
	t := r.subnet.LeaseTime
	if v := r.Options[51]; len(v) == 4 {
		t = min(t, max(minLease, time.Duration(binary.BigEndian.Uint32(v))*time.Second))
	}
	return t
}

func (c *core) refuse(r *request, why string) step { return step{reply: c.nak(r, why)} }
