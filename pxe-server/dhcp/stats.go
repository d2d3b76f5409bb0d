package dhcp

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Stats counts since the start.
type Stats struct {
	Received, Offers, Acks, Naks uint64
	// Probes were sent; Conflicts of them found the address in use.
	Probes, Conflicts uint64
	// Silent counts the packets that got no answer.
	Silent map[Reason]uint64
}

type counters struct {
	received, offers, acks, naks, probes, conflicts atomic.Uint64

	mu     sync.Mutex
	silent map[Reason]uint64
}

func (c *counters) drop(why Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent == nil {
		c.silent = map[Reason]uint64{}
	}
	c.silent[why]++
}

func (c *counters) reply(t dhcpv4.MessageType) {
	switch t {
	case dhcpv4.MessageTypeOffer:
		c.offers.Add(1)
	case dhcpv4.MessageTypeAck:
		c.acks.Add(1)
	case dhcpv4.MessageTypeNak:
		c.naks.Add(1)
	}
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Received: c.received.Load(), Offers: c.offers.Load(), Acks: c.acks.Load(), Naks: c.naks.Load(),
		Probes: c.probes.Load(), Conflicts: c.conflicts.Load(), Silent: maps.Clone(c.silent),
	}
}
