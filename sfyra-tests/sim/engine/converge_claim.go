package engine

import (
	"k8s.io/apimachinery/pkg/api/meta"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

func pausedServer(s *metal.Server) bool {
	_, ok := s.Annotations[lifecycle.PausedAnnotation]
	return ok
}

// claimMoving says what a claim still goes through; empty when it rests.
func (w *World) claimMoving(c *metal.ServerClaim) string {
	switch {
	case c.DeletionTimestamp != nil:
		return w.ending(c)
	case c.Spec.Binding == nil:
		return w.waiting(c)
	case w.partner(c) == nil:
		return ""
	}
	s := w.partner(c)
	bound, done := meta.FindStatusCondition(c.Status.Conditions, reasons.Ready), meta.FindStatusCondition(s.Status.Conditions, reasons.Provisioned)
	if bound == nil || done == nil || bound.Reason != done.Reason {
		return "it does not show yet how its server fares"
	}
	return ""
}

// partner is the Server that holds the claim's binding; nil when none does.
func (w *World) partner(c *metal.ServerClaim) *metal.Server {
	s := store.Peek[metal.Server](w.store, "", c.Spec.Binding.Server)
	if r := recordOf(s); r.Claim == nil || r.Claim.BindingID != c.Spec.Binding.BindingID {
		return nil
	}
	return s
}

// ending says why a claim that is being deleted should be gone.
func (w *World) ending(c *metal.ServerClaim) string {
	s := w.namedBy(c)
	switch {
	case w.operator.held(c), s != nil && (pausedServer(s) || s.Spec.BMC == nil || recordOf(s).Unverified != nil):
		return ""
	case c.Annotations != nil && !holdsFinalizer(c):
		return ""
	case c.Spec.Binding == nil && s != nil && recordOf(s).Claim.BoundAt != nil: // of an earlier claim of that name, which was never released
		return ""
	}
	return "it is being deleted, and nothing true holds it"
}

// namedBy is the Server whose record names the claim.
func (w *World) namedBy(c *metal.ServerClaim) *metal.Server {
	if c.Spec.Binding != nil {
		return w.partner(c)
	}
	for _, s := range store.All[metal.Server](w.store) {
		if r := recordOf(s); r.Claim != nil && r.Claim.Namespace == c.Namespace && r.Claim.Name == c.Name && w.check.ours(s) == "" {
			return s
		}
	}
	return nil
}

// waiting says why a claim without a binding should have one.
func (w *World) waiting(c *metal.ServerClaim) string {
	if s := w.namedBy(c); s != nil {
		side := recordOf(s).Claim
		if c.Spec.ServerName == "" || c.Spec.ServerName == s.Name || side.BoundAt == nil {
			if recordOf(s).Release == nil {
				return "the record of " + s.Name + " names it"
			}
			return w.fencing(s)
		}
		return ""
	}
	for _, s := range store.All[metal.Server](w.store) {
		if len(allocate.Unavailable(s)) == 0 && w.check.ours(s) == "" && (c.Spec.ServerName == "" || c.Spec.ServerName == s.Name) {
			return s.Name + " is free"
		}
	}
	return ""
}

// fencing says that a release still goes on.
func (w *World) fencing(s *metal.Server) string {
	if pausedServer(s) || s.Spec.BMC == nil || recordOf(s).Unverified != nil {
		return ""
	}
	return "its earlier server is being given back"
}

// concludesClaim checks one claim at the end (L1).
func (w *World) concludesClaim(c *metal.ServerClaim) {
	switch {
	case w.claimMoving(c) != "":
		w.check.fail("L1", "the claim %s/%s did not come to rest within %s after the last fault: %s", c.Namespace, c.Name, patience, w.claimMoving(c))
	case c.DeletionTimestamp != nil:
		w.count(endDeleting)
	case c.Spec.Binding == nil:
		w.count(endUnbound)
	case w.partner(c) == nil:
		l := w.check.lease(c.Spec.Binding.BindingID)
		if s := store.Peek[metal.Server](w.store, "", c.Spec.Binding.Server); s != nil && !l.given && w.check.disturbed < 0 {
			w.check.fail("L1", "the claim %s/%s has lost its server %s, and nobody gave that up", c.Namespace, c.Name, s.Name)
		}
	default:
		w.count(endBound)
	}
}

// untrueClaimed holds what a claimed server waits for against the models.
func (w *World) untrueClaimed(m *machine, s *metal.Server) string {
	r := recordOf(s)
	switch {
	case r.Claim == nil:
		return "there is no claim"
	case ready(s) == reasons.ClaimMissing && store.Peek[metal.ServerClaim](w.store, r.Claim.Namespace, r.Claim.Name) != nil:
		return "the claim is there"
	case ready(s) == reasons.ConfigMissing && w.configOf(s) != "":
		return "there is a machine config"
	case ready(s) == reasons.FencingUnconfirmed && s.Spec.BMC != nil && !pausedServer(s):
		return "it has a BMC"
	case (ready(s) == reasons.DiskBootFailed || ready(s) == reasons.WorkloadSilent) && works(m, r.Claim.BindingID):
		return "its system runs"
	}
	return ""
}

// works says that the machine runs the workload of a binding.
func works(m *machine, binding string) bool {
	return m.on && !m.hung && m.system != nil && m.system.binding == binding
}

// pretends says that a server shows Running, and its machine does not run the workload: Ingot has to find out, since that promised to tell. It cannot where a
// stranger lied, and while it started by a clock that ran ahead.
func (w *World) pretends(s *metal.Server) string {
	m, r := w.machineOf(s), recordOf(s)
	if ready(s) != reasons.Running || w.kinds.Has(ClockJumps) || m == nil || w.twins(m) > 1 || r.Installed.EverySeconds == 0 {
		return ""
	}
	l := w.check.lease(r.Claim.BindingID)
	if l == nil || l.forged || works(m, l.id) {
		return ""
	}
	return "it shows Running, and its machine runs " + string(m.runs)
}
