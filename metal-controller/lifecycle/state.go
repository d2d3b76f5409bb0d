package lifecycle

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// state names the stage of life for people. An accepted server stays Discovered: this release has no later stage.
func state(o *Observation, p *Plan) {
	p.State = metal.StateDiscovered
	if o.Inventory == nil {
		p.State = metal.StateUnverified
	}
}

// ready sums up: what is most in the way, and who acts next.
func ready(o *Observation, p *Plan) {
	switch {
	case foreign(o):
		p.set(reasons.Ready, False, reasons.UnmanagedHere, ownedBy(o))
	case p.condition(reasons.IdentityUnique).Status == False:
		p.set(reasons.Ready, False, reasons.IdentityConflict, p.condition(reasons.IdentityUnique).Message)
	case o.Inventory == nil:
		p.set(reasons.Ready, False, reasons.NotRegistered, p.condition(reasons.Registered).Message)
	case o.Server.Spec.Accepted:
		p.set(reasons.Ready, False, reasons.Accepted,
			"The server is accepted; this release does not wipe or install yet, so nothing more happens to it until Ingot is upgraded.")
	default:
		p.set(reasons.Ready, False, reasons.NotAccepted,
			`Waiting for an operator to accept the server: kubectl patch server `+o.Server.Name+` --type=merge -p '{"spec":{"accepted":true}}'.`)
	}
}

// ownedBy says who may act on a server that is not ours.
func ownedBy(o *Observation) string {
	m := recorded(o).ManagedBy
	if m == nil {
		return "Waiting for this installation to learn its own id."
	}
	return "The installation " + m.Installation + " manages this server; this one (" + o.Installation + ") only shows it."
}
