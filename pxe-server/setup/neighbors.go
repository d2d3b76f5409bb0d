package setup

import (
	"maps"
	"slices"
	"sync"

	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/pxe-server/dhcp"
	"ingot.dev/ingot/pxe-server/protocol"
)

// neighbors are the other DHCP servers on every network, for the controller.
type neighbors struct {
	changed chan struct{}

	mu          sync.Mutex
	byInterface map[string]dhcp.Neighbors
}

func newNeighbors() *neighbors {
	return &neighbors{changed: make(chan struct{}, 1), byInterface: map[string]dhcp.Neighbors{}}
}

func (n *neighbors) set(name string, o dhcp.Neighbors) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byInterface[name] = o
	pace.Signal(n.changed)
}

// networks are those that something was heard of, by the protocol, in the order of their interfaces' names.
func (n *neighbors) networks() (out []*protocol.Network) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(n.byInterface)) {
		o := n.byInterface[name]
		m := &protocol.Network{Interface: name, Trouble: string(o.Trouble)}
		for _, s := range o.Servers {
			m.Servers = append(m.Servers, s.String())
		}
		out = append(out, m)
	}
	return out
}
