package lifecycle

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// spareMedia takes our image out of the BMC's drive once no boot needs it any more: what is installed must not depend on it, and firmware that looks at the
// drive before its disks would start it again and again. It goes after everything else that the BMC is to do.
func spareMedia(o *Observation, p *Plan) {
	if !o.Power.Media || noBMC(o) || foreign(o) || paused(o) {
		return
	}
	p.again(commandInterval)
	if p.Action.Kind == NoAction && o.Power.Pending == "" && !mediaNeeded(o, p) {
		p.Action = Action{Kind: EjectMedia}
	}
}

// mediaNeeded says that a machine is about to start our image, or has started it and nothing proves yet that it went on from there.
func mediaNeeded(o *Observation, p *Plan) bool {
	r := p.present(o)
	switch b := r.Boot; {
	case requested(o, p): // its own order inserts what it needs, or ejects
		return true
	case b != nil && (b.Phase == metal.BootSwitchingOff || b.Phase == metal.BootSwitchingOn):
		return true
	case b != nil && b.Phase == metal.BootBooting:
		return b.Config == nil // a system that fetched its config runs from memory
	}
	return o.Inventory == nil && r.Power != nil && o.Now.Sub(r.Power.At.Time).Abs() < bootTimeout // switched on by a person, to register
}

// notNetworked is a sentence about an order to boot from the network that the BMC could not carry out; empty when there is none.
func notNetworked(o *Observation) string {
	if noBMC(o) || o.Power.Network == "" {
		return ""
	}
	return " Its BMC could not be told to boot it from the network: " + o.Power.Network + "."
}
