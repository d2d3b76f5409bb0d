package agentserver

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	spec.Agent.BootID = who.bootID
	own, err := s.mayReport(ctx, who, &spec)
	if err != nil {
		s.audit(protocol.Agent_ReportInventory_FullMethodName, sourceOf(ctx), err)
		return nil, err
	}
	if err := s.write(ctx, own, spec); err != nil {
		return nil, s.internal("writing the inventory", err)
	}
	if len(cut) > 0 {
		s.cfg.Events.Event(who.server, true, reasons.InventoryTruncated, "The agent reported more than Ingot keeps; cut: "+strings.Join(cut, ", ")+".")
	}
	s.cfg.Sightings.At(who.server, claims.Addresses(r.GetInventory().GetAddresses()))
	s.cfg.Sightings.Adopt(who.server, who.bootID, "Inventory")
	return &protocol.ReportInventoryResponse{}, nil
}

// mayReport refuses an unproven boot of an accepted Server, and an inventory that is not that of the machine which enrolled. It returns the Server.
func (s *Server) mayReport(ctx context.Context, who caller, spec *metal.ServerInventorySpec) (*metal.Server, error) {
	table, err := s.table(ctx, s.cfg.Client)
	if err != nil {
		return nil, s.internal("listing Servers", err)
	}
	var own metal.Server
	if err := s.getServer(ctx, who.server, &own); err != nil {
		return nil, s.internal("reading the Server", err)
	}
	self := server{row: boot.Server{Name: own.Name, Identity: identity.Of(&own, nil), Accepted: own.Spec.Accepted}, manager: managerOf(&own)}
	if err := s.mayLink(self); err != nil {
		return nil, err
	}
	// The Server itself may be missing in the cache; it is matched by what it declares, never by the inventory that is about to be replaced.
	all := []boot.Server{self.row}
	for _, t := range table {
		if t.row.Name != own.Name {
			all = append(all, t.row)
		}
	}
	return &own, s.sameMachine(own.Name, boot.Resolve(identity.Of(&metal.Server{}, spec), all), self.row.Identity)
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

// write creates or replaces the ServerInventory, and leaves it alone when only the time of the report differs.
func (s *Server) write(ctx context.Context, own *metal.Server, spec metal.ServerInventorySpec) error {
	spec.ReportedAt = metav1.NewTime(reportedAt(s.cfg.Now()))
	var old metal.ServerInventory
	err := s.cfg.Live.Get(ctx, types.NamespacedName{Name: own.Name}, &old)
	if apierrors.IsNotFound(err) {
		return s.cfg.Client.Create(ctx, &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: own.Name, OwnerReferences: ownedBy(own)}, Spec: spec})
	}
	if err != nil {
		return err
	}
	same := old.Spec
	same.ReportedAt = spec.ReportedAt
	if equality.Semantic.DeepEqual(same, spec) && equality.Semantic.DeepEqual(old.OwnerReferences, ownedBy(own)) {
		return nil
	}
	// The resourceVersion of the read makes a concurrent report fail rather than be overwritten; the agent tries again.
	changed := old.DeepCopy()
	changed.Spec, changed.OwnerReferences = spec, ownedBy(own)
	return s.cfg.Client.Patch(ctx, changed, client.MergeFromWithOptions(&old, client.MergeFromWithOptimisticLock{}))
}

// ownedBy lets an inventory go with its Server: one that stayed would describe whatever machine gets the name next.
func ownedBy(own *metal.Server) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: metal.GroupVersion.String(), Kind: "Server", Name: own.Name, UID: own.UID}}
}
