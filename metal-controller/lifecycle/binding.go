package lifecycle

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// binding joins the two sides, or drops a side whose claim never came to it. Nothing was begun on the machine before both sides were seen, so dropping
// touches nothing. What a backup says may have gone on since, so there nothing is dropped and nothing joined.
func binding(o *Observation, p *Plan) {
	r := p.record(o)
	if foreign(o) || r.Claim == nil {
		return
	}
	endUnverified(o, p)
	if r = p.record(o); r.Claim.BoundAt != nil || r.Unverified != nil {
		return
	}
	switch c := o.Claim; {
	case !fitForClaim(r): // only clean servers are claimed, and those that were kept for it: whatever this is, it stays out of reach
	case !c.Found, c.BoundElsewhere, c.Deleting && !c.Moving:
		p.edit(o, (*metal.ServerRecord).Vacate)
	case c.Bound && !c.Deleting:
		p.edit(o, func(r *metal.ServerRecord) {
			at := second(o)
			r.Claim.BoundAt = &at
			if r.Boot != nil {
				r.Boot.Attempt = 0
			}
		})
	}
}

// endUnverified believes a record from a backup again once its workload told, with a capability that only that workload has, that it runs.
func endUnverified(o *Observation, p *Plan) {
	r := p.record(o)
	if u := r.Unverified; u != nil && installed(r) && o.Claim.Bound && o.Claim.Alive.After(u.Since.Time) && !o.Claim.Alive.After(o.Now) {
		p.edit(o, func(r *metal.ServerRecord) { r.Unverified = nil })
	}
}

// bound says that both sides of the binding were seen.
func bound(r *metal.ServerRecord) bool { return r.Claim != nil && r.Claim.BoundAt != nil }

// installed says that the workload of this very binding proved to be installed.
func installed(r *metal.ServerRecord) bool {
	return bound(r) && r.Installed != nil && r.Installed.BindingID == r.Claim.BindingID
}

// orphaned says that the claim is gone without having been released. That is never a release.
func orphaned(o *Observation, r *metal.ServerRecord) bool {
	return bound(r) && r.Release == nil && !o.Claim.Found
}

func claimName(r *metal.ServerRecord) string { return r.Claim.Namespace + "/" + r.Claim.Name }

// provisioned is the condition of a claimed server.
func provisioned(o *Observation, p *Plan) {
	r := p.record(o)
	if r.Claim == nil {
		return
	}
	switch {
	case foreign(o):
		p.set(reasons.Provisioned, Unknown, reasons.UnmanagedHere, ownedBy(o))
	case r.Release != nil:
		p.set(reasons.Provisioned, False, reasons.Releasing, "The server is being given back.")
	case r.Unverified != nil:
		p.set(reasons.Provisioned, False, r.Unverified.Reason, permitClaim(o, r).message)
	case !bound(r):
		p.set(reasons.Provisioned, False, reasons.BindingIncomplete, "Waiting for the claim "+claimName(r)+" to confirm its side of the binding.")
	case orphaned(o, r):
		p.set(reasons.Provisioned, False, reasons.ClaimMissing, "The claim "+claimName(r)+" is gone and did not release the server, so it is left as it is. Bring the claim back, or give the server up: `ingot release --server "+o.Server.Name+"`.")
	case installed(r):
		p.set(installedCondition(o, p, r))
		if left, promised := quietLeft(o, r); promised && left > 0 {
			p.again(left + time.Second)
		}
	default:
		p.set(provisioning(o, p, r))
	}
}

// installedCondition is about a workload that was installed.
func installedCondition(o *Observation, p *Plan, r *metal.ServerRecord) (string, Status, string, string) {
	switch {
	case r.Boot != nil && r.Boot.Reason == reasons.DiskBootFailed && !heard(o).After(r.Boot.At.Time):
		return reasons.Provisioned, False, reasons.DiskBootFailed, "The system is installed, its disk holds data, and the machine does not boot from it. " + lookAtBoot(o, r)
	case lost(o, r):
		if _, f := need(o, p); !f.ok() { // a person switched it off, or took a yes back
			return reasons.Provisioned, False, f.reason, f.message
		}
		return reasons.Provisioned, False, reasons.DiskBootFailed, "The machine asks for its boot again and again, and its system is silent: Ingot looks after its disks."
	case r.Installed.RunningAt != nil && silent(o, r):
		return reasons.Provisioned, False, reasons.WorkloadSilent, "The workload of " + claimName(r) + " promised to tell again and again that it runs, and is silent: it is off, hangs, is cut off from the network, or the machine runs something else. " + lookAt(o, r)
	case silent(o, r):
		return reasons.Provisioned, False, reasons.WorkloadSilent, "The workload of " + claimName(r) + " is installed and did not tell within ten minutes that it runs from its disk: its machine is off, hangs, boots something else, or is cut off from the network. " + lookAt(o, r)
	case r.Installed.RunningAt != nil:
		return reasons.Provisioned, True, reasons.Running, "The workload of " + claimName(r) + " proved that it runs from its disk."
	}
	return reasons.Provisioned, False, reasons.Installed, "The system is installed; waiting for it to tell that it runs from its disk."
}

// lookAtBoot is what a person does about a system whose disk Ingot looked at.
func lookAtBoot(o *Observation, r *metal.ServerRecord) string {
	if noBMC(o) { // it was taken out of the spec since
		return lookAt(o, r)
	}
	return "Look at its console (`ingot console " + o.Server.Name + "`) and its firmware's boot order, then `ingot power cycle " + o.Server.Name + "`."
}

// provisioning names who acts next before the workload is installed.
func provisioning(o *Observation, p *Plan, r *metal.ServerRecord) (string, Status, string, string) {
	b := r.Boot
	if _, f := need(o, p); !f.ok() {
		return reasons.Provisioned, False, f.reason, f.message
	}
	if b != nil && b.Phase != metal.BootVoid && b.Target == metal.BootTargetOS {
		return reasons.Provisioned, False, reasons.Provisioning, waitingFor(b)
	}
	return reasons.Provisioned, False, reasons.Provisioning, "The boot of the operating system is about to begin: see the condition " + reasons.BootExpected + "."
}
