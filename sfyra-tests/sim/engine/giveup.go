package engine

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// rescue is what a person does about a claimed server that cannot go on by itself, and says whether it did something.
func (o *operator) rescue(m *machine, s *metal.Server) bool {
	r := recordOf(s)
	if r.Claim == nil {
		return false
	}
	switch {
	case o.waits(s, reasons.FencingUnconfirmed) && o.w.people.chance(0.6): // rare, so a person who sees it mostly acts
		o.confirmOff(m, r)
	case (o.waits(s, reasons.ClaimMissing) || r.Unverified != nil) && o.w.people.chance(0.3):
		o.giveUp(m, r.Claim.BindingID, false)
	default:
		return false
	}
	return true
}

// confirmOff looks at the machine, pulls its plug if it is on, and says so. A liar only says so.
func (o *operator) confirmOff(m *machine, r *metal.ServerRecord) {
	lies := o.w.kinds.Has(Liars) && o.w.people.chance(0.9)
	if m.on && !lies {
		m.switchOff("a person pulls the plug")
	}
	o.giveUp(m, r.Claim.BindingID, true)
}

// mistake gives up a server that nobody should: its claim is there, or the binding is another one.
func (o *operator) mistake(m *machine) {
	r := recordOf(o.server(m))
	if r.Claim == nil {
		return
	}
	binding := r.Claim.BindingID
	if o.w.people.chance(0.3) {
		binding = "another"
	}
	o.giveUp(m, binding, o.w.people.chance(0.3) && !m.on)
}

// giveUp is `ingot release --server`.
func (o *operator) giveUp(m *machine, binding string, confirm bool) {
	s := o.server(m)
	if s == nil {
		return
	}
	o.w.check.givesUp(m, s, binding, confirm)
	ok := o.edit(m, "gives up", func(s *metal.Server) bool {
		s.Spec.ReleaseRequest = &metal.ReleaseRequest{ID: o.w.people.id(8), BindingID: binding, ConfirmPoweredOff: confirm, RequestedAt: o.at()}
		return true
	})
	if !ok {
		return
	}
	o.w.count(givenUp)
	o.word(m)
	if confirm {
		o.w.count(confirmedOff)
	}
	if confirm && m.on {
		o.w.count(personsLied)
	}
}
