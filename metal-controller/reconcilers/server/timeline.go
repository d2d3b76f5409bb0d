package server

import (
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// step is one stage of the boot with an id.
type step struct{ boot, stage string }

// mark puts what a write of the record began into the timeline.
func (r *Reconciler) mark(server string, before, after *metal.ServerRecord) {
	for _, s := range steps(before, after) {
		r.Sightings.Adopt(server, s.boot, s.stage)
	}
}

// steps are what the record after has more than the record before, either of which may be nil.
func steps(before, after *metal.ServerRecord) []step {
	if after == nil {
		return nil
	}
	if before == nil {
		before = &metal.ServerRecord{}
	}
	var out []step
	if b, old := after.Boot, before.Boot; b != nil && (old == nil || old.ID != b.ID || old.Phase != b.Phase) {
		if stage := stageOf(b.Phase); stage != "" {
			out = append(out, step{b.ID, stage})
		}
	}
	w, old := after.Wipe, before.Wipe
	if w == nil {
		return out
	}
	if old == nil || old.ID != w.ID || old.Generation != w.Generation {
		out = append(out, step{w.BootID, metal.StageWipeGranted})
	}
	if w.VerifiedAt != nil && (old == nil || old.ID != w.ID || old.VerifiedAt == nil) {
		out = append(out, step{w.BootID, metal.StageVerified})
	}
	return out
}

// stageOf is empty for phases that others tell of: an agent that enrols or is to restart its machine, and whatever ends the boot.
func stageOf(p metal.BootPhase) string {
	switch p {
	case metal.BootSwitchingOff:
		return metal.StageSwitchingOff
	case metal.BootSwitchingOn:
		return metal.StageSwitchingOn
	case metal.BootBooting:
		return metal.StagePoweredOn
	case metal.BootRestarting, metal.BootClaimed, metal.BootVoid:
	}
	return ""
}

// markOff puts the reading into the timeline that a wipe with a receipt waits for.
func (r *Reconciler) markOff(o lifecycle.Observation) {
	record := o.Server.Spec.Record
	if record == nil || record.Wipe == nil || record.Wipe.Receipt == nil || record.Wipe.VerifiedAt != nil {
		return
	}
	if o.Power.Reason == reasons.BMCAnswers && o.Power.State == metal.PowerOff && o.Power.At.After(record.Wipe.Receipt.At.Time) {
		r.Sightings.Adopt(o.Server.Name, record.Wipe.BootID, metal.StagePoweredOff)
	}
}
