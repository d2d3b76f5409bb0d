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
	if c, ok := x.After.(*metal.ServerClaim); ok && c != nil {
		what += " " + objectLine(c)
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
		parts = append(parts, fmt.Sprintf("boot=%.6s/%s/%s/%d %s", b.ID, b.Target, b.Phase, b.Attempt, b.Reason))
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
	return strings.Join(append(parts, claimLine(r)...), " ")
}

// claimLine is the part about claims.
func claimLine(r *metal.ServerRecord) (parts []string) {
	if c := r.Claim; c != nil {
		parts = append(parts, fmt.Sprintf("claim=%s/%s %.6s bound=%v", c.Namespace, c.Name, c.BindingID, c.BoundAt != nil))
	}
	if i := r.Installed; i != nil {
		parts = append(parts, fmt.Sprintf("installed=%.6s running=%v", i.BootID, i.RunningAt != nil))
	}
	if f := r.Release; f != nil {
		parts = append(parts, fmt.Sprintf("release=%.6s%v off=%s", f.BindingID, serials(f.Disks), f.Proof))
	}
	return parts
}

// objectLine is a claim in one line.
func objectLine(c *metal.ServerClaim) string {
	line := fmt.Sprintf("finalizers=%d", len(c.Finalizers))
	if c.DeletionTimestamp != nil {
		line += " deleting"
	}
	if _, ok := c.Annotations[moveAnnotation]; ok {
		line += " moving"
	}
	if b := c.Spec.Binding; b != nil {
		line += fmt.Sprintf(" binding=%s/%.6s", b.Server, b.BindingID)
	}
	for _, x := range c.Status.Conditions {
		line += " " + x.Type + "=" + x.Reason
	}
	return line
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
