package lifecycle

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// keeping is how long a released server waits for the machine that replaces the one that had it, before it is wiped after all.
const keeping = 10 * time.Minute

// fitForClaim says that the disks are as the binding may have them: wiped, or kept for it.
func fitForClaim(r *metal.ServerRecord) bool {
	return r.Claim != nil && r.Claim.Reused != nil || r.Wipe != nil && r.Wipe.VerifiedAt != nil
}

// kept says that a release keeps the server for another machine of the same owner.
func kept(r *metal.ServerRecord) bool {
	return r.Claim == nil && r.Release != nil && r.Release.OffAt != nil && r.Release.ReuseUntil != nil
}

// offer keeps a server for the machine that replaces the one that had it, where class and claim said so when it was taken. Only a BMC proves well enough that nothing
// runs on it; and without a config that left, what is on the disks is nobody's whom the claim could speak for.
func offer(o *Observation, r *metal.ServerRecord) {
	if f := r.Release; f.ReuseOwner != "" && f.Proof == metal.ProofPowerOff && len(f.Disks) > 0 && !noBMC(o) && !withheld(o, r) {
		until := metav1.NewTime(second(o).Add(keeping))
		f.ReuseUntil = &until
	}
}

// withheld says that a person wants something else of a server than that the next machine has it as it is.
func withheld(o *Observation, r *metal.ServerRecord) bool {
	q := o.Server.Spec.AcceptRequest
	return !o.Server.Spec.Accepted || r.Acceptance == nil || r.Unverified != nil || r.Quarantine != nil || q != nil && q.ID != r.AcceptRequest
}

// keep ends the time that a server is kept: nobody came, or somebody wants something else.
func keep(o *Observation, p *Plan) {
	r := p.present(o)
	if !kept(r) {
		return
	}
	left := r.Release.ReuseUntil.Sub(o.Now)
	if left <= 0 || left > keeping || noBMC(o) || withheld(o, r) {
		p.edit(o, func(r *metal.ServerRecord) { r.Release.ReuseUntil = nil })
		return
	}
	p.again(left + time.Second)
}

// permitKept refuses to touch a server while it is kept.
func permitKept(o *Observation, r *metal.ServerRecord) refusal {
	if !kept(r) {
		return refusal{}
	}
	return refusal{reason: reasons.KeptForReuse, message: "The server is kept as it is until " + r.Release.ReuseUntil.UTC().Format("15:04:05 MST") + " for the machine that replaces " +
		r.Release.Namespace + "/" + r.Release.Name + "; then it is wiped. To wipe it now: `ingot wipe " + o.Server.Name + "`."}
}
