package engine

import (
	"fmt"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// traced adds a line for a write, with what matters of it.
func (w *World) traced(x *store.Write) []string {
	if !w.cfg.Trace {
		return w.trace
	}
	what := string(x.Verb) + " " + x.Kind
	if x.Status {
		what += " status"
	}
	if s, ok := x.After.(*metal.Server); ok && s != nil {
		if x.Status {
			what += " " + statusLine(s)
		} else {
			what += " " + recordLine(s)
		}
	}
	w.log(x.Key.Name, "%s: %s", x.Who, what)
	return w.trace
}

// recordLine is the record in one line.
func recordLine(s *metal.Server) string {
	r := recordOf(s)
	parts := []string{fmt.Sprintf("v%s accepted=%v", s.ResourceVersion, s.Spec.Accepted)}
	if a := r.Acceptance; a != nil {
		parts = append(parts, fmt.Sprintf("acceptance=%s%v", a.RequestID, serials(a.Disks)))
	}
	if b := r.Boot; b != nil {
		parts = append(parts, fmt.Sprintf("boot=%.6s/%s/%d %s", b.ID, b.Phase, b.Attempt, b.Reason))
	}
	if w := r.Wipe; w != nil {
		parts = append(parts, fmt.Sprintf("wipe=%.6s/%d%v receipt=%v verified=%v", w.ID, w.Generation, serials(w.Disks), w.Receipt != nil, w.VerifiedAt != nil))
	}
	if p := r.Power; p != nil {
		parts = append(parts, fmt.Sprintf("power=%s/%s", p.ID, p.Step))
	}
	if r.Quarantine != nil {
		parts = append(parts, "quarantine="+r.Quarantine.Reason)
	}
	if r.Unverified != nil {
		parts = append(parts, "unverified="+r.Unverified.Reason)
	}
	if r.Claim != nil {
		parts = append(parts, "claim="+r.Claim.Name)
	}
	return strings.Join(parts, " ")
}

func serials(ids []metal.DiskID) (list []string) {
	for _, i := range ids {
		list = append(list, i.Serial)
	}
	return list
}

// statusLine is the status in one line.
func statusLine(s *metal.Server) string {
	line := string(s.Status.State)
	if s.Status.Power != nil {
		line += " power=" + string(s.Status.Power.State)
	}
	if b := s.Status.Boot; b != nil {
		line += fmt.Sprintf(" boot=%s/%.6s", b.Target, b.ID)
	}
	for _, c := range s.Status.Conditions {
		line += " " + c.Type + "=" + c.Reason
	}
	return line
}
