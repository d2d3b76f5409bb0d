package agentserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/pxe-server/boot"
)

// Enroll gives a machine a certificate for this boot. All it says is unproven (trust level 0), unless it is the first claimant of the boot that its
// Server expects (level 1). An accepted Server is linked to no other boot.
func (s *Server) Enroll(ctx context.Context, r *protocol.EnrollRequest) (*protocol.EnrollResponse, error) {
	if !claims.BootID(r.GetBootId()) {
		return nil, refuse(codeInvalid, "", "boot_id is empty or malformed; it comes from the kernel line")
	}
	key, fingerprint, err := requestedKey(r.GetCsr())
	if err != nil {
		return nil, err
	}
	id := claims.Identity(r.GetEvidence())
	if !claims.Recognisable(id) {
		return nil, refuse(codeInvalid, "", "no MAC address, serial number or UUID could tell this machine apart from others")
	}
	name, err := s.link(ctx, id)
	if err != nil {
		s.audit(protocol.Agent_Enroll_FullMethodName, sourceOf(ctx), err)
		return nil, err
	}
	level, err := s.claim(ctx, name, lifecycle.Caller{BootID: r.GetBootId(), Key: fingerprint})
	if err != nil {
		return nil, err
	}
	der, err := s.sign(key, name, r.GetBootId())
	if err != nil {
		return nil, err
	}
	s.cfg.Sightings.Adopt(name, r.GetBootId(), metal.StageEnrolled)
	s.counts.enrol(level)
	s.cfg.Log.Info("Enrolled an agent", "server", name, "bootID", r.GetBootId(), "trust", level, "source", sourceOf(ctx), "agent", claims.Text(r.GetAgentVersion(), 64))
	return &protocol.EnrollResponse{
		Server: name, Certificate: der, Ca: s.cfg.Authority.DER(), ValidSeconds: int64(certificateLifetime.Seconds()),
		TrustLevel: level,
	}, nil
}

// claim asks the desk what this boot is to the Server. A Server that was there a moment ago and is gone is looked for again.
func (s *Server) claim(ctx context.Context, name string, c lifecycle.Caller) (int32, error) {
	level, err := s.desk.Claim(ctx, name, c)
	if errors.Is(err, desk.ErrGone) {
		return 0, refuse(codeUnavailable, "", "the Server "+name+" was deleted a moment ago: try again")
	}
	return level, s.answer(ctx, protocol.Agent_Enroll_FullMethodName, name, err)
}

// link finds the Server of the evidence, or creates one.
func (s *Server) link(ctx context.Context, id boot.Identity) (string, error) {
	table, err := s.near(ctx, id)
	if err != nil {
		return "", s.internal("looking for the Server of a machine", err)
	}
	name, err := s.match(id, table)
	if name != "" || err != nil {
		return name, err
	}
	return s.register(ctx, id)
}

// match finds the Server that the evidence names; empty when none does.
func (s *Server) match(id boot.Identity, table []server) (string, error) {
	m := boot.Resolve(id, rows(table))
	if len(m.Conflict) > 0 && s.settling(m.Conflict, table) {
		return "", refuse(codeUnavailable, "", "this machine was registered twice a moment ago, which is being put right: try again")
	}
	if len(m.Conflict) > 0 {
		s.cfg.Sightings.Conflict(m.Conflict)
		return "", refuse(codeConflict, reasons.IdentityConflict,
			"this machine's evidence points to several Servers ("+strings.Join(m.Conflict[:min(len(m.Conflict), 5)], ", ")+"); an operator must correct them")
	}
	if m.Server == "" {
		return "", nil
	}
	for _, t := range table {
		if t.row.Name == m.Server {
			return m.Server, s.mayLink(t)
		}
	}
	return m.Server, nil
}

// settleTime is how long two new Servers of one machine may be the work of two enrolments at once, of which one is taking its own back.
const settleTime = 15 * time.Second

// settling says that one of the Servers is so new that it may go away by itself.
func (s *Server) settling(names []string, table []server) bool {
	return slices.ContainsFunc(table, func(t server) bool {
		return slices.Contains(names, t.row.Name) && !t.row.Registered && s.cfg.Now().Sub(t.created) < settleTime
	})
}

// mayLink says whether evidence may lead to the Server at all; the desk judges the boot.
func (s *Server) mayLink(t server) error {
	if t.manager != "" && t.manager != s.cfg.Installation {
		return refuse(codeDenied, reasons.UnmanagedHere, "another installation manages the Server "+t.row.Name)
	}
	return nil
}

// server is one Server as matching sees it, who manages it, and when it was created.
type server struct {
	row     boot.Server
	manager string
	created time.Time
}

func rows(table []server) []boot.Server {
	out := make([]boot.Server, len(table))
	for i := range table {
		out[i] = table[i].row
	}
	return out
}

// near lists the Servers that share evidence with a machine, as the cache knows them. Matching says of these what it would say of all.
func (s *Server) near(ctx context.Context, id boot.Identity) ([]server, error) {
	servers, inventories, err := s.cfg.Candidates.Of(ctx, id)
	if err != nil {
		return nil, err
	}
	byName := map[string]*metal.Server{}
	for i := range servers {
		byName[servers[i].Name] = &servers[i]
	}
	var table []server
	for _, row := range identity.Table(servers, inventories, s.cfg.Installation) {
		object := byName[row.Name]
		table = append(table, server{row: row, manager: managerOf(object), created: object.CreationTimestamp.Time})
	}
	return table, nil
}

// managerOf is the installation that manages the Server; empty when none does yet.
func managerOf(s *metal.Server) string {
	r := s.Spec.Record
	if r == nil || r.ManagedBy == nil {
		return ""
	}
	if r.ManagedBy.LetGo != nil { // whoever takes it over, nobody here does
		return "after " + r.ManagedBy.Installation
	}
	return r.ManagedBy.Installation
}
