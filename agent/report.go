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

const (
	// Switches send LLDP every 30 s by default (IEEE 802.1AB section 9.2.5.7). The first report waits only a little for it.
	lldpTime  = 35 * time.Second
	lldpFirst = 3 * time.Second
)

// looks are the times after the first look at which the hardware is read again: links train for seconds, RAID controllers
// and buses behind buses show their disks late. After the last one the inventory stands for this boot, but for a look after a wipe:
// a disk that appears later than two minutes after the first look is not seen before the next boot, and so not wiped in this one.
var looks = []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute}

// reporter keeps the inventory of this boot and adds what comes in late. It is safe for concurrent use.
type reporter struct {
	collect func(context.Context) *protocol.Inventory
	log     *slog.Logger
	// changed has a token when there is something new to report.
	changed chan struct{}

	// looking lets one look follow the other, so that an old one never replaces a newer one.
	looking sync.Mutex

	mu        sync.Mutex
	hardware  *protocol.Inventory
	neighbors map[string]*protocol.Neighbor
	addresses []string
}

func newReporter(log *slog.Logger, collect func(context.Context) *protocol.Inventory) *reporter {
	return &reporter{
		collect: collect, log: log, changed: make(chan struct{}, 1),
		hardware: &protocol.Inventory{}, neighbors: map[string]*protocol.Neighbor{},
	}
}

// look reads the hardware and asks for a report when it differs from before.
func (r *reporter) look(ctx context.Context) {
	r.looking.Lock()
	defer r.looking.Unlock()
	now := r.collect(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if proto.Equal(now, r.hardware) {
		return
	}
	r.hardware = now
	r.log.Info("read the hardware", "disks", len(now.GetDisks()), "interfaces", len(now.GetNics()), "pci", len(now.GetPci()))
	r.announce()
}

// lookAgain repeats look at the given times.
func (r *reporter) lookAgain(ctx context.Context, pauses []time.Duration, after func(time.Duration) <-chan time.Time) {
	for _, pause := range pauses {
		select {
		case <-after(pause):
			r.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// listen waits for a neighbour on each interface, in the background and within the bound. The channel closes when every
// interface has one or gave up.
func (r *reporter) listen(ctx context.Context, interfaces []network.Interface) <-chan struct{} {
	var all sync.WaitGroup
	for _, i := range interfaces {
		all.Go(func() { r.hear(ctx, i.Name) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	return done
}

func (r *reporter) hear(ctx context.Context, name string) {
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
	r.neighbor(name, &protocol.Neighbor{
		ChassisId: inventory.Clean(n.ChassisID, 256), PortId: inventory.Clean(n.PortID, 256),
		PortDescription: inventory.Clean(n.PortDescription, 256), SystemName: inventory.Clean(n.SystemName, 256),
	})
}

// neighbor notes who is at the other end of a cable.
func (r *reporter) neighbor(ifname string, n *protocol.Neighbor) {
	r.log.Info("heard the switch", "interface", ifname, "system", n.GetSystemName(), "port", n.GetPortId())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.neighbors[ifname] = n
	r.announce()
}

// address notes where the machine can be reached.
func (r *reporter) address(l network.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addresses = []string{l.Address.Addr().String()}
	r.announce()
}

func (r *reporter) announce() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// inventory is a copy of all that is known.
func (r *reporter) inventory() *protocol.Inventory {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := proto.CloneOf(r.hardware)
	out.Addresses = r.addresses
	for _, nic := range out.GetNics() {
		nic.Neighbor = r.neighbors[nic.GetName()]
	}
	return out
}
