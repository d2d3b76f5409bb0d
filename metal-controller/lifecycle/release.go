package lifecycle

import (
	"strings"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// grace is how long an operating system may take to shut down before it is switched off.
const grace = 2 * time.Minute

// release records that the server is given back, proves that the machine no longer runs its workload, and only then ends the binding (rules 2 and 5 of
// DESIGN section 3).
func release(o *Observation, p *Plan) {
	if foreign(o) {
		return
	}
	if r := p.record(o); bound(r) && r.Release == nil {
		back := givenBack(o, r)
		leave(o, p, back && inEtcd(o, r))
		if back && !inEtcd(o, r) {
			p.beginRelease(o)
		}
	}
	releaseRequest(o, p)
	keep(o, p)
	if r := p.record(o); r.Claim != nil && r.Release != nil && r.Release.OffAt == nil && !doubtful(r) {
		fence(o, p, r.Release)
	}
}

// doubtful says that the release came with a backup: since then it may have ended, and another workload may run on the machine.
func doubtful(r *metal.ServerRecord) bool {
	return r.Unverified != nil && r.Release != nil && r.Release.At.Time.Before(r.Unverified.Since.Time)
}

// givenBack is rule 2: our claim is deleted through our finalizer, is not moved, and its Cluster holds nothing back.
func givenBack(o *Observation, r *metal.ServerRecord) bool {
	c := o.Claim
	return c.Found && c.Bound && c.Deleting && !c.Moving && c.ClusterHeld == "" && r.Unverified == nil
}

// leave decides that a server leaves the etcd of its cluster, and takes that back when something holds its claim after all.
func leave(o *Observation, p *Plan, leaves bool) {
	if r := p.record(o); leaves == (r.Claim.LeavingAt != nil) || r.Claim.LeftAt != nil {
		return
	}
	p.edit(o, func(r *metal.ServerRecord) {
		if r.Claim.LeavingAt = nil; leaves {
			at := second(o)
			r.Claim.LeavingAt = &at
		}
	})
}

// inEtcd says that the server may be a member of its cluster's etcd, which then loses one before it is told: before a config left there is no cluster in it.
func inEtcd(o *Observation, r *metal.ServerRecord) bool {
	return MayBeInEtcd(r.Claim) && !o.Claim.LoseMember
}

// beginRelease records the release, with the disks that the workload was given: none before it got a config.
func (p *Plan) beginRelease(o *Observation) {
	p.edit(o, func(r *metal.ServerRecord) {
		c := r.Claim
		level := c.WipeLevel
		if level == "" {
			level = metal.WipeClear
		}
		r.Agent = nil // only one that enrols from now on proves anything
		r.Release = &metal.ReleaseRecord{Namespace: c.Namespace, Name: c.Name, BindingID: c.BindingID, At: stamp(o), Level: level, ReuseOwner: c.ReuseOwner}
		switch {
		case c.Reused != nil: // it was not wiped in between
			r.Release.Disks = append([]metal.DiskID(nil), c.Reused.Disks...)
		case c.ConfigAt != nil && r.Wipe != nil && r.Wipe.VerifiedAt != nil:
			r.Release.Disks = append([]metal.DiskID(nil), r.Wipe.Disks...)
		}
		if r.Boot != nil && r.Boot.Phase != metal.BootVoid { // and with it the capability for the machine config
			voidBoot(o, r, "")
		}
	})
	p.again(time.Second)
}

// releaseRequest does a person's one-time word: it gives up a binding whose claim is gone, and stands in for a BMC that cannot say that the machine is off.
func releaseRequest(o *Observation, p *Plan) {
	q, r := o.Server.Spec.ReleaseRequest, p.record(o)
	if q == nil || q.ID == r.ReleaseRequest {
		return
	}
	p.edit(o, func(r *metal.ServerRecord) { r.ReleaseRequest = q.ID })
	if why := p.refuseRelease(o, q); why != "" {
		p.Events = append(p.Events, Event{Warning: true, Reason: reasons.ReleaseRequestExpired, Message: "The release request " + q.ID + " was dropped: " + why})
		return
	}
	if r := p.record(o); r.Release == nil || doubtful(r) {
		p.beginRelease(o)
	}
	if q.ConfirmPoweredOff {
		p.endBinding(o, metal.ProofConfirmed)
	}
}

// refuseRelease says why a request does nothing; empty when it does.
func (p *Plan) refuseRelease(o *Observation, q *metal.ReleaseRequest) string {
	r := p.record(o)
	switch {
	case !fresh(o, q.RequestedAt), fromBackup(o, q.RequestedAt):
		return "it is older than ten minutes, the Server or the backup; ask again with `ingot release`."
	case !bound(r) || r.Claim.BindingID != q.BindingID:
		return "it names another binding than the server has."
	case r.Release == nil && o.Claim.Found:
		return "the claim " + claimName(r) + " exists; delete it to release the server: `ingot release " + r.Claim.Name + " -n " + r.Claim.Namespace + "`."
	case q.ConfirmPoweredOff && poweredOn(o):
		return "the BMC answers, and reads on; Ingot switches the machine off itself."
	}
	return ""
}

// fence switches the machine off, gently first, and waits for the proof.
func fence(o *Observation, p *Plan, f *metal.ReleaseRecord) {
	switch {
	case wentOff(o, f.At.Time), poweredOff(o) && strings.HasPrefix(o.Power.Done, offPrefix(f)):
		p.endBinding(o, metal.ProofPowerOff)
	case noBMC(o) && p.present(o).Agent != nil:
		p.endBinding(o, metal.ProofAgent)
	case paused(o), noBMC(o), requested(o, p):
	case poweredOff(o) && !ahead(o, f.At.Time):
		p.askNow(o) // it was off before; what counts is a reading from after the release
	case poweredOff(o): // by a clock that ran ahead no reading comes after the release for long; the end of an order of the release does
		p.order(o, f.BindingID, offPrefix(f), EnsurePowerOff)
	case gentle(o, f):
		p.order(o, f.BindingID, shutdownPrefix(f), EnsureShutdown)
	case !asked(o, f) || o.Now.Sub(f.At.Time).Abs() >= grace:
		p.order(o, f.BindingID, offPrefix(f), EnsurePowerOff)
	default:
		p.again(grace - o.Now.Sub(f.At.Time).Abs() + time.Second)
	}
}

// gentle says that the operating system is yet to be asked: once, since pressing the button again may take it back.
func gentle(o *Observation, f *metal.ReleaseRecord) bool {
	return o.Now.Sub(f.At.Time).Abs() < grace && !asked(o, f) && o.Power.Reason != reasons.BMCUnsupported
}

// asked says that the BMC took the order to shut down.
func asked(o *Observation, f *metal.ReleaseRecord) bool {
	return strings.HasPrefix(o.Power.Done, shutdownPrefix(f)) || strings.HasPrefix(o.Power.Pending, shutdownPrefix(f))
}

func shutdownPrefix(f *metal.ReleaseRecord) string { return f.BindingID + ".Shutdown." }

func offPrefix(f *metal.ReleaseRecord) string { return f.BindingID + ".PowerOff." }

// endBinding is the only place where a binding ends on which something was begun. What was installed, and the wipe before it, say nothing of the disks any more.
func (p *Plan) endBinding(o *Observation, proof metal.ReleaseProof) {
	p.edit(o, func(r *metal.ServerRecord) {
		at := second(o)
		r.Release.OffAt, r.Release.Proof = &at, proof
		if r.Claim.ConfigAt == nil && r.Claim.Reused == nil && r.Acceptance != nil { // what is on the disks now is not the workload's, and came after the wipe that they were confirmed for
			r.Acceptance.Disks = nil
		}
		r.Claim, r.Installed, r.Wipe = nil, nil, nil
		if r.Boot != nil {
			if r.Boot.Phase != metal.BootVoid {
				voidBoot(o, r, "")
			}
			r.Boot.Attempt = 0
		}
		offer(o, r)
	})
	p.again(time.Second)
}

// endRelease forgets a release once its wipe is verified. The disks stay confirmed, as those of a first wipe do.
func endRelease(r *metal.ServerRecord) {
	if r.Release == nil {
		return
	}
	confirm(r, r.Release.Disks)
	r.Release = nil
}

// confirm adds disks to those whose data may go.
func confirm(r *metal.ServerRecord, disks []metal.DiskID) {
	for _, d := range disks {
		if r.Acceptance != nil && !covers(r.Acceptance.Disks, d) && len(r.Acceptance.Disks) < maxDisks {
			r.Acceptance.Disks = append(r.Acceptance.Disks, d)
		}
	}
}

// released is the condition of a release.
func released(o *Observation, p *Plan) {
	r := p.record(o)
	switch f := r.Release; {
	case foreign(o):
	case f == nil && bound(r) && o.Claim.Found && o.Claim.Deleting:
		p.set(reasons.Released, False, reasons.ReleasePaused, whyNotReleased(o, r))
	case f == nil:
	case kept(r):
		p.set(reasons.Released, True, reasons.KeptForReuse, permitKept(o, r).message)
	case f.OffAt != nil:
		p.set(reasons.Released, True, reasons.Fenced, "The machine is proven not to run the workload of "+f.Namespace+"/"+f.Name+" any more ("+string(f.Proof)+"); its disks are wiped next.")
	case doubtful(r):
		p.set(reasons.Released, False, r.Unverified.Reason, "The release comes from a backup and may have ended since: `ingot release --server "+o.Server.Name+"` begins it again.")
	case unfenced(o, f):
		p.set(reasons.Released, False, reasons.FencingUnconfirmed, "Nothing proves that the machine no longer runs the workload of "+f.Namespace+"/"+f.Name+": "+whyUnfenced(o)+
			" If you saw it off yourself: `ingot release --server "+o.Server.Name+" --confirm-powered-off`.")
	case paused(o):
		p.set(reasons.Released, False, reasons.Paused, "The server is paused: `ingot resume "+o.Server.Name+"`.")
	default:
		p.set(reasons.Released, False, reasons.Releasing, "The claim "+f.Namespace+"/"+f.Name+" is gone; waiting for the machine to go off.")
	}
}

func whyNotReleased(o *Observation, r *metal.ServerRecord) string {
	switch {
	case o.Claim.Moving:
		return "The claim is being moved to another cluster; nothing is released."
	case o.Claim.ClusterHeld != "":
		return o.Claim.ClusterHeld
	case r.Unverified == nil && inEtcd(o, r):
		return "Waiting until the etcd of the cluster " + r.Claim.Cluster + " lets this server go; events say what keeps it. To let it lose a member unprepared: `ingot release " +
			r.Claim.Name + " -n " + r.Claim.Namespace + " --lose-etcd-member`."
	case r.Unverified != nil:
		return "What Ingot knows of this server comes from a backup: `ingot release --server " + o.Server.Name + "` releases it once the claim is gone."
	}
	return "The claim that is being deleted does not name this binding."
}

// unfenced says that the BMC does not help, or did not for long.
func unfenced(o *Observation, f *metal.ReleaseRecord) bool {
	return noBMC(o) || o.Power.Reason != reasons.BMCAnswers && o.Power.Reason != reasons.BMCUnsupported && o.Power.Reason != "" && o.Power.Reason != reasons.BMCNotAsked ||
		o.Now.Sub(f.At.Time).Abs() > grace+stepTimeout
}

func whyUnfenced(o *Observation) string {
	if noBMC(o) {
		return "the server declares no BMC. Restart the machine from the network by hand: the agent that then enrols on it is the proof."
	}
	if poweredOff(o) {
		return "its BMC reads off, and did not from after the release yet."
	}
	if o.Power.Reason == reasons.BMCAnswers {
		return "its BMC does not read off."
	}
	return "see the condition " + reasons.BMCReachable + "."
}
