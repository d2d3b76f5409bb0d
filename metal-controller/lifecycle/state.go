package lifecycle

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// state names the stage of life for people.
func state(o *Observation, p *Plan) {
	r := p.present(o)
	unknown := o.Inventory == nil && r.Acceptance == nil
	switch {
	case r.Unverified != nil, unknown, o.Server.Spec.Accepted && r.Acceptance == nil:
		p.State = metal.StateUnverified
	case r.Claim != nil:
		p.State = stateOfClaimed(o, r)
	case kept(r):
		p.State = metal.StateReleasing
	case p.condition(reasons.Clean).Status == True && r.Acceptance != nil && unattended(o, r):
		p.State = metal.StateAwaitingPower
	case p.condition(reasons.Clean).Status == True && r.Acceptance != nil:
		p.State = metal.StateAvailable
	case r.Acceptance != nil && !needsPerson(p.condition(reasons.Clean).Reason):
		p.State = metal.StateWiping
	default:
		p.State = metal.StateDiscovered
	}
}

func stateOfClaimed(o *Observation, r *metal.ServerRecord) metal.ServerState {
	switch {
	case r.Release != nil:
		return metal.StateReleasing
	case installed(r) && r.Installed.RunningAt != nil:
		return metal.StateRunning
	}
	return metal.StateProvisioning
}

// needsPerson says that an accepted server waits for somebody before its disks are touched.
func needsPerson(clean string) bool {
	switch clean {
	case reasons.DataNeedsConfirmation, reasons.DisksBlocked, reasons.DisksChanged, reasons.NoDisks:
		return true
	}
	return false
}

// ready sums up: what is most in the way, and who acts next.
func ready(o *Observation, p *Plan) {
	r := p.present(o)
	clean, boot := p.condition(reasons.Clean), p.condition(reasons.BootExpected)
	copied := func(c Condition) { p.set(reasons.Ready, False, c.Reason, c.Message) }
	switch {
	case foreign(o):
		p.set(reasons.Ready, False, reasons.UnmanagedHere, ownedBy(o))
	case r.Quarantine != nil:
		p.set(reasons.Ready, False, reasons.Quarantined, quarantineMessage(o, r))
	case p.condition(reasons.IdentityUnique).Status == False:
		p.set(reasons.Ready, False, reasons.IdentityConflict, p.condition(reasons.IdentityUnique).Message)
	case !o.Server.Spec.Accepted && o.Inventory == nil:
		copied(p.condition(reasons.Registered))
	case !o.Server.Spec.Accepted:
		unaccepted(o, p)
	case r.Claim != nil && r.Release != nil:
		copied(p.condition(reasons.Released))
	case r.Claim != nil && p.condition(reasons.Provisioned).Status == True:
		p.set(reasons.Ready, True, reasons.Running, p.condition(reasons.Provisioned).Message)
	case r.Claim != nil:
		copied(p.condition(reasons.Provisioned))
	case clean.Status == True && paused(o):
		copied(p.condition(reasons.Schedulable))
	case clean.Status == True:
		readyToClaim(o, p, r)
	case boot.Status == False && !needsPerson(clean.Reason):
		copied(boot)
	default:
		copied(clean)
	}
}

// readyToClaim is for a clean server that nothing holds back, but perhaps that nobody could start it.
func readyToClaim(o *Observation, p *Plan, r *metal.ServerRecord) {
	if unattended(o, r) {
		f := gesture(o, r)
		p.set(reasons.Ready, False, f.reason, f.message)
		return
	}
	p.set(reasons.Ready, True, reasons.Available, "The server is clean and may be claimed.")
}

// unaccepted names what a person should do first: a cable that is plugged in elsewhere is better moved before the yes.
func unaccepted(o *Observation, p *Plan) {
	accept := "`ingot accept " + o.Server.Name + "`."
	if c := p.condition(reasons.Cabled); c.Status == False {
		p.set(reasons.Ready, False, c.Reason, c.Message+" Or accept the server as it is: "+accept)
		return
	}
	p.set(reasons.Ready, False, reasons.NotAccepted, "Waiting for an operator to accept the server: "+accept)
}
