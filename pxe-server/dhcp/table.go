package dhcp

import (
	"container/list"
	"net/netip"
	"time"
)

type state int

const (
	free state = iota
	offered
	leased
	aside // somebody answers for it, or a client declined it
)

// address is one address that can be given. Its client stays the last one that had it, so that it gets it again.
type address struct {
	ip       netip.Addr
	client   string
	mac      macAddr
	reserved *Reservation
	state    state
	until    time.Time // end of the offer, the lease, or being aside
	clear    time.Time // when the address was last known to be in nobody else's use
	asked    time.Time // when it was last probed before anybody asked for it
	in       *list.List
	elem     *list.Element
}

// subnet keeps its addresses: free ones, longest unused first, and offered ones, oldest first.
type subnet struct {
	Subnet
	local        bool
	byIP         map[netip.Addr]*address
	byClient     map[string]*address
	reserved     map[macAddr]*address
	free, offers *list.List
	swept        time.Time
}

func newSubnet(s Subnet, cfg Config) *subnet {
	n := &subnet{
		Subnet: s, local: s.Prefix.Contains(cfg.ServerIP), byIP: map[netip.Addr]*address{}, byClient: map[string]*address{},
		reserved: map[macAddr]*address{}, free: list.New(), offers: list.New(),
	}
	for i := range cfg.Reservations {
		r := &cfg.Reservations[i]
		if mac, ok := toMAC(r.MAC); ok && s.Prefix.Contains(r.IP) {
			n.byIP[r.IP] = &address{ip: r.IP, mac: mac, reserved: r}
			n.reserved[mac] = n.byIP[r.IP]
		}
	}
	for _, p := range s.Pools {
		for u := toUint(p.From); ; u++ {
			ip := fromUint(u)
			if n.byIP[ip] == nil && s.host(ip) && ip != cfg.ServerIP {
				a := &address{ip: ip}
				n.byIP[ip] = a
				n.move(a, n.free)
			}
			if ip == p.To {
				break
			}
		}
	}
	return n
}

// move puts a at the end of a list, or in none. Reserved addresses are never in a list.
func (n *subnet) move(a *address, to *list.List) {
	if a.in != nil {
		a.in.Remove(a.elem)
	}
	a.in, a.elem = to, nil
	if to != nil && a.reserved == nil {
		a.elem = to.PushBack(a)
	} else {
		a.in = nil
	}
}

// give makes client the owner of a. What it was offered before is free again; an older lease of it runs out by itself,
// since the client may still use it.
func (n *subnet) give(a *address, client string, mac macAddr) {
	if a.client != client {
		n.forget(a)
	}
	if old := n.byClient[client]; old != nil && old != a && old.state != leased {
		n.forget(old)
		if old.state == offered {
			n.setFree(old)
		}
	}
	a.client, a.mac = client, mac
	n.byClient[client] = a
}

func (n *subnet) forget(a *address) {
	if n.byClient[a.client] == a {
		delete(n.byClient, a.client)
	}
	a.client = ""
}

func (n *subnet) setFree(a *address) {
	a.state, a.until = free, time.Time{}
	n.move(a, n.free)
}

func (n *subnet) offer(a *address, r *request, until time.Time) {
	n.give(a, r.client, r.mac)
	a.state, a.until = offered, until
	n.move(a, n.offers)
}

func (n *subnet) lease(a *address, client string, mac macAddr, until time.Time) {
	n.give(a, client, mac)
	a.state, a.until = leased, until
	n.move(a, nil)
}

func (n *subnet) setAside(a *address, until time.Time) {
	n.forget(a)
	a.state, a.until, a.clear = aside, until, time.Time{}
	n.move(a, nil)
}

// sweep frees what has expired; at most once a second, since it visits every address.
func (n *subnet) sweep(now time.Time) {
	if d := now.Sub(n.swept); d >= 0 && d < time.Second {
		return
	}
	n.swept = now
	for _, a := range n.byIP {
		n.refresh(a, now)
	}
}

func (n *subnet) refresh(a *address, now time.Time) {
	if a.state != free && !now.Before(a.until) {
		n.setFree(a)
	}
}

// allowed says whether the client may have a at all, whoever has it now: a reserved address and its MAC have only each other.
func (n *subnet) allowed(a *address, r *request) bool {
	if own := n.reserved[r.mac]; own != nil || a.reserved != nil {
		return own == a
	}
	return true
}

// available says whether the client could get a now. Another client's offer is no obstacle.
func (n *subnet) available(a *address, r *request, now time.Time) bool {
	n.refresh(a, now)
	switch {
	case !n.allowed(a, r) || a.state == aside:
		return false
	case a.state == leased:
		return a.client == r.client || a.reserved != nil
	}
	return true
}

// choose finds an address for a DISCOVER (RFC 2131 4.3.1): reserved, the client's last one, the one it asks for, the
// longest unused one; when all are offered, the oldest offer.
func (n *subnet) choose(r *request, now time.Time) *address {
	if reserved := n.reserved[r.mac]; reserved != nil {
		if n.available(reserved, r, now) {
			return reserved
		}
		return nil
	}
	for _, a := range []*address{n.byClient[r.client], n.byIP[r.wants]} {
		if a != nil && n.available(a, r, now) && (a.state == free || a.client == r.client) {
			return a
		}
	}
	n.expireOffers(now)
	if n.free.Len() == 0 {
		n.sweep(now)
	}
	for _, l := range []*list.List{n.free, n.offers} {
		if e := l.Front(); e != nil {
			return e.Value.(*address)
		}
	}
	return nil
}

// expireOffers puts addresses whose offer nobody took to the front of the free ones: they were probed just now.
func (n *subnet) expireOffers(now time.Time) {
	for e := n.offers.Front(); e != nil && !now.Before(e.Value.(*address).until); e = n.offers.Front() {
		a := e.Value.(*address)
		n.setFree(a)
		n.free.MoveToFront(a.elem)
	}
}

func (a *address) isClear(now time.Time) bool {
	d := now.Sub(a.clear)
	return !a.clear.IsZero() && d >= 0 && d <= freshTime
}

// findClear looks for a probed address among the first free ones, then the oldest offers.
func (n *subnet) findClear(now time.Time) *address {
	const look = 64
	n.expireOffers(now)
	for _, l := range []*list.List{n.free, n.offers} {
		for i, e := 0, l.Front(); e != nil && i < look; i, e = i+1, e.Next() {
			if a := e.Value.(*address); a.isClear(now) {
				return a
			}
		}
	}
	return nil
}
