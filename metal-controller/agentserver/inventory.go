package agentserver

import (
	"context"
	"fmt"
	"strings"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/pxe-server/boot"
)

// ReportInventory writes the ServerInventory of the Server that the certificate names.
func (s *Server) ReportInventory(ctx context.Context, r *protocol.ReportInventoryRequest) (*protocol.ReportInventoryResponse, error) {
	who := callerOf(ctx)
	if r.GetInventory() == nil {
		return nil, refuse(codeInvalid, "", "the inventory is missing")
	}
	spec, cut := claims.Inventory(r.GetInventory())
	if err := s.mayReport(ctx, who, &spec); err != nil {
		s.audit(protocol.Agent_ReportInventory_FullMethodName, sourceOf(ctx), err)
		return nil, err
	}
	if err := s.answer(ctx, protocol.Agent_ReportInventory_FullMethodName, who.server, s.desk.Inventory(ctx, who.Caller, who.server, spec)); err != nil {
		return nil, err
	}
	if len(cut) > 0 {
		s.cfg.Events.Event(who.server, true, reasons.InventoryTruncated, "The agent reported more than Ingot keeps; cut: "+strings.Join(cut, ", ")+".")
	}
	s.cfg.Sightings.At(who.server, claims.Addresses(r.GetInventory().GetAddresses()))
	s.cfg.Sightings.Adopt(who.server, who.BootID, metal.StageInventory)
	return &protocol.ReportInventoryResponse{}, nil
}

// mayReport refuses an inventory that is not that of the machine which enrolled.
func (s *Server) mayReport(ctx context.Context, who caller, spec *metal.ServerInventorySpec) error {
	shown := identity.Of(&metal.Server{}, spec)
	table, err := s.near(ctx, shown)
	if err != nil {
		return s.internal("looking for Servers like the one that reports", err)
	}
	var own metal.Server
	if err := s.getServer(ctx, who.server, &own); err != nil {
		return s.internal("reading the Server", err)
	}
	self := server{row: boot.Server{Name: own.Name, Identity: identity.Of(&own, nil)}, manager: managerOf(&own)}
	if err := s.mayLink(self); err != nil {
		return err
	}
	// The Server itself may be missing in the cache; it is matched by what it declares, never by the inventory that is about to be replaced.
	all := []boot.Server{self.row}
	for _, t := range table {
		if t.row.Name != own.Name {
			all = append(all, t.row)
		}
	}
	return s.sameMachine(own.Name, boot.Resolve(shown, all), self.row.Identity)
}

// sameMachine says whether the inventory's identity names the Server that reported it. A Server that declares nothing takes any that is nobody's.
func (s *Server) sameMachine(name string, m boot.Match, declared boot.Identity) error {
	if m.Server == name || m.Server == "" && len(m.Conflict) == 0 && !claims.Recognisable(declared) {
		return nil
	}
	others := m.Conflict
	if m.Server != "" {
		others = []string{m.Server}
	}
	if len(others) > 0 {
		s.cfg.Sightings.Conflict(append([]string{name}, without(others, name)...))
	}
	return refuse(codeConflict, reasons.IdentityConflict, fmt.Sprintf("the inventory is not that of the machine that enrolled as %s; nothing was written", name))
}

func without(names []string, name string) []string {
	var out []string
	for _, n := range names {
		if n != name {
			out = append(out, n)
		}
	}
	return out
}
