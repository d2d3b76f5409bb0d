package engine

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// lease is what is true of one binding of a claim to a server.
type lease struct {
	id, server string
	claim      types.NamespacedName
	// seen says that the claim's side was written; begun, that both sides were seen.
	seen, begun bool
	// given says that its claim was deleted through our finalizer, or that a person gave the server up; givenAt is when.
	given   bool
	givenAt time.Duration
	// stopped says that no machine ran its workload at some moment after that, or that a person said so.
	stopped bool
	// configured says that a machine config left for it.
	configured bool
	// forged says that a stranger told what only the machine should.
	forged bool
	// why it was given, for messages.
	why string
}

// lease finds a binding; nil when no record ever had it.
func (c *oracle) lease(id string) *lease { return c.leases[id] }

// give notes that a binding may end.
func (c *oracle) give(l *lease, why string) {
	if l == nil || l.given {
		return
	}
	l.given, l.givenAt, l.why = true, c.w.now, why
	c.w.log(l.server, "binding %.6s is given up: %s", l.id, why)
	l.stopped = !c.runs(l)
}

// runs says whether a machine runs a binding's workload, or installs it.
func (c *oracle) runs(l *lease) bool {
	for _, m := range c.w.machines {
		if m.system != nil && m.system.binding == l.id {
			return true
		}
	}
	return false
}

// stops notes that a machine stops what it runs.
func (c *oracle) stops(m *machine) {
	if m.system == nil {
		return
	}
	if l := c.lease(m.system.binding); l != nil && l.given {
		l.stopped = true
	}
}

// judge looks whether a claim gives its binding up now: rule 2 of DESIGN section 3.
func (c *oracle) judge(x *metal.ServerClaim) {
	_, moving := x.Annotations[moveAnnotation]
	if x.Spec.Binding == nil || x.DeletionTimestamp == nil || moving || !holdsFinalizer(x) || c.w.operator.held(x) {
		return
	}
	c.give(c.lease(x.Spec.Binding.BindingID), "its claim is deleted through our finalizer")
}

func holdsFinalizer(x *metal.ServerClaim) bool {
	for _, f := range x.Finalizers {
		if f == claim.Finalizer {
			return true
		}
	}
	return false
}

// gone notes that a claim went: a person who gave its server up before that was early, and is taken at his word if nobody answered him yet.
func (c *oracle) gone(x *metal.ServerClaim) {
	if x.Spec.Binding == nil {
		return
	}
	s := store.Peek[metal.Server](c.w.store, "", x.Spec.Binding.Server)
	if s == nil || s.Spec.ReleaseRequest == nil {
		return
	}
	if q := s.Spec.ReleaseRequest; q.ID != recordOf(s).ReleaseRequest && q.BindingID == x.Spec.Binding.BindingID {
		c.give(c.lease(q.BindingID), "a person said so before its claim went")
	}
}

// givesUp notes a person's word about a server. It counts for a binding that the server has, and without a claim that says otherwise.
func (c *oracle) givesUp(m *machine, s *metal.Server, binding string, confirm bool) {
	r := recordOf(s)
	l := c.lease(binding)
	if l == nil || r.Claim == nil || r.Claim.BindingID != binding {
		return
	}
	if store.Peek[metal.ServerClaim](c.w.store, r.Claim.Namespace, r.Claim.Name) == nil {
		c.give(l, "a person says so")
	}
	if l.given && confirm {
		l.stopped = true
	}
}

// forged notes that the holder of a stolen config lies.
func (c *oracle) forged(s *system) {
	if l := c.lease(s.binding); l != nil {
		l.forged = true
	}
}

// over says whether a binding may end now, and why not.
func (c *oracle) over(l *lease) string {
	switch {
	case !l.given:
		return "nobody gave it up"
	case l.stopped:
		return ""
	}
	at, let := c.strangers[l.server]
	s := store.Peek[metal.Server](c.w.store, "", l.server)
	if let && at >= l.givenAt && s != nil && s.Spec.BMC == nil { // it enrolled as the machine, which nothing there can tell from the truth
		c.w.count(fencesFooled)
		return ""
	}
	for _, m := range c.w.machines {
		if m.system != nil && m.system.binding == l.id && (m.bmc.mode != honest || m.lost+10*time.Minute > l.givenAt) { // its BMC said that it was off
			c.w.count(fencesFooled)
			return ""
		}
	}
	return "its machine runs it since"
}
