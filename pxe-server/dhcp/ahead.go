package dhcp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	aheadEvery  = 5 * time.Second
	aheadAtOnce = 128
	aheadMargin = time.Minute // before a probe's answer no longer holds it is asked for again
)

// ahead probes the addresses that are given next before anybody asks for them. A rack that is switched on asks all at once, and firmware waits a second for its answer.
func (s *Server) ahead(ctx context.Context) {
	tick := time.NewTicker(aheadEvery)
	defer tick.Stop()
	for {
		if s.probeNext(ctx) {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// probeNext probes some addresses, and says whether there may be more to probe at once.
func (s *Server) probeNext(ctx context.Context) bool {
	s.mu.Lock()
	next := s.core.unprobed(s.cfg.Now(), s.cfg.Limits.Ahead)
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, ip := range next {
		wg.Go(func() { s.probeAhead(ctx, ip) })
	}
	wg.Wait()
	return len(next) == aheadAtOnce && ctx.Err() == nil
}

func (s *Server) probeAhead(ctx context.Context, ip netip.Addr) {
	s.stats.probes.Add(1)
	holder, err := s.prober.Probe(ctx.Done(), ip)
	if err != nil || ctx.Err() != nil { // who asks for the address has it probed, and says what is wrong
		return
	}
	mac, _ := toMAC(holder)
	s.mu.Lock()
	conflict := s.core.probedAhead(s.cfg.Now(), ip, mac)
	s.mu.Unlock()
	if conflict {
		s.conflict(ip, mac)
	}
}

func (s *Server) conflict(ip netip.Addr, holder macAddr) {
	s.stats.conflicts.Add(1)
	s.cfg.Log.Warn("Setting an address aside that somebody already uses", "ip", ip, "holder", holder.String())
}

// heard takes what anybody on the link says by ARP: that it uses an address.
func (s *Server) heard(ip netip.Addr, hw net.HardwareAddr) {
	mac, ok := toMAC(hw)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.heard(ip, mac)
}

// unprobed are addresses to probe now: of those that are given next, most of them, the ones of which nothing is known or not for much longer.
func (c *core) unprobed(now time.Time, most int) (next []netip.Addr) {
	due := func(at time.Time) bool { d := now.Sub(at); return d < 0 || d > freshTime-aheadMargin }
	for _, n := range c.subnets {
		if !n.local {
			continue
		}
		n.expireOffers(now)
		for _, a := range n.first(most) {
			if len(next) < aheadAtOnce && due(a.clear) && due(a.asked) {
				a.asked = now
				next = append(next, a.ip)
			}
		}
	}
	return next
}

// first are the addresses that are given next: those that wait for their machine, and the first free ones.
func (n *subnet) first(most int) (all []*address) {
	for _, a := range n.reserved {
		if a.state == free {
			all = append(all, a)
		}
	}
	for e := n.free.Front(); e != nil && len(all) < most; e = e.Next() {
		all = append(all, e.Value.(*address))
	}
	return all
}

// probedAhead tells what a probe found that no client waits for. An address that its last client still uses stays that client's.
func (c *core) probedAhead(now time.Time, ip netip.Addr, holder macAddr) (conflict bool) {
	a := c.addressAt(ip)
	switch {
	case a == nil || a.state != free && a.state != offered:
		return false
	case holder == (macAddr{}):
		a.clear = now
		return false
	case holder == a.mac:
		return false
	}
	c.subnetAt(ip).setAside(a, now.Add(asideTime))
	return true
}

// heard: somebody uses the address, so what a probe found before holds no longer. Its own client may use it.
func (c *core) heard(ip netip.Addr, by macAddr) {
	if a := c.addressAt(ip); a != nil && (a.state == free || a.mac != by) {
		a.clear = time.Time{}
	}
}

func (c *core) addressAt(ip netip.Addr) *address {
	if n := c.subnetAt(ip); n != nil {
		return n.byIP[ip]
	}
	return nil
}
