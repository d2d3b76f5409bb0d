package lifecycle

import (
	"slices"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// bootTarget decides what the machine gets when it netboots next. A claimed boot stays on offer: a second machine that takes it gives itself, or the
// first, away. A machine with an operating system that Ingot has not been allowed to wipe is left alone.
func bootTarget(o *Observation, p *Plan) {
	r := p.present(o)
	switch {
	case foreign(o):
		p.boot(metal.BootTargetNoAnswer, reasons.UnmanagedHere)
	case r.Boot != nil && (r.Boot.Phase == metal.BootSwitchingOn || r.Boot.Phase == metal.BootBooting || r.Boot.Phase == metal.BootClaimed):
		p.boot(purposeOf(r.Boot).target, reasons.BootRunning)
		p.Boot.ID, p.Boot.Deadline = r.Boot.ID, r.Boot.Deadline.DeepCopy()
	case agentTarget(o, r):
		p.boot(metal.BootTargetAgent, reasons.AwaitingPower)
	case r.Unverified != nil && r.Acceptance != nil: // since the backup it may have got a workload, which must not be kept from starting
		p.boot(metal.BootTargetLocalDisk, r.Unverified.Reason)
	case r.Claim != nil:
		p.boot(targetOfClaimed(r), reasons.Claimed)
	case r.Wipe != nil && r.Wipe.VerifiedAt != nil && r.Unverified == nil:
		p.boot(metal.BootTargetIdle, reasons.Available)
	case o.Inventory == nil && r.Acceptance == nil:
		p.boot(metal.BootTargetAgent, reasons.NotRegistered)
	case o.Inventory != nil && slices.ContainsFunc(o.Inventory.Disks, bootable):
		p.boot(metal.BootTargetLocalDisk, reasons.LocalDiskPreferred)
	case r.Acceptance != nil:
		p.boot(metal.BootTargetIdle, reasons.Accepted)
	default:
		p.boot(metal.BootTargetAgent, reasons.WaitingForAcceptance)
	}
}

// targetOfClaimed is the workload's own disk. Before it is installed, and once it is given back, nothing of a workload shall start.
func targetOfClaimed(r *metal.ServerRecord) metal.BootTarget {
	if r.Release == nil && (installed(r) || r.Unverified != nil) {
		return metal.BootTargetLocalDisk
	}
	return metal.BootTargetIdle
}

// boot plans the target and adds its line of the report.
func (p *Plan) boot(target metal.BootTarget, reason string) {
	p.Boot = metal.BootStatus{Target: target}
	p.Report = append(p.Report, Check{Name: "BootTarget", Reason: reason})
}

func bootable(d metal.Disk) bool { return d.Contents == metal.DiskBootable }
