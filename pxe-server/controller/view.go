package controller

import (
	"errors"
	"fmt"

	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Limits of a view.
const (
	maxServers = 50_000
	maxMACs    = 64
	maxArgs    = 64
)

// ErrView is returned for a view that a controller of ours does not send.
var ErrView = errors.New("view is malformed")

// ViewOf reads a view from the wire. Words that this version does not know are kept: boot.Decide has an answer for them.
func ViewOf(m *protocol.View) (boot.View, error) {
	if n := len(m.GetServers()); n > maxServers {
		return boot.View{}, fmt.Errorf("%w: %d servers, at most %d", ErrView, n, maxServers)
	}
	a := m.GetAgent()
	if n := len(a.GetArgs()); n > maxArgs {
		return boot.View{}, fmt.Errorf("%w: %d kernel arguments, at most %d", ErrView, n, maxArgs)
	}
	v := boot.View{
		Policy:   boot.UnknownPolicy(m.GetUnknownPolicy()),
		Servers:  make([]boot.Server, 0, len(m.GetServers())),
		AgentURL: a.GetUrl(), AgentPin: a.GetPin(), AgentArgs: a.GetArgs(),
		Revision: m.GetRevision(),
	}
	names := make(map[string]bool, len(m.GetServers()))
	for _, s := range m.GetServers() {
		if s.GetName() == "" || names[s.GetName()] || len(s.GetMacs()) > maxMACs {
			return boot.View{}, fmt.Errorf("%w: server %q has no name, a name twice, or more than %d MACs", ErrView, s.GetName(), maxMACs)
		}
		names[s.GetName()] = true
		v.Servers = append(v.Servers, server(s))
	}
	return v, nil
}

func server(s *protocol.Server) boot.Server {
	return boot.Server{
		Name: s.GetName(),
		Identity: boot.Identity{
			MACs: s.GetMacs(), Manufacturer: s.GetManufacturer(), Serial: s.GetSerial(), UUID: s.GetUuid(),
		},
		Accepted: s.GetAccepted(), Registered: s.GetRegistered(),
		Target: boot.Target(s.GetTarget()), BootID: s.GetBootId(),
	}
}
