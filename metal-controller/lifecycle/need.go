package lifecycle

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// purpose is what a boot is for: the agent that wipes or waits, or the operating system of a binding.
type purpose struct {
	target metal.BootTarget
	// binding is the binding that it serves; empty when it serves none.
	binding string
}

// purposeOf is what a recorded boot is for. Records of before there were two kinds name none.
func purposeOf(b *metal.BootRecord) purpose {
	if b.Target == "" {
		return purpose{metal.BootTargetAgent, b.BindingID}
	}
	return purpose{b.Target, b.BindingID}
}

// need says which boot is needed now, or why none is, or may be, begun.
func need(o *Observation, p *Plan) (purpose, refusal) {
	r := p.present(o)
	want, f := wanted(o, r)
	switch {
	case !f.ok():
		return purpose{}, f
	case unrecognisable(o): // a boot would register another Server
		return purpose{}, refusal{reason: reasons.NotRegistered, message: howToRegister(o)}
	case want.binding == "" && o.Inventory != nil && !diskTrouble(o, judgeDisks(o, r)).ok():
		return purpose{}, diskTrouble(o, judgeDisks(o, r))
	case unattended(o, r) && !live(r):
		return purpose{}, gesture(o, r)
	case personOff(o, r) && !noBMC(o):
		return purpose{}, refusal{reason: reasons.AwaitingPower, message: "A person switched the server off: `ingot power on " + o.Server.Name + "` lets it go on."}
	case want.binding == "" && r.Wipe == nil && o.Budget.Granted >= o.Budget.Limit:
		return purpose{}, refusal{reason: reasons.DestructiveLimit, message: overBudget(o), after: budgetRecheck}
	}
	return want, tooMany(o, r)
}

// wanted is the purpose alone.
func wanted(o *Observation, r *metal.ServerRecord) (purpose, refusal) {
	if r.Claim != nil {
		return wantedByClaim(o, r)
	}
	f := permitServer(o, r)
	if f.reason == reasons.Wiped && unattended(o, r) && !live(r) { // it waits in the agent, or in vain
		f = gesture(o, r)
	}
	warm := f.reason == reasons.Wiped && o.Warm && o.Server.Spec.Accepted && !noBMC(o)
	evidence := f.reason == reasons.EvidenceNeeded && unclaimedYes(o, r) && (poweredOff(o) || noBMC(o) && agentWaits(o, r))
	if account := f.reason == reasons.Wiped && accountNeedsBoot(o, r); !f.ok() && !evidence && !warm && !account {
		return purpose{}, f
	}
	return purpose{target: metal.BootTargetAgent}, refusal{}
}

// wantedByClaim is what a binding needs: its operating system, or a look at a disk that does not boot.
func wantedByClaim(o *Observation, r *metal.ServerRecord) (purpose, refusal) {
	if f := permitClaim(o, r); !f.ok() {
		return purpose{}, f
	}
	binding := r.Claim.BindingID
	switch {
	case lost(o, r):
		return purpose{metal.BootTargetAgent, binding}, refusal{}
	case installed(r):
		return purpose{}, refusal{reason: reasons.Installed, message: "The system is installed; no boot is needed."}
	case !fitForClaim(r):
		return purpose{}, refusal{reason: reasons.NotReady, message: "The server is not clean, so nothing is installed on it: an operator must look at its record."}
	case o.Claim.NotReady != "":
		return purpose{}, refusal{reason: o.Claim.NotReady, message: o.Claim.NotReadyMessage, after: claimRecheck}
	}
	return purpose{metal.BootTargetOS, binding}, refusal{}
}

// claimRecheck is how often a claim is looked at again that cannot go on: Secrets are not watched.
const claimRecheck = 20 * time.Second

// permitClaim asks what keeps Ingot from beginning anything for a binding. What runs goes on running.
func permitClaim(o *Observation, r *metal.ServerRecord) refusal {
	name := o.Server.Name
	switch {
	case foreign(o), r.ManagedBy == nil:
		return refusal{reason: reasons.UnmanagedHere, message: ownedBy(o)}
	case r.Release != nil:
		return refusal{reason: reasons.Releasing, message: "The server is being given back."}
	case r.Unverified != nil:
		return refusal{reason: r.Unverified.Reason, message: "What Ingot knows of this server comes from a backup and may be older than the machine: it is left as it is until its workload tells that it runs, or a person releases it (`ingot release --server " + name + "`)."}
	case !bound(r):
		return refusal{reason: reasons.BindingIncomplete, message: "Waiting for the claim " + claimName(r) + " to confirm its side of the binding.", after: claimRecheck}
	case orphaned(o, r):
		return refusal{reason: reasons.ClaimMissing, message: "The claim " + claimName(r) + " is gone and did not release the server."}
	case !o.Server.Spec.Accepted:
		return refusal{reason: reasons.NotAccepted, message: "Waiting for an operator: `ingot accept " + name + "`."}
	case r.Quarantine != nil:
		return refusal{reason: reasons.Quarantined, message: quarantineMessage(o, r)}
	case len(rivals(o)) > 0:
		return refusal{reason: reasons.IdentityConflict, message: "Another Server has the same identity: see the condition " + reasons.IdentityUnique + "."}
	case paused(o):
		return refusal{reason: reasons.Paused, message: "The server is paused: `ingot resume " + name + "`."}
	}
	return refusal{}
}

// Limits of a system that does not boot from its disk.
const (
	// neverRan is how long an installed system may take to tell first that it runs; installedCondition names it in words.
	neverRan = 10 * time.Minute
	// leastSilence of a system that told before, however often it promised to.
	leastSilence = 2 * time.Minute
	// lostBoots is how often its machine asks for its boot meanwhile: a restart asks once.
	lostBoots = 2
)

// lost says that the installed system does not boot: it is silent, although it promised to tell, and its machine asks for its boot again and again. That the
// machine asks is a hint that a neighbour can forge, so it never counts against a system that tells that it runs.
func lost(o *Observation, r *metal.ServerRecord) bool {
	return installed(r) && o.Claim.LocalBoots >= lostBoots && silent(o, r)
}

// silent says that an installed system did not tell that it runs for longer than it promised, although somebody listened.
func silent(o *Observation, r *metal.ServerRecord) bool {
	left, promised := quietLeft(o, r)
	return promised && left <= 0
}

// quietLeft is how much longer an installed system may be quiet; false when it promised nothing.
func quietLeft(o *Observation, r *metal.ServerRecord) (time.Duration, bool) {
	patience := neverRan
	if i := r.Installed; i.RunningAt != nil {
		if i.EverySeconds <= 0 {
			return 0, false
		}
		patience = max(3*time.Duration(i.EverySeconds)*time.Second, leastSilence)
	}
	return heard(o).Add(patience).Sub(o.Now), true
}

// heard is when the system last told that it runs, or could not have been heard. What the record says of that was stamped by other processes, whose clocks may
// be anywhere; whoever gathers says in Alive when it changed.
func heard(o *Observation) time.Time {
	if o.Claim.Watched.After(o.Claim.Alive) {
		return o.Claim.Watched
	}
	return o.Claim.Alive
}

// looked ends a look at the disks of a system that does not boot. All of them blank: they were lost or swapped, and there is nothing to lose; the system is
// installed again. Otherwise a person has to look.
func looked(o *Observation, p *Plan, b *metal.BootRecord) {
	if age := o.Now.Sub(b.At.Time); age.Abs() < settle { // claimed just now: the machine itself, if this is another one, shows up meanwhile
		p.again(min(settle-age, settle))
		return
	}
	disks := judgeDisks(o, p.present(o))
	ids, _ := pick(disks, isOwn)
	_, used := pick(disks, func(d metal.DiskStatus) bool { return d.Contents != metal.DiskBlank })
	if len(ids) == 0 || len(used) > 0 || len(disks) >= maxDisks {
		p.void(o, reasons.DiskBootFailed)
		return
	}
	p.edit(o, func(r *metal.ServerRecord) {
		confirm(r, ids) // blank now, so whatever will be on them is the workload's
		r.Installed = nil
		voidBoot(o, r, "")
		r.Boot.Attempt = 0
	})
	p.again(time.Second)
	p.Events = append(p.Events, Event{Warning: true, Reason: reasons.DiskLost, Message: "Every disk of the server shows blank, so its system was lost; it is installed again."})
}
