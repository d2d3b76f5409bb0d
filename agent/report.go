package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/agent/inventory"
	"ingot.dev/ingot/agent/inventory/lldp"
	"ingot.dev/ingot/agent/network"
	"ingot.dev/ingot/agent/protocol"
)

// Switches send LLDP every 30 s by default (IEEE 802.1AB section 9.2.5.7). The first report waits only a little for it.
const (
	lldpTime  = 35 * time.Second
	lldpFirst = 3 * time.Second
)

// reporter keeps the inventory of this boot and adds what comes in late.
type reporter struct {
	mu      sync.Mutex
	inv     *protocol.Inventory
	changed chan struct{}
}

// newReporter reads the hardware once and listens for neighbours on each interface.
func newReporter(ctx context.Context, log *slog.Logger, c *inventory.Collector) *reporter {
	r := &reporter{inv: c.Collect(ctx), changed: make(chan struct{}, 1)}
	log.Info("read the hardware", "disks", len(r.inv.GetDisks()), "interfaces", len(r.inv.GetNics()), "pci", len(r.inv.GetPci()))
	first, cancel := context.WithTimeout(ctx, lldpFirst)
	defer cancel()
	var heard sync.WaitGroup
	for _, n := range r.inv.GetNics() {
		heard.Go(func() { r.listen(ctx, log, n.GetName()) })
	}
	done := make(chan struct{})
	go func() { heard.Wait(); close(done) }()
	select {
	case <-done:
	case <-first.Done():
	}
	return r
}

// listen waits for one neighbour, within the bound.
func (r *reporter) listen(ctx context.Context, log *slog.Logger, name string) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lldpTime)
	defer cancel()
	n, err := lldp.Listen(ctx, i.Index)
	if err != nil {
		return
	}
	neighbor := &protocol.Neighbor{
		ChassisId: inventory.Clean(n.ChassisID, 256), PortId: inventory.Clean(n.PortID, 256),
		PortDescription: inventory.Clean(n.PortDescription, 256), SystemName: inventory.Clean(n.SystemName, 256),
	}
	log.Info("heard the switch", "interface", name, "system", neighbor.GetSystemName(), "port", neighbor.GetPortId())
	r.update(func(inv *protocol.Inventory) {
		for _, nic := range inv.GetNics() {
			if nic.GetName() == name {
				nic.Neighbor = neighbor
			}
		}
	})
}

// address notes where the machine can be reached.
func (r *reporter) address(l network.Lease) {
	r.update(func(inv *protocol.Inventory) { inv.Addresses = []string{l.Address.Addr().String()} })
}

// update changes the inventory and asks for another report.
func (r *reporter) update(change func(*protocol.Inventory)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.inv)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// inventory is a copy, safe to send while updates go on.
func (r *reporter) inventory() *protocol.Inventory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return proto.Clone(r.inv).(*protocol.Inventory)
}
