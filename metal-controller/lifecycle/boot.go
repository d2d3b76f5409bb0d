package lifecycle

import (
	"slices"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// bootTarget decides what the machine gets when it netboots next. In this release acceptance changes nothing here: a machine with an operating
// system is left alone, and any other waits in the agent.
func bootTarget(o *Observation, p *Plan) {
	switch {
	case foreign(o):
		p.boot(metal.BootTargetNoAnswer, reasons.UnmanagedHere)
	case o.Inventory == nil:
		p.boot(metal.BootTargetAgent, reasons.NotRegistered)
	case slices.ContainsFunc(o.Inventory.Disks, bootable):
		p.boot(metal.BootTargetLocalDisk, reasons.LocalDiskPreferred)
	default:
		p.boot(metal.BootTargetAgent, reasons.WaitingForAcceptance)
	}
}

// boot plans the target and adds its line of the report.
func (p *Plan) boot(target metal.BootTarget, reason string) {
	p.Boot = metal.BootStatus{Target: target}
	p.Report = append(p.Report, Check{Name: "BootTarget", Reason: reason})
}

func bootable(d metal.Disk) bool { return d.Contents == metal.DiskBootable }
